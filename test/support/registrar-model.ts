/**
 * What a registrar with a price has to answer and to keep, in the simplest form that can be right: plain maps, no storage,
 * no tunnels, no failures (registration.md, rules 1 to 5 and 8). Expiry is as lazy as the registrar's: a name lapses when it
 * is looked up or swept, since what has not lapsed still counts against the bounds.
 */
export const MODEL = {
  bandwidth: 1_000,
  lifetime: 100,
  quoteHold: 120,
  grace: 300,
  limit: 7,
  quotesPerFamily: 3,
  quotesPerSource: 4,
  pool: 5,
} as const;

export interface ModelRegistration {
  readonly owner: string;
  readonly bandwidth: number;
  readonly expires: number;
  /** `undefined`: active. */
  readonly graceUntil: number | undefined;
}

interface ModelQuote {
  readonly owner: string;
  readonly heldUntil: number;
  readonly source: string;
  readonly family: string;
}

export interface Ask {
  readonly op: 'quote' | 'register' | 'finalise' | 'topup' | 'balance' | 'release';
  readonly name: string;
  readonly owner: string;
  readonly source: string;
  readonly family: string;
  readonly token: string | undefined;
}

export type Expected =
  | { readonly kind: 'completed'; readonly bandwidth: number; readonly expires: number }
  | { readonly kind: 'credential_required'; readonly heldUntil: number }
  | { readonly kind: 'failed'; readonly code: string };

const failed = (code: string): Expected => ({ kind: 'failed', code });

/** A name that begins so has a mixnet registration: no addresses, no peer. */
export const isMixnet = (name: string) => name.startsWith('mix');

export class RegistrarModel {
  registrations = new Map<string, ModelRegistration>();
  quotes = new Map<string, ModelQuote>();
  /** Who paid with it. */
  tokens = new Map<string, string>();

  copy(): RegistrarModel {
    const copy = new RegistrarModel();
    copy.registrations = new Map(this.registrations);
    copy.quotes = new Map(this.quotes);
    copy.tokens = new Map(this.tokens);
    return copy;
  }

  ask(ask: Ask, now: number): Expected {
    this.#expireQuotes(now);
    const standing = this.lapse(ask.name, now);
    switch (ask.op) {
      case 'quote':
      case 'register':
        return this.#enrol(ask, standing, now);
      case 'finalise':
        return this.#finalise(ask, standing, now);
      default:
        return this.#owned(ask, standing, now);
    }
  }

  /** Whether a registration or a quote of this name has addresses that an answer has to repeat. */
  stands(name: string, now: number): boolean {
    const found = this.registrations.get(name);
    const end = found && (found.graceUntil ?? found.expires + MODEL.grace);
    return (end ?? 0) > now || (this.quotes.get(name)?.heldUntil ?? 0) > now;
  }

  sweep(now: number): void {
    this.#expireQuotes(now);
    for (const name of [...this.registrations.keys()]) this.lapse(name, now);
  }

  /** The process ended: only what is durable stays. */
  restart(): void {
    this.quotes.clear();
  }

  lapse(name: string, now: number): ModelRegistration | undefined {
    let found = this.registrations.get(name);
    if (found !== undefined && found.graceUntil === undefined && found.expires <= now) {
      found = { ...found, graceUntil: found.expires + MODEL.grace };
      this.registrations.set(name, found);
    }
    if (found?.graceUntil === undefined || found.graceUntil > now) return found;
    this.registrations.delete(name);
    return undefined;
  }

