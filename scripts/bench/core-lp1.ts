/**
 * The primitives that a responder needs for one LP1 handshake: hello, KKT, Handshake 1 and Handshake 3 (lp1.md §4–§6).
 */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { Primitive } from './against-primitives.ts';
import { CLIENT_SEED } from './in-process.ts';

const bytes = (n: number) => new Uint8Array(n).fill(1);

/** Signatures and DH: lp1.md §4.4, §5.3, §3.3, and es, ee, se of §6.1. */
function publicKeyPrimitives(crypto: CryptoProvider): Primitive[] {
  const secret = bytes(32);
  const publicKey = crypto.x25519PublicKey(bytes(32).fill(9));
  const ed25519 = crypto.ed25519PublicKey(CLIENT_SEED);
  const x25519 = crypto.x25519PublicOfEd25519(ed25519) ?? publicKey;
  const [request, response, enc] = [bytes(23), bytes(55), bytes(65)];
  const requestSignature = crypto.ed25519Sign(CLIENT_SEED, request);
  const encSignature = crypto.ed25519Sign(CLIENT_SEED, enc);
  return [
    {
      name: 'Ed25519 verify (KKTRequest)',
      count: 1,
      run: () => crypto.ed25519Verify(ed25519, request, requestSignature),
    },
    { name: 'Ed25519 sign (KKTResponse)', count: 1, run: () => crypto.ed25519Sign(CLIENT_SEED, response) },
    { name: 'Ed25519 verify (PSQ)', count: 1, run: () => crypto.ed25519Verify(ed25519, enc, encSignature) },
    { name: 'X25519 DH (PSQ, static-static, es, ee, se)', count: 5, run: () => crypto.x25519(secret, publicKey) },
    { name: 'X25519 key pair', count: 1, run: () => crypto.x25519PublicKey(secret) },
    { name: 'Ed25519 key against X25519 key', count: 1, run: () => crypto.convertsTo(ed25519, x25519) },
  ];
}

/** §5.2, §3.3, §3.4, §6.1, the packets' AEAD (§1.3), and the hashes by which a repeat is known. */
function symmetricPrimitives(crypto: CryptoProvider): Primitive[] {
  const [key, nonce, none] = [bytes(32), bytes(12), new Uint8Array(0)];
  const out = bytes(124);
  const aead = (name: string, count: number, length: number, aad: Uint8Array): Primitive => {
    const plaintext = out.subarray(0, length);
    const sealed = bytes(length + 16);
    crypto.aeadSeal(sealed, plaintext, aad, nonce, key);
    return { name, count, run: () => crypto.aeadOpen(plaintext, sealed, aad, nonce, key) };
  };
  const [kktContent, h1Content, h3Packet, pskMaterial] = [bytes(87), bytes(257), bytes(98), bytes(96)];
  const [psqContext, noiseInput] = [bytes(71), bytes(64)];
  return [
    { name: 'BLAKE3, 87 B (KKTRequest)', count: 1, run: () => crypto.blake3(kktContent) },
    { name: 'BLAKE3, 257 B (H1)', count: 1, run: () => crypto.blake3(h1Content) },
    { name: 'BLAKE3, 98 B (H3)', count: 1, run: () => crypto.blake3(h3Packet) },
    { name: 'KDF, 96 B (psk)', count: 1, run: () => crypto.deriveKey('nym-lp-psk-psq-v1', pskMaterial) },
    { name: 'KDF, 32 B (outer key)', count: 1, run: () => crypto.deriveKey('lp-outer-aead', key) },
    { name: 'HMAC-SHA256, 71 B (PSQ: k0)', count: 1, run: () => crypto.hmacSha256(key, psqContext) },
    {
      name: 'HMAC-SHA256 (PSQ: km, mac, kpq, psk, two keys with their iv)',
      count: 8,
      run: () => crypto.hmacSha256(key, key),
    },
    {
      name: 'HMAC-SHA256 (HKDF of e, es, e, ee, se, psk; split)',
      count: 19,
      run: () => crypto.hmacSha256(key, key),
    },
    { name: 'SHA-256, short (MixHash)', count: 9, run: () => crypto.sha256(noiseInput) },
    aead('AEAD open, 124 B (PSQ)', 1, 124, none),
    aead('AEAD, 13 B (handle)', 1, 13, none),
    aead('AEAD, outer, 86 B (H2)', 1, 86, nonce),
    aead('AEAD, outer, 70 B (H3)', 1, 70, nonce),
    aead('AEAD, outer, 6 B (Ack)', 1, 6, nonce),
    aead('AEAD, 32 B (Noise: s)', 1, 32, key),
    aead('AEAD, empty (Noise: payloads)', 3, 0, key),
  ];
}

export function lp1Primitives(crypto: CryptoProvider): Primitive[] {
  return [...publicKeyPrimitives(crypto), ...symmetricPrimitives(crypto)];
}
