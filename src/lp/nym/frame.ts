/**
 * Frames inside a packet (nym.md §7): 16 bytes of header, of which kinds 0 to 2 use the kind alone, and the content. Kind 3
 * has attributes of its own, big-endian as nothing else here is.
 */
import { readBe32, readLe16, writeBe32, writeLe16 } from '../wire/bytes.ts';

export const FRAME_HEADER_LENGTH = 16;
const ATTRIBUTES_LENGTH = 14;

export const FRAME_KIND = { opaque: 0, registration: 1, forward: 2, sphinxStream: 3 } as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];
export const NO_ATTRIBUTES = new Uint8Array(ATTRIBUTES_LENGTH);

export interface NymFrame {
  readonly kind: FrameKind;
  /** Of kind 3; those of the others mean nothing, and are not looked at. */
  readonly attributes: Uint8Array;
  readonly content: Uint8Array;
}

export function writeFrameHeader(bytes: Uint8Array, offset: number, kind: FrameKind, attributes: Uint8Array): void {
  writeLe16(bytes, offset, kind);
  bytes.set(attributes, offset + 2);
}

/** The frame that fills the bytes from `offset` to `end`: views into them. `undefined` for an unknown kind or less than a header. */
export function decodeNymFrame(bytes: Uint8Array, offset: number, end: number): NymFrame | undefined {
  const start = offset + FRAME_HEADER_LENGTH;
  if (start > end) return undefined;
  const kind = readLe16(bytes, offset);
  if (kind > FRAME_KIND.sphinxStream) return undefined;
  return {
    kind: kind as FrameKind,
    attributes: kind === FRAME_KIND.sphinxStream ? bytes.subarray(offset + 2, start) : NO_ATTRIBUTES,
    content: bytes.subarray(start, end),
  };
}

/** Attributes of kind 3: a stream's 64-bit id as two halves, what the frame is, and its number. */
export interface SphinxStreamAttributes {
  readonly streamHigh: number;
  readonly streamLow: number;
  readonly type: 'open' | 'data';
  readonly sequence: number;
}

export function encodeStreamAttributes({ streamHigh, streamLow, type, sequence }: SphinxStreamAttributes): Uint8Array {
  const out = new Uint8Array(ATTRIBUTES_LENGTH);
  writeBe32(out, 0, streamHigh);
  writeBe32(out, 4, streamLow);
  out[8] = type === 'data' ? 1 : 0;
  writeBe32(out, 9, sequence);
  return out;
}

export function decodeStreamAttributes(attributes: Uint8Array): SphinxStreamAttributes | undefined {
  const type = attributes[8] ?? 0;
  if (attributes.length !== ATTRIBUTES_LENGTH || type > 1) return undefined;
  return {
    streamHigh: readBe32(attributes, 0),
    streamLow: readBe32(attributes, 4),
    type: type === 1 ? 'data' : 'open',
    sequence: readBe32(attributes, 9),
  };
}
