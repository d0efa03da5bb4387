/**
 * The one door to every primitive. Two providers stand behind it: `native` (sodium-native and node:crypto) and
 * `portable` (the noble libraries). Both give the same bytes for the same input and refuse the same inputs.
 *
 * What a peer can cause (an undecodable point, an all-zero DH result, a forged tag, an invalid KEM key) is a value:
 * `undefined` or `false`. A wrong length of something that this side made is an assertion.
 */

/** Source of randomness. `system` lets a provider use the operating system's own generator where that is cheaper. */
export interface RandomSource {
  readonly kind: 'system' | 'seeded';
  /** Fills `out` with random bytes. A seeded source gives its bytes in the order in which they are asked for. */
  fill(out: Uint8Array): void;
}

/** lp2.md §4.1 and lp1.md §4.1: the KEM suites by their byte on the wire. */
export const KEM_ID = { 'x-wing': 0x00, 'ml-kem-768': 0x01 } as const;
export type KemName = keyof typeof KEM_ID;

/** A KEM public key that passed FIPS 203's modulus check (and has the right length). */
export interface KemPublicKey {
  readonly kem: KemName;
  /** 1216 bytes (X-Wing: ML-KEM-768 key ‖ X25519 key) or 1184 bytes (ML-KEM-768). */
  readonly bytes: Uint8Array;
}

/** A KEM secret key. `wipe` makes it unusable; it prints as `<redacted>`. */
export interface KemSecretKey {
  readonly kem: KemName;
  readonly publicKey: KemPublicKey;
  /** Shared secret (32 bytes), or `undefined` for a wrong length or an all-zero X25519 result. ML-KEM rejects implicitly. */
  decapsulate(ciphertext: Uint8Array): Uint8Array | undefined;
  wipe(): void;
}

export interface Encapsulation {
  /** 1120 bytes (X-Wing) or 1088 bytes (ML-KEM-768). */
  readonly ciphertext: Uint8Array;
  /** 32 bytes; the caller wipes it. */
  readonly sharedSecret: Uint8Array;
}

export interface Kem {
  readonly name: KemName;
  readonly id: number;
  /** X-Wing 32 (draft-connolly-cfrg-xwing-kem), ML-KEM-768 64 (FIPS 203: d ‖ z). */
  readonly seedLength: number;
  readonly publicKeyLength: number;
  readonly ciphertextLength: number;
  secretKeyFromSeed(seed: Uint8Array): KemSecretKey;
  importPublicKey(bytes: Uint8Array): KemPublicKey | undefined;
  /**
   * `undefined` where the X25519 part of the peer's key gives an all-zero result. A seeded source is asked once, for
   * 32 bytes of ML-KEM coins followed (X-Wing) by the 32 bytes of the X25519 ephemeral secret.
   */
  encapsulate(publicKey: KemPublicKey, random: RandomSource): Encapsulation | undefined;
}

export interface CryptoProvider {
  readonly name: 'native' | 'portable';

  /** SHA-256 into `out` (32 bytes), which is returned; it may be the message's own memory. */
  sha256(message: Uint8Array, out?: Uint8Array): Uint8Array;
  /** HMAC-SHA256 (RFC 2104) into `out` (32 bytes), which may be the key; key of at most 64 bytes. */
  hmacSha256(key: Uint8Array, message: Uint8Array, out?: Uint8Array): Uint8Array;
  /** BLAKE3-256: `B3` of lp2.md. For public values: the native one leaves what it hashed in its memory. */
  blake3(message: Uint8Array): Uint8Array;
  /** BLAKE3 derive-key with context `"lewes-protocol v2 " + label`, 32 bytes: `KDF` of lp2.md. */
  kdf(label: string, material: Uint8Array): Uint8Array;
  /** BLAKE3 derive-key with this very context, 32 bytes: `KDF` of lp1.md §3.2. Contexts are constants. */
  deriveKey(context: string, material: Uint8Array): Uint8Array;

  /**
   * ChaCha20-Poly1305 (RFC 8439). `out` is ciphertext ‖ 16-byte tag, plaintext.length + 16 bytes, and may start at the
   * plaintext's own bytes (sealing in place).
   */
  aeadSeal(out: Uint8Array, plaintext: Uint8Array, aad: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
  /**
   * Writes sealed.length − 16 bytes to `out`, which may start at the sealed bytes. False for a wrong tag, with `out`
   * all zero: what was opened in place is then gone, and cannot be tried with another key.
   */
  aeadOpen(out: Uint8Array, sealed: Uint8Array, aad: Uint8Array, nonce: Uint8Array, key: Uint8Array): boolean;

  /** X25519 (RFC 7748) of an unclamped 32-byte secret. */
  x25519PublicKey(secret: Uint8Array): Uint8Array;
  /** Raw DH output, or `undefined` when it is all zero. */
  x25519(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;

  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /**
   * Without the cofactor (RFC 8032 §5.1.7, R compared as bytes). False also for an undecodable, non-canonical or
   * small-order key or R; never throws.
   */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** lp1.md §3.1: SHA-512(seed)[0..32], unclamped. */
  x25519SecretOfEd25519(seed: Uint8Array): Uint8Array;
  /** lp1.md §3.1: u = (1 + y) / (1 − y); `undefined` for a key that is no canonical encoding of a curve point, and for y = 1. */
  x25519PublicOfEd25519(publicKey: Uint8Array): Uint8Array | undefined;
  /**
   * Whether the Ed25519 key decodes and converts to this X25519 key: the same answer as comparing with
   * {@link x25519PublicOfEd25519}, at a fraction of the cost. Both are public values.
   */
  convertsTo(ed25519PublicKey: Uint8Array, x25519PublicKey: Uint8Array): boolean;

  readonly kems: Readonly<Record<KemName, Kem>>;

  /** Constant-time comparison; false for different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}
