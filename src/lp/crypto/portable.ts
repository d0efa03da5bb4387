/**
 * The portable provider: every primitive from the noble libraries, in JavaScript alone. It is complete, and the oracle
 * against which the native provider is tested; it is 10 to 50 times slower. Its curves compute with BigInt, whose
 * intermediate values cannot be wiped and whose time is not strictly constant: a gateway should run the native one.
 */

import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256 } from '@noble/hashes/sha3.js';
import { deriveKey, kdf } from './blake3-kdf.ts';
import { createKems } from './kem.ts';
import { assertAead, assertHmacKey, assertLength, KEY_LENGTH, SIGNATURE_LENGTH, TAG_LENGTH } from './lengths.ts';
import { portableMlKem768 } from './portable-ml-kem.ts';
import type { CryptoProvider } from './provider.ts';
import { wipe } from './secret.ts';

function hmacSha256(key: Uint8Array, message: Uint8Array, out = new Uint8Array(32)): Uint8Array {
  assertHmacKey(key);
  out.set(hmac(sha256, key, message));
  return out;
}

function aeadSeal(out: Uint8Array, plaintext: Uint8Array, aad: Uint8Array, nonce: Uint8Array, key: Uint8Array): void {
  assertAead(out.length, plaintext.length + TAG_LENGTH, nonce, key);
  chacha20poly1305(key, nonce, aad).encrypt(plaintext, out);
}

function aeadOpen(out: Uint8Array, sealed: Uint8Array, aad: Uint8Array, nonce: Uint8Array, key: Uint8Array): boolean {
  if (sealed.length < TAG_LENGTH) return false;
  assertAead(out.length, sealed.length - TAG_LENGTH, nonce, key);
  try {
    chacha20poly1305(key, nonce, aad).decrypt(sealed, out);
    return true;
  } catch {
    // Lengths are right, so only the tag is left. libsodium clears the output here: do the same.
    out.fill(0);
    return false;
  }
}

function x25519PublicKey(secret: Uint8Array): Uint8Array {
  assertLength(secret, KEY_LENGTH, 'X25519 secret');
  return x25519.getPublicKey(secret);
}

function sharedSecret(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  assertLength(secret, KEY_LENGTH, 'X25519 secret');
  if (publicKey.length !== KEY_LENGTH) return undefined;
  try {
    return x25519.getSharedSecret(secret, publicKey);
  } catch {
    // noble refuses the low-order points, which are those with an all-zero result.
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}

/**
 * RFC 8032 §5.1.7 without the cofactor: R = [s]B − [k]A compared as bytes, small-order A and R refused. libsodium does
 * this, and so does what signs (lp1.md §3.1); noble's own verify multiplies by the cofactor, and would accept more.
 */
function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_LENGTH || signature.length !== SIGNATURE_LENGTH) return false;
  const r = signature.subarray(0, KEY_LENGTH);
  const s = littleEndian(signature.subarray(KEY_LENGTH));
  const { BASE, Fn } = ed25519.Point;
  if (s >= Fn.ORDER) return false;
  let a: typeof BASE;
  try {
    a = ed25519.Point.fromBytes(publicKey);
  } catch {
    return false;
  }
  if (a.isSmallOrder()) return false;
  const k = Fn.create(littleEndian(sha512.create().update(r).update(publicKey).update(message).digest()));
  const expected = BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k));
  return !expected.isSmallOrder() && equal(expected.toBytes(), r);
}

function x25519SecretOfEd25519(seed: Uint8Array): Uint8Array {
  assertLength(seed, KEY_LENGTH, 'Ed25519 seed');
  const hash = sha512(seed);
  const secret = hash.slice(0, KEY_LENGTH);
  wipe(hash);
  return secret;
}

function x25519PublicOfEd25519(publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== KEY_LENGTH) return undefined;
  try {
    return ed25519.utils.toMontgomery(publicKey);
  } catch {
    return undefined;
  }
}

function convertsTo(ed25519PublicKey: Uint8Array, x25519PublicKey: Uint8Array): boolean {
  const converted = x25519PublicOfEd25519(ed25519PublicKey);
  return converted !== undefined && equal(converted, x25519PublicKey);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

export const portableProvider: CryptoProvider = Object.freeze({
  name: 'portable',
  sha256(message: Uint8Array, out = new Uint8Array(32)): Uint8Array {
    out.set(sha256(message));
    return out;
  },
  hmacSha256,
  blake3: (message: Uint8Array) => blake3(message),
  kdf,
  deriveKey,
  aeadSeal,
  aeadOpen,
  x25519PublicKey,
  x25519: sharedSecret,
  ed25519PublicKey: (seed: Uint8Array) => ed25519.getPublicKey(seed),
  ed25519Sign: (seed: Uint8Array, message: Uint8Array) => ed25519.sign(message, seed),
  ed25519Verify,
  x25519SecretOfEd25519,
  x25519PublicOfEd25519,
  convertsTo,
  kems: createKems({
    mlKem: portableMlKem768,
    x25519: sharedSecret,
    x25519PublicKey,
    sha3: (message) => sha3_256(message),
  }),
  equal,
});
