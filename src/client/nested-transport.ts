/**
 * Packets to an exit inside an entry's session (lp2.md §5): each `send` is one Forward, and its ForwardResponse brings the
 * replies. A lane that waits for its answer sends no repeat, for the way to the entry loses nothing, and a Forward that
 * is over by then says so. Where the exit's version has one packet per connection, each is a Forward of its own.
 */
import { decodeForwardResponse, encodeForward, type ForwardTarget, KIND } from '../lp/wire/application-frame.ts';
import type { Timers } from '../system/timers.ts';
import type { LewesError } from './errors.ts';
import { forwardError, forwardStatusName, malformedAnswer } from './explain.ts';
import { type Carriage, type Carried, type Carrying, OneShotTransport, type PacketWay } from './one-shot-transport.ts';
import type { RequestOptions, RequestResult } from './requests.ts';
import type { Dialer, Exchange, Transport, TransportFailure, TransportHandlers } from './transport.ts';
import { reasonOf } from './wakeup.ts';

/** The entry's link, as its nested transports need it. */
export interface Carrier {
  readonly forwardTimeoutMs: number;
  /** It is on its way to a session; with an H3 that has left, a delay is that of the exit behind it. */
  readonly reaching: boolean;
  submit(request: RequestOptions): number;
  /** What an opening that takes too long would fail with. */
  describeDelay(): LewesError;
}

export interface NestedOptions {
  readonly target: ForwardTarget;
  readonly onePacketPerForward: boolean;
  readonly timers: Timers;
  /** Exchanges that may wait where there is one at a time. */
  readonly maxQueued: number;
}

export class NestedDialer implements Dialer {
  readonly nested = true;
  readonly #carrier: Carrier;
  readonly #options: NestedOptions;

  constructor(carrier: Carrier, options: NestedOptions) {
    this.#carrier = carrier;
    this.#options = options;
  }

  get gatewayIp(): Uint8Array {
    return this.#options.target.ip;
  }

  dial(signal: AbortSignal): Promise<Transport> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const { target, onePacketPerForward, timers, maxQueued } = this.#options;
    const transport = onePacketPerForward
      ? new OneShotTransport(new ForwardWay(this.#carrier, target), { hop: 'exit', timers, maxQueued })
      : new NestedTransport(this.#carrier, target);
    return Promise.resolve(transport);
  }

  blame(): LewesError | undefined {
    return this.#carrier.reaching ? this.#carrier.describeDelay() : undefined;
  }
}

class NestedTransport implements Transport {
  readonly backlog = 0;
  readonly #carrier: Carrier;
  readonly #target: ForwardTarget;
  readonly #waiting = new Set<number>();
  #handlers: TransportHandlers | undefined;
  #over = false;

  constructor(carrier: Carrier, target: ForwardTarget) {
    this.#carrier = carrier;
    this.#target = target;
  }

  attach(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(packets: readonly Uint8Array[], exchange: Exchange): void {
    const { lane, replies, repeat, idempotent, sent } = exchange;
    if (this.#over || packets.length === 0 || (repeat && this.#waiting.has(lane))) return;
    if (replies > 0) this.#waiting.add(lane);
    this.#carrier.submit({
      ...forwardOf(this.#carrier, this.#target, replies, packets),
      idempotent,
      ...(sent !== undefined && { sent }),
      settle: (result) => {
        this.#waiting.delete(lane);
        if (!this.#over) this.#settled(lane, readResult(result));
      },
    });
  }

  /** The entry's own session goes on; what was sent last is still on its way. */
  close(): Promise<void> {
    this.#over = true;
    return Promise.resolve();
  }

  destroy(): void {
    this.#over = true;
  }

  #settled(lane: number, { packets, failure }: Carried): void {
    for (const packet of packets) if (!this.#over) this.#handlers?.packet(packet);
    if (failure !== undefined && !this.#over) this.#handlers?.exchangeFailed(lane, failure);
  }
}

class ForwardWay implements PacketWay {
  readonly #carrier: Carrier;
  readonly #target: ForwardTarget;

  constructor(carrier: Carrier, target: ForwardTarget) {
    this.#carrier = carrier;
    this.#target = target;
  }

  carry({ packet, answered, idempotent, sent, done }: Carriage): Carrying {
    let over = false;
    this.#carrier.submit({
      ...forwardOf(this.#carrier, this.#target, answered ? 1 : 0, [packet]),
      idempotent,
      sent: () => {
        if (!over) sent();
      },
      settle: (result) => {
        if (!over) done(readResult(result));
      },
    });
    const stop = () => {
      over = true;
    };
    // The Forward is the entry's: it goes on, and has a time of its own.
    return { stop, finish: () => Promise.resolve(stop()) };
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}

function forwardOf(carrier: Carrier, target: ForwardTarget, replies: number, packets: readonly Uint8Array[]) {
  return {
    kind: KIND.forward,
    body: encodeForward({ target, replies, packets }),
    step: 'forward',
    timeoutMs: carrier.forwardTimeoutMs,
    repeatDelaysMs: [],
  } as const;
}

function readResult(result: RequestResult): Carried {
  if (result.kind === 'error') return { packets: [], failure: entryFailure(result.error) };
  const { kind, body } = result.frame;
  const response = kind === KIND.forwardResponse ? decodeForwardResponse(body) : undefined;
  const status = response && forwardStatusName(response.status);
  if (response === undefined || status === undefined) {
    const error = malformedAnswer('entry', 'forward', 'it is no ForwardResponse');
    return { packets: [], failure: { error, retry: false, unanswered: false } };
  }
  const { packets } = response;
  // Silence of the exit is silence: whoever sent has times of its own.
  if (status === 'ok' || status === 'timeout') return { packets, failure: undefined };
  const unanswered = status === 'closed' || status === 'unanswered';
  return { packets, failure: { error: forwardError(status), retry: unanswered || status === 'busy', unanswered } };
}

/** The entry's link has done its own repeats and attempts: only a lost connection may fare better. */
function entryFailure(error: LewesError): TransportFailure {
  const retry = error.code === 'connection_lost' || (error.code === 'refused' && error.reason === 'try_later');
  return { error, retry, unanswered: false };
}
