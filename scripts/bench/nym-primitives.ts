/**
 * The primitives that a node needs for one Nym handshake (nym.md §4.2, §5.2, §6): the KKT request answered, message 1 answered,
 * the session's keys. An extraction that several keys share is there once.
 */
import type { NymCrypto } from '../../src/lp/crypto/nym-provider.ts';
import { systemRandom } from '../../src/system/random.ts';
import type { Primitive } from './against-primitives.ts';

const bytes = (n: number) => new Uint8Array(n).fill(1);
/** KKT's context and peer config; message 1's outer plaintext; either associated data of its layers. */
const [REQUEST, OUTER, AAD] = [27, 1_171, 24];
/** KKT's context and an ML-KEM-768 key. */
const RESPONSE = 1_191;

function publicKeyPrimitives({ base }: NymCrypto): Primitive[] {
  const secret = bytes(32).fill(9);
  const publicKey = base.x25519PublicKey(secret);
  const kem = base.kems['ml-kem-768'];
  const kemKey = kem.secretKeyFromSeed(bytes(kem.seedLength));
  const ciphertext = kem.encapsulate(kemKey.publicKey, systemRandom)?.ciphertext ?? bytes(kem.ciphertextLength);
  return [
    { name: 'ml-kem-768 decapsulation', count: 1, run: () => kemKey.decapsulate(ciphertext) },
    { name: 'X25519 DH (KKT; xS, cS, cY, xY)', count: 5, run: () => base.x25519(secret, publicKey) },
    { name: 'X25519 key pair', count: 1, run: () => base.x25519PublicKey(secret) },
  ];
}

/** KKT's carrier: ChaCha20-Poly1305 under keys of BLAKE3. */
function carrierPrimitives({ base }: NymCrypto): Primitive[] {
  const [key, nonce, aad] = [bytes(32), bytes(12), bytes(14)];
  const request = bytes(REQUEST + 16);
  base.aeadSeal(request, bytes(REQUEST), aad, nonce, key);
  const [opened, response, answer] = [bytes(REQUEST), bytes(RESPONSE), bytes(RESPONSE + 16)];
  const [mask, material, indexed] = [bytes(84), bytes(133), bytes(1_233)];
  return [
    { name: 'BLAKE3, 84 B (mask)', count: 1, run: () => base.blake3(mask) },
    { name: 'KDF, 133 B (carrier)', count: 2, run: () => base.deriveKey('CARRIER_V1_KDF_TX', material) },
    { name: 'KDF, 1.2 KB (receiver index)', count: 1, run: () => base.deriveKey('CARRIER_V1_KDF_RX', indexed) },
    { name: 'AEAD open (KKT request)', count: 1, run: () => base.aeadOpen(opened, request, aad, nonce, key) },
    { name: 'AEAD seal (KKT response)', count: 1, run: () => base.aeadSeal(answer, response, aad, nonce, key) },
  ];
}

export function nymPrimitives(crypto: NymCrypto): Primitive[] {
  const { base } = crypto;
  const [key16, key32, aad] = [bytes(16), bytes(32), bytes(AAD)];
  const outer = crypto.sealOnce(key16, bytes(OUTER), aad);
  const inner = crypto.sealOnce(key16, bytes(1), aad);
  const payload = bytes(1);
  const [short, transcript, info] = [bytes(84), bytes(2_349), bytes(1_253)];
  return [
    ...publicKeyPrimitives(crypto),
    ...carrierPrimitives(crypto),
    { name: 'AES-128-GCM open, 1.2 KB (message 1)', count: 1, run: () => crypto.openOnce(key16, outer, aad) },
    { name: 'AES-128-GCM open, 1 B (its inner layer)', count: 1, run: () => crypto.openOnce(key16, inner, aad) },
    { name: 'AES-128-GCM seal, 1 B (message 2)', count: 1, run: () => crypto.sealOnce(key16, payload, aad) },
    { name: 'SHA-256, short (tx0, tx2)', count: 2, run: () => crypto.sha256(short) },
    { name: 'SHA-256, 2.3 KB (tx1)', count: 1, run: () => crypto.sha256(transcript) },
    {
      name: 'HMAC-SHA256 (HKDF of k0, k1, k2, session, two channels)',
      count: 11,
      run: () => base.hmacSha256(key32, short),
    },
    { name: 'HMAC-SHA256, 1.3 KB (binder)', count: 1, run: () => crypto.hkdfExpand(key32, info, 8) },
  ];
}
