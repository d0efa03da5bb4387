/**
 * The six operations of registration.md on one request that has been decoded. Each is a stage of checks that give a
 * closed code and change nothing, and then one change of the ledger. Those of one name run one at a time (name-queues.ts), so
 * what a stage has read of it still holds at its change; what names share (leases, quotes, numbers) is taken in one turn.
 *
 * Chosen where the specification leaves room: a registration in grace is renewed by quote, register and finalise as by a
 * top-up, at the price of the day; without a price, a top-up with a credential gets `credential_kind` and one without
 * gets `credential_missing`, while a credential sent with `register` or `finalise` is left unspent. The bandwidth of an
 * answer is what was left at the last reading of the counters (metering.ts).
 */
import { timingSafeEqual } from 'node:crypto';
import type {
  AnswerBody,
  Credential,
  Enrolment,
  RegistrationName,
  RequestBody,
  TunnelAddresses,
} from '../lp/wire/registration-body.ts';
import { completed, failed } from './answers.ts';
import type { CredentialVerifier, Grant, Offer } from './credentials/verifier.ts';
import type { TunnelLeases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import type { RegistrarSettings } from './options.ts';
import { PresharedKey } from './preshared-key.ts';
import type { Quote, QuotedTunnel, Quotes } from './quotes.ts';
import { NO_TRANSFER, nameKey, ownsRegistration, type Registration, type SpentToken } from './store/store.ts';

/** Where nothing is known to become free at a certain time. */
const RETRY_FULL_S = 60;

export interface OperationsDependencies {
  readonly settings: RegistrarSettings;
  readonly ledger: Ledger;
  readonly quotes: Quotes;
  readonly leases: TunnelLeases;
  readonly verifier: CredentialVerifier;
  readonly blake3: (message: Uint8Array) => Uint8Array;
}

/** One request with what surrounds it. Secrets that the job copies are wiped with `scope`. */
export interface Job {
  readonly now: number;
  readonly source: string;
  readonly family: string;
  readonly quotesAllowed: number;
  readonly scope: DisposableStack;
  /** No other job runs. */
  readonly alone: boolean;
}

type Context = Job & { readonly ownerHash: Uint8Array };
type EnrolRequest = Extract<RequestBody, { op: 'quote' | 'register' }>;
type PricedOffer = Extract<Offer, { kind: 'price' }>;
/** What a grant cost: nothing, or a token that the ledger spends with the change. */
interface Payment {
  readonly grant: Grant;
  readonly token?: SpentToken;
}

export class Operations {
  readonly #settings: RegistrarSettings;
  readonly #ledger: Ledger;
  readonly #quotes: Quotes;
  readonly #leases: TunnelLeases;
  readonly #verifier: CredentialVerifier;
  readonly #blake3: (message: Uint8Array) => Uint8Array;
  /** New registrations under way that have no quote: they count against the limit before they stand. */
  #opening = 0;

  constructor(dependencies: OperationsDependencies) {
    this.#settings = dependencies.settings;
    this.#ledger = dependencies.ledger;
    this.#quotes = dependencies.quotes;
    this.#leases = dependencies.leases;
    this.#verifier = dependencies.verifier;
    this.#blake3 = dependencies.blake3;
  }

  run(request: RequestBody, job: Job): Promise<AnswerBody> {
    const context = { ...job, ownerHash: this.#blake3(request.owner) };
    switch (request.op) {
      case 'quote':
      case 'register':
        return this.#enrol(request, context);
      case 'finalise':
        return this.#finalise(request.name, request.credential, context);
      case 'balance':
        return this.#owned(request.name, context, async (standing) => completed(this.#settings, standing));
      case 'topup':
        return this.#owned(request.name, context, (standing) =>
          this.#payAndRenew(standing, standing, request.credential, context),
        );
      case 'release':
        return this.#owned(request.name, context, (standing) => this.#release(standing, context));
    }
  }

  /** `quote` and `register`, which differ only where there is a price to pay. */
  async #enrol(request: EnrolRequest, context: Context): Promise<AnswerBody> {
    const { enrolment } = request;
    if (!this.#settings.modes.includes(enrolment.mode)) return failed('mode_not_offered');
    if (this.#isBadKey(enrolment)) return failed('bad_key');
    const offer = this.#verifier.offer(enrolment.mode);
    const standing = await this.#ledger.find(enrolment, context);
    if (standing !== undefined) return this.#enrolAgain(standing, request, offer, context);
    const quote = this.#quotes.get(enrolment, context.now);
    if (quote !== undefined && !ownsRegistration(quote, context.ownerHash)) return failed('not_owner');
    if (quote === undefined && this.#isFull) return failed('limit_reached', this.#retryAfterQuotes(context.now));
    if (offer.kind !== 'free' && request.op === 'quote') return this.#quote(enrolment, offer, context);
    const counted = quote === undefined ? 1 : 0;
    this.#opening += counted;
    try {
      if (offer.kind === 'free') return await this.#open(enrolment, { grant: this.#settings.grant }, context);
      return await this.#openPaid(enrolment, request.op === 'register' ? request.credential : undefined, context);
    } finally {
      this.#opening -= counted;
    }
  }

  get #isFull(): boolean {
    return this.#ledger.size + this.#quotes.size + this.#opening >= this.#settings.registrationsLimit;
  }

  /** Rule 1: no charge while it stands; the preshared key is replaced in place. */
  async #enrolAgain(
    standing: Registration,
    request: EnrolRequest,
    offer: Offer,
    context: Context,
  ): Promise<AnswerBody> {
    if (!ownsRegistration(standing, context.ownerHash)) return failed('not_owner');
    const rekeyed = this.#withKeyOf(standing, request.enrolment, context);
    if (standing.phase.kind === 'active') return this.#replace(standing, rekeyed);
    if (offer.kind === 'free') return this.#renewFree(standing, rekeyed, context);
    if (request.op === 'register') return this.#payAndRenew(standing, rekeyed, request.credential, context);
    await this.#replace(standing, rekeyed);
    const addresses = standing.mode === 'dvpn' ? standing.addresses : undefined;
    return credentialRequired(offer, addresses, standing.phase.until);
  }

  /** Holds addresses for a new name, or returns what is held for it. */
  #quote(enrolment: Enrolment, offer: PricedOffer, context: Context): AnswerBody {
    const standing = this.#quotes.get(enrolment, context.now);
    if (standing !== undefined) {
      if (enrolment.mode === 'dvpn') this.#quotes.replaceKey(standing, new PresharedKey(enrolment.presharedKey));
      return credentialRequired(offer, standing.tunnel?.addresses, standing.heldUntil);
    }
    if (
      this.#quotes.ofSource(context.source) >= context.quotesAllowed ||
      this.#quotes.ofFamily(context.family) >= this.#settings.quotesPerSession
    ) {
      return failed('limit_reached', this.#retryAfterQuotes(context.now));
    }
    let tunnel: QuotedTunnel | undefined;
    if (enrolment.mode === 'dvpn') {
      const addresses = this.#leases.hold();
      if (addresses === undefined) return failed('pool_exhausted', this.#retryAfterQuotes(context.now));
      tunnel = { addresses, presharedKey: new PresharedKey(enrolment.presharedKey) };
    }
    const { source, family, ownerHash } = context;
    const heldUntil = context.now + this.#settings.quoteHoldSeconds;
    this.#quotes.add({ name: nameOf(enrolment), ownerHash, tunnel, source, family, heldUntil });
    return credentialRequired(offer, tunnel?.addresses, heldUntil);
  }

  async #finalise(name: RegistrationName, credential: Credential | undefined, context: Context): Promise<AnswerBody> {
    const standing = await this.#ledger.find(name, context);
    if (standing !== undefined) {
      if (!ownsRegistration(standing, context.ownerHash)) return failed('not_owner');
      if (standing.phase.kind === 'active') return completed(this.#settings, standing);
      return this.#verifier.offer(name.mode).kind === 'free'
        ? this.#renewFree(standing, standing, context)
        : this.#payAndRenew(standing, standing, credential, context);
    }
    const quote = this.#quotes.get(name, context.now);
    if (quote === undefined) return failed('no_quote');
    if (!ownsRegistration(quote, context.ownerHash)) return failed('not_owner');
    return this.#openPaid(enrolmentOf(quote), credential, context);
  }

  async #release(standing: Registration, context: Context): Promise<AnswerBody> {
    await this.#ledger.change({ before: standing, after: undefined });
    return completed(this.#settings, standing, { bandwidth: 0, expires: context.now });
  }

  /** Rule 8: whether a name stands is told to nobody but its owner. */
  async #owned(
    name: RegistrationName,
    context: Context,
    act: (standing: Registration) => Promise<AnswerBody>,
  ): Promise<AnswerBody> {
    const standing = await this.#ledger.find(name, context);
    return standing !== undefined && ownsRegistration(standing, context.ownerHash)
      ? act(standing)
      : failed('not_owner');
  }

  async #openPaid(enrolment: Enrolment, credential: Credential | undefined, context: Context): Promise<AnswerBody> {
    const payment = await this.#pay(enrolment, credential, context);
    return 'status' in payment ? payment : this.#open(enrolment, payment, context);
  }

  /** A new registration, on the addresses of its quote if it has one. */
  async #open(enrolment: Enrolment, { grant, token }: Payment, context: Context): Promise<AnswerBody> {
    const quote = this.#quotes.get(enrolment, context.now);
    const addresses = enrolment.mode === 'mixnet' ? undefined : (quote?.tunnel?.addresses ?? this.#leases.hold());
    if (enrolment.mode === 'dvpn' && addresses === undefined) {
      return failed('pool_exhausted', this.#retryAfterQuotes(context.now));
    }
    try {
      const after = opened(enrolment, addresses, grant, context);
      const outcome = await this.#ledger.change({ before: undefined, after, ...(token && { token }) });
      // The name does not stand, so even a token that this name paid with bought something that has ended since.
      if (outcome !== 'spent_now') return failed('credential_spent');
      if (quote !== undefined) this.#quotes.remove(quote);
      return completed(this.#settings, after);
    } catch (error) {
      // A change that could be neither followed nor taken back stands: the quote must not keep addresses that it has.
      if (quote?.tunnel !== undefined && this.#leases.isAllocated(quote.tunnel.addresses)) this.#quotes.remove(quote);
      throw error;
    } finally {
      if (quote === undefined && addresses !== undefined) this.#leases.releaseHeld(addresses);
    }
  }

  async #payAndRenew(
    before: Registration,
    rekeyed: Registration,
    credential: Credential | undefined,
    context: Context,
  ): Promise<AnswerBody> {
    const payment = await this.#pay(before, credential, context);
    if ('status' in payment) return payment;
    const { grant, token } = payment;
    const after: Registration = {
      ...rekeyed,
      bandwidth: Math.min(before.bandwidth + grant.bandwidth, Number.MAX_SAFE_INTEGER),
      expires: Math.max(before.expires, context.now) + grant.lifetimeSeconds,
      phase: { kind: 'active' },
    };
    const outcome = await this.#ledger.change({ before, after, ...(token && { token }) });
    if (outcome === 'spent_by_other') return failed('credential_spent');
    // The answer to the first request with this token was lost: what it bought is there already.
    return completed(this.#settings, outcome === 'spent_now' ? after : before);
  }

  /** Sets what a new registration would get; a remainder is not added, or waiting out the grace would save up. */
  #renewFree(before: Registration, rekeyed: Registration, context: Context): Promise<AnswerBody> {
    const { bandwidth, lifetimeSeconds } = this.#settings.grant;
    const expires = context.now + lifetimeSeconds;
    return this.#replace(before, { ...rekeyed, bandwidth, expires, phase: { kind: 'active' } });
  }

  async #replace(before: Registration, after: Registration): Promise<AnswerBody> {
    if (after !== before) await this.#ledger.change({ before, after });
    return completed(this.#settings, after);
  }

  async #pay(
    name: RegistrationName,
    credential: Credential | undefined,
    context: Context,
  ): Promise<Payment | AnswerBody> {
    if (credential === undefined) return failed('credential_missing');
    const verdict = await this.#verifier.verify(credential, context.now);
    if (verdict.kind === 'refused') return failed(verdict.code);
    const token = { id: verdict.tokenId, payer: nameKey(name), keepUntil: verdict.keepUntil };
    return { grant: verdict.grant, token };
  }

  /** The same object where the key is the one that stands. */
  #withKeyOf(standing: Registration, enrolment: Enrolment, context: Context): Registration {
    if (standing.mode !== 'dvpn' || enrolment.mode !== 'dvpn') return standing;
    const presharedKey = context.scope.use(new PresharedKey(enrolment.presharedKey));
    return presharedKey.equals(standing.presharedKey) ? standing : { ...standing, presharedKey };
  }

  /** WireGuard reads an all-zero preshared key as none at all. */
  #isBadKey(enrolment: Enrolment): boolean {
    if (enrolment.mode === 'mixnet') return isZero(enrolment.clientId);
    const { wgPublicKey, presharedKey } = enrolment;
    return (
      isZero(wgPublicKey) || isZero(presharedKey) || timingSafeEqual(wgPublicKey, this.#settings.wireGuardPublicKey)
    );
  }

  #retryAfterQuotes(now: number): number {
    const next = this.#quotes.nextExpiry();
    return next === undefined ? RETRY_FULL_S : Math.max(1, next - now);
  }
}

