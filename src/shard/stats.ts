/**
 * Counters and gauges of one shard, as numbers in fixed places: cheap to count, one copy per tick to report.
 */
import { DROP_REASON_CODE, DROP_REASONS, type DropReason } from '../lp/drop-reason.ts';

export const COUNTERS = [
  'hellos',
  'hello_repeats',
  'collisions',
  'kkt_responses',
  'h1_read',
  'h3_accepted',
  'handshake_repeats',
  'refusals',
  'packets',
  'replies',
  'families_ended',
  'registrations',
  'forwards',
  'late_answers',
  'records_evicted',
  'kk2_sent',
  'rekeys',
  'index_collisions',
] as const;
export type CounterName = (typeof COUNTERS)[number];

export const GAUGES = [
  'records',
  'sessions',
  'families',
  'pending_requests',
  'pending_early_replies',
  'kem_keys',
  'sessions_at_rest',
  'slab_bytes',
  'loop_delay_max_ms',
] as const;
export type GaugeName = (typeof GAUGES)[number];

/** The place of each counter: whoever counts per packet has no name to look up. */
export const COUNTER = Object.fromEntries(COUNTERS.map((name, i) => [name, i])) as Readonly<
  Record<CounterName, number>
>;
const DROPS_AT = COUNTERS.length;
const GAUGES_AT = DROPS_AT + DROP_REASONS.length;
const LENGTH = GAUGES_AT + GAUGES.length;

export class ShardStats {
  readonly values = new Float64Array(LENGTH);

  /** `counter`: one of COUNTER. */
  count(counter: number): void {
    this.values[counter] = (this.values[counter] ?? 0) + 1;
  }

  drop(reason: DropReason): void {
    const at = DROPS_AT + DROP_REASON_CODE[reason];
    this.values[at] = (this.values[at] ?? 0) + 1;
  }

  gauges(values: Readonly<Record<GaugeName, number>>): void {
    GAUGES.forEach((name, i) => {
      this.values[GAUGES_AT + i] = values[name];
    });
  }
}

export interface StatsSnapshot {
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly drops: Readonly<Record<DropReason, number>>;
  readonly gauges: Readonly<Record<GaugeName, number>>;
}

export function readStats(values: Float64Array): StatsSnapshot {
  const pick = <Name extends string>(names: readonly Name[], offset: number) =>
    Object.fromEntries(names.map((name, i) => [name, values[offset + i] ?? 0])) as Record<Name, number>;
  return { counters: pick(COUNTERS, 0), drops: pick(DROP_REASONS, DROPS_AT), gauges: pick(GAUGES, GAUGES_AT) };
}
