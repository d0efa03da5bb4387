/**
 * One gateway as a client sees it: at most one session, made when the first request needs it, and the requests that wait
 * for answers. The first request of a session rides in the handshake's H3 (lp2.md §4), so that it costs no round trip of
 * its own. Invariants: one handshake at a time; every request is settled once; after `close` nothing is open and the
 * secrets are wiped.
 */
import type { Secret } from '../lp/crypto/secret.ts';
import type { ClientFamily, ClientReceived } from '../lp/v2/client-family.ts';
import { MAX_EARLY_FRAME_LENGTH } from '../lp/v2/initiator.ts';
import { decodeFailure, decodeFrame, KIND, MAX_FRAME_BODY_LENGTH } from '../lp/wire/application-frame.ts';
import { type Hop, invalidOption, LewesError, type Step } from './errors.ts';
import { failureError } from './explain.ts';
import type { Carrier } from './nested-transport.ts';
import { type OpeningOptions, openSession } from './opening.ts';
import { type PendingRequest, type RequestOptions, RequestTable } from './requests.ts';
import { Session, type SessionHooks } from './session.ts';
import type { Transport, TransportFailure } from './transport.ts';
import { Wakeup } from './wakeup.ts';

/** lp2.md §5: so many in a row, and the client starts a new handshake. */
const MAX_UNANSWERED = 2;
const NO_FRAME = new Uint8Array(0);

export interface LinkOptions extends Omit<OpeningOptions, 'clientSeed'> {
  /** Taken over: wiped when the link is closed. */
  readonly clientSeed: Secret;
  readonly ratchet: boolean;
  readonly reconnect: boolean;
  readonly openTimeoutMs: number;
  readonly forwardTimeoutMs: number;
  readonly maxInFlight: number;
  readonly maxWriteBufferBytes: number;
}

export interface LinkEvents {
  opened(): void;
  lost(error: LewesError): void;
  rekeyed(): void;
  closed(error: LewesError): void;
}

type LinkState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'opening'; readonly abort: AbortController; readonly done: Promise<void> }
  | { readonly kind: 'open'; readonly session: Session }
  | { readonly kind: 'closed'; readonly error: LewesError };

