/**
 * Split of the Noise Protocol Framework (revision 34, §5.2): the two transport keys of a finished handshake. LP1 seals
 * its data with them (lp1.md §6.3); LP2 derives its session's root from ck and h instead.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { wipe } from '../crypto/secret.ts';

const KEY_LENGTH = 32;
const EMPTY = new Uint8Array(0);
const ONE = Uint8Array.of(1);

/** The caller wipes them with `wipeKeys`. */
export interface NoiseKeys {
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
}

/** HKDF(ck, empty, 2). Leaves the chaining key to the caller. */
export function split(crypto: CryptoProvider, chainingKey: Uint8Array): NoiseKeys {
  const tempKey = crypto.hmacSha256(chainingKey, EMPTY);
  const initiatorToResponder = crypto.hmacSha256(tempKey, ONE);
  const follow = new Uint8Array(KEY_LENGTH + 1);
  follow.set(initiatorToResponder);
  follow[KEY_LENGTH] = 2;
  const responderToInitiator = crypto.hmacSha256(tempKey, follow);
  wipe(tempKey, follow);
  return { initiatorToResponder, responderToInitiator };
}

export function wipeKeys(keys: NoiseKeys): void {
  wipe(keys.initiatorToResponder, keys.responderToInitiator);
}
