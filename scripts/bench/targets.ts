/**
 * What is to be reached: one table, by names of figures. A target is met when all conditions of one of its alternatives hold;
 * what was not measured meets nothing and misses nothing. Bounds are for 2 cores, as ratios within one run where they can be.
 */
import { type Figure, formatValue, medianOf, type Unit } from './figures.ts';

export type Condition =
  | {
      readonly kind: 'atMost' | 'below' | 'atLeast';
      readonly figure: string;
      readonly bound: number;
      readonly unit: Unit;
    }
  /** The rounds are the ends of an interval, and 0 lies within. */
  | { readonly kind: 'holdsZero'; readonly figure: string; readonly unit: Unit };

export interface Target {
  readonly row: string;
  /** The row of the table that it belongs to, in words. */
  readonly text: string;
  /** Any one of these lists, all of it. */
  readonly alternatives: readonly (readonly Condition[])[];
}

function atMost(figure: string, bound: number, unit: Unit = 'ratio'): Condition {
  return { kind: 'atMost', figure, bound, unit };
}

function atLeast(figure: string, bound: number, unit: Unit = 'ratio'): Condition {
  return { kind: 'atLeast', figure, bound, unit };
}

/**
 * "Lose nothing" and "constant" are no numbers: two rounds of the very same gateway differ by so much, and a bound of exactly
 * 1 would be met every other time.
 */
const SAME_WITHIN = 0.05;

export const TARGETS: readonly Target[] = [
  {
    row: 'handshake',
    text: 'CPU of the whole process, new TCP connection each, LP2 X-Wing, answered early frame: ≤ 0.48 × Node’s tls doing the same',
    alternatives: [[atMost('gateway/handshake-vs-tls', 0.48)]],
  },
  {
    row: 'handshake',
    text: '… and ≤ 1.25 × the sum of primitives plus a bare connection',
    alternatives: [[atMost('gateway/handshake-vs-floor', 1.25)]],
  },
  {
    row: 'echo',
    text: '64 connections, one in flight, sealed beforehand: acceptor’s CPU per packet ≤ 1.33 × bare net echo’s',
    alternatives: [[atMost('gateway/echo-acceptor-vs-net', 1.33)]],
  },
  { row: 'echo', text: '… shard’s ≤ 4 µs', alternatives: [[atMost('gateway/echo-shard', 4, 'us')]] },
  {
    row: 'echo, pipelined',
    text: '32 per connection, one shard: ≥ 250,000 packets/s, or shard ≤ 4 µs and acceptor ≤ 2.5 µs per packet',
    alternatives: [
      [atLeast('gateway/pipelined-rate', 250_000, 'per_s')],
      [atMost('gateway/pipelined-shard', 4, 'us'), atMost('gateway/pipelined-acceptor', 2.5, 'us')],
    ],
  },
  {
    row: 'forward',
    text: 'two hops, handshake included: entry’s CPU ≤ 0.35 × of a handshake it terminates itself',
    alternatives: [[atMost('gateway/forward-vs-own', 0.35)]],
  },
  { row: 'idle session', text: '≤ 600 bytes', alternatives: [[atMost('memory/idle-session', 600, 'B')]] },
  {
    row: 'idle session',
    text: '1,000,000 in one process below 1 GiB RSS',
    alternatives: [[{ kind: 'below', figure: 'memory/million-rss', bound: 1_024, unit: 'MiB' }]],
  },
  {
    row: 'idle session',
    text: 'with a million of them the sweep never stalls traffic by more than 5 ms: nothing to remove, and all of them expiring',
    alternatives: [[atMost('memory/sweep-idle', 5, 'ms'), atMost('memory/sweep-expiring', 5, 'ms')]],
  },
  {
    row: 'overload',
    text: 'goodput at 3 × the offered load of the peak ≥ 0.9 × peak',
    alternatives: [[atLeast('overload/goodput', 0.9)]],
  },
  {
    row: 'overload',
    text: '… echo p99 of live sessions ≤ 25 ms meanwhile',
    alternatives: [[atMost('overload/echo-p99', 25, 'ms')]],
  },
  {
    row: 'overload',
    text: '… loop delay of the acceptor p99 ≤ 10 ms',
    alternatives: [[atMost('overload/loop-delay-p99', 10, 'ms')]],
  },
  {
    row: 'shards',
    text: '4 shards on 2 cores lose nothing against 2 (within 5 %)',
    alternatives: [
      [
        atLeast('gateway/scaling-handshakes-4-vs-2', 1 - SAME_WITHIN),
        atLeast('gateway/scaling-packets-4-vs-2', 1 - SAME_WITHIN),
      ],
    ],
  },
  {
    row: 'shards',
    text: 'CPU per operation constant from 1 to 4 (within 5 %)',
    alternatives: [
      [
        atMost('gateway/scaling-handshake-cpu-2-vs-1', 1 + SAME_WITHIN),
        atMost('gateway/scaling-handshake-cpu-4-vs-1', 1 + SAME_WITHIN),
        atMost('gateway/scaling-packet-cpu-2-vs-1', 1 + SAME_WITHIN),
        atMost('gateway/scaling-packet-cpu-4-vs-1', 1 + SAME_WITHIN),
      ],
    ],
  },
  {
    row: 'soak',
    text: '20 minutes mixed: RSS slope indistinguishable from 0 after warm-up',
    alternatives: [[{ kind: 'holdsZero', figure: 'soak/rss-slope', unit: 'MiB' }]],
  },
];

