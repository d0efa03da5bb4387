/**
 * One exchange with an exit (lp2.md §5): takes a kept connection or opens one, writes the frames, collects the replies.
 * Invariant: a connection is this exchange's alone until the outcome is told, which happens once, within the time of
 * the whole exchange; a connection that the outcome does not hand over is destroyed by then.
 */
import { FORWARD_STATUS } from '../../lp/wire/application-frame.ts';
import { encodeFrames } from '../../lp/wire/framing.ts';
import type { CancelTimer, Timers } from '../../system/timers.ts';
import type { ExitConnection } from './exit-connection.ts';
import { ReplyReader } from './reply-reader.ts';
import type { ForwardResult, ForwardStatus } from './types.ts';

export interface ExchangeOutcome {
  readonly result: ForwardResult;
  /** `reusable`: at a packet boundary with nothing outstanding. `ending`: written and ended by this side. */
  readonly connection:
    | { readonly kind: 'none' }
    | { readonly kind: 'reusable' | 'ending'; readonly connection: ExitConnection };
}

export interface ExchangeOptions {
  readonly packets: readonly Uint8Array[];
  /** 0..255; 0 asks for no reply. */
  readonly replies: number;
  readonly kept: ExitConnection | undefined;
  readonly connectTimeoutMs: number;
  readonly exchangeTimeoutMs: number;
}

export interface ExchangeDependencies {
  readonly timers: Timers;
  /** A connecting connection, or `undefined` where the system gives none. */
  open(): ExitConnection | undefined;
  /** A kept connection turned out closed, and a new one is opened in its place. */
  retried(): void;
  ended(outcome: ExchangeOutcome): void;
}

type State =
  | { readonly kind: 'unstarted' }
  | { readonly kind: 'connecting'; readonly connection: ExitConnection; readonly cancelConnectTimer: CancelTimer }
  | {
      readonly kind: 'written';
      readonly connection: ExitConnection;
      /** `undefined`: no reply is asked for. */
      readonly reader: ReplyReader | undefined;
      /** A kept connection on which nothing has come yet: its end says only that the exit had closed it before. */
      retryable: boolean;
    }
  | { readonly kind: 'ended' };

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #dependencies: ExchangeDependencies;
  /** Made at once: the caller may reuse the packets' memory. */
  readonly #frames: Uint8Array;
  #state: State = { kind: 'unstarted' };
  #cancelExchangeTimer: CancelTimer = () => {};

  constructor(options: ExchangeOptions, dependencies: ExchangeDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#frames = encodeFrames('be32', options.packets);
  }

  start(): void {
    const { kept, exchangeTimeoutMs } = this.#options;
    this.#cancelExchangeTimer = this.#dependencies.timers.after(exchangeTimeoutMs, () =>
      this.#endWith(FORWARD_STATUS.timeout),
    );
    if (kept === undefined) this.#connect();
    else this.#write(kept, true);
  }

  abort(): void {
    this.#endWith(FORWARD_STATUS.closed);
  }

  #connect(): void {
    const connection = this.#dependencies.open();
    if (connection === undefined) {
      this.#endWith(FORWARD_STATUS.connectFailed);
      return;
    }
    const failed = () => this.#endWith(FORWARD_STATUS.connectFailed);
    const cancelConnectTimer = this.#dependencies.timers.after(this.#options.connectTimeoutMs, failed);
    this.#state = { kind: 'connecting', connection, cancelConnectTimer };
    connection.own({
      connected: () => {
        cancelConnectTimer();
        this.#write(connection, false);
      },
      received() {},
      ended: failed,
    });
  }

  #write(connection: ExitConnection, reused: boolean): void {
    const { replies } = this.#options;
    const reader = replies === 0 ? undefined : new ReplyReader(replies);
    this.#state = { kind: 'written', connection, reader, retryable: reused };
    connection.own({
      connected() {},
      received: (chunk) => this.#received(chunk),
      ended: () => this.#streamEnded(),
    });
    if (reader === undefined) connection.end(this.#frames, () => this.#flushed(connection));
    else connection.write(this.#frames);
  }

  #received(chunk: Uint8Array): void {
    const state = this.#state;
    if (state.kind !== 'written') return;
    state.retryable = false;
    if (state.reader === undefined) return;
    const { reader, connection } = state;
    switch (reader.push(chunk)) {
      case 'open':
        return;
      case 'complete':
        if (reader.exact) this.#handOver(reader.packets, { kind: 'reusable', connection });
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

  #streamEnded(): void {
    const state = this.#state;
    if (state.kind !== 'written') return;
    if (!state.retryable) {
      this.#endWith(FORWARD_STATUS.closed);
      return;
    }
    state.connection.destroy();
    this.#dependencies.retried();
    this.#connect();
  }

  #flushed(connection: ExitConnection): void {
    // A kept connection may have been replaced, or the time may have run out, before its writes were through.
    if (this.#state.kind !== 'written' || this.#state.connection !== connection) return;
    this.#handOver([], { kind: 'ending', connection });
  }

  /** Ends well, with a connection that lives on. */
  #handOver(packets: readonly Uint8Array[], connection: ExchangeOutcome['connection']): void {
    this.#end({ result: { status: FORWARD_STATUS.ok, packets }, connection });
  }

  /** Ends with what came (nothing, where it was too large), and destroys the connection. */
  #endWith(status: ForwardStatus): void {
    const state = this.#state;
    let packets: readonly Uint8Array[] = [];
    if (state.kind === 'ended') return;
    if (state.kind !== 'unstarted') state.connection.destroy();
    if (state.kind === 'written' && status !== FORWARD_STATUS.replyTooLarge) packets = state.reader?.packets ?? [];
    this.#end({ result: { status, packets }, connection: { kind: 'none' } });
  }

  #end(outcome: ExchangeOutcome): void {
    if (this.#state.kind === 'connecting') this.#state.cancelConnectTimer();
    this.#cancelExchangeTimer();
    this.#state = { kind: 'ended' };
    this.#dependencies.ended(outcome);
  }
}
