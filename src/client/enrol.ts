/**
 * Registering and topping up where a price is asked (registration.md): quote, token, finalise. Invariant: a token is taken
 * only for a challenge of this very gateway, in the one form that is the same for all clients; whatever is repeated after a
 * lost answer pays with the token that was sent before (purse.ts).
 */
import { sameBytes } from '../lp/wire/bytes.ts';
import { keyToBase58 } from '../lp/wire/key-text.ts';
import { decodeTokenChallenge, encodeTokenChallenge } from '../lp/wire/privacy-pass.ts';
import type { AnswerBody, RegistrationName } from '../lp/wire/registration-body.ts';
import { aborted, type Hop, LewesError } from './errors.ts';
import { Purse } from './purse.ts';
import type { PaidRequest, RegisterRequest, StandingRequest } from './registration.ts';
import { TokenError } from './token-error.ts';
import type { TokenSource } from './token-source.ts';

/** What of a gateway a purchase needs; requests reject with LewesErrors. */
export interface Counter {
  readonly hop: Hop;
  /** The gateway's Ed25519 key. */
  readonly identity: Uint8Array;
  quote(request: RegisterRequest): Promise<AnswerBody>;
  finalise(request: PaidRequest): Promise<AnswerBody>;
  topup(request: PaidRequest): Promise<AnswerBody>;
}

type PricedAnswer = Extract<AnswerBody, { status: 'credential_required' }>;

/** A quote may run out while a slow source works; a second one does not. */
const QUOTES = 2;

/** The last answer: `completed`, or why not. */
export function enrolPaid(
  counter: Counter,
  request: RegisterRequest,
  source: TokenSource,
  signal?: AbortSignal,
): Promise<AnswerBody> {
  const purse = Purse.of(source);
  const purchase = `open ${purchaseOf(counter, request)}`;
  return told(counter, signal, () => purse.inTurn(purchase, () => buy(counter, request, purse, purchase, signal)));
}

async function buy(
  counter: Counter,
  request: RegisterRequest,
  purse: Purse,
  purchase: string,
  signal: AbortSignal | undefined,
): Promise<AnswerBody> {
  for (let quotes = 1; ; quotes++) {
    const quoted = await counter.quote(request);
    if (quoted.status === 'completed') purse.bought(purchase);
    if (quoted.status !== 'credential_required') return quoted;
    const challenge = checkedChallenge(quoted, counter);
    purse.noteIssuer(keyToBase58(counter.identity), quoted.issuer);
    const answer = await purse.pay(purchase, challenge, signal, (credential) =>
      counter.finalise({ ...standingOf(request), credential }),
    );
    if (answer.status === 'failed' && answer.code === 'no_quote' && quotes < QUOTES) continue;
    return answer;
  }
}

/** `issuerName` is needed where no quote of this gateway has been paid from this source yet. */
export function topupPaid(
  counter: Counter,
  request: StandingRequest,
  source: TokenSource,
  issuerName?: string,
  signal?: AbortSignal,
): Promise<AnswerBody> {
  const purse = Purse.of(source);
  const purchase = `topup ${purchaseOf(counter, request)}`;
  const work = async () => {
    const gateway = keyToBase58(counter.identity);
    const issuer = issuerName ?? purse.issuerOf(gateway);
    if (issuer === undefined && !purse.has(purchase)) {
      const message =
        'it is not known whose tokens this gateway takes, for no quote of it was seen; give the issuerName to topup';
      throw paymentError(counter.hop, 'issuer_unknown', message);
    }
    const challenge = encodeTokenChallenge({ issuerName: issuer ?? '?', originInfo: gateway });
    return purse.pay(purchase, challenge, signal, (credential) => counter.topup({ ...request, credential }));
  };
  return told(counter, signal, () => purse.inTurn(purchase, work));
}

/** A copy of the challenge, once it is found to be for this gateway. Throws `payment_failed`. */
function checkedChallenge({ challenge, issuer, price }: PricedAnswer, { identity, hop }: Counter): Uint8Array {
  const decoded = decodeTokenChallenge(challenge);
  if (decoded === undefined || decoded.issuerName !== issuer) {
    const message = 'the challenge of the gateway is none of token type 2; update this client, or tell its operator';
    throw paymentError(hop, 'challenge', message);
  }
  const own = encodeTokenChallenge({ issuerName: issuer, originInfo: keyToBase58(identity) });
  if (!sameBytes(own, challenge)) {
    const message =
      'the gateway asks for a token that is not for itself alone, so none was spent; tell its operator, and do not pay there';
    throw paymentError(hop, 'wrong_challenge', message);
  }
  if (price.tokens !== 1) {
    const message = `the gateway asks for ${price.tokens} tokens at once, which no client can pay; tell its operator`;
    throw paymentError(hop, 'price', message);
  }
  return own;
}

function paymentError(hop: Hop, reason: string, message: string, cause?: unknown): LewesError {
  return new LewesError({ code: 'payment_failed', hop, step: 'registration', reason, message, cause });
}

/** Whatever goes wrong is a LewesError. */
async function told(
  { hop }: Counter,
  signal: AbortSignal | undefined,
  work: () => Promise<AnswerBody>,
): Promise<AnswerBody> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LewesError) throw error;
    if (signal?.aborted) throw aborted(hop, 'registration', signal);
    if (error instanceof TokenError) throw paymentError(hop, error.code, error.message, error);
    throw paymentError(hop, 'token_source', 'the source of tokens failed; see the cause', error);
  }
}

function standingOf({ owner, ...enrolment }: RegisterRequest): StandingRequest {
  return enrolment.mode === 'dvpn'
    ? { mode: 'dvpn', wgPublicKey: enrolment.wgPublicKey, owner }
    : { mode: 'mixnet', clientId: enrolment.clientId, owner };
}

function purchaseOf({ identity }: Counter, name: RegistrationName): string {
  const bytes = name.mode === 'dvpn' ? name.wgPublicKey : name.clientId;
  return `${name.mode} ${Buffer.from(bytes).toString('hex')} at ${keyToBase58(identity)}`;
}
