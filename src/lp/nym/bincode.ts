/**
 * bincode as Nym's registration uses it (nym.md §8.1): big-endian, integers of variable width. The reader is total: any
 * bytes give values or a fault, lengths are compared with what is left before anything is taken, integers have their
 * shortest form, no byte is left over. After the first fault every method gives an empty value.
 */
import { readBe16, readBe32, writeBe16, writeBe32 } from '../wire/bytes.ts';

const ONE_BYTE_MAX = 250;
const U16 = 0xfb;
const U32 = 0xfc;
const U64 = 0xfd;
const EMPTY = new Uint8Array(0);
// A byte order mark is a character of the text: dropping it would give two encodings of one text.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();

/** The whole of `bytes` as one value; `undefined` where anything is wrong or left over. */
export function decodeVarBincode<T>(bytes: Uint8Array, read: (reader: VarBincodeReader) => T): T | undefined {
  const reader = new VarBincodeReader(bytes);
  const value = read(reader);
  return reader.finish() ? value : undefined;
}

/** Byte strings that it gives are views into the input. */
export class VarBincodeReader {
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

  fail(): void {
    this.#failed = true;
  }

  finish(): boolean {
    if (this.#offset !== this.#bytes.length) this.#failed = true;
    return !this.#failed;
  }

  /** What was read since `start`, an earlier `offset`. */
  since(start: number): Uint8Array {
    return this.#failed ? EMPTY : this.#bytes.subarray(start, this.#offset);
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

  u8(): number {
    return this.fixed(1)[0] ?? 0;
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) this.#failed = true;
    return value === 1;
  }

  /** Any unsigned integer of 64 bits. */
  u64(): bigint {
    const first = this.u8();
    if (first <= ONE_BYTE_MAX) return BigInt(first);
    if (first === U16) return BigInt(this.#atLeast(readBe16(this.fixed(2), 0), ONE_BYTE_MAX + 1));
    if (first === U32) return BigInt(this.#atLeast(readBe32(this.fixed(4), 0), 2 ** 16));
    if (first !== U64) this.#failed = true;
    const bytes = this.fixed(8);
    this.#atLeast(readBe32(bytes, 0), 1);
    return this.#failed ? 0n : (BigInt(readBe32(bytes, 0)) << 32n) | BigInt(readBe32(bytes, 4));
  }

  /** An integer that is at most `max`, which is below 2⁵³. */
  integer(max: number): number {
    const value = this.u64();
    if (value > BigInt(max)) this.#failed = true;
    return this.#failed ? 0 : Number(value);
  }

  /** The index of an enum with `count` variants. */
  variant(count: number): number {
    return this.integer(count - 1);
  }

  byteString(max: number): Uint8Array {
    return this.fixed(this.integer(max));
  }

  /** `max` counts bytes. */
  text(max: number): string {
    try {
      return UTF8.decode(this.byteString(max));
    } catch {
      this.#failed = true;
      return '';
    }
  }

  #atLeast(value: number, min: number): number {
    if (value < min) this.#failed = true;
    return value;
  }
}

/** Appends values; what it is given is our own, so a value out of range is an assertion. */
export class VarBincodeWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** An array of its own. */
  finish(): Uint8Array {
    const out = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      out.set(part, offset);
      offset += part.length;
    }
    return out;
  }

  /** Without a length. The bytes are copied by `finish`, not before. */
  fixed(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  u8(value: number): this {
    return this.fixed(Uint8Array.of(value));
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u64(value: number | bigint): this {
    const wide = BigInt(value);
    if (wide < 0n || wide >= 2n ** 64n) throw new Error('assertion: an integer of 64 bits, unsigned');
    return this.fixed(encodeVarint(wide));
  }

  byteString(bytes: Uint8Array): this {
    return this.u64(bytes.length).fixed(bytes);
  }

  text(text: string): this {
    return this.byteString(ENCODER.encode(text));
  }
}

function encodeVarint(value: bigint): Uint8Array {
  if (value <= BigInt(ONE_BYTE_MAX)) return Uint8Array.of(Number(value));
  const width = value < 2n ** 16n ? 2 : value < 2n ** 32n ? 4 : 8;
  const out = new Uint8Array(1 + width);
  out[0] = width === 2 ? U16 : width === 4 ? U32 : U64;
  if (width === 2) writeBe16(out, 1, Number(value));
  else writeBe32(out, width - 3, Number(value & 0xffff_ffffn));
  if (width === 8) writeBe32(out, 1, Number(value >> 32n));
  return out;
}
