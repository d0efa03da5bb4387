/**
 * Packets that go one by one, each over a connection of its own, as LP1's clients do (lp1.md §1.1). Invariant: one packet is
 * on its way at most; the next one leaves when the reply is there, or when a packet without reply was taken.
 */
import type { Now } from '../lp/time.ts';
import type { LoadTarget } from './plan.ts';
import { framed, type StreamCodec, type TcpWay, TcpWire } from './tcp-wire.ts';
import type { Wire, WireHandlers } from './wire.ts';
import type { Timed, World } from './world.ts';

/** A packet without a reply has arrived when the gateway ends its connection; one that never does is not waited for. */
const ARRIVAL_WAIT_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;

interface Parcel {
  readonly packet: Uint8Array;
  readonly answered: boolean;
}

export class OneShotWire implements Wire, Timed {
  handlers: WireHandlers;
  dueMs = NEVER;
  readonly #world: World;
  readonly #target: LoadTarget;
  readonly #way: TcpWay<StreamCodec>;
  readonly #queue: Parcel[] = [];
  #carrier: TcpWire | undefined;
  #over = false;

  constructor(world: World, target: LoadTarget, source: string | undefined, handlers: WireHandlers) {
    this.#world = world;
    this.#target = target;
    this.#way = { source, codec: framed(world.traits.framing) };
    this.handlers = handlers;
  }

  send(packets: readonly Uint8Array[], replies: number): void {
    if (this.#over) return;
    const silent = packets.length - replies;
    for (const [at, packet] of packets.entries()) this.#queue.push({ packet, answered: at >= silent });
    if (this.#carrier === undefined) this.#next();
  }

  finish(last: Uint8Array | undefined): void {
    if (last !== undefined) this.send([last], 0);
    this.#over = true;
    if (this.#queue.length === 0 && this.#carrier === undefined) this.destroy();
  }

  destroy(): void {
    this.#over = true;
    this.#queue.length = 0;
    this.#world.due.delete(this);
    this.#carrier?.destroy();
    this.#carrier = undefined;
  }

  /** The packet without a reply has had its time. */
  due(_now: Now): void {
    this.#carried();
  }

  #next(): void {
    const parcel = this.#queue.shift();
    if (parcel === undefined) {
      if (this.#over) this.destroy();
      return;
    }
    const { packet, answered } = parcel;
    const carrier = new TcpWire(this.#world, this.#target, this.#way, {
      packet: (reply) => {
        if (!answered) return;
        this.#letGo(carrier);
        if (!this.#over) this.handlers.packet(reply);
        // The handler has mostly sent the next packet by now.
        if (this.#carrier === undefined) this.#next();
      },
      lost: (failure, unanswered) => {
        if (!answered && unanswered) return this.#carried();
        this.#carrier = undefined;
        this.#queue.length = 0;
        if (!this.#over) this.handlers.lost(failure, unanswered);
      },
    });
    this.#carrier = carrier;
    carrier.send([packet]);
    if (answered) return;
    this.dueMs = this.#world.now().monotonicMs + ARRIVAL_WAIT_MS;
    this.#world.due.add(this);
  }

  #carried(): void {
    this.dueMs = NEVER;
    this.#world.due.delete(this);
    if (this.#carrier !== undefined) this.#letGo(this.#carrier);
    this.#next();
  }

  #letGo(carrier: TcpWire): void {
    carrier.finish(undefined);
    if (this.#carrier === carrier) this.#carrier = undefined;
  }
}