function opened(
  enrolment: Enrolment,
  addresses: TunnelAddresses | undefined,
  grant: Grant,
  context: Context,
): Registration {
  const common = {
    ownerHash: context.ownerHash,
    bandwidth: grant.bandwidth,
    expires: context.now + grant.lifetimeSeconds,
    phase: { kind: 'active' },
  } as const;
  if (enrolment.mode === 'mixnet' || addresses === undefined) {
    if (enrolment.mode === 'dvpn') throw new Error('assertion: a tunnel has addresses');
    return { ...common, mode: 'mixnet', clientId: Uint8Array.from(enrolment.clientId) };
  }
  const presharedKey = context.scope.use(new PresharedKey(enrolment.presharedKey));
  const wgPublicKey = Uint8Array.from(enrolment.wgPublicKey);
  return { ...common, mode: 'dvpn', wgPublicKey, presharedKey, addresses, charged: NO_TRANSFER };
}

function credentialRequired(
  { challenge, issuer, price }: PricedOffer,
  addresses: TunnelAddresses | undefined,
  heldUntil: number,
): AnswerBody {
  return {
    status: 'credential_required',
    ...(addresses && { addresses }),
    challenge,
    issuer,
    price,
    heldUntil,
  };
}

/** A copy: what came in a body is not kept. */
function nameOf(enrolment: Enrolment): RegistrationName {
  return enrolment.mode === 'dvpn'
    ? { mode: 'dvpn', wgPublicKey: Uint8Array.from(enrolment.wgPublicKey) }
    : { mode: 'mixnet', clientId: Uint8Array.from(enrolment.clientId) };
}

function enrolmentOf(quote: Quote): Enrolment {
  if (quote.name.mode === 'mixnet') return quote.name;
  if (quote.tunnel === undefined) throw new Error('assertion: a quoted tunnel has addresses');
  return { ...quote.name, presharedKey: quote.tunnel.presharedKey.bytes };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
