/**
 * Registrations that a command makes to try a gateway: fresh random keys for each, and what may be shown of the answer.
 * The secrets (WireGuard key, preshared key, owner) are never shown and are wiped with `wipe`.
 */
import ipaddr from 'ipaddr.js';
import type { AnswerBody, RegistrationCode } from '../client/index.ts';
import type { CryptoProvider, RandomSource } from '../lp/crypto/provider.ts';
import { StepFailure } from './step-log.ts';

const KEY_LENGTH = 32;
const MAX_TOLD_LENGTH = 120;

export interface FreshEnrolment {
  /** Of `wgPublicKey`. */
  readonly secretKey: Uint8Array;
  readonly mode: 'dvpn';
  readonly wgPublicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly owner: Uint8Array;
}

/** What a registration brought, without secrets. */
export interface ShownRegistration {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly endpoints: readonly string[];
  /** Seconds. */
  readonly keepalive: number;
  /** Bytes. */
  readonly bandwidth: number;
  /** Unix seconds; null where the gateway does not tell. */
  readonly expires: number | null;
}

export function freshEnrolment(crypto: CryptoProvider, random: RandomSource): FreshEnrolment {
  const bytes = () => {
    const out = new Uint8Array(KEY_LENGTH);
    random.fill(out);
    return out;
  };
  const secretKey = bytes();
  // As "wg genkey" gives it.
  secretKey[0] = (secretKey[0] ?? 0) & 248;
  secretKey[31] = ((secretKey[31] ?? 0) & 127) | 64;
  const wgPublicKey = crypto.x25519PublicKey(secretKey);
  return { mode: 'dvpn', secretKey, wgPublicKey, presharedKey: bytes(), owner: bytes() };
}

export function wipe({ secretKey, presharedKey, owner }: FreshEnrolment): void {
  secretKey.fill(0);
  presharedKey.fill(0);
  owner.fill(0);
}

/** Throws StepFailure when the gateway did not register. */
export function shownRegistration(answer: AnswerBody): ShownRegistration {
  switch (answer.status) {
    case 'completed': {
      if (answer.mode !== 'dvpn') throw failure('malformed_answer', 'the gateway registered for another mode');
      const { addresses, endpoints, keepalive, bandwidth, expires } = answer;
      // The client's word for "not told" (LP1's answer has no such field) is the largest number.
      const told = expires === Number.MAX_SAFE_INTEGER ? null : expires;
      return { ...textOf(addresses), endpoints, keepalive, bandwidth, expires: told };
    }
    case 'credential_required': {
      const { tokens } = answer.price;
      return refuse(
        'credential_required',
        `the gateway asks for ${tokens} ${tokens === 1 ? 'token' : 'tokens'} again, though it was paid; tell its operator`,
      );
    }
    case 'failed':
      return refuse(answer.code, adviceOf(answer));
  }
}

/** Throws StepFailure when the gateway did not release. */
export function checkReleased(answer: AnswerBody): void {
  if (answer.status === 'completed') return;
  refuse(answer.status === 'failed' ? answer.code : answer.status, 'the gateway did not release the registration');
}

/** An answer without a code of its own, as all of LP1's are, has only its text to tell what would help. */
function adviceOf({ code, text }: Extract<AnswerBody, { status: 'failed' }>): string {
  // A peer's text may end up on a terminal.
  const told = code === 'internal' ? text.replaceAll(/[^\x20-\x7e]/g, '').slice(0, MAX_TOLD_LENGTH) : '';
  const advice = ADVICE[code] ?? 'the gateway refused the registration; ask its operator';
  return told === '' ? advice : `the gateway did not register (it says: ${told})`;
}

const ADVICE: Partial<Readonly<Record<RegistrationCode, string>>> = {
  mode_not_offered: 'the gateway offers no dVPN registrations (registration.modes); ask its operator',
  credential_spent: 'the token has been spent already; fetch another one',
  credential_expired: 'the issuer has ended the key of the token; fetch another one',
  credential_invalid:
    'the gateway does not know the key of the token: it takes those of another issuer, or has not heard of a new key yet; ask its operator',
  credential_wrong_challenge: 'the token was made for another gateway or issuer; fetch one for this gateway',
  pool_exhausted: 'the gateway has no free address; try later, or enlarge its registration.ipv4_pool and ipv6_pool',
  limit_reached: 'the gateway has too many registrations (registration.registrations); try later',
  try_later: 'the gateway cannot register now; try later',
  internal: 'the registrar of the gateway failed; see its log',
};

function refuse(reason: string, message: string): never {
  throw failure('registration_failed', message, reason);
}

function failure(code: string, message: string, reason: string = code): StepFailure {
  return new StepFailure({ code, reason, message });
}

function textOf({ ipv4, ipv6 }: { readonly ipv4: Uint8Array; readonly ipv6: Uint8Array }) {
  const text = (bytes: Uint8Array) => ipaddr.fromByteArray([...bytes]).toString();
  return { ipv4: text(ipv4), ipv6: text(ipv6) };
}
