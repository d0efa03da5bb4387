/**
 * SHA-256 and HMAC-SHA256 over libsodium, and over OpenSSL for long messages. Native code works on long-lived scratch
 * arrays, and results are copied out: V8 keeps small arrays inside its heap, and moving one out for a native call costs
 * more than hashing a block. Nothing of a key or a message stays in a scratch array between calls.
 */

import nodeCrypto from 'node:crypto';
import { assertHmacKey, HASH_LENGTH } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';
import { ScratchViews } from './scratch-views.ts';
import type { Sodium } from './sodium.ts';

const BLOCK_LENGTH = 64;
/**
 * From here on OpenSSL's call, dearer by a microsecond, is made up for by its use of the processor's SHA instructions,
 * which libsodium leaves alone. Of a handshake's hashes only H1's is longer, at a third of the time.
 */
const LONG_MESSAGE_LENGTH = 320;
/** Longest message that HMAC hashes in the scratch array; Noise's are at most 65 bytes. A longer one gets its own array. */
const SCRATCH_MESSAGE_LENGTH = 448;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

export function createSha256(sodium: Sodium): CryptoProvider['sha256'] {
  const digest = new Uint8Array(new ArrayBuffer(HASH_LENGTH));
  return (message, out = new Uint8Array(HASH_LENGTH)) => {
    if (message.length >= LONG_MESSAGE_LENGTH) {
      out.set(nodeCrypto.hash('sha256', message, 'buffer'));
      return out;
    }
    sodium.crypto_hash_sha256(digest, message);
    out.set(digest);
    digest.fill(0);
    return out;
  };
}

/** RFC 2104: H(K ⊕ opad ‖ H(K ⊕ ipad ‖ message)). Between calls both blocks hold the pads alone, as of an empty key. */
export function createHmacSha256(sodium: Sodium): CryptoProvider['hmacSha256'] {
  const scratch = new Uint8Array(new ArrayBuffer(BLOCK_LENGTH + SCRATCH_MESSAGE_LENGTH)).fill(
    INNER_PAD,
    0,
    BLOCK_LENGTH,
  );
  const views = new ScratchViews(scratch);
  const outer = new Uint8Array(new ArrayBuffer(BLOCK_LENGTH + HASH_LENGTH)).fill(OUTER_PAD, 0, BLOCK_LENGTH);
  const innerDigest = outer.subarray(BLOCK_LENGTH);
  const digest = new Uint8Array(new ArrayBuffer(HASH_LENGTH));

  function innerOf(messageLength: number): Uint8Array {
    const length = BLOCK_LENGTH + messageLength;
    return length <= scratch.length ? views.of(length) : new Uint8Array(length).fill(INNER_PAD, 0, BLOCK_LENGTH);
  }

  function setKey(inner: Uint8Array, key: Uint8Array): void {
    for (let i = 0; i < key.length; i++) {
      const byte = key[i] ?? 0;
      inner[i] = byte ^ INNER_PAD;
      outer[i] = byte ^ OUTER_PAD;
    }
  }

  function wipeScratch(inner: Uint8Array, keyLength: number): void {
    for (let i = 0; i < keyLength; i++) {
      inner[i] = INNER_PAD;
      outer[i] = OUTER_PAD;
    }
    inner.fill(0, BLOCK_LENGTH);
    innerDigest.fill(0);
    digest.fill(0);
  }

  return (key, message, out = new Uint8Array(HASH_LENGTH)) => {
    assertHmacKey(key);
    const keyLength = key.length;
    const inner = innerOf(message.length);
    try {
      setKey(inner, key);
      inner.set(message, BLOCK_LENGTH);
      sodium.crypto_hash_sha256(innerDigest, inner);
      sodium.crypto_hash_sha256(digest, outer);
      out.set(digest);
      return out;
    } finally {
      wipeScratch(inner, keyLength);
    }
  };
}
