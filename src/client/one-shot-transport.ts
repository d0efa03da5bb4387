/**
 * Packets that go one by one, each over a connection of its own (lp1.md §1.1): strictly one exchange at a time, in order,
 * for the next packet may need that the last one has arrived. How a packet gets there, over TCP or in a Forward, is the
 * way's. Invariants: one packet is on its way at most; the queue is bounded; after `close` or `destroy` no handler is called.
 */
import type { Timers } from '../system/timers.ts';
import type { Hop } from './errors.ts';
import { tooMuchError } from './explain.ts';
import { CLOSE_GRACE_MS } from './tcp-connect.ts';
import {
  CONTROL_LANE,
  type Exchange,
  type Transport,
  type TransportFailure,
  type TransportHandlers,
} from './transport.ts';

/** A packet without a reply has arrived when the gateway ends its connection; one that never does is not waited for. */
const ARRIVAL_WAIT_MS = 2_000;
/** A request has its own time. What has none must not stand in the way of the rest for ever; so long took a handshake. */
const CONTROL_WAIT_MS = 15_000;
const NEVER = Number.POSITIVE_INFINITY;

/** What became of a packet: what came back, valid during the call only, and why that is not all. */
export interface Carried {
  readonly packets: readonly Uint8Array[];
  readonly failure: TransportFailure | undefined;
}

export interface Carriage {
  readonly packet: Uint8Array;
  /** Whether an answer is waited for. */
  readonly answered: boolean;
  readonly idempotent: boolean;
  /** How long to wait once it has left; infinite where whoever sent it has a time of its own. Not a failure by itself. */
  readonly waitMs: number;
  /** It is on its way. */
  sent(): void;
  /** Once, and not after `stop` or `finish`. */
  done(carried: Carried): void;
}

export interface Carrying {
  /** At once. */
  stop(): void;
  /** Lets what has been written leave, and waits for nothing more. */
  finish(): Promise<void>;
}

/** Carries one packet at a time. */
export interface PacketWay {
  /** May call back at once. */
  carry(carriage: Carriage): Carrying;
  /** Nothing is being carried: lets go of what it holds. */
  release(): Promise<void>;
}

export interface OneShotOptions {
  readonly hop: Hop;
  readonly timers: Timers;
  /** Exchanges that wait; what goes beyond fails. */
  readonly maxQueued: number;
}

interface Pending {
  readonly packets: readonly Uint8Array[];
  readonly exchange: Exchange;
  /** The packet that is next, or on its way. */
  next: number;
}

interface UnderWay {
  readonly pending: Pending;
  sent: boolean;
  carrying: Carrying | undefined;
}

export class OneShotTransport implements Transport {
  readonly #way: PacketWay;
  readonly #options: OneShotOptions;
  readonly #queue: Pending[] = [];
  #handlers: TransportHandlers | undefined;
  #underWay: UnderWay | undefined;
  #backlog = 0;
  #over = false;
  /** While closing: the packet that is on its way has been sent, or failed. */
  #left: (() => void) | undefined;

  constructor(way: PacketWay, options: OneShotOptions) {
    this.#way = way;
    this.#options = options;
  }

  get backlog(): number {
    return this.#backlog;
  }

  attach(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(packets: readonly Uint8Array[], exchange: Exchange): void {
    if (this.#over || this.#left !== undefined || packets.length === 0) return;
    if (exchange.repeat && this.#waits(exchange.lane)) return;
    const pending = { packets, exchange, next: 0 };
    if (this.#queue.length >= this.#options.maxQueued) {
      const error = tooMuchError(this.#options.hop, 'request', 'in_flight');
      queueMicrotask(() => this.#fail(exchange, { error, retry: true, unanswered: false }));
      return;
    }
    this.#queue.push(pending);
    for (const packet of packets) this.#backlog += packet.length;
    this.#advance();
  }

  /** What is on its way leaves; what waits for it does not. */
  async close(): Promise<void> {
    if (this.#over || this.#left !== undefined) return;
    this.#handlers = undefined;
    this.#empty();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#left = resolve;
    if (this.#underWay === undefined || this.#underWay.sent) resolve();
    const cancel = this.#options.timers.after(CLOSE_GRACE_MS, resolve);
    await promise;
    cancel();
    const carrying = this.#underWay?.carrying;
    this.#over = true;
    this.#underWay = undefined;
    await carrying?.finish();
    await this.#way.release();
  }

  destroy(): void {
    this.#over = true;
    this.#left?.();
    this.#empty();
    const carrying = this.#underWay?.carrying;
    this.#underWay = undefined;
    carrying?.stop();
    void this.#way.release();
  }

  #waits(lane: number): boolean {
    return this.#underWay?.pending.exchange.lane === lane || this.#queue.some(({ exchange }) => exchange.lane === lane);
  }

  #advance(): void {
    if (this.#over || this.#left !== undefined || this.#underWay !== undefined) return;
    const [pending] = this.#queue;
    if (pending === undefined) return;
    const packet = pending.packets[pending.next];
    if (packet === undefined) throw new Error('assertion: an exchange that waits has a packet to send');
    const { replies, lane, idempotent, sent } = pending.exchange;
    const answered = pending.next >= pending.packets.length - replies;
    const underWay: UnderWay = { pending, sent: false, carrying: undefined };
    this.#underWay = underWay;
    this.#backlog -= packet.length;
    pending.next++;
    if (pending.next === pending.packets.length) this.#queue.shift();
    const first = pending.next === 1;
    const carrying = this.#way.carry({
      packet,
      answered,
      idempotent,
      waitMs: !answered ? ARRIVAL_WAIT_MS : lane === CONTROL_LANE ? CONTROL_WAIT_MS : NEVER,
      sent: () => {
        underWay.sent = true;
        this.#left?.();
        if (first && this.#underWay === underWay && !this.#over) sent?.();
      },
      done: (carried) => {
        if (this.#underWay === underWay) this.#done(pending, answered, carried);
      },
    });
    if (this.#underWay === underWay) underWay.carrying = carrying;
  }

  #done(pending: Pending, answered: boolean, { packets, failure }: Carried): void {
    this.#underWay = undefined;
    this.#left?.();
    // No answer is as it should be where none was expected.
    const failed = failure !== undefined && (answered || !failure.unanswered);
    if (failed) this.#drop(pending);
    for (const packet of packets) if (!this.#over) this.#handlers?.packet(packet);
    if (failed) this.#fail(pending.exchange, failure);
    this.#advance();
  }

  #fail({ lane }: Exchange, failure: TransportFailure): void {
    if (!this.#over) this.#handlers?.exchangeFailed(lane, failure);
  }

  /** The rest of an exchange: what follows a lost packet would be read wrongly. */
  #drop(pending: Pending): void {
    if (this.#queue[0] !== pending) return;
    this.#queue.shift();
    for (const packet of pending.packets.slice(pending.next)) this.#backlog -= packet.length;
  }

  #empty(): void {
    this.#queue.length = 0;
    this.#backlog = 0;
  }
}
