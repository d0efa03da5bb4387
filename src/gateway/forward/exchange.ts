/**
 * One exchange with an exit (lp2.md §5): takes a kept connection or opens one, writes the frames, collects the replies.
 * Invariant: a connection is this exchange's alone until the outcome is told, which happens once, within the time of
 * the whole exchange; a connection that the outcome does not hand over is destroyed by then.
 */
import { FORWARD_STATUS } from '../../lp/wire/application-frame.ts';
import { frameOverhead, writeFramePrefix } from '../../lp/wire/framing.ts';
import { Timed } from './deadlines.ts';
import type { ExitConnection, ExitConnectionOwner } from './exit-connection.ts';
import type { Place } from './places.ts';
import { ReplyReader } from './reply-reader.ts';
import type { ForwardStatus } from './types.ts';

export interface ExchangeRequest {
  readonly packets: readonly Uint8Array[];
  /** 0..255; 0 asks for no reply. */
  readonly replies: number;
  /** The first packet has index 0: an exit's balancer places the handshake by it. */
  readonly bootstrap: boolean;
  /** Told the body of the ForwardResponse, which is valid only during the call. */
  readonly done: (response: Uint8Array) => void;
}

/** `reusable`: at a packet boundary with nothing outstanding. `ending`: written and ended by this side. */
export type HandedOver = 'reusable' | 'ending';

export interface ExchangeHost {
  /** A connecting connection, which ends when it takes too long; `undefined` where the system gives none. */
  open(exchange: Exchange): ExitConnection | undefined;
  connected(connection: ExitConnection): void;
  /** A kept connection turned out closed, and a new one is opened in its place. */
  retried(): void;
  /** Before `done` is told. A connection is handed over where the outcome is a good one. */
  ended(exchange: Exchange, status: ForwardStatus, how?: HandedOver, connection?: ExitConnection): void;
}

/** Exits of both versions take it. */
const EXIT_FRAMING = 'be32';
const FRAME_OVERHEAD = frameOverhead(EXIT_FRAMING);

type State =
  | { readonly kind: 'unstarted' }
  | { readonly kind: 'connecting'; readonly connection: ExitConnection }
  | {
      readonly kind: 'written';
      readonly connection: ExitConnection;
      /** `undefined`: no reply is asked for. */
      readonly reader: ReplyReader | undefined;
      /** A kept connection on which nothing has come yet: its end says only that the exit had closed it before. */
      retryable: boolean;
    }
  | { readonly kind: 'ended' };

const UNSTARTED: State = { kind: 'unstarted' };
const ENDED: State = { kind: 'ended' };

export class Exchange extends Timed<Exchange> implements ExitConnectionOwner {
  readonly place: Place;
  readonly bootstrap: boolean;
  /** Whether its connection may be kept for the next one: no longer when its family has ended. */
  mayKeep = true;
  readonly #host: ExchangeHost;
  readonly #replies: number;
  readonly #done: (response: Uint8Array) => void;
  /** Made at once: the caller may reuse the packets' memory. */
  readonly #frames: Uint8Array;
  #state: State = UNSTARTED;

  constructor(place: Place, request: ExchangeRequest, host: ExchangeHost) {
    super();
    this.place = place;
    this.bootstrap = request.bootstrap;
    this.#host = host;
    this.#replies = request.replies;
    this.#done = request.done;
    this.#frames = framesOf(request.packets);
  }

  start(kept: ExitConnection | undefined): void {
    if (kept === undefined) this.#connect();
    else this.#write(kept, true);
  }

  timedOut(): void {
    this.#endWith(FORWARD_STATUS.timeout);
  }

  abort(): void {
    this.#endWith(FORWARD_STATUS.closed);
  }

  // Of its connection.

  connected(): void {
    const state = this.#state;
    if (state.kind !== 'connecting') return;
    this.#host.connected(state.connection);
    this.#write(state.connection, false);
  }

  received(chunk: Uint8Array): void {
    const state = this.#state;
    if (state.kind !== 'written') return;
    state.retryable = false;
    if (state.reader === undefined) return;
    switch (state.reader.push(chunk)) {
      case 'open':
        return;
      case 'complete':
        if (state.reader.exact) this.#handOver('reusable', state.connection, state.reader);
        else this.#endWith(FORWARD_STATUS.ok);
        return;
      case 'stopped':
        this.#endWith(FORWARD_STATUS.ok);
        return;
      case 'tooLarge':
        this.#endWith(FORWARD_STATUS.replyTooLarge);
        return;
      case 'broken':
        this.#endWith(FORWARD_STATUS.closed);
        return;
    }
  }

  ended(): void {
    const state = this.#state;
    if (state.kind === 'connecting') this.#endWith(FORWARD_STATUS.connectFailed);
    if (state.kind !== 'written') return;
    if (!state.retryable) {
      this.#endWith(FORWARD_STATUS.closed);
      return;
    }
    state.connection.destroy();
    this.#host.retried();
    this.#connect();
  }

  #connect(): void {
    const connection = this.#host.open(this);
    if (connection === undefined) {
      this.#end(FORWARD_STATUS.connectFailed, undefined);
      return;
    }
    this.#state = { kind: 'connecting', connection };
    connection.own(this);
  }

  #write(connection: ExitConnection, reused: boolean): void {
    const reader = this.#replies === 0 ? undefined : new ReplyReader(this.#replies);
    this.#state = { kind: 'written', connection, reader, retryable: reused };
    connection.own(this);
    if (reader === undefined) connection.end(this.#frames, () => this.#flushed(connection));
    else connection.write(this.#frames);
  }

  #flushed(connection: ExitConnection): void {
    // A kept connection may have been replaced, or the time may have run out, before its writes were through.
    if (this.#state.kind !== 'written' || this.#state.connection !== connection) return;
    this.#handOver('ending', connection, undefined);
  }

  /** Ends well, with a connection that lives on. */
  #handOver(how: HandedOver, connection: ExitConnection, reader: ReplyReader | undefined): void {
    this.#end(FORWARD_STATUS.ok, reader, how, connection);
  }

  /** Ends with what came (nothing, where it was too large), and destroys the connection. */
  #endWith(status: ForwardStatus): void {
    const state = this.#state;
    if (state.kind === 'ended') return;
    if (state.kind !== 'unstarted') state.connection.destroy();
    const whole = state.kind === 'written' && status !== FORWARD_STATUS.replyTooLarge;
    this.#end(status, whole ? state.reader : undefined);
  }

  #end(status: ForwardStatus, reader: ReplyReader | undefined, how?: HandedOver, connection?: ExitConnection): void {
    this.#state = ENDED;
    this.#host.ended(this, status, how, connection);
    this.#done(reader?.response(status) ?? Uint8Array.of(status));
  }
}

/** A Buffer from Node's pool, which a socket takes as it is: neither memory nor a view has to be made for it. */
function framesOf(packets: readonly Uint8Array[]): Buffer {
  let length = packets.length * FRAME_OVERHEAD;
  for (const packet of packets) length += packet.length;
  const frames = Buffer.allocUnsafe(length);
  let at = 0;
  for (const packet of packets) {
    at = writeFramePrefix(frames, at, EXIT_FRAMING, packet.length);
    frames.set(packet, at);
    at += packet.length;
  }
  return frames;
}
