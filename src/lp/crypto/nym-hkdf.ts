/** HKDF with SHA-256 (RFC 5869) over a provider's HMAC, for outputs of one block at most: all that nym.md §5.2 and §6.1 derive. */
import { HASH_LENGTH } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';

export function createHkdf(provider: CryptoProvider) {
  return (ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array => {
    if (length > HASH_LENGTH) throw new RangeError(`HKDF output has ${length} bytes`);
    const block = new Uint8Array(info.length + 1);
    block.set(info);
    block[info.length] = 1;
    const key = provider.hmacSha256(salt, ikm);
    try {
      provider.hmacSha256(key, block, key);
      return key.slice(0, length);
    } finally {
      key.fill(0);
    }
  };
}
