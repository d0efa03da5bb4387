/** A provider that keeps account of every (key, nonce) it seals under: the second use of one is an error. */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';

export function recordSealing(provider: CryptoProvider): {
  readonly crypto: CryptoProvider;
  readonly used: Set<string>;
} {
  const used = new Set<string>();
  const crypto: CryptoProvider = {
    ...provider,
    aeadSeal(out, plaintext, aad, nonce, key) {
      const pair = Buffer.concat([key, nonce]).toString('latin1');
      if (used.has(pair)) throw new Error('a (key, nonce) pair is used twice');
      if (key.every((byte) => byte === 0)) throw new Error('sealed under a wiped key');
      used.add(pair);
      provider.aeadSeal(out, plaintext, aad, nonce, key);
    },
  };
  return { crypto, used };
}
