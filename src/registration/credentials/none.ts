/** `credentials.kind = "none"`: everything is free, and no credential of any kind is taken (registration.md, rule 7). */
import type { CredentialVerifier } from './verifier.ts';

export function createNoPrice(): CredentialVerifier {
  return {
    offer: () => ({ kind: 'free' }),
    verify: async () => ({ kind: 'refused', code: 'credential_kind' }),
  };
}
