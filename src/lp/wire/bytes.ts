/**
 * Little-endian and big-endian integers at an offset, and small helpers on byte strings. The caller has checked lengths.
 */
export function readLe16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
}

export function readLe32(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] ?? 0) |
      ((bytes[offset + 1] ?? 0) << 8) |
      ((bytes[offset + 2] ?? 0) << 16) |
      ((bytes[offset + 3] ?? 0) << 24)) >>>
    0
  );
}

/** LE64 as a number; values above 2⁵³ lose precision, so compare such values only with bounds below it. */
export function readLe64(bytes: Uint8Array, offset: number): number {
  return readLe32(bytes, offset) + readLe32(bytes, offset + 4) * 0x1_0000_0000;
}

export function readBe16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

export function readBe32(bytes: Uint8Array, offset: number): number {
  return ((readBe16(bytes, offset) << 16) | readBe16(bytes, offset + 2)) >>> 0;
}

export function writeLe16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}

export function writeLe32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

/** A non-negative integer below 2⁵³. */
/** Four bytes of their own. */
export function le32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeLe32(bytes, 0, value);
  return bytes;
}

export function writeLe64(bytes: Uint8Array, offset: number, value: number): void {
  writeLe32(bytes, offset, value >>> 0);
  writeLe32(bytes, offset + 4, Math.floor(value / 0x1_0000_0000));
}

export function writeBe16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

export function writeBe32(bytes: Uint8Array, offset: number, value: number): void {
  writeBe16(bytes, offset, value >>> 16);
  writeBe16(bytes, offset + 2, value & 0xffff);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Equality of public values; secrets go through `CryptoProvider.equal`. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const ENCODER = new TextEncoder();

export function ascii(text: string): Uint8Array {
  return ENCODER.encode(text);
}
