/**
 * Quotes that wait for their credential. A quote owns its held addresses and its copy of the preshared key until it is
 * redeemed, replaced or expired; per source and per session family their number is bounded (registration.md, rule 3).
 */
import type { RegistrationName, TunnelAddresses } from '../lp/wire/registration-body.ts';
import type { PresharedKey } from './preshared-key.ts';
import { nameKey } from './store/store.ts';

/** What a tunnel has and a mixnet registration has not. */
export interface QuotedTunnel {
  readonly addresses: TunnelAddresses;
  readonly presharedKey: PresharedKey;
}

export interface Quote {
  readonly name: RegistrationName;
  readonly ownerHash: Uint8Array;
  readonly tunnel: QuotedTunnel | undefined;
  readonly source: string;
  readonly family: string;
  /** Unix seconds. Brought forward where it was promised by a clock that has gone back since. */
  heldUntil: number;
}

export class Quotes {
  /** In order of `heldUntil`, because all are held equally long. */
  readonly #quotes = new Map<string, Quote>();
  readonly #bySource = new Map<string, number>();
  readonly #byFamily = new Map<string, number>();
  readonly #inUse = new Set<string>();
  readonly #holdSeconds: number;
  readonly #onExpired: (quote: Quote) => void;
  #latest = Number.NEGATIVE_INFINITY;

  /** `holdSeconds`: how long each is held. `onExpired` frees the addresses; the preshared key is wiped here. */
  constructor(holdSeconds: number, onExpired: (quote: Quote) => void) {
    this.#holdSeconds = holdSeconds;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#quotes.size;
  }

  /** A quote that has expired is dropped here, even if the sweep has not come to it. */
  get(name: RegistrationName, now: number): Quote | undefined {
    const quote = this.#quotes.get(nameKey(name));
    if (quote === undefined || quote.heldUntil > now) return quote;
    this.#drop(quote);
    return undefined;
  }

  ofSource(source: string): number {
    return this.#bySource.get(source) ?? 0;
  }

  ofFamily(family: string): number {
    return this.#byFamily.get(family) ?? 0;
  }

  /** The name must not be quoted yet. */
  add(quote: Quote): void {
    this.#quotes.set(nameKey(quote.name), quote);
    this.#latest = Math.max(this.#latest, quote.heldUntil);
    count(this.#bySource, quote.source, 1);
    count(this.#byFamily, quote.family, 1);
  }

  /** The same quote with another preshared key; the earlier one is wiped. Its place and its end stay. */
  replaceKey(quote: Quote, presharedKey: PresharedKey): void {
    if (quote.tunnel === undefined) return;
    quote.tunnel.presharedKey.wipe();
    this.#quotes.set(nameKey(quote.name), { ...quote, tunnel: { ...quote.tunnel, presharedKey } });
  }

  /** Forgets the quote and wipes its key; its addresses are the caller's now. */
  remove(quote: Quote): void {
    if (!this.#quotes.delete(nameKey(quote.name))) return;
    count(this.#bySource, quote.source, -1);
    count(this.#byFamily, quote.family, -1);
    quote.tunnel?.presharedKey.wipe();
  }

  /** Until the result is disposed the quote of this name, if there is one, does not expire: somebody works with it. One at a time. */
  use(name: RegistrationName): Disposable {
    const key = nameKey(name);
    this.#inUse.add(key);
    return { [Symbol.dispose]: () => this.#inUse.delete(key) };
  }

  /** Unix seconds at which the next quote expires. */
  nextExpiry(): number | undefined {
    for (const quote of this.#quotes.values()) return quote.heldUntil;
    return undefined;
  }

  expire(now: number): void {
    this.#bringForward(now + this.#holdSeconds);
    for (const [key, quote] of this.#quotes) {
      if (quote.heldUntil > now) return;
      if (!this.#inUse.has(key)) this.#drop(quote);
    }
  }

  clear(): void {
    for (const quote of [...this.#quotes.values()]) this.#drop(quote);
  }

  /** No quote that is made now could end later: those that do are of a clock that was ahead, and would keep the others from ending. */
  #bringForward(latest: number): void {
    if (this.#latest <= latest) return;
    for (const quote of this.#quotes.values()) quote.heldUntil = Math.min(quote.heldUntil, latest);
    this.#latest = latest;
  }

  #drop(quote: Quote): void {
    this.remove(quote);
    this.#onExpired(quote);
  }
}

function count(counts: Map<string, number>, key: string, change: number): void {
  const after = (counts.get(key) ?? 0) + change;
  if (after === 0) counts.delete(key);
  else counts.set(key, after);
}
