/**
 * From a connection to a session with a node of the Nym network (nym.md §4, §5): one handshake, nothing repeated. Where the
 * node's KEM key is known and the plan says so, both messages leave together. Invariant: it ends once, with a session or a
 * failure, at its deadline at the latest; what is not the session's is wiped.
 */
import { NymInitiator, type NymStep } from '../lp/nym/initiator.ts';
import type { Now } from '../lp/time.ts';
import type { Failure } from './failure.ts';
import { nymHandshakeFailure, nymLost, nymTimedOut } from './nym-failure.ts';
import { importKemKey, type NymPeer } from './nym-peer.ts';
import { NymLiveSession } from './nym-session.ts';
import { dialNym, type NymWire } from './nym-wire.ts';
import type { WireHandlers } from './wire.ts';
import type { NymWorld, Timed } from './world.ts';

export interface NymOpeningOptions {
  readonly peer: NymPeer;
  readonly deadlineMs: number;
  opened(session: NymLiveSession): void;
  failed(failure: Failure): void;
}

export function openNymSession(world: NymWorld, options: NymOpeningOptions): void {
  new NymOpening(world, options).start();
}

class NymOpening implements WireHandlers, Timed {
  readonly dueMs: number;
  readonly #world: NymWorld;
  readonly #options: NymOpeningOptions;
  readonly #initiator: NymInitiator;
  readonly #wire: NymWire;
  #pipelined = false;
  #over = false;

  constructor(world: NymWorld, options: NymOpeningOptions) {
    const { peer, deadlineMs } = options;
    const { crypto, random, pipelined } = world;
    this.#world = world;
    this.#options = options;
    this.dueMs = deadlineMs;
    this.#wire = dialNym(world, peer, this);
    this.#initiator = new NymInitiator({
      crypto,
      random,
      node: peer.lpKey,
      kemDigest: peer.kemDigest,
      hop: 'entry',
      kemKey: pipelined ? peer.kemKey?.bytes : undefined,
      importKemKey: (bytes) => importKemKey(crypto, peer, bytes),
      // The deadline is kept here: it began with the operation.
      timeoutMs: Number.POSITIVE_INFINITY,
    });
  }

  start(): void {
    this.#world.due.add(this);
    this.#apply(this.#initiator.start(this.#world.now()));
  }

  packet(message: Uint8Array): void {
    if (this.#over) return;
    const { awaits } = this.#initiator;
    const step = this.#initiator.receive(message, this.#world.now());
    if (step.kind !== 'failed' && awaits !== undefined) this.#options.peer.answered.add(awaits);
    this.#apply(step);
  }

  lost(failure: Failure, unanswered: boolean): void {
    if (this.#over) return;
    const loss = { failure, unanswered, wire: this.#wire, pipelined: this.#pipelined };
    this.#fail(nymLost(this.#options.peer, this.#awaited, loss));
  }

  due(_now: Now): void {
    this.#fail(nymTimedOut(this.#wire.connected ? this.#awaited : 'connect', this.#world.timeoutMs));
  }

  get #awaited(): 'kkt' | 'psq' {
    return this.#initiator.awaits ?? 'kkt';
  }

  #apply(step: NymStep): void {
    switch (step.kind) {
      case 'send':
        this.#pipelined = step.messages.length > 1;
        this.#wire.send(step.messages.map(({ bytes }) => bytes));
        return;
      case 'established':
        this.#settle();
        this.#options.opened(new NymLiveSession(this.#world, this.#options.peer, this.#wire, step.session));
        return;
      case 'failed':
        this.#fail(nymHandshakeFailure(this.#options.peer, step.failure));
        return;
      case 'wait':
        return;
    }
  }

  #fail(failure: Failure): void {
    if (this.#over) return;
    this.#settle();
    this.#options.failed(failure);
    this.#wire.destroy();
  }

  #settle(): void {
    this.#over = true;
    this.#world.due.delete(this);
    this.#initiator.abandon();
  }
}
