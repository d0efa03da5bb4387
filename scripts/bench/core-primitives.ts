/**
 * The primitives that a responder needs for one LP2 handshake, by lp2.md §4.2: DH es, ee, se, one decapsulation, two key pairs'
 * worth of nothing more than needed, and the hashes.
 */
import type { CryptoProvider, KemName } from '../../src/lp/crypto/provider.ts';
import { systemRandom } from '../../src/system/random.ts';
import type { Primitive } from './against-primitives.ts';
import { CLIENT_SEED } from './in-process.ts';

const bytes = (n: number) => new Uint8Array(n).fill(1);

function publicKeyPrimitives(crypto: CryptoProvider, suite: KemName): Primitive[] {
  const secret = bytes(32).fill(9);
  const publicKey = crypto.x25519PublicKey(secret);
  const kem = crypto.kems[suite];
  const kemKey = kem.secretKeyFromSeed(bytes(kem.seedLength));
  const ciphertext = kem.encapsulate(kemKey.publicKey, systemRandom)?.ciphertext ?? bytes(kem.ciphertextLength);
  const ed25519 = crypto.ed25519PublicKey(CLIENT_SEED);
  const x25519 = crypto.x25519PublicOfEd25519(ed25519) ?? publicKey;
  return [
    { name: `${suite} decapsulation`, count: 1, run: () => kemKey.decapsulate(ciphertext) },
    { name: 'X25519 DH (es, ee, se)', count: 3, run: () => crypto.x25519(secret, publicKey) },
    { name: 'X25519 key pair', count: 1, run: () => crypto.x25519PublicKey(secret) },
    { name: 'Ed25519 key against X25519 key', count: 1, run: () => crypto.convertsTo(ed25519, x25519) },
  ];
}

/** `earlyFrame`: what H3 carries and its reply carries back, 0 for neither. */
export function lp2Primitives(crypto: CryptoProvider, suite: KemName, earlyFrame = 0): Primitive[] {
  const [key, nonce, aad] = [bytes(32), bytes(12), bytes(32)];
  const { ciphertextLength } = crypto.kems[suite];
  const sealed = (n: number) => {
    const out = bytes(n + 16);
    crypto.aeadSeal(out, bytes(n), aad, nonce, key);
    return out;
  };
  const h1 = sealed(ciphertextLength);
  const s = sealed(32);
  const early = sealed(32 + earlyFrame);
  const out = bytes(1_400);
  const shortOut = bytes(32);
  const earlyOut = bytes(32 + earlyFrame);
  const replyOut = bytes(6 + earlyFrame + 16);
  return [
    ...publicKeyPrimitives(crypto, suite),
    { name: 'BLAKE3, 1.4 KB (prologue)', count: 1, run: () => crypto.blake3(out) },
    { name: 'BLAKE3, 1.1 KB (H1, ciphertext)', count: 2, run: () => crypto.blake3(h1) },
    { name: 'BLAKE3 (H3)', count: 1, run: () => crypto.blake3(early) },
    { name: 'KDF (psk)', count: 1, run: () => crypto.kdf('psk', out.subarray(0, 128)) },
    { name: 'KDF (keys, chain)', count: 3, run: () => crypto.kdf('key i2r', key) },
    { name: 'HMAC-SHA256 (HKDF of e, es, e, ee, psk, se; root)', count: 17, run: () => crypto.hmacSha256(key, aad) },
    { name: 'SHA-256, short (MixHash)', count: 8, run: () => crypto.sha256(h1.subarray(0, 80)) },
    { name: 'SHA-256, 1.2 KB (MixHash of H1)', count: 1, run: () => crypto.sha256(h1) },
    {
      name: 'AEAD open, 1.1 KB',
      count: 1,
      run: () => crypto.aeadOpen(out.subarray(0, ciphertextLength), h1, aad, nonce, key),
    },
    { name: 'AEAD, short', count: 2, run: () => crypto.aeadOpen(shortOut, s, aad, nonce, key) },
    { name: 'AEAD open (H3’s payload)', count: 1, run: () => crypto.aeadOpen(earlyOut, early, aad, nonce, key) },
    {
      name: 'AEAD seal (reply to H3)',
      count: 1,
      run: () => crypto.aeadSeal(replyOut, replyOut.subarray(0, 6 + earlyFrame), aad, nonce, key),
    },
  ];
}
