/**
 * A session with a gateway that carries requests and rekeyings. Invariants: every request is answered or failed once, at
 * its deadline at the latest; one rekeying at a time; after `close` or a loss nothing is sent and the keys are wiped.
 */
import type { ClientReceived, ClientSession } from '../lp/client-session.ts';
import type { Now } from '../lp/time.ts';
import { type ApplicationFrame, decodeFailure, decodeFrame, encodeFrame, KIND } from '../lp/wire/application-frame.ts';
import { connectionLost, type Failure, failure, refusal, timedOut } from './failure.ts';
import type { Wire, WireHandlers } from './wire.ts';
import type { Timed, World } from './world.ts';

export type Answer =
  /** The body may be a view into the read buffer: valid during the call only. */
  { readonly kind: 'frame'; readonly frame: ApplicationFrame } | { readonly kind: 'failed'; readonly failure: Failure };

export interface RekeyHooks {
  /** The new session is there, or why not. */
  done(failure: Failure | undefined): void;
  /** The gateway has shown that it has it, too, or nothing more comes: the next rekeying may begin. */
  settled(): void;
}

interface Pending {
  readonly deadlineMs: number;
  readonly answered: (answer: Answer) => void;
}

interface Rekeying {
  readonly deadlineMs: number;
  readonly hooks: RekeyHooks;
  stage: 'kk2Awaited' | 'confirmationAwaited';
}

const NEVER = Number.POSITIVE_INFINITY;
const ID_LIMIT = 2 ** 31;
const SPENT = failure('SESSION_LOST', 'the session cannot seal any more');
const CLOSED = failure('CLOSED', 'the session was closed on this side');

export class LiveSession implements WireHandlers, Timed {
  dueMs = NEVER;
  /** Called once when the session ends without `close`. */
  onLost: (failure: Failure) => void = () => {};
  readonly #world: World;
  readonly #wire: Wire;
  readonly #family: ClientSession;
  readonly #pending = new Map<number, Pending>();
  #rekeying: Rekeying | undefined;
  #lastId: number;
  #ended = false;

