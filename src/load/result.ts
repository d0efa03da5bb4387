/**
 * What a load run measured: the JSON of `lewes load --json`, and the one input of the terminal display and the HTML
 * report. Latencies are milliseconds; in an open loop they count from the intended time of sending, so that a stall of
 * server or generator shows in them. A field is only ever added within one schema number.
 */

export const LOAD_SCHEMA = 'lewes-load/1';

export type Scenario = OperationName | 'mixed';

/**
 * Kinds of operations; every scenario but `mixed` has one that it is about, and may need others to get there. `initial`:
 * of Nym's protocol, the registration as far as it costs nothing.
 */
export type OperationName = 'handshake' | 'echo' | 'register' | 'rekey' | 'forward' | 'initial';

export type LoopPlan =
  | {
      readonly kind: 'open';
      readonly arrivals: 'poisson' | 'fixed';
      /** Operations per second at the end of the ramp. */
      readonly rate: number;
    }
  | {
      readonly kind: 'closed';
      /** Clients, each with one operation under way. */
      readonly clients: number;
      /** Pause of a client between two operations. */
      readonly thinkMs: number;
    };

/** What was asked for, with every default filled in. */
export interface LoadPlanFacts {
  readonly target: string;
  /** Absent where a node of the Nym network was given by its other keys alone. */
  readonly identity?: string;
  /** `address:port/identity` of the entry, where the load goes through one. */
  readonly via?: string;
  readonly protocol: string;
  readonly scenario: Scenario;
  readonly loop: LoopPlan;
  readonly rampSeconds: number;
  readonly warmUpSeconds: number;
  readonly durationSeconds: number;
  readonly sources: number;
  readonly threads: number;
  readonly payloadBytes: number;
  /** With protocol `nym`: by what the node is known. */
  readonly nym?: {
    /** Base58. */
    readonly lpKey: string;
    /** `blake3:` and 64 hex digits. */
    readonly kemDigest: string;
    /** fetched: from the announcement just now; stored: from a file; given: by hand. */
    readonly source: 'fetched' | 'stored' | 'given';
    readonly pipelined: boolean;
  };
}

/** HdrHistogram, three significant digits. */
export interface LatencyMs {
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly 'p99.9': number;
  readonly 'p99.99': number;
  readonly max: number;
}

export interface ErrorCount {
  /** Code of the client library or system, such as `BUSY`, `TIMED_OUT`, `ECONNREFUSED`. */
  readonly code: string;
  readonly count: number;
  /** One example in words. */
  readonly example: string;
}

export interface OperationResult {
  readonly name: OperationName;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  /** Of the measured time. */
  readonly completedPerSecond: number;
  /** Absent when nothing was completed. */
  readonly latencyMs?: LatencyMs;
  readonly errors: readonly ErrorCount[];
  /** For plots of the distribution: latency at rising quantiles, up to the last that the counts support. */
  readonly quantiles: readonly { readonly quantile: number; readonly ms: number }[];
}

/** One second of the run, ramp and warm-up included. */
export interface LoadInterval {
  /** Seconds since the start of the run. */
  readonly second: number;
  readonly phase: 'ramp' | 'warm-up' | 'measured';
  /** Operations that the plan asked for in this second; absent in a closed loop. */
  readonly offered?: number;
  readonly operations: readonly {
    readonly name: OperationName;
    readonly completed: number;
    readonly failed: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  }[];
  readonly connections: number;
  readonly sessions: number;
  /** CPU of the generator in this second, in cores. */
  readonly generatorCores: number;
}

export interface GeneratorResult {
  readonly cpuCores: number;
  /** Of the busiest generator thread: share of the measured time it was busy. */
  readonly busiestThread: number;
  /** Delay of the generator's own event loops, 99th percentile. */
  readonly loopDelayP99Ms: number;
  /** Open loop: how late operations were sent against their intended time, 99th percentile. */
  readonly sendDelayP99Ms?: number;
  /** In words: why the figures may be the generator's rather than the target's; empty when they are not. */
  readonly bottlenecks: readonly string[];
}

export interface LoadResult {
  readonly schema: typeof LOAD_SCHEMA;
  readonly plan: LoadPlanFacts;
  readonly startedAt: string;
  readonly measuredSeconds: number;
  readonly machine: {
    readonly cores: number;
    readonly cpu: string;
    readonly memoryBytes: number;
    readonly node: string;
    readonly crypto: string;
  };
  readonly operations: readonly OperationResult[];
  readonly intervals: readonly LoadInterval[];
  readonly generator: GeneratorResult;
  /** Of a load that registers: what became of the registrations that it made. */
  readonly registrations?: {
    readonly made: number;
    readonly released: number;
    /** They stay with the gateway until they run out. */
    readonly left: number;
  };
  /** Asked to stop before its time. */
  readonly interrupted: boolean;
}