/** Bounds that were set before, and hold on. */
export const EARLIER_TARGETS: readonly Target[] = [
  {
    row: 'responder in process',
    text: 'H1 and H3, X-Wing, native: ≤ 1.35 × the sum of primitives',
    alternatives: [[atMost('core/lp2-x-wing-native-handshake', 1.35)]],
  },
  {
    row: 'responder in process',
    text: 'LP1: hello, KKT, H1 and H3, native: ≤ 1.35 × the sum of primitives',
    alternatives: [[atMost('core/lp1-native-handshake', 1.35)]],
  },
  {
    row: 'responder in process',
    text: 'Nym: KKT request and message 1, native: ≤ 1.35 × the sum of primitives',
    alternatives: [[atMost('core/nym-native-handshake', 1.35)]],
  },
  {
    row: 'frame in process',
    text: 'Nym: a frame of 256 bytes opened and one sealed, native: ≤ 3 µs',
    alternatives: [[atMost('core/nym-native-open-seal', 3, 'us')]],
  },
  {
    row: 'registration',
    text: 'CPU of handshake, token and LMDB ≤ 1.8 × of the handshake alone',
    alternatives: [[atMost('gateway/registration-cpu-vs-handshake', 1.8)]],
  },
  {
    row: 'registration',
    text: 'time for each ≤ 2.5 × of the handshake alone',
    alternatives: [[atMost('gateway/registration-time-vs-handshake', 2.5)]],
  },
  {
    row: 'leases',
    text: 'one address taken and one freed in a /12 ≤ 3 × in a /20',
    alternatives: [[atMost('micro/lease-large-vs-small', 3)]],
  },
  {
    row: 'memory',
    text: 'RSS of the process per idle session ≤ 1,024 bytes',
    alternatives: [[atMost('memory/rss-per-session', 1_024, 'B')]],
  },
];

export type Met = 'met' | 'NOT met' | 'not measured';

/** `undefined` where the figure was not measured. */
export function holds(condition: Condition, figures: ReadonlyMap<string, Figure>): boolean | undefined {
  const figure = figures.get(condition.figure);
  if (figure === undefined || figure.rounds.length === 0) return undefined;
  switch (condition.kind) {
    case 'atMost':
      return medianOf(figure) <= condition.bound;
    case 'below':
      return medianOf(figure) < condition.bound;
    case 'atLeast':
      return medianOf(figure) >= condition.bound;
    case 'holdsZero':
      return Math.min(...figure.rounds) <= 0 && Math.max(...figure.rounds) >= 0;
  }
}

export function verdict(target: Target, figures: ReadonlyMap<string, Figure>): Met {
  let unknown = false;
  for (const conditions of target.alternatives) {
    const held = conditions.map((condition) => holds(condition, figures));
    if (held.every((each) => each === true)) return 'met';
    if (!held.includes(false)) unknown = true;
  }
  return unknown ? 'not measured' : 'NOT met';
}

export function byName(figures: readonly Figure[]): ReadonlyMap<string, Figure> {
  return new Map(figures.map((figure) => [figure.name, figure]));
}

/** The conditions that a figure has part in. */
export function conditionsOn(name: string): readonly Condition[] {
  const all = [...TARGETS, ...EARLIER_TARGETS].flatMap(({ alternatives }) => alternatives.flat());
  return all.filter(({ figure }) => figure === name);
}

export function formatBound(condition: Condition): string {
  const signs = { atMost: '≤', below: '<', atLeast: '≥' } as const;
  return condition.kind === 'holdsZero'
    ? 'interval holds 0'
    : `${signs[condition.kind]} ${formatValue(condition.bound, condition.unit)}`;
}
