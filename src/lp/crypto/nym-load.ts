/** Nym's primitives beside a loaded provider: of the same make. */
import { nativeNymCrypto } from './nym-native.ts';
import { portableNymCrypto } from './nym-portable.ts';
import type { NymCrypto } from './nym-provider.ts';
import type { CryptoProvider } from './provider.ts';

export function nymCrypto(provider: CryptoProvider): NymCrypto {
  return provider.name === 'native' ? nativeNymCrypto(provider) : portableNymCrypto(provider);
}
