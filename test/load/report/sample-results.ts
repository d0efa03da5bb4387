// Made-up but plausible results for the tests of the reports: a ramp, a warm-up, a load that the target cannot serve, and
// the edges (nothing completed, one interval, closed loop, a long run, hostile strings). The same numbers every time.
import {
  type ErrorCount,
  type LatencyMs,
  LOAD_SCHEMA,
  type LoadInterval,
  type LoadPlanFacts,
  type LoadResult,
  type OperationName,
  type OperationResult,
} from '../../../src/load/result.ts';

const IDENTITY = '7Q4ryRC6ZdXbBDnc3bxGXhJtQxZBPXtVtKz8mUu9oKCW';

/** Strings that break out of HTML, scripts, attributes, terminals or lines wherever they are let through. */
export const HOSTILE = [
  '</script><script>alert(1)</script>',
  '<!--<script>',
  '<img src=x onerror=alert(2)>',
  `"><svg onload='alert(3)'>&amp;`,
  '\u001b]0;owned\u0007\u001b[2J',
  '\u202egnp.exe \u2066 \u2028 \u2029 \ud800 \u0000',
  '`$\u007balert(4)}`',
] as const;

export const PLAN: LoadPlanFacts = {
  target: '127.0.0.1:41264',
  identity: IDENTITY,
  protocol: 'LP2, X-Wing',
  scenario: 'handshake',
  loop: { kind: 'open', arrivals: 'poisson', rate: 2_000 },
  rampSeconds: 10,
  warmUpSeconds: 5,
  durationSeconds: 60,
  sources: 4_000,
  threads: 2,
  payloadBytes: 256,
};

function noise(seed: number): number {
  const value = Math.sin(seed * 12.9898) * 43_758.5453;
  return value - Math.floor(value);
}

function latency(p50: number, factor = 1): LatencyMs {
  return {
    min: p50 * 0.4,
    mean: p50 * 1.2 * factor,
    p50,
    p90: p50 * 1.6 * factor,
    p99: p50 * 3 * factor,
    'p99.9': p50 * 9 * factor,
    'p99.99': p50 * 22 * factor,
    max: p50 * 31 * factor,
  };
}

function quantiles({ min, p50, max }: LatencyMs, completed: number): OperationResult['quantiles'] {
  const points = [{ quantile: 0, ms: min }];
  const last = Math.log2(Math.max(2, completed));
  for (let half = 0.5; half <= last; half += 0.5) {
    points.push({ quantile: 1 - 2 ** -half, ms: p50 + (max - p50) * (half / last) ** 4 });
  }
  return [...points, { quantile: 1, ms: max }];
}

export function operation(
  name: OperationName,
  completed: number,
  errors: readonly ErrorCount[] = [],
  { p50 = 1.4, seconds = 60, factor = 1 } = {},
): OperationResult {
  const failed = errors.reduce((total, { count }) => total + count, 0);
  const latencyMs = latency(p50, factor);
  return {
    name,
    started: completed + failed + 3,
    completed,
    failed,
    completedPerSecond: completed / seconds,
    ...(completed > 0 && { latencyMs }),
    errors,
    quantiles: completed > 0 ? quantiles(latencyMs, completed) : [],
  };
}

export interface SecondShape {
  readonly second: number;
  readonly offered?: number;
  readonly capacity: number;
  readonly names?: readonly OperationName[];
  readonly plan?: LoadPlanFacts;
}

/** One second: beyond the capacity operations fail, and latencies rise. */
export function interval({ second, offered, capacity, names = ['handshake'], plan = PLAN }: SecondShape): LoadInterval {
  const asked = offered ?? capacity;
  const over = Math.max(0, asked / capacity - 1);
  const measuredFrom = plan.rampSeconds + plan.warmUpSeconds;
  const operations = names.map((name, index) => {
    const jitter = 0.9 + 0.2 * noise(second * 7 + index);
    const share = 1 / names.length;
    const p50 = 1.4 * (index + 1) * jitter * (1 + 40 * over);
    return {
      name,
      completed: Math.round(Math.min(asked, capacity) * share * (0.98 + 0.04 * noise(second + index))),
      failed: Math.round(Math.max(0, asked - capacity) * share * jitter),
      p50,
      p99: p50 * (2.5 + noise(second + 3)),
      max: p50 * (5 + 20 * noise(second * 3) ** 4),
    };
  });
  return {
    second,
    phase: second < plan.rampSeconds ? 'ramp' : second < measuredFrom ? 'warm-up' : 'measured',
    ...(offered !== undefined && { offered }),
    operations,
    connections: Math.round(40 + asked / 40 + 400 * over),
    sessions: Math.round(second * 35 + 200 * noise(second)),
    generatorCores: Math.min(1.7, 0.3 + (asked / 5_000) * (1 + 3 * over)) * (0.95 + 0.1 * noise(second + 9)),
  };
}

function offeredAt(second: number, plan: LoadPlanFacts): number {
  const rate = plan.loop.kind === 'open' ? plan.loop.rate : 0;
  const ramp = plan.rampSeconds > 0 ? Math.min(1, (second + 1) / plan.rampSeconds) : 1;
  return Math.round(rate * ramp * (0.98 + 0.04 * noise(second + 5)));
}

export function result(changes: Partial<LoadResult> = {}): LoadResult {
  return {
    schema: LOAD_SCHEMA,
    plan: PLAN,
    startedAt: '2026-11-20T09:30:00.000Z',
    measuredSeconds: 60,
    machine: {
      cores: 2,
      cpu: 'AMD EPYC 7763 64-Core Processor',
      memoryBytes: 8_326_000_640,
      node: '26.10.0',
      crypto: 'native (sodium-native, node:crypto)',
    },
    operations: [operation('handshake', 118_420)],
    intervals: Array.from({ length: 75 }, (_, second) =>
      interval({ second, offered: offeredAt(second, PLAN), capacity: 2_600 }),
    ),
    generator: { cpuCores: 0.71, busiestThread: 0.46, loopDelayP99Ms: 1.2, sendDelayP99Ms: 0.8, bottlenecks: [] },
    interrupted: false,
    ...changes,
  };
}

