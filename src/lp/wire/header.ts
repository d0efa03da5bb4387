/**
 * What the 12 header bytes alone decide (lp2.md §4.5): before anything of the packet is buffered or worked on.
 */
import type { DropReason } from '../drop-reason.ts';
import { readLe32 } from './bytes.ts';
import { CLIENT_HELLO_PACKET_LENGTH } from './message.ts';
import { BOOTSTRAP_INDEX, isSessionIndex, MIN_PACKET_LENGTH } from './packet.ts';

/** H3 with the largest early frame. */
const MAX_HANDSHAKE_PACKET_LENGTH = 2_048;
const MAX_HANDSHAKE_COUNTER = 2;

/** Why a packet with this header (at `offset`) and length cannot be taken; whether its index is known is asked elsewhere. */
export function headerFault(bytes: Uint8Array, offset: number, packetLength: number): DropReason | undefined {
  if (packetLength < MIN_PACKET_LENGTH) return 'length';
  const index = readLe32(bytes, offset);
  if (index === BOOTSTRAP_INDEX) return packetLength === CLIENT_HELLO_PACKET_LENGTH ? undefined : 'length';
  if (isSessionIndex(index)) return undefined;
  if (packetLength > MAX_HANDSHAKE_PACKET_LENGTH) return 'length';
  const counterTooHigh = readLe32(bytes, offset + 4) > MAX_HANDSHAKE_COUNTER || readLe32(bytes, offset + 8) !== 0;
  return counterTooHigh ? 'length' : undefined;
}
