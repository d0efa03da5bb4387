/**
 * SHA-256 and HMAC-SHA256 over libsodium. Native code works on long-lived scratch arrays, and results are copied out: V8
 * keeps small arrays inside its heap, and moving one out for a native call costs more than hashing a block. Scratch
 * arrays hold nothing between calls.
 */

import { assertHmacKey, HASH_LENGTH } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';
import type { Sodium } from './sodium.ts';

const BLOCK_LENGTH = 64;
/** Longest message that HMAC hashes in the scratch array; Noise's are at most 65 bytes. A longer one gets its own array. */
const SCRATCH_MESSAGE_LENGTH = 448;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

export function createSha256(sodium: Sodium): CryptoProvider['sha256'] {
  const digest = new Uint8Array(new ArrayBuffer(HASH_LENGTH));
  return (message, out = new Uint8Array(HASH_LENGTH)) => {
    sodium.crypto_hash_sha256(digest, message);
    out.set(digest);
    digest.fill(0);
    return out;
  };
}

function setPaddedKey(block: Uint8Array, key: Uint8Array, pad: number): void {
  for (let i = 0; i < key.length; i++) block[i] = (key[i] ?? 0) ^ pad;
  block.fill(pad, key.length, BLOCK_LENGTH);
}

/** RFC 2104: H(K ⊕ opad ‖ H(K ⊕ ipad ‖ message)). */
export function createHmacSha256(sodium: Sodium): CryptoProvider['hmacSha256'] {
  const scratch = new Uint8Array(new ArrayBuffer(BLOCK_LENGTH + SCRATCH_MESSAGE_LENGTH));
  const outer = new Uint8Array(new ArrayBuffer(BLOCK_LENGTH + HASH_LENGTH));
  const innerDigest = outer.subarray(BLOCK_LENGTH);
  const digest = new Uint8Array(new ArrayBuffer(HASH_LENGTH));
  return (key, message, out = new Uint8Array(HASH_LENGTH)) => {
    assertHmacKey(key);
    const length = BLOCK_LENGTH + message.length;
    const inner = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length);
    try {
      setPaddedKey(inner, key, INNER_PAD);
      inner.set(message, BLOCK_LENGTH);
      sodium.crypto_hash_sha256(innerDigest, inner);
      setPaddedKey(outer, key, OUTER_PAD);
      sodium.crypto_hash_sha256(digest, outer);
      out.set(digest);
      return out;
    } finally {
      inner.fill(0);
      outer.fill(0);
      digest.fill(0);
    }
  };
}
