/**
 * bincode as LP1 uses it (lp1.md §2.2): little-endian integers of fixed width, LE64 lengths, one-byte option tags, LE32
 * variants. The reader is total: any bytes give values or a fault, a length is compared with what is left before anything
 * is taken, and after the first fault every method gives an empty value. Unlike the reference it takes no byte too many
 * (§10-C 30).
 */
import { readLe16, readLe32, writeLe16, writeLe32 } from '../wire/bytes.ts';

export type BincodeFault =
  | 'truncated'
  | 'too_long'
  | 'integer_out_of_range'
  | 'unknown_tag'
  | 'not_utf8'
  | 'value'
  | 'trailing_bytes';

const EMPTY = new Uint8Array(0);
// A byte order mark is a character of the text: dropping it would give two encodings of one text.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();
const MAX_I64 = 2n ** 63n - 1n;
const MAX_U64 = 2n ** 64n - 1n;

/** The whole of `bytes` as one value; `undefined` where anything is wrong or left over. */
export function decodeBincode<T>(bytes: Uint8Array, read: (reader: BincodeReader) => T): T | undefined {
  const reader = new BincodeReader(bytes);
  const value = read(reader);
  return reader.finish() ? value : undefined;
}

/** Byte strings that it gives are views into the input. */
export class BincodeReader {
  readonly #bytes: Uint8Array;
  #offset = 0;
  #fault: BincodeFault | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  /** The first fault; it stays. */
  get fault(): BincodeFault | undefined {
    return this.#fault;
  }

  fail(fault: BincodeFault): void {
    this.#fault ??= fault;
  }

  /** Whether every byte was read and nothing was wrong. */
  finish(): boolean {
    if (this.#offset !== this.#bytes.length) this.fail('trailing_bytes');
    return this.#fault === undefined;
  }

  /** What was read since `start`, an earlier `offset`. */
  since(start: number): Uint8Array {
    return this.#fault === undefined ? this.#bytes.subarray(start, this.#offset) : EMPTY;
  }

  u8(): number {
    return this.fixed(1)[0] ?? 0;
  }

  bool(): boolean {
    return this.#tag() === 1;
  }

  u16(): number {
    return readLe16(this.fixed(2), 0);
  }

  u32(): number {
    return readLe32(this.fixed(4), 0);
  }

  /** A fault from 2⁵³ on, where numbers lose precision: see `wideU64`. */
  u64(): number {
    const value = this.wideU64();
    if (value <= Number.MAX_SAFE_INTEGER) return Number(value);
    this.fail('integer_out_of_range');
    return 0;
  }

  wideU64(): bigint {
    const bytes = this.fixed(8);
    return (BigInt(readLe32(bytes, 4)) << 32n) | BigInt(readLe32(bytes, 0));
  }

  i64(): bigint {
    return BigInt.asIntN(64, this.wideU64());
  }

  /** So many bytes without a length, or none after a fault. */
  fixed(length: number): Uint8Array {
    if (this.#fault !== undefined) return EMPTY;
    if (length > this.#bytes.length - this.#offset) {
      this.fail('truncated');
      return EMPTY;
    }
    const start = this.#offset;
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  /** A length that is at most `max`, and not more than what is left where every element has a byte at least. */
  length(max: number): number {
    const length = this.u64();
    if (length > max) this.fail('too_long');
    else if (length > this.#bytes.length - this.#offset) this.fail('truncated');
    return this.#fault === undefined ? length : 0;
  }

  byteString(max: number): Uint8Array {
    return this.fixed(this.length(max));
  }

  /** `max` counts bytes. */
  text(max: number): string {
    const bytes = this.byteString(max);
    try {
      return UTF8.decode(bytes);
    } catch {
      this.fail('not_utf8');
      return '';
    }
  }

  option<T>(read: () => T): T | undefined {
    return this.#tag() === 1 ? read() : undefined;
  }

  /** The index of an enum with `count` variants. */
  variant(count: number): number {
    const index = this.u32();
    if (index < count) return index;
    this.fail('unknown_tag');
    return 0;
  }

  /** The byte of a bool or an option: 0 or 1. */
  #tag(): number {
    const tag = this.u8();
    if (tag <= 1) return tag;
    this.fail('unknown_tag');
    return 0;
  }
}

/** Appends values; what it is given is our own, so a value out of range is an assertion. */
export class BincodeWriter {
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

  u8(value: number): this {
    return this.fixed(Uint8Array.of(value));
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u16(value: number): this {
    const bytes = new Uint8Array(2);
    writeLe16(bytes, 0, value);
    return this.fixed(bytes);
  }

  /** A number of 32 bits, or the index of a variant. */
  u32(value: number): this {
    const bytes = new Uint8Array(4);
    writeLe32(bytes, 0, value);
    return this.fixed(bytes);
  }

  u64(value: number | bigint): this {
    const wide = BigInt(value);
    if (wide < 0n || wide > MAX_U64) throw new Error('assertion: an integer of 64 bits, unsigned');
    const bytes = new Uint8Array(8);
    writeLe32(bytes, 0, Number(wide & 0xffff_ffffn));
    writeLe32(bytes, 4, Number(wide >> 32n));
    return this.fixed(bytes);
  }

  i64(value: bigint): this {
    if (value < -MAX_I64 - 1n || value > MAX_I64) throw new Error('assertion: an integer of 64 bits, signed');
    return this.u64(BigInt.asUintN(64, value));
  }

  /** Without a length. The bytes are copied by `finish`, not before. */
  fixed(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  byteString(bytes: Uint8Array): this {
    return this.u64(bytes.length).fixed(bytes);
  }

  text(text: string): this {
    return this.byteString(ENCODER.encode(text));
  }

  option<T>(value: T | undefined, write: (value: T) => void): this {
    this.bool(value !== undefined);
    if (value !== undefined) write(value);
    return this;
  }
}
