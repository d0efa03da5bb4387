/**
 * What everything that a registration does has in common: primitives, time, limits, the caller's signal, and whom to tell
 * of steps. Invariant: `signal` aborts with a LewesError that says what was being done.
 */
import type { NymCrypto } from '../../lp/crypto/nym-provider.ts';
import type { RandomSource } from '../../lp/crypto/provider.ts';
import { NYM_HANDSHAKE_TIMEOUT_MS } from '../../lp/nym/initiator.ts';
import type { Clock } from '../../system/clock.ts';
import type { Timers } from '../../system/timers.ts';
import { aborted, type Hop, type Step } from '../errors.ts';
import type { NymKemKeyCache } from './kem-key-cache.ts';

/** In milliseconds. */
export interface NymTimeouts {
  /** TCP. Default 10,000, as the reference's (§11), like the next three. */
  readonly connectMs: number;
  /** The handshake with a node that is dialled, connecting included. Default 15,000. */
  readonly handshakeMs: number;
  /** One request to a node that is dialled, and its answer. Default 30,000. */
  readonly registrationMs: number;
  /** One request through the entry, and its answer. Default 30,000. */
  readonly forwardMs: number;
  /** The credential source. A node keeps an Initial for 120 s. Default 90,000. */
  readonly credentialMs: number;
}

export const DEFAULT_NYM_TIMEOUTS: NymTimeouts = {
  connectMs: 10_000,
  handshakeMs: NYM_HANDSHAKE_TIMEOUT_MS,
  registrationMs: 30_000,
  forwardMs: 30_000,
  credentialMs: 90_000,
};

export interface NymStepEvent {
  readonly hop: Hop;
  readonly step: Step;
  readonly ms: number;
}

export interface NymRunOptions {
  readonly crypto: NymCrypto;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly timeouts: NymTimeouts;
  readonly localAddress: string | undefined;
  readonly kemKeyCache: NymKemKeyCache | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onStep: ((event: NymStepEvent) => void) | undefined;
}

export class NymRun implements Disposable {
  readonly crypto: NymCrypto;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly timeouts: NymTimeouts;
  readonly localAddress: string | undefined;
  readonly kemKeyCache: NymKemKeyCache | undefined;
  readonly signal: AbortSignal;
  readonly #onStep: NymRunOptions['onStep'];
  readonly #caller: AbortSignal | undefined;
  readonly #abort: () => void;
  #at: { readonly hop: Hop; readonly step: Step } = { hop: 'direct', step: 'connect' };

  constructor(options: NymRunOptions) {
    this.crypto = options.crypto;
    this.random = options.random;
    this.clock = options.clock;
    this.timers = options.timers;
    this.timeouts = options.timeouts;
    this.localAddress = options.localAddress;
    this.kemKeyCache = options.kemKeyCache;
    this.#onStep = options.onStep;
    const controller = new AbortController();
    this.signal = controller.signal;
    const caller = options.signal;
    this.#caller = caller;
    this.#abort = () => {
      if (caller !== undefined) controller.abort(aborted(this.#at.hop, this.#at.step, caller));
    };
    caller?.addEventListener('abort', this.#abort, { once: true });
    if (caller?.aborted === true) this.#abort();
  }

  /** What is being done from now on. */
  enter(hop: Hop, step: Step): void {
    this.#at = { hop, step };
  }

  stepDone(hop: Hop, step: Step, ms: number): void {
    this.#onStep?.({ hop, step, ms });
  }

  [Symbol.dispose](): void {
    this.#caller?.removeEventListener('abort', this.#abort);
  }
}
