/**
 * The forwarder's contract (lp2.md §5, Forward and ForwardResponse) and its limits.
 */
import type { FORWARD_STATUS, Forward } from '../../lp/wire/application-frame.ts';
import type { Timers } from '../../system/timers.ts';
import type { AllowList } from './allow-list.ts';
import type { Connect } from './exit-connection.ts';

export interface ForwardRequest extends Forward {
  /** Key of the session family whose Forward this is. */
  readonly family: string;
  /** On a connection of its own, which ends with the exchange: its end can be all that the exit says. */
  readonly alone?: boolean;
}

export type ForwardStatus = (typeof FORWARD_STATUS)[keyof typeof FORWARD_STATUS];

export interface ForwardResult {
  readonly status: ForwardStatus;
  /** They fit into one ForwardResponse. */
  readonly packets: readonly Uint8Array[];
}

/** For metrics: gauges as they are now, counters since the start. */
export interface ForwarderStatus {
  readonly inFlight: number;
  /** Every socket that is not closed, those of the exchanges included. */
  readonly openConnections: number;
  readonly keptConnections: number;
  /** Ended by this side and waiting for the exit to end them too. */
  readonly endingConnections: number;
  /** Finished requests by status. */
  readonly results: Readonly<Record<ForwardStatus, number>>;
  readonly connectionsOpened: number;
  readonly connectionsReused: number;
  /** Kept connections that turned out closed, so that the frames were sent once more. */
  readonly retries: number;
}

export interface Forwarder {
  /**
   * `done` is told the body of the ForwardResponse, once; that may be during the call, and the bytes are valid only while it is
   * told. The packets are copied during the call. A request without packets, or with one whose length no LP packet has, is
   * the caller's mistake: an AssertionError thrown at once.
   */
  exchange(request: ForwardRequest, done: (response: Uint8Array) => void): void;
  /** The same for who awaits the result, which is his. Never rejects. */
  forward(request: ForwardRequest): Promise<ForwardResult>;
  /** The session family is gone: closes its kept connections. Exchanges that are under way end by themselves. */
  endFamily(family: string): void;
  status(): ForwarderStatus;
  /** Ends every exchange with status 6 and resolves when no socket is open. A later `forward` gives status 6. */
  close(): Promise<void>;
}

export interface ForwarderLimits {
  /** lp2.md §5. */
  readonly connectTimeoutMs: number;
  /** lp2.md §5; from the call to the result, with a second connection where there is one. */
  readonly exchangeTimeoutMs: number;
  /** Well below the 300 s after which an exit closes a silent connection (lp2.md §4.5), so that it is rarely first. */
  readonly keptIdleMs: number;
  /** How long an exit may take to end a connection that asks for no reply. */
  readonly endingMs: number;
  /** Exchanges at once; each holds at most its frames and one ForwardResponse: 128 KiB, with one read on top. */
  readonly maxInFlight: number;
  /** One client needs few at once; this keeps it from taking the node's share. */
  readonly maxInFlightPerFamily: number;
  /** Idle connections: a file descriptor and some KiB each. Raise it where kept connections are closed by the cap. */
  readonly maxKept: number;
  readonly maxEnding: number;
}

export const FORWARDER_DEFAULTS: ForwarderLimits = {
  connectTimeoutMs: 5_000,
  exchangeTimeoutMs: 10_000,
  keptIdleMs: 60_000,
  endingMs: 5_000,
  maxInFlight: 1_024,
  maxInFlightPerFamily: 16,
  maxKept: 4_096,
  maxEnding: 256,
};

export interface ForwarderOptions extends Partial<ForwarderLimits> {
  readonly allowList: AllowList;
}

export interface ForwarderDependencies {
  readonly connect?: Connect;
  readonly timers?: Timers;
  /** Monotonic. */
  readonly nowMs?: () => number;
}