const OVERLOAD_ERRORS: readonly ErrorCount[] = [
  { code: 'BUSY', count: 21_460, example: 'the gateway is busy; it asks to try again after 1,250 ms' },
  { code: 'TIMED_OUT', count: 1_212, example: 'no answer within 15 s after five repeats' },
  { code: 'ECONNREFUSED', count: 37, example: 'connect ECONNREFUSED 127.0.0.1:41264' },
];

/** Served until second 40, then a target that lost half its capacity for twenty seconds. */
export function overloaded(): LoadResult {
  const intervals = Array.from({ length: 75 }, (_, second) =>
    interval({ second, offered: offeredAt(second, PLAN), capacity: second >= 40 && second < 60 ? 1_150 : 2_600 }),
  );
  return result({
    intervals,
    operations: [operation('handshake', 97_211, OVERLOAD_ERRORS, { p50: 1.9, factor: 6 })],
    generator: {
      cpuCores: 1.62,
      busiestThread: 0.97,
      loopDelayP99Ms: 41,
      sendDelayP99Ms: 63,
      bottlenecks: [
        'the busiest generator thread was busy 97 % of the time: give it more threads (--threads) or another machine',
        'operations were sent up to 63 ms late (p99): what the target took is smaller than the latencies below',
      ],
    },
  });
}

/** Five operations, of which registrations suffer. */
export function mixed(): LoadResult {
  const names = ['echo', 'handshake', 'register', 'rekey', 'forward'] as const;
  const plan: LoadPlanFacts = {
    ...PLAN,
    scenario: 'mixed',
    via: `127.0.0.2:41264/${IDENTITY}`,
    loop: { kind: 'open', arrivals: 'fixed', rate: 3_000 },
  };
  return result({
    plan,
    intervals: Array.from({ length: 75 }, (_, second) =>
      interval({ second, offered: offeredAt(second, plan), capacity: second > 50 ? 2_500 : 4_000, names, plan }),
    ),
    operations: names.map((name, index) =>
      operation(
        name,
        [92_000, 41_000, 7_400, 18_300, 21_000][index] ?? 1,
        name === 'register' ? [{ code: 'REFUSED', count: 92, example: 'the token was spent already' }] : [],
        { p50: [0.31, 1.6, 4.2, 1.1, 2.8][index] ?? 1, factor: index + 1 },
      ),
    ),
  });
}

export function closedLoop(): LoadResult {
  const plan: LoadPlanFacts = {
    ...PLAN,
    scenario: 'echo',
    loop: { kind: 'closed', clients: 64, thinkMs: 0 },
    rampSeconds: 0,
  };
  const { sendDelayP99Ms: _, ...generator } = result().generator;
  return result({
    plan,
    generator,
    intervals: Array.from({ length: 65 }, (_, second) =>
      interval({ second, capacity: 84_000, names: second < 2 ? ['handshake', 'echo'] : ['echo'], plan }),
    ),
    operations: [operation('handshake', 64), operation('echo', 5_021_344, [], { p50: 0.42 })],
  });
}

/** The target was not there. */
export function nothingCompleted(): LoadResult {
  const refused: readonly ErrorCount[] = [
    { code: 'ECONNREFUSED', count: 120_000, example: 'connect ECONNREFUSED 127.0.0.1:41264' },
  ];
  return result({
    operations: [operation('handshake', 0, refused)],
    intervals: Array.from({ length: 75 }, (_, second) => ({
      ...interval({ second, offered: offeredAt(second, PLAN), capacity: 2_600 }),
      operations: [
        { name: 'handshake', completed: 0, failed: offeredAt(second, PLAN), p50: 0, p99: 0, max: 0 } as const,
      ],
      connections: 0,
      sessions: 0,
    })),
  });
}

/** Stopped in its second second. */
export function oneInterval(): LoadResult {
  const plan: LoadPlanFacts = { ...PLAN, rampSeconds: 0, warmUpSeconds: 0 };
  return result({
    plan,
    measuredSeconds: 1,
    interrupted: true,
    operations: [operation('handshake', 57, [], { seconds: 1 })],
    intervals: [interval({ second: 0, offered: 60, capacity: 2_600, plan })],
  });
}

/** An hour. */
export function long(): LoadResult {
  const plan: LoadPlanFacts = { ...PLAN, rampSeconds: 300, warmUpSeconds: 60, durationSeconds: 3_240 };
  return result({
    plan,
    measuredSeconds: 3_240,
    operations: [operation('handshake', 6_480_000, OVERLOAD_ERRORS, { seconds: 3_240, factor: 3 })],
    intervals: Array.from({ length: 3_600 }, (_, second) =>
      interval({ second, offered: offeredAt(second, plan), capacity: second % 700 > 660 ? 1_700 : 2_600, plan }),
    ),
  });
}

/** Every string that comes from outside is hostile. */
export function hostile(): LoadResult {
  const all = HOSTILE.join(' ');
  return result({
    plan: { ...PLAN, target: all, identity: all, via: all, protocol: all },
    startedAt: all,
    machine: { ...result().machine, cpu: all, node: all, crypto: all },
    operations: [
      operation(
        'handshake',
        1_000,
        HOSTILE.map((text) => ({ code: text, count: 10, example: text.repeat(40) })),
      ),
    ],
    generator: { ...result().generator, bottlenecks: [...HOSTILE] },
  });
}
