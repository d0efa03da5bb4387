/**
 * The LP packet (lp2.md §2): `LE32 receiver_idx ‖ LE64 counter ‖ version ‖ 3 reserved ‖ LE16 type ‖ content ‖ trailer`.
 * LP1 and LP2 share this layout. Every accessor expects at least MIN_PACKET_LENGTH bytes.
 */
import { readLe16, readLe32, writeLe16, writeLe32, writeLe64 } from './bytes.ts';

export const HEADER_LENGTH = 12;
/** Version byte, three reserved bytes and the type: the sealed part before the content. */
const PREFIX_LENGTH = 6;
export const CONTENT_OFFSET = HEADER_LENGTH + PREFIX_LENGTH;
export const TRAILER_LENGTH = 16;
export const MIN_PACKET_LENGTH = CONTENT_OFFSET + TRAILER_LENGTH;
export const MAX_PACKET_LENGTH = 65_535;
export const MAX_CONTENT_LENGTH = MAX_PACKET_LENGTH - MIN_PACKET_LENGTH;

export const VERSION_1 = 1;
export const VERSION_2 = 2;

export const TYPE = {
  busy: 0x0000,
  handshake: 0x0001,
  encryptedData: 0x0002,
  clientHello: 0x0003,
  kktRequest: 0x0004,
  kktResponse: 0x0005,
  forwardPacket: 0x0006,
  collision: 0x0007,
  ack: 0x0008,
  subsessionRequest: 0x0009,
  subsessionKk1: 0x000a,
  subsessionKk2: 0x000b,
  subsessionReady: 0x000c,
  subsessionAbort: 0x000d,
  error: 0x000e,
  close: 0x000f,
} as const;

/** §3: the bootstrap index, which names nothing else. */
export const BOOTSTRAP_INDEX = 0;

/** §3: a session index has bit 31, a handshake index has not. */
export function isSessionIndex(index: number): boolean {
  return index >= 0x8000_0000;
}

export function receiverIndex(packet: Uint8Array): number {
  return readLe32(packet, 0);
}

/** Counters at or above this are never taken nor sealed (§4.3). */
export const COUNTER_LIMIT = 2 ** 48;

/** The counter, or COUNTER_LIMIT for all that is not below it. */
export function counterOf(packet: Uint8Array): number {
  const high = readLe32(packet, 8);
  return high >= 0x1_0000 ? COUNTER_LIMIT : readLe32(packet, 4) + high * 0x1_0000_0000;
}

export function versionOf(packet: Uint8Array): number {
  return packet[HEADER_LENGTH] ?? 0;
}

export function typeOf(packet: Uint8Array): number {
  return readLe16(packet, HEADER_LENGTH + 4);
}

export function contentOf(packet: Uint8Array): Uint8Array {
  return packet.subarray(CONTENT_OFFSET, packet.length - TRAILER_LENGTH);
}

export function writeHeader(out: Uint8Array, index: number, counter: number): void {
  writeLe32(out, 0, index);
  writeLe64(out, 4, counter);
}

/** An unsealed packet: reserved bytes and trailer are zero. */
export function encodeUnsealed(
  index: number,
  counter: number,
  type: number,
  content: Uint8Array,
  version: number = VERSION_2,
): Uint8Array {
  const out = new Uint8Array(MIN_PACKET_LENGTH + content.length);
  writeHeader(out, index, counter);
  out[HEADER_LENGTH] = version;
  writeLe16(out, HEADER_LENGTH + 4, type);
  out.set(content, CONTENT_OFFSET);
  return out;
}
