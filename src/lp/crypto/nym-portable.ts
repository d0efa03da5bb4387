/**
 * Nym's primitives from the noble libraries: the portable provider's, and the oracle for the native ones. Its AES looks
 * up tables, so its time depends on the key: like the rest of the portable provider, it is not what a gateway should run.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { sha3_256, shake128, shake256 } from '@noble/hashes/sha3.js';
import { assertLength, TAG_LENGTH } from './lengths.ts';
import { createHkdf } from './nym-hkdf.ts';
import { GCM_KEY_LENGTH, type GcmChannel, type NymCrypto, type NymHash } from './nym-provider.ts';
import type { CryptoProvider } from './provider.ts';
import { Redacted } from './secret.ts';

const DIGEST_LENGTH = 32;
const NO_AAD = new Uint8Array(0);

function nonceOf(value: number): Uint8Array {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, Math.floor(value / 0x1_0000_0000));
  view.setUint32(8, value >>> 0);
  return nonce;
}

function open(key: Uint8Array, nonce: number, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined {
  if (sealed.length < TAG_LENGTH) return undefined;
  try {
    return gcm(key, nonceOf(nonce), aad).decrypt(sealed);
  } catch {
    // Lengths are right, so only the tag is left.
    return undefined;
  }
}

class PortableChannel extends Redacted implements GcmChannel {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    super();
    this.#key = key.slice();
  }

  seal(nonce: number, bytes: Uint8Array, offset: number, length: number): void {
    const plaintext = bytes.subarray(offset, offset + length);
    bytes.set(gcm(this.#key, nonceOf(nonce), NO_AAD).encrypt(plaintext), offset);
  }

  open(nonce: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const plaintext = open(this.#key, nonce, bytes.subarray(offset, offset + length + TAG_LENGTH), NO_AAD);
    if (plaintext === undefined) bytes.fill(0, offset, offset + length);
    else bytes.set(plaintext, offset);
    return plaintext !== undefined;
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

export function portableNymCrypto(base: CryptoProvider): NymCrypto {
  const digests: Readonly<Record<NymHash, (message: Uint8Array) => Uint8Array>> = {
    blake3: base.blake3,
    shake128: (message) => shake128(message, { dkLen: DIGEST_LENGTH }),
    shake256: (message) => shake256(message, { dkLen: DIGEST_LENGTH }),
    sha256: sha3_256,
  };
  return Object.freeze({
    base,
    sha256: (message: Uint8Array) => base.sha256(message),
    ...createHkdf(base, base.sha256),
    digest: (hash: NymHash, message: Uint8Array) => digests[hash](message),
    sealOnce(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Uint8Array {
      assertLength(key, GCM_KEY_LENGTH, 'AES-128 key');
      return gcm(key, nonceOf(1), aad).encrypt(plaintext);
    },
    openOnce(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined {
      assertLength(key, GCM_KEY_LENGTH, 'AES-128 key');
      return open(key, 1, sealed, aad);
    },
    channel(key: Uint8Array): GcmChannel {
      assertLength(key, GCM_KEY_LENGTH, 'AES-128 key');
      return new PortableChannel(key);
    },
  });
}
