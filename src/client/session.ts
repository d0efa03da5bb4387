/**
 * A live ClientSession (here: the family) on whatever connection there is (lp2.md §5, §6): a session is not bound to a
 * connection, so when one breaks and something waits, the next one carries on. It seals, opens, rekeys and repeats; what a
 * frame means is the link's. Invariant: after `end` nothing is sent or told, and the family's secrets are wiped.
 */
import type { ClientReceived, ClientSession, SealedFrame, StartedRekey } from '../lp/client-session.ts';
import { type Hop, LewesError } from './errors.ts';
import {
  CONTROL_LANE,
  type Dialer,
  type Transport,
  type TransportFailure,
  type TransportHandlers,
} from './transport.ts';
import type { Time } from './wakeup.ts';

const REDIAL_FIRST_MS = 250;
const REDIAL_MAX_MS = 8_000;
const NEVER = Number.POSITIVE_INFINITY;

export interface SessionOptions {
  readonly hop: Hop;
  readonly dialer: Dialer;
  readonly time: Time;
  /** Whether the rekeys that the gateway asks for bring a fresh ML-KEM exchange. */
  readonly ratchet: boolean;
}

export interface SessionHooks {
  /** An application frame, an answer; valid during the call only. */
  frame(bytes: Uint8Array): void;
  /** Any packet of the gateway that opened. */
  alive(): void;
  /** `answer`: what it means that no answer came, as a frame, where it means any. */
  exchangeFailed(lane: number, failure: TransportFailure, answer: Uint8Array | undefined): void;
  /** What was on its way can be asked for with `lostAnswer`. */
  connectionLost(failure: TransportFailure): void;
  connectionBack(): void;
  /** Whether requests wait for a connection. */
  waiting(): boolean;
  rekeyed(ms: number): void;
  closedByGateway(): void;
  /** `tick` is to be called at this monotonic time. */
  wakeAt(ms: number): void;
}

interface Rekeying {
  readonly startMs: number;
  readonly result: PromiseWithResolvers<void>;
}

export class Session implements TransportHandlers {
  readonly #options: SessionOptions;
  readonly #hooks: SessionHooks;
  readonly #family: ClientSession;
  readonly #ended = new AbortController();
  #transport: Transport | undefined;
  #dialling = false;
  #redials = 0;
  #redialAtMs = NEVER;
  /** Why there is no connection, for the errors of requests that wait in vain. */
  lastFailure: LewesError | undefined;
  #rekeying: Rekeying | undefined;

  constructor(options: SessionOptions, hooks: SessionHooks, family: ClientSession, transport: Transport | undefined) {
    this.#options = options;
    this.#hooks = hooks;
    this.#family = family;
    this.#transport = transport;
  }

  /** Takes over the transport with the packet that established the family. */
  begin(received: ClientReceived): void {
    this.#transport?.attach(this);
    this.#act(received);
  }

  get connected(): boolean {
    return this.#transport !== undefined;
  }

  get backlog(): number {
    return this.#transport?.backlog ?? 0;
  }

  /** There is a connection, and what was sealed has left when this returns. The packets are the session's affair. */
  sendFrame(frame: Uint8Array, lane: number, repeat: boolean): SealedFrame {
    const sealed = this.#family.sealFrame(frame, this.#now);
    if (sealed.kind === 'packets') {
      this.#transport?.send(sealed.packets, { replies: 1, lane, repeat, idempotent: false });
    }
    return sealed;
  }

  /** The request's exchange came to nothing, and is over. What that means, as an application frame, if it means any. */
  lostAnswer(requestId: number, failure: TransportFailure): Uint8Array | undefined {
    const answer = failure.unanswered ? this.#family.unanswered(requestId) : undefined;
    // Its connection is at its end, or this was all that it carried.
    this.#family.abandonRequest(requestId);
    return answer;
  }