  #enrol(ask: Ask, standing: ModelRegistration | undefined, now: number): Expected {
    if (standing !== undefined) {
      if (standing.owner !== ask.owner) return failed('not_owner');
      if (standing.graceUntil === undefined) return completed(standing);
      if (ask.op === 'register') return this.#renew(ask, standing, now);
      return { kind: 'credential_required', heldUntil: standing.graceUntil };
    }
    const quote = this.quotes.get(ask.name);
    if (quote !== undefined && quote.owner !== ask.owner) return failed('not_owner');
    if (quote === undefined && this.registrations.size + this.quotes.size >= MODEL.limit)
      return failed('limit_reached');
    if (ask.op === 'register') return this.#open(ask, now);
    if (quote !== undefined) return { kind: 'credential_required', heldUntil: quote.heldUntil };
    const quotes = [...this.quotes.values()];
    if (
      quotes.filter(({ source }) => source === ask.source).length >= MODEL.quotesPerSource ||
      quotes.filter(({ family }) => family === ask.family).length >= MODEL.quotesPerFamily
    ) {
      return failed('limit_reached');
    }
    if (!isMixnet(ask.name) && this.leased >= MODEL.pool) return failed('pool_exhausted');
    const { owner, source, family } = ask;
    this.quotes.set(ask.name, { owner, source, family, heldUntil: now + MODEL.quoteHold });
    return { kind: 'credential_required', heldUntil: now + MODEL.quoteHold };
  }

  #finalise(ask: Ask, standing: ModelRegistration | undefined, now: number): Expected {
    if (standing !== undefined) {
      if (standing.owner !== ask.owner) return failed('not_owner');
      return standing.graceUntil === undefined ? completed(standing) : this.#renew(ask, standing, now);
    }
    const quote = this.quotes.get(ask.name);
    if (quote === undefined) return failed('no_quote');
    return quote.owner === ask.owner ? this.#open(ask, now) : failed('not_owner');
  }

  #owned(ask: Ask, standing: ModelRegistration | undefined, now: number): Expected {
    if (standing === undefined || standing.owner !== ask.owner) return failed('not_owner');
    if (ask.op === 'topup') return this.#renew(ask, standing, now);
    if (ask.op === 'balance') return completed(standing);
    this.registrations.delete(ask.name);
    return { kind: 'completed', bandwidth: 0, expires: now };
  }

  #open({ name, owner, token }: Ask, now: number): Expected {
    const refusal = refusalOf(token);
    if (refusal !== undefined || token === undefined) return failed(refusal ?? 'credential_missing');
    if (!isMixnet(name) && !this.quotes.has(name) && this.leased >= MODEL.pool) return failed('pool_exhausted');
    if (this.tokens.has(token)) return failed('credential_spent');
    this.tokens.set(token, name);
    this.quotes.delete(name);
    const after = { owner, bandwidth: MODEL.bandwidth, expires: now + MODEL.lifetime, graceUntil: undefined };
    this.registrations.set(name, after);
    return completed(after);
  }

  #renew({ name, token }: Ask, before: ModelRegistration, now: number): Expected {
    const refusal = refusalOf(token);
    if (refusal !== undefined || token === undefined) return failed(refusal ?? 'credential_missing');
    const payer = this.tokens.get(token);
    if (payer !== undefined) return payer === name ? completed(before) : failed('credential_spent');
    this.tokens.set(token, name);
    const after: ModelRegistration = {
      ...before,
      bandwidth: before.bandwidth + MODEL.bandwidth,
      expires: Math.max(before.expires, now) + MODEL.lifetime,
      graceUntil: undefined,
    };
    this.registrations.set(name, after);
    return completed(after);
  }

  /** Addresses that are not free. */
  get leased(): number {
    return [...this.registrations.keys(), ...this.quotes.keys()].filter((name) => !isMixnet(name)).length;
  }

  #expireQuotes(now: number): void {
    for (const [name, { heldUntil }] of this.quotes) if (heldUntil <= now) this.quotes.delete(name);
  }
}

function refusalOf(token: string | undefined): string | undefined {
  if (token === undefined) return 'credential_missing';
  if (token.startsWith('kind')) return 'credential_kind';
  return token.startsWith('bad') ? 'credential_invalid' : undefined;
}

function completed({ bandwidth, expires }: ModelRegistration): Expected {
  return { kind: 'completed', bandwidth, expires };
}
