/**
 * A crypto provider whose public-key operations and ciphers are toys, with real hashes: it fills a shard's tables with
 * true handshakes a hundred times as fast. For measuring memory only.
 */
import type { CryptoProvider, Kem, KemPublicKey } from '../../src/lp/crypto/provider.ts';

const TAG_LENGTH = 16;

function toyKem(like: Kem): Kem {
  const publicKeyOf = (seed: Uint8Array): KemPublicKey => {
    const bytes = new Uint8Array(like.publicKeyLength);
    bytes.set(seed.subarray(0, 32));
    return { kem: like.name, bytes };
  };
  return {
    ...like,
    secretKeyFromSeed: (seed) => ({
      kem: like.name,
      publicKey: publicKeyOf(seed),
      decapsulate: (ciphertext) => ciphertext.slice(0, 32),
      wipe: () => undefined,
    }),
    importPublicKey: (bytes) => ({ kem: like.name, bytes: bytes.slice() }),
    encapsulate(_publicKey, random) {
      const ciphertext = new Uint8Array(like.ciphertextLength);
      random.fill(ciphertext);
      return { ciphertext, sharedSecret: ciphertext.slice(0, 32) };
    },
  };
}

export function toyCrypto(real: CryptoProvider): CryptoProvider {
  return {
    ...real,
    aeadSeal(out, plaintext) {
      out.set(plaintext);
      out.fill(0, plaintext.length, plaintext.length + TAG_LENGTH);
    },
    aeadOpen(out, sealed) {
      out.set(sealed.subarray(0, sealed.length - TAG_LENGTH));
      return sealed.subarray(sealed.length - TAG_LENGTH).every((byte) => byte === 0);
    },
    x25519PublicKey: (secret) => secret.slice(),
    x25519: (secret, publicKey) => secret.map((byte, i) => byte ^ (publicKey[i] ?? 0)),
    ed25519PublicKey: (seed) => seed.slice(),
    ed25519Sign: () => new Uint8Array(64),
    ed25519Verify: () => true,
    x25519SecretOfEd25519: (seed) => seed.slice(),
    x25519PublicOfEd25519: (publicKey) => publicKey.slice(),
    convertsTo: (a, b) => real.equal(a, b),
    kems: { 'x-wing': toyKem(real.kems['x-wing']), 'ml-kem-768': toyKem(real.kems['ml-kem-768']) },
  };
}
