/**
 * MessagePack as registration bodies use it (registration.md): maps with string keys, arrays, text, byte strings and
 * unsigned integers below 2⁵³. The decoder is total and bounded: any bytes give a value or a reason, a declared length
 * is compared with what is left before anything is allocated, and nothing is accepted twice or at two meanings.
 * msgpackr is not used for decoding: it takes duplicate keys and any nesting silently.
 */
import { Packr } from 'msgpackr';
import { concat } from './bytes.ts';

export type PlainValue = number | string | Uint8Array | readonly PlainValue[] | PlainMap;
export type PlainMap = ReadonlyMap<string, PlainValue>;

export type MessagePackFault =
  | 'too_long'
  | 'truncated'
  | 'trailing_bytes'
  | 'too_deep'
  | 'text_too_long'
  | 'text_not_utf8'
  | 'integer_out_of_range'
  | 'unsupported_type'
  | 'key_not_text'
  | 'duplicate_key'
  | 'not_a_map';

export interface MessagePackLimits {
  readonly bytes: number;
  /** Maps and arrays inside one another; a map of scalars has depth 1. */
  readonly depth: number;
  readonly textBytes: number;
}

export type DecodedMap =
  | { readonly kind: 'value'; readonly value: PlainMap }
  | { readonly kind: 'malformed'; readonly reason: MessagePackFault };

/** Byte strings of the result are views into `bytes`. */
export function decodeMap(bytes: Uint8Array, limits: MessagePackLimits): DecodedMap {
  if (bytes.length > limits.bytes) return { kind: 'malformed', reason: 'too_long' };
  const walker = new Walker(bytes, limits);
  const value = walker.value(0);
  if (value === undefined) return { kind: 'malformed', reason: walker.fault };
  if (walker.offset !== bytes.length) return { kind: 'malformed', reason: 'trailing_bytes' };
  if (!(value instanceof Map)) return { kind: 'malformed', reason: 'not_a_map' };
  return { kind: 'value', value };
}

/** Reads one value after the other; `undefined` means that `fault` says why reading ended. */
class Walker {
  readonly #bytes: Uint8Array;
  readonly #limits: MessagePackLimits;
  // A byte order mark is a character of the text: dropping it would give two encodings of one text.
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  offset = 0;
  fault: MessagePackFault = 'truncated';

  constructor(bytes: Uint8Array, limits: MessagePackLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  value(depth: number): PlainValue | undefined {
    const tag = this.#bytes[this.offset];
    if (tag === undefined) return this.#fail('truncated');
    this.offset += 1;
    if (tag <= 0x7f) return tag;
    if (tag <= 0x8f) return this.#map(tag & 0x0f, depth);
    if (tag <= 0x9f) return this.#array(tag & 0x0f, depth);
    if (tag <= 0xbf) return this.#text(tag & 0x1f);
    return this.#tagged(tag, depth);
  }

  #tagged(tag: number, depth: number): PlainValue | undefined {
    switch (tag) {
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#sized(tag - 0xc4, (length) => this.#take(length));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.#integer(1 << (tag - 0xcc), false);
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#integer(1 << (tag - 0xd0), true);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#sized(tag - 0xd9, (length) => this.#text(length));
      case 0xdc:
      case 0xdd:
        return this.#sized(tag - 0xdb, (length) => this.#array(length, depth));
      case 0xde:
      case 0xdf:
        return this.#sized(tag - 0xdd, (length) => this.#map(length, depth));
      default:
        // Nil, booleans, floats, extensions and the unused tag; a negative fixint is an integer out of range.
        return this.#fail(tag >= 0xe0 ? 'integer_out_of_range' : 'unsupported_type');
    }
  }

