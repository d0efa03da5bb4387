/**
 * What the 12 header bytes alone decide (lp2.md §4.5): before anything of the packet is buffered or worked on. Bit 31 tells
 * LP2's two kinds of index apart; LP1's indices can be either, so whoever routes them says which.
 */
import type { DropReason } from '../drop-reason.ts';
import { readLe32 } from './bytes.ts';
import { CLIENT_HELLO_PACKET_LENGTH } from './message.ts';
import { BOOTSTRAP_INDEX, isSessionIndex, MIN_PACKET_LENGTH } from './packet.ts';

/** H3 with the largest early frame. */
export const MAX_HANDSHAKE_PACKET_LENGTH = 2_048;
const MAX_HANDSHAKE_COUNTER = 2;

/**
 * Why a packet with this header (at `offset`) and length cannot be taken; whether its index is known is asked elsewhere.
 * `live`: the index is a session's, otherwise a handshake's.
 */
export function headerFault(
  bytes: Uint8Array,
  offset: number,
  packetLength: number,
  live: boolean = isSessionIndex(readLe32(bytes, offset)),
): DropReason | undefined {
  if (packetLength < MIN_PACKET_LENGTH) return 'length';
  const index = readLe32(bytes, offset);
  if (index === BOOTSTRAP_INDEX) return packetLength === CLIENT_HELLO_PACKET_LENGTH ? undefined : 'length';
  if (live) return undefined;
  if (packetLength > MAX_HANDSHAKE_PACKET_LENGTH) return 'length';
  const counterTooHigh = readLe32(bytes, offset + 4) > MAX_HANDSHAKE_COUNTER || readLe32(bytes, offset + 8) !== 0;
  return counterTooHigh ? 'length' : undefined;
}
