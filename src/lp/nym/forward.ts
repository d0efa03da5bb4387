/**
 * Forwards (nym.md §9): what a client asks its entry to write to an exit, and how many bytes are awaited from there. The
 * reply is the exit's bytes alone. A transport packet goes with its LE32 length and comes back without it.
 */
import { readLe16, readLe32, writeLe16, writeLe32 } from '../wire/bytes.ts';
import { MAX_FRAME_CONTENT } from './channel.ts';

const ADDRESS_TYPE = { 4: 0x00, 6: 0x01 } as const;
const IP_LENGTH = { 4: 4, 6: 16 } as const;
const AFTER_ADDRESS = 2 + 4 + 4;

export interface NymForwardTarget {
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly ip: Uint8Array;
  readonly port: number;
}

export interface NymForward {
  readonly target: NymForwardTarget;
  /** Bytes of the exit's handshake message, or 0: one packet with its length before it. */
  readonly replyLength: number;
  readonly bytes: Uint8Array;
}

/** What fits into one packet beside the address. */
export function maxForwardedBytes(family: 4 | 6): number {
  return MAX_FRAME_CONTENT - 1 - IP_LENGTH[family] - AFTER_ADDRESS;
}

export function encodeNymForward({ target, replyLength, bytes }: NymForward): Uint8Array {
  const { family, ip, port } = target;
  const length = IP_LENGTH[family];
  if (ip.length !== length) throw new Error('assertion: an address has the bytes of its family');
  const out = new Uint8Array(1 + length + AFTER_ADDRESS + bytes.length);
  out[0] = ADDRESS_TYPE[family];
  out.set(ip, 1);
  writeLe16(out, 1 + length, port);
  writeLe32(out, 3 + length, replyLength);
  writeLe32(out, 7 + length, bytes.length);
  out.set(bytes, 11 + length);
  return out;
}

/** Views into `content`. A reply that no packet could bring back is not waited for (§15 N6). */
export function decodeNymForward(content: Uint8Array): NymForward | undefined {
  const type = content[0];
  if (type !== ADDRESS_TYPE[4] && type !== ADDRESS_TYPE[6]) return undefined;
  const family = type === ADDRESS_TYPE[4] ? 4 : 6;
  const length = IP_LENGTH[family];
  const start = 1 + length + AFTER_ADDRESS;
  if (content.length < start || readLe32(content, 7 + length) !== content.length - start) return undefined;
  const replyLength = readLe32(content, 3 + length);
  if (replyLength > MAX_FRAME_CONTENT) return undefined;
  const target = { family, ip: content.slice(1, 1 + length), port: readLe16(content, 1 + length) } as const;
  return { target, replyLength, bytes: content.subarray(start) };
}
