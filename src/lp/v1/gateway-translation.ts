/**
 * A gateway's side of LP1's application layer: registration requests to the bodies that the registrar reads
 * (registration.md, rule 10), and its answers back. Whatever goes wrong is told in this side's own words, which say what
 * to do; no text or byte of a peer comes back to one.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { ApplicationAnswer } from '../session.ts';
import { FAILURE_CODE } from '../wire/application-frame.ts';
import { concat } from '../wire/bytes.ts';
import { type AnswerBody, decodeAnswer, encodeRequest, type RegistrationCode } from '../wire/registration-body.ts';
import {
  encodeRegistrationResponse,
  type GatewayData,
  type LpRegistrationRequest,
  type LpRegistrationResponse,
} from './application-bodies.ts';
import { ZK_NYM_KIND } from './credential.ts';
import { isUnspecified, parseSocketAddress, type SocketAddress } from './socket-address.ts';

/** lp1.md §8.6: how far a client's clock may be off. */
const MAX_CLOCK_DIFFERENCE_S = 30n;
const MAX_BANDWIDTH = 2n ** 63n - 1n;

export interface RegistrationKeys {
  /** Of the client, as its ClientHello has it. */
  readonly clientEd25519: Uint8Array;
  readonly gatewayEd25519: Uint8Array;
  /** 32 bytes that only this gateway knows, and keeps as long as its registrations. */
  readonly ownerSecret: Uint8Array;
}

export type NeutralRegistration =
  /** A request body for the registrar (op `register`); it holds a secret, so it is wiped after use. */
  | { readonly kind: 'submit'; readonly body: Uint8Array }
  /** The payload of the reply. */
  | { readonly kind: 'answer'; readonly payload: Uint8Array };

/** The request may be a view: what is needed of it is copied. */
export function registrationToNeutral(
  crypto: CryptoProvider,
  request: LpRegistrationRequest,
  keys: RegistrationKeys,
  nowUnixMs: number,
): NeutralRegistration {
  // With bigint no timestamp overflows (§10-C 19c).
  const difference = BigInt(Math.floor(nowUnixMs / 1000)) - request.timestamp;
  if (difference > MAX_CLOCK_DIFFERENCE_S || difference < -MAX_CLOCK_DIFFERENCE_S) {
    return { kind: 'answer', payload: encodeError('Invalid timestamp') };
  }
  const { mode, wgPublicKey, credential } = request;
  const owner = ownerOf(crypto, keys);
  const body = encodeRequest({
    op: 'register',
    enrolment:
      mode.kind === 'mixnet'
        ? { mode: 'mixnet', clientId: mode.clientId }
        : // A public value is no preshared key (§10-B 17), but it is what LP1's clients configure (§8.6).
          { mode: 'dvpn', wgPublicKey, presharedKey: keys.gatewayEd25519 },
    owner,
    credential: { kind: ZK_NYM_KIND, token: credential },
  });
  owner.fill(0);
  return { kind: 'submit', body };
}

/**
 * LP1 has no owner's secret, so the session's Ed25519 key stands for it. That key is public: it crosses the wire in the
 * ClientHello. A secret of this gateway is mixed in, or else whoever saw the hello could compute the owner and release or
 * replace the registration over LP2.
 */
function ownerOf(crypto: CryptoProvider, keys: RegistrationKeys): Uint8Array {
  const material = concat(keys.clientEd25519, keys.ownerSecret);
  const owner = crypto.kdf('lp1 owner', material);
  material.fill(0);
  return owner;
}

export type RegistrationOutcome = Extract<ApplicationAnswer, { readonly kind: 'registration' | 'failure' }>;

/** The payload of the reply, whatever came of the request. */
export function answerToPayload(answer: RegistrationOutcome): Uint8Array {
  if (answer.kind === 'failure') return encodeError(failureText(answer.code));
  const decoded = decodeAnswer(answer.body);
  if (decoded.kind === 'malformed') return encodeError(TEXTS.internal);
  return encodeRegistrationResponse(responseOf(decoded.value));
}

function responseOf(answer: AnswerBody): LpRegistrationResponse {
  switch (answer.status) {
    case 'completed': {
      const allocatedBandwidth = bandwidthOf(answer.bandwidth);
      if (answer.mode === 'mixnet') return { success: true, allocatedBandwidth };
      const endpoint = chooseEndpoint(answer.endpoints);
      if (endpoint === undefined) return { success: false, error: NO_ENDPOINT };
      const { ipv4, ipv6 } = answer.addresses;
      const gatewayData: GatewayData = { publicKey: answer.wgPublicKey, endpoint, ipv4, ipv6 };
      return { success: true, gatewayData, allocatedBandwidth };
    }
    case 'credential_required':
      return { success: false, error: CREDENTIAL_REQUIRED };
    case 'failed': {
      const { code, retryAfter } = answer;
      return { success: false, error: retryAfter === undefined ? TEXTS[code] : `${TEXTS[code]} (in ${retryAfter} s)` };
    }
  }
}

/** The first IPv4 endpoint, which every client can send to, else the first one. Never an unspecified one (§10-C 32). */
function chooseEndpoint(endpoints: readonly string[]): SocketAddress | undefined {
  const usable = endpoints
    .map(parseSocketAddress)
    .filter((endpoint) => endpoint !== undefined)
    .filter((endpoint) => !isUnspecified(endpoint) && endpoint.port !== 0);
  return usable.find(({ family }) => family === 4) ?? usable[0];
}

function bandwidthOf(bytes: number): bigint {
  const wide = BigInt(bytes);
  return wide < MAX_BANDWIDTH ? wide : MAX_BANDWIDTH;
}

function encodeError(error: string): Uint8Array {
  return encodeRegistrationResponse({ success: false, error });
}

const NO_ENDPOINT = 'this gateway announces no WireGuard endpoint: choose another gateway';
const CREDENTIAL_REQUIRED = 'this gateway asks for a token that LP1 cannot carry: register over LP2';

const TEXTS: Readonly<Record<RegistrationCode, string>> = {
  mode_not_offered: 'this gateway does not offer the mode: choose the other mode or another gateway',
  bad_key: 'the key cannot be used: register with a new one',
  not_owner: 'the name belongs to another client: register with a new key',
  no_quote: 'there is no quote: register again',
  credential_missing: 'a credential is needed: register again with one',
  credential_kind: 'this gateway does not take credentials of this kind: register over LP2',
  credential_invalid: 'the credential does not verify: register again with a valid one',
  credential_wrong_challenge: 'the credential was issued for another gateway: register again with one for this gateway',
  credential_expired: 'the credential has expired: register again with a new one',
  credential_spent: 'the credential has been spent: register again with a new one',
  pool_exhausted: 'there is no free address: try later, or choose another gateway',
  limit_reached: 'there are too many registrations: try later, or choose another gateway',
  try_later: 'the gateway cannot register at the moment: try later',
  internal: 'the registration failed in the gateway: try later, or choose another gateway',
};

function failureText(code: number): string {
  switch (code) {
    case FAILURE_CODE.notOffered:
      return 'this gateway does not register: choose another gateway';
    case FAILURE_CODE.tryLater:
      return TEXTS.try_later;
    default:
      return TEXTS.internal;
  }
}
