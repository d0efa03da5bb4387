/**
 * What a scenario is: one kind of operation, begun when it is due. A new one is a file beside this one and a line in
 * index.ts. Invariant: every operation that was begun is counted and finished once.
 */
import type { Operation } from '../operation.ts';
import type { RegistrationCounts } from '../registrations.ts';
import type { SessionPool } from '../session-pool.ts';
import type { TokenStock } from '../token-stock.ts';
import type { Peer, World } from '../world.ts';

/** Sessions that are kept with the target, or with the entry. */
export type PoolName = 'target' | 'entry';

export interface ScenarioContext {
  readonly world: World;
  /** With an entry: the exit. */
  readonly target: Peer;
  /** The scenario's own, where it has asked for one. */
  readonly pool: SessionPool | undefined;
  readonly loop: 'open' | 'closed';
  /** What an echo carries. */
  readonly payload: Uint8Array;
  readonly tokens: TokenStock;
}

export interface Scenario {
  /** Before the run, not counted: what the first operation alone would otherwise pay for. Its failures show later. */
  prepare?(): Promise<void>;
  start(operation: Operation): void;
  /** Whether a client of a closed loop can do it now; if not, he does something else, or waits without it being counted. */
  isReady?(client: number): boolean;
  /** After the run: clears away what the gateway keeps beyond sessions. Ends by that monotonic time. Undefined: nothing to tell. */
  finish?(untilMs: number): Promise<RegistrationCounts | undefined>;
}

export interface ScenarioKind {
  readonly pool?: PoolName;
  create(context: ScenarioContext): Scenario;
}

export function poolOf({ pool }: ScenarioContext): SessionPool {
  if (pool === undefined) throw new Error('assertion: the scenario has asked for a pool');
  return pool;
}
