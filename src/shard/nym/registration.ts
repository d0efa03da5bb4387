/**
 * Nym's registration steps (nym.md §8) as what the registrar reads, and its answers back: Initial is a quote, Finalise pays
 * for it. A quote is bounded in time and per source there, and a name that stands is completed with its tunnel in place
 * (§15 N4, B41, B42).
 *
 * Nothing in this protocol tells one client from another: their keys are thrown away. So the WireGuard key names a
 * registration and owns it, too, as the protocol has it; a secret of the gateway is mixed in, so that a name of Nym's is no
 * LP2 client's to change, and none of theirs can be changed from here.
 */
import type { CryptoProvider } from '../../lp/crypto/provider.ts';
import type { DvpnRequest } from '../../lp/nym/gateway-session.ts';
import { NYM_FAILURE_TEXT, type NymRegistrationResponse, nymFailureText } from '../../lp/nym/registration.ts';
import { concat } from '../../lp/wire/bytes.ts';
import {
  type AnswerBody,
  decodeAnswer,
  encodeRequest,
  type RegistrationCode,
} from '../../lp/wire/registration-body.ts';

/** Kinds of credentials for whoever verifies them; the token is the claim as it came, with the kind of its ticket. */
const CREDENTIAL_KIND = { zk_nym: 'nym-zk-nym', upgrade_mode: 'nym-upgrade-mode' } as const;

const CREDENTIAL_FAILED = 'credential verification failed';

const TEXTS: Readonly<Record<RegistrationCode, string>> = {
  mode_not_offered: NYM_FAILURE_TEXT.noDvpn,
  bad_key: nymFailureText('the key cannot be used'),
  not_owner: nymFailureText('the key is registered by another client'),
  no_quote: NYM_FAILURE_TEXT.notInProgress,
  credential_missing: nymFailureText(`${CREDENTIAL_FAILED}: it is missing`),
  credential_kind: nymFailureText(`${CREDENTIAL_FAILED}: this node does not take credentials of this kind`),
  credential_invalid: nymFailureText(`${CREDENTIAL_FAILED}: it does not verify`),
  credential_wrong_challenge: nymFailureText(`${CREDENTIAL_FAILED}: it was made for another node`),
  credential_expired: nymFailureText(`${CREDENTIAL_FAILED}: it has expired`),
  credential_spent: nymFailureText(`${CREDENTIAL_FAILED}: it has been spent`),
  pool_exhausted: nymFailureText('there is no free address'),
  limit_reached: nymFailureText('there are too many registrations'),
  try_later: NYM_FAILURE_TEXT.tryLater,
  internal: nymFailureText('internal error'),
};

export function failed(text: string): NymRegistrationResponse {
  return { kind: 'failed', mode: 'dvpn', text };
}

export interface NameOwner {
  readonly crypto: CryptoProvider;
  /** 32 bytes that only this gateway knows, and keeps as long as its registrations. */
  readonly ownerSecret: Uint8Array;
}

/**
 * A body for the registrar, to be wiped: it holds secrets. `name`: the WireGuard key of the Initial before, on this
 * session; a Finalise without one has no body.
 */
export function registrarBody(owner: NameOwner, request: DvpnRequest, name?: Uint8Array): Uint8Array | undefined {
  const wgPublicKey = request.kind === 'initial' ? request.wgPublicKey : name;
  if (wgPublicKey === undefined) return undefined;
  const ownerKey = ownerOf(owner, wgPublicKey);
  try {
    if (request.kind === 'initial') {
      const { presharedKey } = request;
      return encodeRequest({ op: 'quote', enrolment: { mode: 'dvpn', wgPublicKey, presharedKey }, owner: ownerKey });
    }
    const credential = { kind: CREDENTIAL_KIND[request.claim.kind], token: request.claim.bytes };
    return encodeRequest({ op: 'finalise', name: { mode: 'dvpn', wgPublicKey }, owner: ownerKey, credential });
  } finally {
    ownerKey.fill(0);
  }
}

/** The registrar's answer in this protocol's words. No text of a peer is in it. */
export function responseOf(body: Uint8Array): NymRegistrationResponse {
  const decoded = decodeAnswer(body);
  return decoded.kind === 'malformed' ? failed(TEXTS.internal) : responseTo(decoded.value);
}

function responseTo(answer: AnswerBody): NymRegistrationResponse {
  switch (answer.status) {
    case 'credential_required':
      return { kind: 'credential_required' };
    case 'failed':
      return failed(TEXTS[answer.code]);
    case 'completed': {
      const port = answer.mode === 'dvpn' ? portOf(answer.endpoints) : undefined;
      if (answer.mode !== 'dvpn' || port === undefined) return failed(TEXTS.internal);
      const { ipv4, ipv6 } = answer.addresses;
      return {
        kind: 'completed',
        tunnel: { wgPublicKey: answer.wgPublicKey, port, ipv4, ipv6, upgradeMode: false },
      };
    }
  }
}

/** Clients take the host from the address that they dialled; that is the first announced one in most cases. */
function portOf(endpoints: readonly string[]): number | undefined {
  const port = Number(endpoints[0]?.split(':').at(-1));
  return Number.isInteger(port) && port > 0 ? port : undefined;
}

function ownerOf({ crypto, ownerSecret }: NameOwner, wgPublicKey: Uint8Array): Uint8Array {
  const material = concat(wgPublicKey, ownerSecret);
  const owner = crypto.kdf('nym owner', material);
  material.fill(0);
  return owner;
}
