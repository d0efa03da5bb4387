/**
 * What this project uses of sodium-native, typed for any Uint8Array: the package's own types ask for Buffers and lack
 * ChaCha20-Poly1305. Each function throws on a wrong length, and where libsodium returns an error.
 */

export interface Sodium {
  crypto_hash_sha256(out: Uint8Array, input: Uint8Array): void;
  crypto_hash_sha512(out: Uint8Array, input: Uint8Array): void;
  crypto_aead_chacha20poly1305_ietf_encrypt(
    out: Uint8Array,
    plaintext: Uint8Array,
    aad: Uint8Array,
    secretNonce: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_aead_chacha20poly1305_ietf_decrypt(
    out: Uint8Array,
    secretNonce: null,
    sealed: Uint8Array,
    aad: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_scalarmult_base(publicKey: Uint8Array, secret: Uint8Array): void;
  crypto_scalarmult(shared: Uint8Array, secret: Uint8Array, publicKey: Uint8Array): void;
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  crypto_core_ed25519_add(sum: Uint8Array, a: Uint8Array, b: Uint8Array): void;
  sodium_memcmp(a: Uint8Array, b: Uint8Array): boolean;
}

/**
 * Where the number of frames in an Error's stack is set: sodium-native throws what libsodium refuses, and to write down a
 * stack that nobody reads takes several times as long as the refusal, for whoever forges a packet to use. A call that a
 * peer can make fail sets it to 0, and back in `finally`.
 */
export const STACKS: { stackTraceLimit: number } = Error;

/** Rejects where the optional dependency is absent, or has no binary for this machine. */
export async function loadSodium(): Promise<Sodium> {
  const { default: sodium } = await import('sodium-native');
  return sodium as unknown as Sodium;
}
