/**
 * A thread's tokens: asked of the main thread, which has the one source, a few ahead of need. Invariant: a token is handed
 * out once; what surely was not spent comes back and is handed out again, and what is left at the end goes back to the
 * source.
 */
import { type Failure, failure } from './failure.ts';

/** So many are lost at most where a source takes nothing back. */
const AHEAD = 8;

export interface TokenDesk {
  /** One answer comes to each: `arrived` or `refused`. */
  ask(challenge: Uint8Array): void;
  giveBack(token: Uint8Array): void;
}

type Taker = (token: Uint8Array | undefined, failure: Failure | undefined) => void;

export class TokenStock {
  readonly #desk: TokenDesk;
  readonly #tokens: Uint8Array[] = [];
  readonly #takers: Taker[] = [];
  #challenge: Uint8Array | undefined;
  #asked = 0;
  /** Operations that had to wait for one. */
  waited = 0;

  constructor(desk: TokenDesk) {
    this.#desk = desk;
  }

  /** Undefined: registrations are free. */
  get challenge(): Uint8Array | undefined {
    return this.#challenge;
  }

  /** All that is paid for is paid to this challenge. */
  begin(challenge: Uint8Array): void {
    this.#challenge = challenge;
    this.#order(AHEAD);
  }

  take(taker: Taker): void {
    const token = this.#tokens.pop();
    if (token !== undefined) taker(token, undefined);
    else {
      this.waited++;
      this.#takers.push(taker);
    }
    this.#order(AHEAD + this.#takers.length - this.#tokens.length);
  }

  /** It has surely not been spent. */
  giveBack(token: Uint8Array): void {
    this.#hand(token);
  }

  arrived(token: Uint8Array): void {
    this.#asked--;
    this.#hand(token);
  }

  /** The source has none; whoever waits next learns why. */
  refused(code: string, message: string): void {
    this.#asked--;
    this.#takers.shift()?.(undefined, failure(`PAYMENT_FAILED_${code.toUpperCase()}`, message));
  }

  /** The rest goes back. */
  end(): void {
    for (const token of this.#tokens.splice(0)) this.#desk.giveBack(token);
    this.#challenge = undefined;
    for (const taker of this.#takers.splice(0)) taker(undefined, failure('PAYMENT_FAILED', 'the run is over'));
  }

  #hand(token: Uint8Array): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) taker(token, undefined);
    else if (this.#challenge === undefined) this.#desk.giveBack(token);
    else this.#tokens.push(token);
  }

  #order(wanted: number): void {
    const challenge = this.#challenge;
    if (challenge === undefined) return;
    for (; this.#asked < wanted; this.#asked++) this.#desk.ask(challenge);
  }
}
