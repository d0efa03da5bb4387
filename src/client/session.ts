/**
 * A live session family on whatever connection there is (lp2.md §5, §6): a session is not bound to a connection, so when
 * one breaks and something waits, the next one carries on. It seals, opens, rekeys and repeats; what a frame means is the
 * link's. Invariant: after `end` nothing is sent or told, and the family's secrets are wiped.
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import type { ClientFamily, ClientReceived } from '../lp/v2/client-family.ts';
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
  readonly random: RandomSource;
  readonly dialer: Dialer;
  readonly time: Time;
  /** Whether the rekeys that the gateway asks for bring a fresh ML-KEM exchange. */
  readonly ratchet: boolean;
}

export interface SessionHooks {
  /** The content of an EncryptedData packet; valid during the call only. */
  frame(bytes: Uint8Array): void;
  /** Any packet of the gateway that opened. */
  alive(): void;
  exchangeFailed(lane: number, failure: TransportFailure): void;
  connectionLost(error: LewesError): void;
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
  readonly #family: ClientFamily;
  readonly #ended = new AbortController();
  #transport: Transport | undefined;
  #dialling = false;
  #redials = 0;
  #redialAtMs = NEVER;
  /** Why there is no connection, for the errors of requests that wait in vain. */
  lastFailure: LewesError | undefined;
  #rekeying: Rekeying | undefined;

  constructor(options: SessionOptions, hooks: SessionHooks, family: ClientFamily, transport: Transport) {
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

  /** False when the frame cannot be sealed any more. There is a connection. */
  sendFrame(frame: Uint8Array, lane: number, repeat: boolean): boolean {
    const packet = this.#family.sealFrame(frame);
    if (packet === undefined) return false;
    this.#transport?.send([packet], { replies: 1, lane, repeat, idempotent: false });
    return true;
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
   * `rekey_refused` after an Abort or within 10 s of one, with `timeout` when nothing answers.
   */
  rekey(kem: boolean): Promise<void> {
    if (this.#rekeying !== undefined) return this.#rekeying.result.promise;
    const now = this.#now;
    const kk1 = this.#family.startRekey(kem, this.#options.random, now);
    if (kk1 === undefined) return Promise.reject(this.#rekeyRefused('too_soon'));
    const rekeying: Rekeying = { startMs: now.monotonicMs, result: Promise.withResolvers() };
    // It may have been the gateway that asked, and then nobody listens.
    rekeying.result.promise.catch(() => {});
    this.#rekeying = rekeying;
    this.#sendControl([kk1], false);
    this.#hooks.wakeAt(this.nextTickMs());
    return rekeying.result.promise;
  }

  tick(): void {
    const now = this.#now;
    this.#sendControl(this.#family.tick(now), true);
    if (this.#rekeying !== undefined && !this.#family.rekeying) {
      const message = 'no answer to the rekeying; the session goes on with its present keys';
      this.#endRekey(new LewesError({ code: 'timeout', hop: this.#options.hop, step: 'rekey', message }));
    }
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
    if (lane !== CONTROL_LANE) this.#hooks.exchangeFailed(lane, failure);
  }

  closed(failure: TransportFailure): void {
    this.#transport = undefined;
    this.lastFailure = failure.error;
    this.#hooks.connectionLost(failure.error);
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
        if (this.#rekeying === undefined) this.rekey(this.#options.ratchet).catch(() => {});
        return;
      case 'rekeyed':
        this.#sendControl(received.packets, false);
        this.#hooks.wakeAt(this.nextTickMs());
        this.#endRekey(undefined);
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
  #sendControl(packets: readonly Uint8Array[], repeat: boolean): void {
    if (packets.length === 0) return;
    if (this.#transport === undefined) this.reconnect();
    else this.#transport.send(packets, { replies: packets.length, lane: CONTROL_LANE, repeat, idempotent: false });
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

  #endRekey(error: LewesError | undefined): void {
    const rekeying = this.#rekeying;
    if (rekeying === undefined) return;
    this.#rekeying = undefined;
    if (error !== undefined) {
      rekeying.result.reject(error);
      return;
    }
    this.#hooks.rekeyed(this.#now.monotonicMs - rekeying.startMs);
    rekeying.result.resolve();
  }

  #rekeyRefused(reason: 'too_soon' | 'aborted'): LewesError {
    const message = 'the gateway rekeys a session at most every 10 s; try again in 10 s';
    return new LewesError({ code: 'rekey_refused', hop: this.#options.hop, step: 'rekey', reason, message });
  }
}
