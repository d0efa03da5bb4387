/**
 * Why a packet was dropped. A closed list: each reason is a label of the drop metric. The names of the first group are
 * those of `vectors/lp2.json`; from outside all of them look the same.
 */
export const DROP_REASONS = [
  'length',
  'index_range',
  'counter',
  'version',
  'type',
  'content',
  'unknown_index',
  'tag',
  'duplicate',
  'out_of_window',
  'counter_limit',
  'too_many_h1',
  'handshake_failed',
  'no_kk',
  // The rest is beyond the vectors: state and bounds of this implementation.
  'in_progress',
  'indices_full',
  'mailbox_full',
  'shard_lost',
  // LP1's own: it says nothing to the peer about a clock that is off, and its packets have a second layer inside.
  'clock',
  'inner_tag',
  'reflected',
  'index_taken',
  'unknown_payload',
  'read_only',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

export const DROP_REASON_CODE: Readonly<Record<DropReason, number>> = Object.fromEntries(
  DROP_REASONS.map((reason, code) => [reason, code]),
) as Record<DropReason, number>;

/** For the last arm of a `switch` over a union: a value that the type says cannot be. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${String(value)}`);
}
