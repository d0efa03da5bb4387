/**
 * What Nym's protocol needs of a provider besides `CryptoProvider`: AES-128-GCM, HKDF, and the digests by which KEM keys
 * are announced (nym.md §1.2, §3.2). Like the door itself: a peer's fault is a value, a wrong length of our own an assertion.
 */
import type { CryptoProvider } from './provider.ts';

/** nym.md §4.3: hash functions by their byte in KKT contexts. What is named sha256 is SHA3-256. */
export const NYM_HASH_ID = { blake3: 0x00, shake256: 0x01, shake128: 0x02, sha256: 0x03 } as const;
export type NymHash = keyof typeof NYM_HASH_ID;

export const GCM_KEY_LENGTH = 16;

/** AES-128-GCM with the nonces of a channel (nym.md §6.3): BE96 of a number, no associated data, bytes in place. */
export interface GcmChannel {
  /** Seals `length` bytes at `offset` and writes the tag behind them. */
  seal(nonce: number, bytes: Uint8Array, offset: number, length: number): void;
  /** Opens what `seal` made of `length` bytes; false for a wrong tag, and then those bytes are zero. */
  open(nonce: number, bytes: Uint8Array, offset: number, length: number): boolean;
  wipe(): void;
}

export interface NymCrypto {
  readonly base: CryptoProvider;
  /** SHA-256, also of kilobytes. */
  sha256(message: Uint8Array): Uint8Array;
  /** RFC 5869 with SHA-256: 32 bytes. The salt has 64 at most. */
  hkdfExtract(salt: Uint8Array, ikm: Uint8Array): Uint8Array;
  /** Of 32 bytes that were extracted; `length` is 32 at most. */
  hkdfExpand(extracted: Uint8Array, info: Uint8Array, length: number): Uint8Array;
  /** 32 bytes over a KEM public key. */
  digest(hash: NymHash, message: Uint8Array): Uint8Array;
  /** AES-128-GCM with nonce 1: every key of a handshake seals one message. Ciphertext ‖ 16-byte tag. */
  sealOnce(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Uint8Array;
  /** `undefined` for a wrong tag. */
  openOnce(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined;
  /** Copies the key. */
  channel(key: Uint8Array): GcmChannel;
}
