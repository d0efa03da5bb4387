/**
 * Kinds and sizes of KEM keys (nym.md §3, §4.3), and the digests by which a directory names a key. ML-KEM-768 is the one
 * that is used; Classic McEliece is known by its sizes and refused.
 */
import { NYM_HASH_ID, type NymCrypto, type NymHash } from '../crypto/nym-provider.ts';

export const NYM_KEM_ID = { mlkem768: 0x01, mceliece: 0x02 } as const;
export type NymKem = keyof typeof NYM_KEM_ID;

export const KEM_KEY_LENGTH: Readonly<Record<NymKem, number>> = { mlkem768: 1_184, mceliece: 524_160 };
export const KEM_CIPHERTEXT_LENGTH = 1_088;
/** The default: a hash length of 00 on the wire. */
export const DIGEST_LENGTH = 32;

export const NYM_HASHES = Object.keys(NYM_HASH_ID) as readonly NymHash[];

export function hashOfId(id: number): NymHash | undefined {
  return NYM_HASHES.find((hash) => NYM_HASH_ID[hash] === id);
}

export function kemOfId(id: number): NymKem | undefined {
  if (id === NYM_KEM_ID.mlkem768) return 'mlkem768';
  return id === NYM_KEM_ID.mceliece ? 'mceliece' : undefined;
}

/** What a directory says of a key. */
export interface KemDigest {
  readonly hash: NymHash;
  /** 32 bytes. */
  readonly digest: Uint8Array;
}

export function matchesDigest(crypto: NymCrypto, key: Uint8Array, { hash, digest }: KemDigest): boolean {
  return crypto.base.equal(crypto.digest(hash, key), digest);
}
