/**
 * The native provider: sodium-native for curves, SHA-256 and the AEAD; node:crypto for ML-KEM-768 and SHA3-256;
 * hash-wasm for BLAKE3. Its scratch arrays belong to one provider in one thread, and every function runs to its end.
 */

import nodeCrypto from 'node:crypto';
import { createBLAKE3 } from 'hash-wasm';
import { deriveKey, kdf } from './blake3-kdf.ts';
import { createKems } from './kem.ts';
import { assertAead, HASH_LENGTH, KEY_LENGTH, TAG_LENGTH } from './lengths.ts';
import { createCurve } from './native-curve.ts';
import { createHmacSha256, createSha256 } from './native-hash.ts';
import { nativeMlKem768, plainBytes } from './native-ml-kem.ts';
import type { CryptoProvider } from './provider.ts';
import { loadSodium, type Sodium, STACKS } from './sodium.ts';

type Aead = Pick<CryptoProvider, 'aeadSeal' | 'aeadOpen'>;

/** Associated data of the protocols: a packet's header, and Noise's handshake hash. */
const HEADER_LENGTH = 12;
const NONCE_LENGTH = 12;

const nativeMemory = (length: number) => new Uint8Array(new ArrayBuffer(length));

/**
 * Nonce, key and associated data are copied into long-lived arrays: small ones live inside V8's heap, and moving one out
 * for a native call costs more than sealing it does.
 */
function createAead(sodium: Sodium): Aead {
  const nonceMemory = nativeMemory(NONCE_LENGTH);
  const keyMemory = nativeMemory(KEY_LENGTH);
  const headerMemory = nativeMemory(HEADER_LENGTH);
  const hashMemory = nativeMemory(HASH_LENGTH);
  const place = (aad: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array => {
    nonceMemory.set(nonce);
    keyMemory.set(key);
    if (aad.length !== HEADER_LENGTH && aad.length !== HASH_LENGTH) return aad;
    const memory = aad.length === HEADER_LENGTH ? headerMemory : hashMemory;
    memory.set(aad);
    return memory;
  };
  return {
    aeadSeal(out, plaintext, aad, nonce, key) {
      assertAead(out.length, plaintext.length + TAG_LENGTH, nonce, key);
      const aadPlace = place(aad, nonce, key);
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, plaintext, aadPlace, null, nonceMemory, keyMemory);
      keyMemory.fill(0);
    },
    aeadOpen(out, sealed, aad, nonce, key) {
      if (sealed.length < TAG_LENGTH) return false;
      assertAead(out.length, sealed.length - TAG_LENGTH, nonce, key);
      const aadPlace = place(aad, nonce, key);
      const { stackTraceLimit } = STACKS;
      STACKS.stackTraceLimit = 0;
      try {
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(out, null, sealed, aadPlace, nonceMemory, keyMemory);
        return true;
      } catch {
        // Lengths are right, so the tag is wrong; libsodium has cleared `out`.
        return false;
      } finally {
        STACKS.stackTraceLimit = stackTraceLimit;
        keyMemory.fill(0);
      }
    },
  };
}

function sha3(message: Uint8Array): Uint8Array {
  return plainBytes(nodeCrypto.hash('sha3-256', message, 'buffer'));
}

/** Rejects where sodium-native does not load, or this Node's crypto lacks raw ML-KEM keys. */
export async function createNativeProvider(): Promise<CryptoProvider> {
  const sodium = await loadSodium();
  const hasher = await createBLAKE3();
  const curve = createCurve(sodium);
  const provider: CryptoProvider = Object.freeze({
    name: 'native',
    sha256: createSha256(sodium),
    hmacSha256: createHmacSha256(sodium),
    // hash-wasm keeps what it hashed in its memory until it is overwritten: `B3` of lp2.md takes public values only.
    blake3: (message: Uint8Array) => hasher.init().update(message).digest('binary'),
    kdf,
    deriveKey,
    ...createAead(sodium),
    ...curve,
    kems: createKems({ mlKem: nativeMlKem768, x25519: curve.x25519, x25519PublicKey: curve.x25519PublicKey, sha3 }),
    equal: (a: Uint8Array, b: Uint8Array) => a.length === b.length && sodium.sodium_memcmp(a, b),
  });
  assertWorks(provider);
  return provider;
}

/** One X-Wing round trip meets every library: what is missing shows here, at start, and not in a handshake. */
function assertWorks(provider: CryptoProvider): void {
  const kem = provider.kems['x-wing'];
  const secretKey = kem.secretKeyFromSeed(new Uint8Array(kem.seedLength));
  const encapsulation = kem.encapsulate(secretKey.publicKey, { kind: 'system', fill: (out) => void out.fill(1) });
  const expected = encapsulation?.sharedSecret;
  const actual = encapsulation && secretKey.decapsulate(encapsulation.ciphertext);
  secretKey.wipe();
  if (expected === undefined || actual === undefined || !provider.equal(actual, expected)) {
    throw new Error('native X-Wing does not decapsulate what it encapsulated');
  }
}
