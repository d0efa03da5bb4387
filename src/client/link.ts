/**
 * One gateway as a client sees it: at most one session, made when the first request needs it, and the requests that wait
 * for answers. Where the version has room for it, the first request of a session rides in the handshake (lp2.md §4), so that
 * it costs no round trip of its own; where the version carries one exchange at a time, the others wait their turn.
 * Invariants: one handshake at a time; every request is settled once; after `close` nothing is open and the secrets are
 * wiped.
 */
import type { ClientReceived, ClientSession, VersionTraits } from '../lp/client-session.ts';
import { decodeFailure, decodeFrame, KIND, MAX_FRAME_BODY_LENGTH } from '../lp/wire/application-frame.ts';
import { type Hop, invalidOption, LewesError, type Step } from './errors.ts';
import { delayError, failureError, internalError, tooMuchError } from './explain.ts';
import type { LinkEvents, LinkOptions } from './link-options.ts';
import type { Carrier } from './nested-transport.ts';
import { openSession } from './opening.ts';
import { type PendingRequest, type RequestOptions, RequestTable } from './requests.ts';
import { Session, type SessionHooks } from './session.ts';
import type { Transport, TransportFailure } from './transport.ts';
import { Wakeup } from './wakeup.ts';

/** lp2.md §5: so many in a row, and the client starts a new handshake. */
const MAX_UNANSWERED = 2;
const NO_FRAME = new Uint8Array(0);

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
  /** A request was told to come later: the session carries one exchange at a time. */
  #turnAwaited = false;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#requests = new RequestTable(options.maxInFlight);
    this.#wakeup = new Wakeup(options.time, () => this.#tick());
  }

  get hop(): Hop {
    return this.#options.hop;
  }

  get traits(): VersionTraits {
    return this.#options.version.traits;
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

  /** Sends now, or with the handshake that this starts. `settle` may be called before this returns, and then 0 does. */
  submit(request: RequestOptions): number {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      request.settle({ kind: 'error', error: refusal });
      return 0;
    }
    const pending = this.#requests.add(request);
    if (this.#state.kind !== 'open') this.open().catch(() => {});
    else if (this.#state.session.connected && !this.#turnAwaited) this.#send(this.#state.session, pending, false);
    else this.#sendQueued(this.#state.session);
    return this.#requests.get(pending.id) === pending ? pending.id : 0;
  }

  /** The caller does not wait any longer. */
  cancel(id: number, error: LewesError): void {
    const pending = this.#requests.get(id);
    if (pending === undefined) return;
    this.#giveUp(pending, error);
    this.#nextTurn();
  }

  async rekey(kem: boolean | undefined): Promise<void> {
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
    return delayError(this.hop, this.#doing, this.#options.openTimeoutMs);
  }

  #refusal(request: RequestOptions): LewesError | undefined {
    if (this.#state.kind === 'closed') return this.#state.error;
    if (request.body.length > MAX_FRAME_BODY_LENGTH) {
      return invalidOption(`a request has at most ${MAX_FRAME_BODY_LENGTH} bytes`, this.hop);
    }
    if (this.#requests.full) return tooMuchError(this.hop, request.step, 'in_flight');
    const backlog = this.#state.kind === 'open' ? this.#state.session.backlog : 0;
    return backlog > this.#options.maxWriteBufferBytes
      ? tooMuchError(this.hop, request.step, 'write_buffer')
      : undefined;
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
            early = this.#requests.firstQueued(this.traits.maxEarlyFrameLength);
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
      const error = caught instanceof LewesError ? caught : internalError(this.hop, this.#doing, caught);
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
    family: ClientSession,
    received: ClientReceived,
    transport: Transport | undefined,
    early: PendingRequest | undefined,
  ): void {
    const session = new Session(this.#options, this.#hooks, family, transport);
    this.#state = { kind: 'open', session };
    this.#unanswered = 0;
    this.#turnAwaited = false;
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
    this.#turnAwaited = false;
    for (const request of this.#requests.queued()) {
      this.#send(session, request, false);
      if (this.#turnAwaited || !this.#isCurrent(session) || !session.connected) return;
    }
  }

  /** An exchange is settled: those that wait for that come next. */
  #nextTurn(): void {
    if (this.#turnAwaited && this.#state.kind === 'open') this.#sendQueued(this.#state.session);
  }

  #send(session: Session, request: PendingRequest, repeat: boolean): void {
    const sealed = session.sendFrame(request.frame, request.id, repeat);
    switch (sealed.kind) {
      case 'packets':
        if (!repeat) this.#wakeup.before(this.#requests.markSent(request, this.#options.time.clock.now().monotonicMs));
        return;
      case 'later':
        if (!repeat) this.#turnAwaited = true;
        return;
      case 'answered':
        this.#take(request, sealed.frame);
        return;
      case 'spent':
        this.#metSpent(session, request);
        return;
    }
  }

  /** The next session has the request; one that is spent at once, too, would have it for ever. */
  #metSpent(session: Session, request: PendingRequest): void {
    const message = 'the session cannot seal any more; ask again, which starts a new handshake';
    const error = this.#error('session_lost', request.step, message, session.lastFailure);
    if (request.metSpent) this.#requests.settle(request, { kind: 'error', error });
    request.metSpent = true;
    this.#lose(session, error, true);
  }

  /** Nobody waits for this request any more. */
  #giveUp(request: PendingRequest, error: LewesError): void {
    const { id, state } = request;
    this.#requests.settle(request, { kind: 'error', error });
    if (state === 'sent' && this.#state.kind === 'open') this.#state.session.abandon(id);
  }

  readonly #hooks: SessionHooks = {
    frame: (bytes) => this.#answered(bytes),
    alive: () => {
      this.#unanswered = 0;
    },
    exchangeFailed: (lane, failure, answer) => this.#exchangeFailed(lane, failure, answer),
    connectionLost: (failure) => this.#connectionLost(failure),
    connectionBack: () => {
      if (this.#state.kind === 'open') this.#sendQueued(this.#state.session);
    },
    waiting: () => this.#requests.waiting,
    rekeyed: (ms) => {
      this.#options.stepDone('rekey', ms);
      this.#events.rekeyed();
      this.#nextTurn();
    },
    closedByGateway: () => {
      const message = 'the gateway has closed the session; connect again';
      void this.close(new LewesError({ code: 'closed', hop: this.hop, step: 'request', reason: 'gateway', message }));
    },
    wakeAt: (ms) => this.#wakeup.before(ms),
  };

  /** What nobody asked for, or not any more, is dropped. */
  #answered(bytes: Uint8Array): void {
    const request = this.#requests.get(decodeFrame(bytes)?.requestId ?? 0);
    if (request === undefined || request.state === 'queued') return;
    this.#take(request, bytes);
    this.#nextTurn();
  }

  #take(request: PendingRequest, bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    if (frame === undefined) return;
    const nowMs = this.#options.time.clock.now().monotonicMs;
    if (request.step === 'registration') this.#options.stepDone('registration', nowMs - (request.sentMs ?? nowMs));
    if (frame.kind === KIND.failure) {
      const error = failureError(decodeFailure(frame.body), this.hop, request.step);
      this.#requests.settle(request, { kind: 'error', error });
      return;
    }
    this.#requests.settle(request, { kind: 'answer', frame: { ...frame, body: frame.body.slice() } });
  }

  #exchangeFailed(lane: number, failure: TransportFailure, answer: Uint8Array | undefined): void {
    const request = this.#requests.get(lane);
    if (request !== undefined) this.#settleLost(request, failure, answer);
    this.#countRefusal(failure);
    this.#nextTurn();
  }

  /** A request that will be repeated has another chance; the rest would wait in vain. */
  #settleLost(request: PendingRequest, failure: TransportFailure, answer: Uint8Array | undefined): void {
    if (answer !== undefined) this.#take(request, answer);
    else if (!failure.retry || !Number.isFinite(request.nextRepeatMs)) {
      this.#requests.settle(request, { kind: 'error', error: failure.error });
    }
  }

  #connectionLost(failure: TransportFailure): void {
    const session = this.#state.kind === 'open' ? this.#state.session : undefined;
    const sent = this.#requests.sent();
    for (const request of sent) {
      const answer = session?.lostAnswer(request.id, failure);
      if (answer !== undefined) this.#take(request, answer);
    }
    this.#requests.requeue(failure.error);
    if (sent.length > 0) this.#countRefusal(failure);
  }

  /** Where its end is all that a connection can say, it may mean that the gateway does not know the session. */
  #countRefusal(failure: TransportFailure): void {
    if (!failure.unanswered || !this.traits.onePacketPerConnection || this.#state.kind !== 'open') return;
    this.#unanswered++;
    if (this.#unanswered >= MAX_UNANSWERED) this.#loseUnanswered(this.#state.session, true);
  }

  #tick(): void {
    const { session } = this.#state.kind === 'open' ? this.#state : { session: undefined };
    session?.tick();
    const { repeats, expired } = this.#requests.due(this.#options.time.clock.now().monotonicMs);
    if (session?.connected) for (const request of repeats) this.#send(session, request, true);
    for (const request of expired) {
      this.#unanswered++;
      this.#giveUp(request, this.#unansweredError(request, session));
    }
    if (session !== undefined && this.#isCurrent(session)) {
      if (this.#unanswered >= MAX_UNANSWERED) this.#loseUnanswered(session, session.connected);
      else this.#nextTurn();
    }
    if (this.#state.kind === 'open') this.#wakeup.before(this.#state.session.nextTickMs());
    this.#wakeup.before(this.#requests.nextDueMs());
  }

  #loseUnanswered(session: Session, reachable: boolean): void {
    const message =
      'two requests in a row were not answered: the gateway does not know the session any more, or is unreachable';
    this.#lose(session, this.#error('session_lost', 'request', message, session.lastFailure), reachable);
  }

  /** What has not left yet is for the next session, unless the gateway cannot be reached at all. */
  #lose(session: Session, error: LewesError, reachable: boolean): void {
    this.#unanswered = 0;
    this.#turnAwaited = false;
    if (!this.#options.reconnect) {
      void this.close(error);
      return;
    }
    this.#state = { kind: 'idle' };
    void session.end(error);
    if (reachable) this.#requests.failSent(error);
    else this.#requests.failAll(error);
    this.#events.lost(error);
    if (this.#requests.waiting && this.#state.kind === 'idle') this.open().catch(() => {});
  }

  #unansweredError(request: PendingRequest, session: Session | undefined): LewesError {
    const message = `no answer within ${request.timeoutMs} ms; ask again, which starts a new handshake if need be`;
    return this.#error('timeout', request.step, message, session?.lastFailure);
  }

  #error(code: 'session_lost' | 'timeout', step: Step, message: string, cause?: LewesError): LewesError {
    return new LewesError({ code, hop: this.hop, step, message, cause });
  }
}
