/**
 * Why a shard lets go of a Nym connection: what its peer sent was refused (nym.md §4.4, §10), its time was up, or its
 * handshake waited too long for the shard. A closed list: each reason is a label of the drop metric.
 */
import { NYM_DROP_REASONS } from '../lp/nym/drop-reason.ts';

export const STREAM_END_REASONS = [...NYM_DROP_REASONS, 'expired', 'late'] as const;
export type StreamEndReason = (typeof STREAM_END_REASONS)[number];

export const STREAM_END_CODE: Readonly<Record<StreamEndReason, number>> = Object.fromEntries(
  STREAM_END_REASONS.map((reason, code) => [reason, code]),
) as Record<StreamEndReason, number>;
