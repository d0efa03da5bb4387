/**
 * Why bytes of a Nym peer were refused. A closed list: each reason is a label of a metric. Every refusal ends the
 * connection without a word (nym.md §4.4, §10), so outside all of them look the same.
 */
export const NYM_DROP_REASONS = [
  // Any message: another length than the step has; bytes that are no encoding; a tag; an all-zero DH result.
  'length',
  'content',
  'tag',
  'low_order',
  // KKT (§4): made for another node key or version; a mutual request; a KEM, hash or signature that is not here.
  'mask',
  'context',
  'mutual_mode',
  'kem_not_offered',
  'peer_config',
  // KKT at the client: not the announced key; a key that is none.
  'digest',
  'kem_key',
  // PSQ (§5): associated data, suite, or the lack of a post-quantum part (§15 N2, N3).
  'aad',
  'suite',
  'no_post_quantum',
  'query',
  // Packets (§6.4).
  'unknown_index',
  'duplicate',
  'out_of_window',
  'counter_limit',
  'channel',
  'version',
  'frame_kind',
  'broken_framing',
  // Frames: a kind that this side does not take, a body that does not decode, more at once than is held.
  'frame_not_accepted',
  'registration_body',
  'forward_body',
  'too_many_frames',
  'other_target',
  'forward_failed',
  // State.
  'over',
  'unexpected',
] as const;

export type NymDropReason = (typeof NYM_DROP_REASONS)[number];