  /** Takes over the wire. `lastId`: the request id that rode in the handshake. */
  constructor(world: World, wire: Wire, family: ClientSession, lastId: number) {
    this.#world = world;
    this.#wire = wire;
    this.#family = family;
    this.#lastId = lastId;
    wire.handlers = this;
    world.gauges.sessions++;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The answer to what rode in the handshake goes there. */
  expect(requestId: number, deadlineMs: number, answered: (answer: Answer) => void): void {
    this.#pending.set(requestId, { deadlineMs, answered });
    this.#wakeAt(deadlineMs);
  }

  /** The session can carry this now, where its version carries one exchange at a time. */
  request(kind: number, body: Uint8Array, deadlineMs: number, answered: (answer: Answer) => void): void {
    if (this.#ended) {
      answered({ kind: 'failed', failure: CLOSED });
      return;
    }
    this.#lastId = (this.#lastId % ID_LIMIT) + 1;
    const id = this.#lastId;
    const frame = encodeFrame(kind, id, body);
    const sealed = this.#family.sealFrame(frame, this.#world.now());
    frame.fill(0);
    switch (sealed.kind) {
      case 'packets':
        this.expect(id, deadlineMs, answered);
        this.#wire.send(sealed.packets, 1);
        return;
      case 'answered':
        answered(read(sealed.frame));
        return;
      case 'later':
        answered({ kind: 'failed', failure: failure('TOO_MUCH', 'the session carries one exchange at a time') });
        return;
      case 'spent':
        answered({ kind: 'failed', failure: SPENT });
        this.#lose(SPENT);
        return;
    }
  }

  rekey(deadlineMs: number, hooks: RekeyHooks): void {
    const now = this.#world.now();
    const started = this.#ended || this.#rekeying !== undefined ? undefined : this.#family.startRekey(undefined, now);
    if (started?.kind !== 'packet') {
      hooks.done(failure('REKEY_REFUSED', 'the last rekeying of the session is too recent, or was put off'));
      hooks.settled();
      return;
    }
    this.#rekeying = { deadlineMs, hooks, stage: 'kk2Awaited' };
    this.#wakeAt(deadlineMs);
    this.#wire.send([started.packet], 1);
  }

  /** Tells the gateway, where the version can. */
  close(): void {
    if (this.#ended) return;
    const last = this.#end();
    this.#wire.finish(last);
    this.#failAll(CLOSED);
  }

  packet(packet: Uint8Array): void {
    this.take(this.#family.receive(packet, this.#world.now()));
  }

  /** What the family made of a packet. */
  take(received: ClientReceived): void {
    switch (received.kind) {
      case 'frame':
        this.#confirmed();
        this.#answer(received.bytes);
        return;
      case 'opened':
        this.#confirmed();
        return;
      case 'send':
        this.#wire.send(received.packets, received.replies);
        return;
      case 'rekeyed':
        this.#wire.send(received.packets, received.replies);
        this.#rekeyed(received.replies === 0);
        return;
      case 'aborted':
        this.#rekeyFailed(failure('REKEY_REFUSED', 'the gateway put the rekeying off'));
        return;
      case 'rekeyAsked':
        this.#rekeyAsGatewayAsks();
        return;
      case 'closed':
        this.#lose(failure('CLOSED', 'the gateway has closed the session'));
        return;
      case 'drop':
        return;
    }
  }

  lost(reason: Failure, unanswered: boolean): void {
    if (this.#ended) return;
    if (unanswered && this.#world.oneShot) {
      this.#exchangeUnanswered(reason);
      return;
    }
    this.#lose(reason);
  }

  due(now: Now): void {
    const nowMs = now.monotonicMs;
    let next = NEVER;
    for (const [id, { deadlineMs, answered }] of this.#pending) {
      if (deadlineMs > nowMs) {
        next = Math.min(next, deadlineMs);
        continue;
      }
      this.#pending.delete(id);
      const mixedUp = this.#family.abandonRequest(id);
      answered({ kind: 'failed', failure: timedOut('no answer to a request', this.#world.timeoutMs) });
      // A late answer could be taken for another request's.
      if (mixedUp) {
        this.#lose(connectionLost('a request of the session was given up'));
        return;
      }
    }
    if (this.#rekeying !== undefined) next = Math.min(next, this.#rekeyDue(nowMs));
    if (this.#ended) return;
    const packets = this.#family.tick(now);
    if (packets.length > 0) this.#wire.send(packets, packets.length);
    this.dueMs = Math.min(next, this.#family.nextTickMs());
    if (this.dueMs === NEVER) this.#world.due.delete(this);
  }

  #rekeyDue(nowMs: number): number {
    const { deadlineMs, stage } = this.#rekeying ?? { deadlineMs: NEVER, stage: undefined };
    if (deadlineMs > nowMs) return deadlineMs;
    if (stage === 'confirmationAwaited') this.#confirmed();
    else this.#rekeyFailed(timedOut('no answer to a rekeying', this.#world.timeoutMs));
    return NEVER;
  }

  #wakeAt(ms: number): void {
    const next = Math.min(ms, this.#family.nextTickMs());
    if (next < this.dueMs || this.dueMs === NEVER) this.dueMs = next;
    this.#world.due.add(this);
  }

  #answer(bytes: Uint8Array): void {
    const id = decodeFrame(bytes)?.requestId ?? 0;
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.answered(read(bytes));
  }

  #rekeyed(unconfirmed: boolean): void {
    const rekeying = this.#rekeying;
    if (rekeying === undefined) return;
    rekeying.stage = 'confirmationAwaited';
    rekeying.hooks.done(undefined);
    // Where no reply comes, there is nothing to wait for.
    if (unconfirmed) this.#confirmed();
    else this.#wakeAt(rekeying.deadlineMs);
  }

  #confirmed(): void {
    const rekeying = this.#rekeying;
    if (rekeying?.stage !== 'confirmationAwaited') return;
    this.#rekeying = undefined;
    rekeying.hooks.settled();
  }

  #rekeyFailed(reason: Failure): void {
    const rekeying = this.#rekeying;
    if (rekeying === undefined) return;
    this.#rekeying = undefined;
    if (rekeying.stage === 'kk2Awaited') rekeying.hooks.done(reason);
    rekeying.hooks.settled();
  }

  /** Nobody measures it, but a session that is not rekeyed ends. */
  #rekeyAsGatewayAsks(): void {
    if (this.#rekeying !== undefined) return;
    const now = this.#world.now();
    this.rekey(now.monotonicMs + this.#world.timeoutMs, { done: () => {}, settled: () => {} });
  }

  /** Where each exchange has its connection, its end is an answer or a refusal, and the session goes on. */
  #exchangeUnanswered(reason: Failure): void {
    if (this.#rekeying?.stage === 'kk2Awaited') {
      this.#family.unanswered(0);
      this.#rekeyFailed(reason);
      return;
    }
    for (const [id, { answered }] of this.#pending) {
      this.#pending.delete(id);
      const answer = this.#family.unanswered(id);
      this.#family.abandonRequest(id);
      answered(answer === undefined ? { kind: 'failed', failure: reason } : read(answer));
    }
  }

  #lose(reason: Failure): void {
    if (this.#ended) return;
    this.#end();
    this.#failAll(reason);
    this.#wire.destroy();
    this.onLost(reason);
  }

  /** The packet that tells the gateway. */
  #end(): Uint8Array | undefined {
    this.#ended = true;
    this.#world.gauges.sessions--;
    this.#world.due.delete(this);
    const last = this.#family.close();
    this.#family.wipe();
    return last;
  }

  #failAll(reason: Failure): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { answered } of pending) answered({ kind: 'failed', failure: reason });
    this.#rekeyFailed(reason);
  }
}

function read(bytes: Uint8Array): Answer {
  const frame = decodeFrame(bytes);
  if (frame === undefined) return { kind: 'failed', failure: failure('MALFORMED_ANSWER', 'an answer is too short') };
  if (frame.kind === KIND.failure) return { kind: 'failed', failure: refusal(decodeFailure(frame.body)) };
  return { kind: 'frame', frame };
}
