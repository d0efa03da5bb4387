/**
 * Chooses the provider at start. `auto` takes the native one where it loads and passes its self-test, and falls back to
 * the portable one: the same bytes, more slowly. The provider's `name` says which runs.
 */

import { portableProvider } from './portable.ts';
import type { CryptoProvider } from './provider.ts';

export type ProviderChoice = 'auto' | CryptoProvider['name'];

class CryptoUnavailableError extends Error {
  override readonly name = 'CryptoUnavailableError';
  readonly code = 'CRYPTO_UNAVAILABLE';

  constructor(cause: unknown) {
    super('the native crypto provider does not load here; install sodium-native, or choose "auto" or "portable"', {
      cause,
    });
  }
}

async function createNative(): Promise<CryptoProvider> {
  const { createNativeProvider } = await import('./native.ts');
  return createNativeProvider();
}

/** `native` is replaced in tests only. Rejects with {@link CryptoUnavailableError} where `native` is asked and absent. */
export async function loadProvider(
  choice: ProviderChoice,
  native: () => Promise<CryptoProvider> = createNative,
): Promise<CryptoProvider> {
  if (choice === 'portable') return portableProvider;
  try {
    return await native();
  } catch (cause) {
    if (choice === 'native') throw new CryptoUnavailableError(cause);
    return portableProvider;
  }
}