  /** Nobody waits any more for what was sent. Where a late answer could be taken for another's, the connection goes. */
  abandon(requestId: number): void {
    if (!this.#family.abandonRequest(requestId)) return;
    const transport = this.#transport;
    if (transport === undefined) return;
    transport.destroy();
    const message = 'the connection was given up together with a request that had no answer in time';
    const { hop } = this.#options;
    const error = new LewesError({ code: 'connection_lost', hop, step: 'request', reason: 'abandoned', message });
    this.closed({ error, retry: true, unanswered: false });
  }

  /** Opens a connection unless there is one or one is coming. */
  reconnect(): void {
    if (this.#transport !== undefined || this.#dialling || this.#ended.signal.aborted) return;
    this.#dialling = true;
    this.#redialAtMs = NEVER;
    void this.#options.dialer.dial(this.#ended.signal).then(
      (transport) => this.#dialled(transport),
      (error: unknown) => this.#dialFailed(error),
    );
  }

  /**
   * Resolves when the new session seals what is sent from then on. One that is under way is joined. Rejects with
   * `rekey_refused` after an Abort, within 10 s of one, and where the version has no KEM exchange and one is asked for; with
   * `timeout` when nothing answers. `undefined` leaves the KEM exchange to the version.
   */
  rekey(kem: boolean | undefined): Promise<void> {
    if (this.#rekeying !== undefined) return this.#rekeying.result.promise;
    const now = this.#now;
    const started = this.#family.startRekey(kem, now);
    if (started.kind === 'refused') return Promise.reject(this.#rekeyRefused(started.reason));
    const rekeying: Rekeying = { startMs: now.monotonicMs, result: Promise.withResolvers() };
    // It may have been the gateway that asked, and then nobody listens.
    rekeying.result.promise.catch(() => {});
    this.#rekeying = rekeying;
    this.#sendControl([started.packet], 1, false);
    this.#hooks.wakeAt(this.nextTickMs());
    return rekeying.result.promise;
  }

  tick(): void {
    const now = this.#now;
    const packets = this.#family.tick(now);
    this.#sendControl(packets, packets.length, true);
    if (this.#rekeyUnanswered()) this.abandon(CONTROL_LANE);
    if (now.monotonicMs < this.#redialAtMs) return;
    this.#redialAtMs = NEVER;
    if (this.#needsConnection) this.reconnect();
  }

  nextTickMs(): number {
    return Math.min(this.#family.nextTickMs(), this.#redialAtMs);
  }

  /** Frees the session at the gateway, and everything here. Resolves when the connection is gone. */
  end(error: LewesError): Promise<void> {
    if (this.#ended.signal.aborted) return Promise.resolve();
    this.#ended.abort(error);
    this.#endRekey(error);
    const close = this.#family.close();
    const transport = this.#transport;
    this.#transport = undefined;
    if (transport === undefined) return Promise.resolve();
    if (close !== undefined) {
      transport.send([close], { replies: 0, lane: CONTROL_LANE, repeat: false, idempotent: false });
    }
    return transport.close();
  }

  packet(packet: Uint8Array): void {
    if (!this.#ended.signal.aborted) this.#act(this.#family.receive(packet, this.#now));
  }

  exchangeFailed(lane: number, failure: TransportFailure): void {
    this.lastFailure = failure.error;
    const answer = this.lostAnswer(lane, failure);
    if (lane === CONTROL_LANE) this.#rekeyUnanswered(failure.error);
    else this.#hooks.exchangeFailed(lane, failure, answer);
  }

  closed(failure: TransportFailure): void {
    this.#transport = undefined;
    this.lastFailure = failure.error;
    this.lostAnswer(CONTROL_LANE, failure);
    this.#rekeyUnanswered(failure.error);
    this.#hooks.connectionLost(failure);
    if (this.#needsConnection) this.reconnect();
  }

  get #now() {
    return this.#options.time.clock.now();
  }

  get #needsConnection(): boolean {
    return this.#hooks.waiting() || this.#family.rekeying;
  }

  #act(received: ClientReceived): void {
    if (received.kind === 'drop') return;
    this.#hooks.alive();
    switch (received.kind) {
      case 'frame':
        this.#hooks.frame(received.bytes);
        return;
      case 'opened':
        return;
      case 'rekeyAsked':
        if (this.#rekeying === undefined) this.rekey(this.#options.ratchet ? undefined : false).catch(() => {});
        return;
      case 'send': {
        const { packets, requestId: lane, replies } = received;
        this.#transport?.send(packets, { replies, lane, repeat: false, idempotent: false });
        return;
      }
      case 'rekeyed':
        this.#rekeyed(received.packets, received.replies);
        return;
      case 'aborted':
        this.#endRekey(this.#rekeyRefused('aborted'));
        return;
      case 'closed':
        this.#hooks.closedByGateway();
        return;
    }
  }

  /** Without a connection nothing is lost: the family repeats it. */
  #sendControl(packets: readonly Uint8Array[], replies: number, repeat: boolean): void {
    if (packets.length === 0) return;
    if (this.#transport === undefined) this.reconnect();
    else this.#transport.send(packets, { replies, lane: CONTROL_LANE, repeat, idempotent: false });
  }

  #dialled(transport: Transport): void {
    this.#dialling = false;
    if (this.#ended.signal.aborted) {
      transport.destroy();
      return;
    }
    this.#redials = 0;
    this.lastFailure = undefined;
    this.#transport = transport;
    transport.attach(this);
    this.#hooks.connectionBack();
  }

  #dialFailed(error: unknown): void {
    this.#dialling = false;
    if (this.#ended.signal.aborted) return;
    if (!(error instanceof LewesError)) throw error;
    this.lastFailure = error;
    const delayMs = Math.min(REDIAL_FIRST_MS * 2 ** this.#redials++, REDIAL_MAX_MS);
    this.#redialAtMs = this.#now.monotonicMs + delayMs;
    this.#hooks.wakeAt(this.#redialAtMs);
  }

  /** Whether the family has given a rekeying up; then it is told. */
  #rekeyUnanswered(cause?: LewesError): boolean {
    if (this.#rekeying === undefined || this.#family.rekeying) return false;
    const message = 'no answer to the rekeying; the session goes on with its present keys';
    this.#endRekey(new LewesError({ code: 'timeout', hop: this.#options.hop, step: 'rekey', message, cause }));
    return true;
  }

  #endRekey(error: LewesError): void {
    this.#rekeying?.result.reject(error);
    this.#rekeying = undefined;
  }

  /** What is sealed from now on needs what these packets say, so they leave first. */
  #rekeyed(packets: readonly Uint8Array[], replies: number): void {
    const rekeying = this.#rekeying;
    this.#rekeying = undefined;
    this.#sendControl(packets, replies, false);
    this.#hooks.wakeAt(this.nextTickMs());
    if (rekeying === undefined) return;
    this.#hooks.rekeyed(this.#now.monotonicMs - rekeying.startMs);
    rekeying.result.resolve();
  }

  #rekeyRefused(reason: Extract<StartedRekey, { kind: 'refused' }>['reason'] | 'aborted'): LewesError {
    const message =
      reason === 'kem_not_offered'
        ? 'version 1 of the protocol (LP1) has no ML-KEM exchange; rekey without "kem", or use version 2'
        : 'the gateway rekeys a session at most every 10 s; try again in 10 s';
    return new LewesError({ code: 'rekey_refused', hop: this.#options.hop, step: 'rekey', reason, message });
  }
}
