/**
 * What a registration costs and whether a credential pays for it. A verifier judges credentials; that one pays only once
 * is the store's matter, which writes the token and what it bought in one transaction (registration.md, rules 2 and 7).
 */
import type { Credential, Price, RegistrationCode, RegistrationMode } from '../../lp/wire/registration-body.ts';

export interface Grant {
  /** Bytes. */
  readonly bandwidth: number;
  readonly lifetimeSeconds: number;
}

export type Offer =
  | { readonly kind: 'free' }
  | { readonly kind: 'price'; readonly challenge: Uint8Array; readonly issuer: string; readonly price: Price };

/** Why a credential is refused, before the store is asked whether it has been spent. */
export type CredentialRefusal = Extract<
  RegistrationCode,
  'credential_kind' | 'credential_invalid' | 'credential_wrong_challenge' | 'credential_expired'
>;

export type Verdict =
  | { readonly kind: 'refused'; readonly code: CredentialRefusal }
  | {
      readonly kind: 'accepted';
      /** Names the token among all that this gateway ever accepts; kept until `keepUntil` (unix seconds). */
      readonly tokenId: Uint8Array;
      readonly keepUntil: number;
      readonly grant: Grant;
    };

export interface CredentialVerifier {
  offer(mode: RegistrationMode): Offer;
  /** A hostile credential is a refusal, never a rejection. `now` is in unix seconds. */
  verify(credential: Credential, now: number): Promise<Verdict>;
}
