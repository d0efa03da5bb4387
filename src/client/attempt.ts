/**
 * One handshake attempt (lp2.md §4, lp1.md §9.2): a ClientHandshake on a transport of its own, with its repeats. The session
 * is handed over in the very call that establishes it, since its next packets may lie in the same read. Invariant: whatever
 * else ends the attempt, the handshake's secrets are wiped.
 */
import type {
  ClientHandshake,
  ClientReceived,
  ClientSession,
  HandshakeFailure,
  HandshakeStep,
} from '../lp/client-session.ts';
import type { CachedKemKey } from './key-cache.ts';
import { CONTROL_LANE, type Transport, type TransportFailure, type TransportHandlers } from './transport.ts';
import { reasonOf, type Time, Wakeup } from './wakeup.ts';

export type AttemptStep = 'key' | 'handshake';

export type AttemptOutcome =
  | { readonly kind: 'established' }
  | { readonly kind: 'refused'; readonly failure: HandshakeFailure; readonly step: AttemptStep }
  | { readonly kind: 'lost'; readonly failure: TransportFailure };

export interface AttemptOptions {
  readonly handshake: ClientHandshake;
  /** What comes twice is taken once, so that an entry may send it again. */
  readonly toleratesRepeats: boolean;
  readonly transport: Transport;
  readonly time: Time;
  readonly signal: AbortSignal;
  /**
   * The KEM key that the handshake goes by from now on; `undefined` when the gateway does not know the one it had. Not
   * called where the version has no such keys.
   */
  keyChanged(key: CachedKemKey | undefined): void;
  /** The last message has been sent, and with it the early frame. */
  h3Sent(): void;
  /** Not `connected`: the transport has come to its end with that. */
  established(session: ClientSession, received: ClientReceived, connected: boolean): void;
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
    const { signal, transport, handshake } = this.#options;
    if (signal.aborted) this.#abort();
    else {
      signal.addEventListener('abort', this.#abort, { once: true });
      transport.attach(this);
      const first = handshake.start(this.#now);
      this.#key = handshake.kemKey;
      if (handshake.usesKemKeys) this.#options.keyChanged(this.#key);
      this.#apply(first, false);
    }
    return this.#done.promise;
  }

  packet(packet: Uint8Array): void {
    if (!this.#over) this.#apply(this.#options.handshake.receive(packet, this.#now), false);
  }

  exchangeFailed(_lane: number, failure: TransportFailure): void {
    this.#lost(failure, true);
  }

  closed(failure: TransportFailure): void {
    this.#lost(failure, false);
  }

  get #now() {
    return this.#options.time.clock.now();
  }

  #tick(): void {
    if (!this.#over) this.#apply(this.#options.handshake.tick(this.#now), true);
  }

  /** The end of a connection may be an answer: a version whose gateway does not confirm the last message is done. */
  #lost(failure: TransportFailure, connected: boolean): void {
    if (this.#over) return;
    const step = failure.unanswered ? this.#options.handshake.unanswered(this.#now) : undefined;
    if (step?.kind === 'established' || step?.kind === 'failed' || (step?.kind === 'send' && connected)) {
      this.#apply(step, false, connected);
    } else this.#finish(() => this.#done.resolve({ kind: 'lost', failure }));
  }

  #apply(step: HandshakeStep, repeat: boolean, connected = true): void {
    // Before the step, whose failure forgets the stage.
    const stage = this.#options.handshake.usesKemKeys && this.#key === undefined ? 'key' : 'handshake';
    this.#followKey();
    switch (step.kind) {
      case 'send':
        this.#send(step.packets, repeat);
        break;
      case 'established':
        this.#stepDone('handshake');
        this.#finish(() => {
          this.#options.established(step.session, step.received, connected);
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
    if (this.#stepStartMs !== undefined) this.#wakeup.before(this.#options.handshake.nextTickMs());
  }

  #send(packets: readonly Uint8Array[], repeat: boolean): void {
    const sent = () => {
      if (this.#stepStartMs !== undefined || this.#over) return;
      this.#stepStartMs = this.#now.monotonicMs;
      this.#wakeup.before(this.#options.handshake.nextTickMs());
    };
    const idempotent = this.#options.toleratesRepeats;
    const exchange = { replies: packets.length, lane: CONTROL_LANE, repeat, idempotent, sent };
    this.#options.transport.send(packets, exchange);
    if (!this.#options.handshake.authenticated || this.#h3Sent) return;
    this.#h3Sent = true;
    this.#options.h3Sent();
  }

  #followKey(): void {
    const key = this.#options.handshake.kemKey;
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
    this.#options.handshake.abandon();
    tell();
  }
}