  /** A length of 1, 2 or 4 bytes (`width` 0, 1, 2), then what it measures. */
  #sized<T>(width: number, read: (length: number) => T | undefined): T | undefined {
    const field = this.#take(1 << width);
    return field === undefined ? undefined : read(bigEndian(field));
  }

  #take(length: number): Uint8Array | undefined {
    if (length > this.#bytes.length - this.offset) return this.#fail('truncated');
    const start = this.offset;
    this.offset += length;
    return this.#bytes.subarray(start, this.offset);
  }

  /** A signed format is only another length of the same integer, as long as it is not negative. */
  #integer(width: number, signed: boolean): number | undefined {
    const field = this.#take(width);
    if (field === undefined) return undefined;
    if (signed && (field[0] ?? 0) >= 0x80) return this.#fail('integer_out_of_range');
    const value = bigEndian(field);
    return value <= Number.MAX_SAFE_INTEGER ? value : this.#fail('integer_out_of_range');
  }

  #text(length: number): string | undefined {
    if (length > this.#limits.textBytes) return this.#fail('text_too_long');
    const field = this.#take(length);
    if (field === undefined) return undefined;
    try {
      return this.#utf8.decode(field);
    } catch {
      return this.#fail('text_not_utf8');
    }
  }

  #array(length: number, depth: number): PlainValue[] | undefined {
    if (depth >= this.#limits.depth) return this.#fail('too_deep');
    // Every element takes a byte at least, so an honest count never exceeds what is left.
    if (length > this.#bytes.length - this.offset) return this.#fail('truncated');
    const values: PlainValue[] = [];
    for (let i = 0; i < length; i += 1) {
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return values;
  }

  #map(length: number, depth: number): PlainMap | undefined {
    if (depth >= this.#limits.depth) return this.#fail('too_deep');
    if (2 * length > this.#bytes.length - this.offset) return this.#fail('truncated');
    const map = new Map<string, PlainValue>();
    for (let i = 0; i < length; i += 1) {
      const key = this.value(depth + 1);
      if (key === undefined) return undefined;
      if (typeof key !== 'string') return this.#fail('key_not_text');
      if (map.has(key)) return this.#fail('duplicate_key');
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      map.set(key, value);
    }
    return map;
  }

  #fail(reason: MessagePackFault): undefined {
    this.fault = reason;
    return undefined;
  }
}

/** At most 8 bytes; above 2⁵³ the value is rounded, but never to one below 2⁵³. */
function bigEndian(field: Uint8Array): number {
  let value = 0;
  for (const byte of field) value = value * 256 + byte;
  return value;
}

export type EncodableValue = number | string | Uint8Array | readonly string[] | EncodableMap;
/** Keys in the order in which they are written; an `undefined` value is left out. At most 15 keys. */
export interface EncodableMap {
  readonly [key: string]: EncodableValue | undefined;
}

const packr = new Packr({ useRecords: false });

/** An exact copy of its own; the encoder's scratch memory is wiped, for a body may hold secrets. */
export function encodeMap(map: EncodableMap): Uint8Array {
  const parts: Uint8Array[] = [];
  appendMap(map, parts);
  const encoded = concat(...parts);
  for (const part of parts) part.fill(0);
  return encoded;
}

function appendMap(map: EncodableMap, parts: Uint8Array[]): void {
  const entries = Object.entries(map).filter(([, value]) => value !== undefined);
  if (entries.length > 15) throw new Error('assertion: a body has at most 15 keys');
  parts.push(Uint8Array.of(0x80 | entries.length));
  for (const [key, value] of entries) {
    parts.push(packr.pack(key));
    if (value === undefined) continue;
    if (typeof value === 'number') parts.push(encodeInteger(value));
    else if (isMap(value)) appendMap(value, parts);
    else parts.push(packr.pack(value));
  }
}

function isMap(value: EncodableValue): value is EncodableMap {
  return typeof value === 'object' && !(value instanceof Uint8Array) && !Array.isArray(value);
}

/** msgpackr writes integers from 2³² as float64, and as BigInt signed: both are another type than the specification's. */
function encodeInteger(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error('assertion: integers of a body are unsigned, below 2^53');
  if (value <= 0xffff_ffff) return packr.pack(value);
  const encoded = new Uint8Array(9);
  encoded[0] = 0xcf;
  new DataView(encoded.buffer).setBigUint64(1, BigInt(value));
  return encoded;
}
