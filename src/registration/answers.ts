/** The answers of the registrar as values, with the text of every closed code (registration.md, "Answer"). */
import type { AnswerBody, RegistrationCode } from '../lp/wire/registration-body.ts';
import type { RegistrarSettings } from './options.ts';
import type { Registration } from './store/store.ts';

const TEXTS: Readonly<Record<RegistrationCode, string>> = {
  mode_not_offered: 'this gateway does not offer the mode',
  bad_key: 'an all-zero key or id cannot be used, nor the key of the gateway itself',
  not_owner: 'no registration of this name belongs to this owner',
  no_quote: 'there is no quote of this name; ask for one first',
  credential_missing: 'this needs a credential',
  credential_kind: 'this gateway does not take credentials of this kind',
  credential_invalid: 'the credential does not verify',
  credential_wrong_challenge: 'the credential was issued for another gateway',
  credential_expired: 'the issuer key of the credential has been retired',
  credential_spent: 'the credential has been spent',
  pool_exhausted: 'there is no free address',
  limit_reached: 'there are too many registrations or quotes',
  try_later: 'the registrar cannot do this at the moment',
  internal: 'the registrar failed',
};

export function failed(code: RegistrationCode, retryAfter?: number): AnswerBody {
  const text = TEXTS[code];
  return retryAfter === undefined ? { status: 'failed', code, text } : { status: 'failed', code, text, retryAfter };
}

/** `balance` where it is not the registration's own (a release). */
export function completed(
  settings: RegistrarSettings,
  registration: Registration,
  balance: { readonly bandwidth: number; readonly expires: number } = registration,
): AnswerBody {
  const { bandwidth, expires } = balance;
  if (registration.mode === 'mixnet') return { status: 'completed', mode: 'mixnet', bandwidth, expires };
  return {
    status: 'completed',
    mode: 'dvpn',
    wgPublicKey: settings.wireGuardPublicKey,
    endpoints: settings.endpoints,
    addresses: registration.addresses,
    keepalive: settings.keepaliveSeconds,
    bandwidth,
    expires,
  };
}
