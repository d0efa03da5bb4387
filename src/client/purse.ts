/**
 * Tokens on their way from a source to a gateway (registration.md, rules 1, 2 and 4); one purse for each source, whichever
 * clients share it. Invariant: a token that may have reached a gateway pays for that one purchase and no other, a purchase
 * never has two, and a token that has surely not been spent is kept for the next purchase that it fits.
 */

import { PRIVACY_PASS } from '../lp/wire/privacy-pass.ts';
import type { AnswerBody, Credential, RegistrationCode } from '../lp/wire/registration-body.ts';
import type { TokenSource } from './token-source.ts';

interface Coin {
  readonly token: Uint8Array;
  /** In hex. */
  readonly challenge: string;
  /** It was sent and the answer was lost: whether it has been spent, nobody here knows. */
  uncertain: boolean;
}

/** Of each kind; beyond it the oldest is forgotten. */
const MAX_KEPT = 1_024;
/** Refusals after which a token is worth nothing at this gateway. Every other failed request has changed nothing. */
const WORTHLESS: readonly RegistrationCode[] = [
  'credential_kind',
  'credential_invalid',
  'credential_wrong_challenge',
  'credential_expired',
  'credential_spent',
];

const purses = new WeakMap<TokenSource, Purse>();

export class Purse {
  readonly #source: TokenSource;
  /** By purchase. */
  readonly #sent = new Map<string, Coin>();
  #unspent: Coin[] = [];
  readonly #turns = new Map<string, Promise<unknown>>();
  /** The issuer's name by gateway, as its last quote had it: a top-up has no quote. */
  readonly #issuers = new Map<string, string>();

  private constructor(source: TokenSource) {
    this.#source = source;
  }

  static of(source: TokenSource): Purse {
    const known = purses.get(source);
    if (known !== undefined) return known;
    const purse = new Purse(source);
    purses.set(source, purse);
    return purse;
  }

  issuerOf(gateway: string): string | undefined {
    return this.#issuers.get(gateway);
  }

  noteIssuer(gateway: string, name: string): void {
    keep(this.#issuers, gateway, name);
  }

  /** What is done for one purchase is done one after the other. */
  inTurn<T>(purchase: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(purchase) ?? Promise.resolve();
    const result = before.then(work);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(purchase, settled);
    void settled.then(() => {
      if (this.#turns.get(purchase) === settled) this.#turns.delete(purchase);
    });
    return result;
  }

  /** It was bought, whatever with. */
  bought(purchase: string): void {
    this.#sent.delete(purchase);
  }

  has(purchase: string): boolean {
    return this.#sent.has(purchase);
  }

  /**
   * Sends the token of this purchase: the one that was sent for it before, or one for the challenge. Rejects with what the
   * source or `send` reject with, and with the signal's reason while it waits for the source.
   */
  async pay(
    purchase: string,
    challenge: Uint8Array,
    signal: AbortSignal | undefined,
    send: (credential: Credential) => Promise<AnswerBody>,
  ): Promise<AnswerBody> {
    const coin = this.#sent.get(purchase) ?? (await this.#coin(challenge, signal));
    keep(this.#sent, purchase, coin);
    let answer: AnswerBody;
    try {
      answer = await send({ kind: PRIVACY_PASS, token: coin.token });
    } catch (error) {
      coin.uncertain = true;
      throw error;
    }
    await this.#settle(purchase, coin, answer);
    return answer;
  }

  async #settle(purchase: string, coin: Coin, answer: AnswerBody): Promise<void> {
    if (answer.status === 'completed') this.#sent.delete(purchase);
    else if (answer.status === 'failed' && WORTHLESS.includes(answer.code)) this.#sent.delete(purchase);
    // A gateway that is at fault, or that answers what it should not, may have spent it.
    else if (answer.status !== 'failed' || answer.code === 'internal') coin.uncertain = true;
    else if (!coin.uncertain) {
      this.#sent.delete(purchase);
      await this.#giveBack(coin);
    }
  }

  async #coin(challenge: Uint8Array, signal: AbortSignal | undefined): Promise<Coin> {
    const name = Buffer.from(challenge).toString('hex');
    const at = this.#unspent.findIndex((coin) => coin.challenge === name);
    const [unspent] = at === -1 ? [] : this.#unspent.splice(at, 1);
    if (unspent !== undefined) return unspent;
    const fetched = this.#fetch(challenge, name);
    try {
      return await abortable(fetched, signal);
    } catch (error) {
      // The caller may be gone while the source still works; what comes then was paid for.
      fetched.then(
        (coin) => this.#giveBack(coin),
        () => undefined,
      );
      throw error;
    }
  }

  async #fetch(challenge: Uint8Array, name: string): Promise<Coin> {
    const token = await this.#source.token(Uint8Array.from(challenge));
    return { token: Uint8Array.from(token), challenge: name, uncertain: false };
  }

  /** Never rejects. */
  async #giveBack(coin: Coin): Promise<void> {
    try {
      if (this.#source.giveBack !== undefined) return await this.#source.giveBack(coin.token);
    } catch {
      // The next purchase in this process still finds it here.
    }
    this.#unspent = [...this.#unspent, coin].slice(-MAX_KEPT);
  }
}

function keep<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= MAX_KEPT) return;
    map.delete(oldest);
  }
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
