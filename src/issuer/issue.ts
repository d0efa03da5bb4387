/**
 * Issuance without HTTP (RFC 9578 §6.2): TokenRequest bytes to TokenResponse bytes, or a reason. Checking and signing are
 * apart, so that a quota is charged between them: what is charged for is signed.
 */
import { decodeTokenRequest } from '../lp/wire/privacy-pass.ts';
import { type BlindKey, blindSign } from './blind-key.ts';

/** `malformed`: another length or token type. `unknown_key`: no key that issues now. `out_of_range`: not below the modulus. */
export type IssueRefusal = 'malformed' | 'unknown_key' | 'out_of_range';

export type CheckedRequest =
  | { readonly kind: 'sound'; readonly key: BlindKey; readonly blinded: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: IssueRefusal };

export type Issued =
  | { readonly kind: 'response'; readonly bytes: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: IssueRefusal };

/** The key that issues now under a truncated token_key_id. */
export type FindKey = (truncatedId: number) => BlindKey | undefined;

export function checkTokenRequest(bytes: Uint8Array, find: FindKey): CheckedRequest {
  const request = decodeTokenRequest(bytes);
  if (request === undefined) return { kind: 'refused', reason: 'malformed' };
  const key = find(request.truncatedKeyId);
  if (key === undefined) return { kind: 'refused', reason: 'unknown_key' };
  const { blinded } = request;
  if (Buffer.compare(blinded, key.modulus) >= 0) return { kind: 'refused', reason: 'out_of_range' };
  return { kind: 'sound', key, blinded };
}

export function issueToken(bytes: Uint8Array, find: FindKey): Issued {
  const checked = checkTokenRequest(bytes, find);
  if (checked.kind === 'refused') return checked;
  return { kind: 'response', bytes: blindSign(checked.key, checked.blinded) };
}
