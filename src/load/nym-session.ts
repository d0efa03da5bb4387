/**
 * A session with a node of the Nym network that carries one request at a time (nym.md §7). Invariants: a request is answered
 * or failed once, at its deadline at the latest; after `close` or a loss nothing is sent and the keys are wiped, for a session
 * that is out of step has no way back.
 */
import type { NymClientSession } from '../lp/nym/client-session.ts';
import type { Now } from '../lp/time.ts';
import type { Failure } from './failure.ts';
import { nymBroken, nymLost, nymTimedOut } from './nym-failure.ts';
import type { NymPeer } from './nym-peer.ts';
import type { NymWire } from './nym-wire.ts';
import type { WireHandlers } from './wire.ts';
import type { NymWorld, Timed } from './world.ts';

export type NymAnswer =
  /** Views into the read buffer: valid during the call only. */
  { readonly kind: 'content'; readonly content: Uint8Array } | { readonly kind: 'failed'; readonly failure: Failure };

const NEVER = Number.POSITIVE_INFINITY;

export class NymLiveSession implements WireHandlers, Timed {
  dueMs = NEVER;
  readonly #world: NymWorld;
  readonly #peer: NymPeer;
  readonly #wire: NymWire;
  readonly #session: NymClientSession;
  #answered: ((answer: NymAnswer) => void) | undefined;
  #ended = false;

  /** Takes over the wire. */
  constructor(world: NymWorld, peer: NymPeer, wire: NymWire, session: NymClientSession) {
    this.#world = world;
    this.#peer = peer;
    this.#wire = wire;
    this.#session = session;
    wire.handlers = this;
    world.gauges.sessions++;
  }

  /** A registration body, which is sealed at once and stays the caller's. */
  ask(body: Uint8Array, deadlineMs: number, answered: (answer: NymAnswer) => void): void {
    const sent = this.#session.send('registration', body);
    // Ours: of one request at a time, and a short one.
    if (sent.kind === 'refuse' || this.#answered !== undefined) throw new Error('assertion: one request at a time');
    this.#answered = answered;
    this.dueMs = deadlineMs;
    this.#world.due.add(this);
    this.#wire.send([sent.wire]);
  }

  close(): void {
    if (this.#ended) return;
    this.#end();
    this.#wire.finish(undefined);
  }

  packet(packet: Uint8Array): void {
    if (this.#ended) return;
    const received = this.#session.receive(packet);
    if (received.kind === 'failed') {
      this.#fail(nymBroken(this.#peer, 'initial', received.reason));
      return;
    }
    this.#peer.answered.add('initial');
    this.#answer({ kind: 'content', content: received.content });
  }

  lost(failure: Failure, unanswered: boolean): void {
    this.#fail(nymLost(this.#peer, 'initial', { failure, unanswered, wire: this.#wire, pipelined: false }));
  }

  due(_now: Now): void {
    this.#fail(nymTimedOut('initial', this.#world.timeoutMs));
  }

  #answer(answer: NymAnswer): void {
    const answered = this.#answered;
    this.#answered = undefined;
    this.dueMs = NEVER;
    this.#world.due.delete(this);
    answered?.(answer);
  }

  #fail(failure: Failure): void {
    if (this.#ended) return;
    this.#end();
    this.#wire.destroy();
    this.#answer({ kind: 'failed', failure });
  }

  #end(): void {
    this.#ended = true;
    this.#world.gauges.sessions--;
    this.#world.due.delete(this);
    this.#session.wipe();
  }
}
