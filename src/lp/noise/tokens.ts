/**
 * The tokens of Noise messages that all patterns here use. In a psk pattern every `e` is also MixKey'd.
 */
import type { SymmetricState } from '../crypto/noise.ts';
import type { CryptoProvider } from '../crypto/provider.ts';

export const DH_LENGTH = 32;
export const TAG_LENGTH = 16;

/** `e` in a psk pattern; a DH token follows in every message of every pattern here. */
export function mixEphemeral(symmetric: SymmetricState, publicKey: Uint8Array): void {
  symmetric.mixHash(publicKey);
  symmetric.mixChainingKey(publicKey);
}

/** MixKey of a DH result, which is wiped; false when the result is all zero. */
export function mixDh(
  crypto: CryptoProvider,
  symmetric: SymmetricState,
  secret: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  const shared = crypto.x25519(secret, publicKey);
  if (shared === undefined) return false;
  symmetric.mixKey(shared);
  shared.fill(0);
  return true;
}

/** {@link mixDh} where a DH or a psk token follows in the same message, before anything is encrypted. */
export function mixFirstDh(
  crypto: CryptoProvider,
  symmetric: SymmetricState,
  secret: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  const shared = crypto.x25519(secret, publicKey);
  if (shared === undefined) return false;
  symmetric.mixChainingKey(shared);
  shared.fill(0);
  return true;
}
