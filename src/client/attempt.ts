/**
 * One handshake attempt (lp2.md §4): an Initiator on a transport of its own, with its repeats. The session is handed over
 * in the very call that establishes it, since its next packets may lie in the same read. Invariant: whatever else ends the
 * attempt, the Initiator's secrets are wiped.
 */
import type { ClientFamily, ClientReceived } from '../lp/v2/client-family.ts';
import type { HandshakeFailure, Initiator, InitiatorStep } from '../lp/v2/initiator.ts';
import type { CachedKemKey } from './key-cache.ts';
import { CONTROL_LANE, type Transport, type TransportFailure, type TransportHandlers } from './transport.ts';
import { reasonOf, type Time, Wakeup } from './wakeup.ts';

export type AttemptStep = 'key' | 'handshake';

export type AttemptOutcome =
  | { readonly kind: 'established' }
  | { readonly kind: 'refused'; readonly failure: HandshakeFailure; readonly step: AttemptStep }
  | { readonly kind: 'lost'; readonly failure: TransportFailure };

export interface AttemptOptions {
  readonly initiator: Initiator;
  readonly transport: Transport;
  readonly time: Time;
  readonly signal: AbortSignal;
  /** The KEM key that the Initiator goes by from now on; `undefined` when the gateway does not know the one it had. */
  keyChanged(key: CachedKemKey | undefined): void;
  /** H3 has been sent, and with it the early frame. */
  h3Sent(): void;
  established(family: ClientFamily, received: ClientReceived): void;
  stepDone(step: AttemptStep, ms: number): void;
}

export function runAttempt(options: AttemptOptions): Promise<AttemptOutcome> {
  return new Attempt(options).run();
}

class Attempt implements TransportHandlers {
  readonly #options: AttemptOptions;
  readonly #wakeup: Wakeup;
  readonly #done = Promise.withResolvers<AttemptOutcome>();
  readonly #abort = () => this.#finish(() => this.#done.reject(reasonOf(this.#options.signal)));
  #over = false;
  #h3Sent = false;
  /** When the first packets left; a nested transport may have to wait for the session that carries it. */
  #stepStartMs: number | undefined;
  #key: CachedKemKey | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#wakeup = new Wakeup(options.time, () => this.#tick());
  }

  run(): Promise<AttemptOutcome> {
    const { signal, transport, initiator } = this.#options;
    if (signal.aborted) this.#abort();
    else {
      signal.addEventListener('abort', this.#abort, { once: true });
      transport.attach(this);
      const first = initiator.start(this.#now);
      this.#key = initiator.kemKey;
      this.#options.keyChanged(this.#key);
      this.#apply(first, false);
    }
    return this.#done.promise;
  }

  packet(packet: Uint8Array): void {
    if (!this.#over) this.#apply(this.#options.initiator.receive(packet, this.#now), false);
  }

  exchangeFailed(_lane: number, failure: TransportFailure): void {
    this.closed(failure);
  }

  closed(failure: TransportFailure): void {
    this.#finish(() => this.#done.resolve({ kind: 'lost', failure }));
  }

  get #now() {
    return this.#options.time.clock.now();
  }

  #tick(): void {
    if (!this.#over) this.#apply(this.#options.initiator.tick(this.#now), true);
  }

  #apply(step: InitiatorStep, repeat: boolean): void {
    // Before the step, whose failure forgets the stage.
    const stage = this.#key === undefined ? 'key' : 'handshake';
    this.#followKey();
    switch (step.kind) {
      case 'send':
        this.#send(step.packets, repeat);
        break;
      case 'established':
        this.#stepDone('handshake');
        this.#finish(() => {
          this.#options.established(step.family, step.received);
          this.#done.resolve({ kind: 'established' });
        });
        return;
      case 'failed':
        this.#finish(() => this.#done.resolve({ kind: 'refused', failure: step.failure, step: stage }));
        return;
      case 'wait':
      case 'drop':
        break;
    }
    if (this.#stepStartMs !== undefined) this.#wakeup.before(this.#options.initiator.nextTickMs());
  }

  #send(packets: readonly Uint8Array[], repeat: boolean): void {
    const sent = () => {
      if (this.#stepStartMs !== undefined || this.#over) return;
      this.#stepStartMs = this.#now.monotonicMs;
      this.#wakeup.before(this.#options.initiator.nextTickMs());
    };
    const exchange = { replies: packets.length, lane: CONTROL_LANE, repeat, idempotent: true, sent };
    this.#options.transport.send(packets, exchange);
    if (!this.#options.initiator.authenticated || this.#h3Sent) return;
    this.#h3Sent = true;
    this.#options.h3Sent();
  }

  #followKey(): void {
    const key = this.#options.initiator.kemKey;
    if (key === this.#key) return;
    this.#key = key;
    this.#options.keyChanged(key);
    if (key !== undefined) this.#stepDone('key');
  }

  #stepDone(step: AttemptStep): void {
    const nowMs = this.#now.monotonicMs;
    this.#options.stepDone(step, nowMs - (this.#stepStartMs ?? nowMs));
    this.#stepStartMs = nowMs;
  }

  #finish(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#wakeup.cancel();
    this.#options.signal.removeEventListener('abort', this.#abort);
    this.#options.initiator.abandon();
    tell();
  }
}