export class Link implements Carrier {
  /** Called when an H3 has left, in the same turn. */
  onH3: () => void = () => {};
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #requests: RequestTable;
  readonly #wakeup: Wakeup;
  #state: LinkState = { kind: 'idle' };
  #doing: 'connect' | 'key' | 'handshake' = 'connect';
  #h3Left = false;
  #unanswered = 0;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#requests = new RequestTable(options.maxInFlight);
    this.#wakeup = new Wakeup(options.time, () => this.#tick());
  }

  get hop(): Hop {
    return this.#options.hop;
  }

  get forwardTimeoutMs(): number {
    return this.#options.forwardTimeoutMs;
  }

  get reaching(): boolean {
    return this.#state.kind === 'opening' && !this.#h3Left;
  }

  /** The step of an opening that is under way. */
  get openingStep(): 'connect' | 'key' | 'handshake' {
    return this.#doing;
  }

  get inFlight(): number {
    return this.#requests.size;
  }

  /** Resolves when there is a session. */
  open(): Promise<void> {
    switch (this.#state.kind) {
      case 'open':
        return Promise.resolve();
      case 'opening':
        return this.#state.done;
      case 'closed':
        return Promise.reject(this.#state.error);
      case 'idle':
        return this.#startOpening();
    }
  }

  /** Sends now, or with the handshake that this starts. `settle` may be called before this returns. Gives the id. */
  submit(request: RequestOptions): number {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      request.settle({ kind: 'error', error: refusal });
      return 0;
    }
    const pending = this.#requests.add(request);
    if (this.#state.kind !== 'open') this.open().catch(() => {});
    else if (this.#state.session.connected) this.#send(this.#state.session, pending, false);
    else this.#sendQueued(this.#state.session);
    return pending.id;
  }

  /** The caller does not wait any longer. */
  cancel(id: number, error: LewesError): void {
    const pending = this.#requests.get(id);
    if (pending !== undefined) this.#requests.settle(pending, { kind: 'error', error });
  }

  async rekey(kem: boolean): Promise<void> {
    await this.open();
    if (this.#state.kind !== 'open') throw this.#error('session_lost', 'rekey', 'the session was lost meanwhile');
    await this.#state.session.rekey(kem);
  }

  /** Settles every request with the error. Resolves when the connection is gone. */
  async close(error: LewesError): Promise<void> {
    const state = this.#state;
    if (state.kind === 'closed') return;
    this.#state = { kind: 'closed', error };
    const gone = state.kind === 'open' ? state.session.end(error) : Promise.resolve();
    if (state.kind === 'opening') state.abort.abort(error);
    this.#requests.failAll(error);
    this.#wakeup.cancel();
    this.#options.clientSeed.wipe();
    this.#events.closed(error);
    await gone;
  }

  describeDelay(): LewesError {
    const blamed = this.#options.dialer.blame();
    if (blamed !== undefined) return blamed;
    const what = { connect: 'no connection', key: 'no answer to the hello', handshake: 'no answer to the handshake' };
    const message = `${what[this.#doing]} within ${this.#options.openTimeoutMs} ms: the gateway is down, unreachable or overloaded, or its identity is another`;
    return this.#error('timeout', this.#doing, message);
  }

  #refusal(request: RequestOptions): LewesError | undefined {
    if (this.#state.kind === 'closed') return this.#state.error;
    if (request.body.length > MAX_FRAME_BODY_LENGTH) {
      return invalidOption(`a request has at most ${MAX_FRAME_BODY_LENGTH} bytes`, this.hop);
    }
    if (this.#requests.full) return this.#tooMuch(request.step, 'in_flight');
    const backlog = this.#state.kind === 'open' ? this.#state.session.backlog : 0;
    return backlog > this.#options.maxWriteBufferBytes ? this.#tooMuch(request.step, 'write_buffer') : undefined;
  }

  #startOpening(): Promise<void> {
    const abort = new AbortController();
    const { timers } = this.#options.time;
    const cancelDeadline = timers.after(this.#options.openTimeoutMs, () => abort.abort(this.describeDelay()));
    const done = this.#runOpening(abort.signal).finally(cancelDeadline);
    this.#state = { kind: 'opening', abort, done };
    // Requests are settled besides; `open` may have no other caller.
    done.catch(() => {});
    return done;
  }

  async #runOpening(signal: AbortSignal): Promise<void> {
    // The state is `opening` before anything of it happens.
    await Promise.resolve();
    let early: PendingRequest | undefined;
    const nowMs = () => this.#options.time.clock.now().monotonicMs;
    try {
      await openSession(
        this.#options,
        {
          earlyFrame: () => {
            early = this.#requests.queued().find(({ frame }) => frame.length <= MAX_EARLY_FRAME_LENGTH);
            return early?.frame ?? NO_FRAME;
          },
          nowDoing: (step) => {
            this.#doing = step;
            this.#h3Left = false;
          },
          h3Sent: () => {
            this.#h3Left = true;
            if (early !== undefined && this.#requests.get(early.id) === early) {
              early.state = 'early';
              this.#requests.markLeft(early, nowMs());
            }
            this.onH3();
          },
          attemptLost: (error) => this.#requests.requeue(error),
          established: (family, received, transport) => this.#established(family, received, transport, early),
        },
        signal,
      );
    } catch (caught) {
      const error = caught instanceof LewesError ? caught : this.#internal(caught);
      if (this.#state.kind === 'opening') this.#openingFailed(error);
      throw error;
    }
  }

  #openingFailed(error: LewesError): void {
    this.#state = { kind: 'idle' };
    this.#requests.failAll(error);
    this.#wakeup.cancel();
  }

  #established(
    family: ClientFamily,
    received: ClientReceived,
    transport: Transport,
    early: PendingRequest | undefined,
  ): void {
    const session = new Session(this.#options, this.#hooks, family, transport);
    this.#state = { kind: 'open', session };
    this.#unanswered = 0;
    if (early?.state === 'early') {
      this.#wakeup.before(this.#requests.markSent(early, this.#options.time.clock.now().monotonicMs));
    }
    this.#events.opened();
    session.begin(received);
    if (this.#isCurrent(session)) this.#sendQueued(session);
  }

  /** A call into a session may have closed or lost it. */
  #isCurrent(session: Session): boolean {
    return this.#state.kind === 'open' && this.#state.session === session;
  }

  #sendQueued(session: Session): void {
    if (!session.connected) {
      this.#wakeup.before(this.#requests.startClocks(this.#options.time.clock.now().monotonicMs));
      session.reconnect();
      return;
    }
    for (const request of this.#requests.queued()) {
      if (!this.#isCurrent(session)) return;
      this.#send(session, request, false);
    }
  }

  #send(session: Session, request: PendingRequest, repeat: boolean): void {
    if (!session.sendFrame(request.frame, request.id, repeat)) {
      const error = this.#error('session_lost', request.step, 'the session cannot seal any more; connect again');
      this.#requests.settle(request, { kind: 'error', error });
    } else if (!repeat) {
      this.#wakeup.before(this.#requests.markSent(request, this.#options.time.clock.now().monotonicMs));
    }
  }

  readonly #hooks: SessionHooks = {
    frame: (bytes) => this.#answered(bytes),
    alive: () => {
      this.#unanswered = 0;
    },
    exchangeFailed: (lane, failure) => this.#exchangeFailed(lane, failure),
    connectionLost: (error) => this.#requests.requeue(error),
    connectionBack: () => {
      if (this.#state.kind === 'open') this.#sendQueued(this.#state.session);
    },
    waiting: () => this.#requests.queued().length > 0,
    rekeyed: (ms) => {
      this.#options.stepDone('rekey', ms);
      this.#events.rekeyed();
    },
    closedByGateway: () => {
      const message = 'the gateway has closed the session; connect again';
      void this.close(new LewesError({ code: 'closed', hop: this.hop, step: 'request', reason: 'gateway', message }));
    },
    wakeAt: (ms) => this.#wakeup.before(ms),
  };

  /** What nobody asked for, or not any more, is dropped. */
  #answered(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    const request = frame && this.#requests.get(frame.requestId);
    if (frame === undefined || request === undefined || request.state === 'queued') return;
    const nowMs = this.#options.time.clock.now().monotonicMs;
    if (request.step === 'registration') this.#options.stepDone('registration', nowMs - (request.sentMs ?? nowMs));
    if (frame.kind === KIND.failure) {
      const error = failureError(decodeFailure(frame.body), this.hop, request.step);
      this.#requests.settle(request, { kind: 'error', error });
      return;
    }
    this.#requests.settle(request, { kind: 'answer', frame: { ...frame, body: frame.body.slice() } });
  }

  /** A request that will be repeated has another chance; the rest would wait in vain. */
  #exchangeFailed(lane: number, failure: TransportFailure): void {
    const request = this.#requests.get(lane);
    if (request === undefined || (failure.retry && Number.isFinite(request.nextRepeatMs))) return;
    this.#requests.settle(request, { kind: 'error', error: failure.error });
  }

  #tick(): void {
    const { session } = this.#state.kind === 'open' ? this.#state : { session: undefined };
    session?.tick();
    const { repeats, expired } = this.#requests.due(this.#options.time.clock.now().monotonicMs);
    if (session?.connected) for (const request of repeats) this.#send(session, request, true);
    for (const request of expired) {
      this.#unanswered++;
      this.#requests.settle(request, { kind: 'error', error: this.#unansweredError(request, session) });
    }
    if (session !== undefined && this.#isCurrent(session) && this.#unanswered >= MAX_UNANSWERED) this.#lose(session);
    if (this.#state.kind === 'open') this.#wakeup.before(this.#state.session.nextTickMs());
    this.#wakeup.before(this.#requests.nextDueMs());
  }

  #lose(session: Session): void {
    const error = this.#error(
      'session_lost',
      'request',
      'two requests in a row were not answered: the gateway does not know the session any more, or is unreachable',
      session.lastFailure,
    );
    this.#unanswered = 0;
    if (!this.#options.reconnect) {
      void this.close(error);
      return;
    }
    this.#state = { kind: 'idle' };
    void session.end(error);
    this.#requests.failAll(error);
    this.#events.lost(error);
  }

  #unansweredError(request: PendingRequest, session: Session | undefined): LewesError {
    const message = `no answer within ${request.timeoutMs} ms; ask again, which starts a new handshake if need be`;
    return this.#error('timeout', request.step, message, session?.lastFailure);
  }

  #tooMuch(step: Step, reason: 'in_flight' | 'write_buffer'): LewesError {
    const message = `too much is under way already (${reason}); wait for answers before you ask more`;
    return new LewesError({ code: 'too_much', hop: this.hop, step, reason, message });
  }

  #internal(cause: unknown): LewesError {
    const message = 'a mistake of this library ended the handshake; please report it with its cause';
    return new LewesError({ code: 'internal', hop: this.hop, step: this.#doing, message, cause });
  }

  #error(code: 'session_lost' | 'timeout', step: Step, message: string, cause?: LewesError): LewesError {
    return new LewesError({ code, hop: this.hop, step, message, cause });
  }
}
