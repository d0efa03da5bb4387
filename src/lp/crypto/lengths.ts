/**
 * Lengths of what this side made. A wrong one is our own mistake, so it throws (an assertion, provider.ts) before any
 * library sees it: libraries differ in what they do with it, and some of their errors are read as a peer's fault.
 */

export const KEY_LENGTH = 32;
export const HASH_LENGTH = 32;
const NONCE_LENGTH = 12;
export const TAG_LENGTH = 16;
export const SIGNATURE_LENGTH = 64;
/** SHA-256's block: HMAC keys longer than this would have to be hashed first, and the protocol has none. */
const HMAC_MAX_KEY_LENGTH = 64;

export function assertLength(bytes: Uint8Array, length: number, name: string): void {
  if (bytes.length !== length) throw new RangeError(`${name} has ${bytes.length} bytes, not ${length}`);
}

export function assertHmacKey(key: Uint8Array): void {
  if (key.length > HMAC_MAX_KEY_LENGTH) throw new RangeError(`HMAC key has ${key.length} bytes`);
}

/** The AEAD's own rule: `out` holds exactly what will be written. */
export function assertAead(outLength: number, expected: number, nonce: Uint8Array, key: Uint8Array): void {
  if (outLength !== expected) throw new RangeError(`AEAD output has ${outLength} bytes, not ${expected}`);
  assertLength(nonce, NONCE_LENGTH, 'AEAD nonce');
  assertLength(key, KEY_LENGTH, 'AEAD key');
}
