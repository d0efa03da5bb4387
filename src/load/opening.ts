/**
 * From a wire to a session: one handshake with the repeats of the protocol and no retries. Busy ends it at once, since what
 * a load wants to know is how often a gateway says so. Invariant: it ends once, with a session or a failure, at its deadline
 * at the latest; what is not the session's is wiped.
 */
import { createClientHandshake } from '../lp/client-handshake.ts';
import type { ClientHandshake, HandshakeStep } from '../lp/client-session.ts';
import type { Now } from '../lp/time.ts';
import { encodeFrame } from '../lp/wire/application-frame.ts';
import { decodeBusy } from '../lp/wire/message.ts';
import { contentOf, counterOf, TRAILER_LENGTH, TYPE, typeOf } from '../lp/wire/packet.ts';
import { busy, type Failure, handshakeFailure, timedOut } from './failure.ts';
import { type Answer, LiveSession } from './live-session.ts';
import { OneShotWire } from './one-shot-wire.ts';
import { framed, TcpWire } from './tcp-wire.ts';
import type { Wire, WireHandlers } from './wire.ts';
import type { Peer, Timed, World } from './world.ts';

/** A request that rides in the handshake; its version has room for it. */
export interface EarlyRequest {
  readonly kind: number;
  readonly body: Uint8Array;
  answered(answer: Answer): void;
}

export interface OpeningOptions {
  readonly peer: Peer;
  /** By default a new connection to the peer. */
  readonly wire?: (handlers: WireHandlers) => Wire;
  readonly early?: EarlyRequest;
  readonly deadlineMs: number;
  /** In the same turn in which an early answer comes, and before it. */
  opened(session: LiveSession): void;
  failed(failure: Failure, lastMessageSent: boolean): void;
}

const EARLY_ID = 1;
const NONE = new Uint8Array(0);

export function openSession(world: World, options: OpeningOptions): void {
  new Opening(world, options).start();
}

/** A new connection, or whatever the version has in its place. */
function dial(world: World, peer: Peer, handlers: WireHandlers): Wire {
  const source = world.nextSource();
  if (world.oneShot) return new OneShotWire(world, peer, source, handlers);
  return new TcpWire(world, peer, { source, codec: framed(world.traits.framing) }, handlers);
}

class Opening implements WireHandlers, Timed {
  dueMs: number;
  readonly #world: World;
  readonly #options: OpeningOptions;
  readonly #handshake: ClientHandshake;
  readonly #wire: Wire;
  #over = false;

  constructor(world: World, options: OpeningOptions) {
    this.#world = world;
    this.#options = options;
    this.dueMs = options.deadlineMs;
    const { peer, early } = options;
    this.#wire = options.wire?.(this) ?? dial(world, peer, this);
    const clientSeed = new Uint8Array(32);
    world.random.fill(clientSeed);
    this.#handshake = createClientHandshake(
      world.protocol,
      {
        crypto: world.crypto,
        random: world.random,
        clientSeed,
        gatewayEd25519: peer.identity,
        gatewayX25519: peer.x25519,
        kem: peer.kem,
        kemKey: peer.kemKey,
        pinnedHashes: [],
        clockOffsetMs: 0,
        earlyFrame: early === undefined ? NONE : encodeFrame(early.kind, EARLY_ID, early.body),
        gatewayIp: NONE,
      },
      world.now(),
    );
  }

  start(): void {
    this.#world.due.add(this);
    this.#apply(this.#handshake.start(this.#world.now()));
  }

  packet(packet: Uint8Array): void {
    if (this.#over) return;
    const retryAfterS = this.#handshake.authenticated ? undefined : busySeconds(packet);
    if (retryAfterS !== undefined) {
      this.#fail(busy(retryAfterS));
      return;
    }
    this.#apply(this.#handshake.receive(packet, this.#world.now()));
  }

  lost(failure: Failure, unanswered: boolean): void {
    if (this.#over) return;
    const step = unanswered ? this.#handshake.unanswered(this.#world.now()) : undefined;
    if (step?.kind === 'established' || step?.kind === 'failed') this.#apply(step);
    else this.#fail(failure);
  }

  due(now: Now): void {
    if (now.monotonicMs >= this.#options.deadlineMs) this.#fail(this.#timeout());
    else this.#apply(this.#handshake.tick(now));
  }

  #apply(step: HandshakeStep): void {
    switch (step.kind) {
      case 'send':
        this.#options.peer.kemKey = this.#handshake.kemKey ?? this.#options.peer.kemKey;
        this.#wire.send(step.packets, step.packets.length);
        break;
      case 'established': {
        this.#settle();
        const { early, deadlineMs, opened } = this.#options;
        const session = new LiveSession(this.#world, this.#wire, step.session, EARLY_ID);
        if (early !== undefined) session.expect(EARLY_ID, deadlineMs, (answer) => early.answered(answer));
        opened(session);
        session.take(step.received);
        return;
      }
      case 'failed':
        this.#fail(handshakeFailure(step.failure, this.#world.protocol, this.#options.peer.isEntry));
        return;
      case 'wait':
      case 'drop':
        break;
    }
    this.dueMs = Math.min(this.#options.deadlineMs, this.#handshake.nextTickMs());
  }

  #fail(failure: Failure): void {
    if (this.#over) return;
    const lastMessageSent = this.#handshake.authenticated;
    this.#settle();
    this.#options.failed(failure, lastMessageSent);
    this.#wire.destroy();
  }

  #settle(): void {
    this.#over = true;
    this.#world.due.delete(this);
    this.#handshake.abandon();
  }

  #timeout(): Failure {
    const { timeoutMs } = this.#world;
    if (this.#handshake.authenticated) return timedOut('no answer to the last message of the handshake', timeoutMs);
    return timedOut('no answer to the handshake', timeoutMs);
  }
}

/** Of an unsealed Busy, whose trailer is zero; undefined for any other packet. */
function busySeconds(packet: Uint8Array): number | undefined {
  if (typeOf(packet) !== TYPE.busy || counterOf(packet) !== 0) return undefined;
  for (let at = packet.length - TRAILER_LENGTH; at < packet.length; at++) if (packet[at] !== 0) return undefined;
  return decodeBusy(contentOf(packet));
}
