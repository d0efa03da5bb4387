/**
 * Packets to an exit inside an entry's session (lp2.md §5): each `send` is one Forward, and its ForwardResponse brings the
 * replies. A lane that waits for its answer sends no repeat, for the way to the entry loses nothing, and a Forward that
 * is over by then says so.
 */
import { decodeForwardResponse, encodeForward, type ForwardTarget, KIND } from '../lp/wire/application-frame.ts';
import type { LewesError } from './errors.ts';
import { forwardError, forwardStatusName, malformedAnswer } from './explain.ts';
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

export class NestedDialer implements Dialer {
  readonly nested = true;
  readonly #carrier: Carrier;
  readonly #target: ForwardTarget;

  constructor(carrier: Carrier, target: ForwardTarget) {
    this.#carrier = carrier;
    this.#target = target;
  }

  dial(signal: AbortSignal): Promise<Transport> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    return Promise.resolve(new NestedTransport(this.#carrier, this.#target));
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
      kind: KIND.forward,
      body: encodeForward({ target: this.#target, replies, packets }),
      step: 'forward',
      timeoutMs: this.#carrier.forwardTimeoutMs,
      repeatDelaysMs: [],
      idempotent,
      ...(sent !== undefined && { sent }),
      settle: (result) => {
        this.#waiting.delete(lane);
        if (!this.#over) this.#settled(lane, result);
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

  #settled(lane: number, result: RequestResult): void {
    const failure = result.kind === 'error' ? entryFailure(result.error) : this.#deliver(result.frame);
    if (failure !== undefined && !this.#over) this.#handlers?.exchangeFailed(lane, failure);
  }

  #deliver(frame: { readonly kind: number; readonly body: Uint8Array }): TransportFailure | undefined {
    const response = frame.kind === KIND.forwardResponse ? decodeForwardResponse(frame.body) : undefined;
    const status = response && forwardStatusName(response.status);
    if (response === undefined || status === undefined) {
      return { error: malformedAnswer('entry', 'forward', 'it is no ForwardResponse'), retry: false };
    }
    for (const packet of response.packets) if (!this.#over) this.#handlers?.packet(packet);
    // Silence of the exit is silence: whoever sent has times of its own.
    if (status === 'ok' || status === 'timeout') return undefined;
    return { error: forwardError(status), retry: status === 'closed' || status === 'busy' };
  }
}

/** The entry's link has done its own repeats and attempts: only a lost connection may fare better. */
function entryFailure(error: LewesError): TransportFailure {
  const retry = error.code === 'connection_lost' || (error.code === 'refused' && error.reason === 'try_later');
  return { error, retry };
}
