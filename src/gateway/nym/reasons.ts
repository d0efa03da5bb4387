/**
 * Why messages of Nym's connections are dropped, and why the connections end: closed lists, each a label of a metric. A
 * message that is dropped ends its connection, and from outside all of them look the same (nym.md §10).
 */
import { NYM_DROP_REASONS } from '../../lp/nym/drop-reason.ts';

/** Besides the protocol's own: limits of the source, of the node, of the shard's queue. */
export const NYM_REFUSALS = [
  ...NYM_DROP_REASONS,
  'no_token',
  'record_limit',
  'session_limit',
  'mailbox_full',
  'late',
  'index_in_use',
] as const;
export type NymRefusal = (typeof NYM_REFUSALS)[number];

export const NYM_CLOSE_REASONS = [
  'refused',
  'expired',
  'handshake_timeout',
  'frame_timeout',
  'not_reading',
  'shard_lost',
  'peer',
  'error',
  'drain',
] as const;
export type NymCloseReason = (typeof NYM_CLOSE_REASONS)[number];

export function zeroCounts<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
