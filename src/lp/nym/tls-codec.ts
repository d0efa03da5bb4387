/**
 * The TLS encoding of PSQ's structures (nym.md §1.1): vectors with a length of 1, 2 or 4 bytes before them. The reader is
 * total: a length is compared with what is left before anything is taken (§15 N1), only the shortest form of a length is
 * taken, and after the first fault every method gives nothing. What it gives are views into the input.
 */
import { concat, readBe16, readBe32, writeBe16, writeBe32 } from '../wire/bytes.ts';

const ONE_BYTE_LIMIT = 2 ** 6;
const TWO_BYTE_LIMIT = 2 ** 14;
const FOUR_BYTE_LIMIT = 2 ** 30;
const EMPTY = new Uint8Array(0);

/** Bytes of the length header before a vector of this length. */
export function vectorHeaderLength(length: number): 1 | 2 | 4 {
  if (length < ONE_BYTE_LIMIT) return 1;
  return length < TWO_BYTE_LIMIT ? 2 : 4;
}

/** Writes the header and returns where the vector begins. */
export function writeVectorHeader(bytes: Uint8Array, offset: number, length: number): number {
  if (length >= FOUR_BYTE_LIMIT) throw new Error('assertion: a vector has less than 2^30 bytes');
  const width = vectorHeaderLength(length);
  if (width === 1) bytes[offset] = length;
  else if (width === 2) writeBe16(bytes, offset, 0x4000 | length);
  else writeBe32(bytes, offset, (0x8000_0000 | length) >>> 0);
  return offset + width;
}

/** The header of a vector of this length. */
export function vectorHeader(length: number): Uint8Array {
  const header = new Uint8Array(vectorHeaderLength(length));
  writeVectorHeader(header, 0, length);
  return header;
}

/** The length that a header says; `undefined` for a header that is cut, or longer than that length needs. */
export function vectorLengthAt(bytes: Uint8Array, offset: number): number | undefined {
  const first = bytes[offset];
  if (first === undefined) return undefined;
  if (first < ONE_BYTE_LIMIT) return first;
  // The form of eight bytes begins at 2³⁰, which nothing here has.
  if (first >= 0xc0 || offset + (first < 0x80 ? 2 : 4) > bytes.length) return undefined;
  const length = first < 0x80 ? readBe16(bytes, offset) - 0x4000 : readBe32(bytes, offset) - 0x8000_0000;
  return length < (first < 0x80 ? ONE_BYTE_LIMIT : TWO_BYTE_LIMIT) ? undefined : length;
}

/** `VL(x)`. */
export function vector(content: Uint8Array): Uint8Array {
  const width = vectorHeaderLength(content.length);
  const out = new Uint8Array(width + content.length);
  out.set(content, writeVectorHeader(out, 0, content.length));
  return out;
}

/** `OPT(x)` of something that is there. */
export function present(content: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(1), content);
}

export class TlsReader {
  readonly #bytes: Uint8Array;
  #offset = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Whether every byte was read and nothing was wrong. */
  finish(): boolean {
    if (this.#offset !== this.#bytes.length) this.#failed = true;
    return !this.#failed;
  }

  u8(): number {
    return this.fixed(1)[0] ?? 0;
  }

  fixed(length: number): Uint8Array {
    if (this.#failed || length > this.#bytes.length - this.#offset) {
      this.#failed = true;
      return EMPTY;
    }
    const start = this.#offset;
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  vector(): Uint8Array {
    return this.fixed(this.vectorLength());
  }

  /** The header of a vector alone; its content may be read with `fixed`. */
  vectorLength(): number {
    const length = this.#failed ? undefined : vectorLengthAt(this.#bytes, this.#offset);
    if (length === undefined) {
      this.#failed = true;
      return 0;
    }
    this.#offset += vectorHeaderLength(length);
    return length;
  }
}

/** For channel numbers (BE64): zero or not is all that is asked. */
export function isZero(bytes: Uint8Array, offset: number, length: number): boolean {
  for (let at = offset; at < offset + length; at += 4) if (readBe32(bytes, at) !== 0) return false;
  return true;
}
