/**
 * One TCP connection to an exit of Nym's, for one client connection and as long as it (nym.md §9.4): bytes out verbatim,
 * and as many back as were asked for, one exchange after the other. Invariant: every exchange has one outcome, and the
 * first that fails is the last; what an exit says without being asked is a failure, so nothing is ever kept of it. Memory
 * grows with the bytes that came, never with a length that was only announced.
 */
import type { Socket, TcpNetConnectOpts } from 'node:net';
import { LENGTH_PREFIX, MAX_FRAME_CONTENT, OUTER_HEADER_LENGTH } from '../../lp/nym/channel.ts';
import { concat, readLe32 } from '../../lp/wire/bytes.ts';
import type { CancelTimer, Timers } from '../../system/timers.ts';

/** Why an exchange failed. A closed list: each is a label of a metric. */
export const RAW_FAILURES = [
  'not_allowed',
  'busy',
  /** Not connected in time, or at all. */
  'connect',
  'timeout',
  /** The exit ended the connection. */
  'closed',
  /** A packet that no client could be given, or bytes that nobody asked for. */
  'length',
  'unasked',
] as const;
export type RawFailure = (typeof RAW_FAILURES)[number];

export type RawOutcome =
  /** Valid during the call. */
  { readonly kind: 'reply'; readonly bytes: Uint8Array } | { readonly kind: 'failed'; readonly reason: RawFailure };

export type RawConnect = (to: TcpNetConnectOpts) => Socket;

export interface RawExitOptions {
  readonly address: string;
  readonly port: number;
  readonly connectMs: number;
  /** From the write to the last byte of the reply. */
  readonly exchangeMs: number;
}

interface Exchange {
  /** 0: a packet with its length before it, which does not belong to the reply (§9.2). */
  readonly replyLength: number;
  readonly done: (outcome: RawOutcome) => void;
}

export class RawExit {
  readonly #options: RawExitOptions;
  readonly #timers: Timers;
  readonly #socket: Socket;
  #connected = false;
  #over: RawFailure | undefined;
  #exchange: Exchange | undefined;
  #chunks: Uint8Array[] = [];
  #received = 0;
  #cancel: CancelTimer = () => undefined;

  /** Throws where the system gives no socket. `onGone`: the socket is closed. */
  constructor(options: RawExitOptions, connect: RawConnect, timers: Timers, onGone: () => void) {
    const { address, port, connectMs } = options;
    this.#options = options;
    this.#timers = timers;
    const socket = connect({ host: address, port, noDelay: true });
    this.#socket = socket;
    socket.on('connect', () => this.#onConnect());
    socket.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    const ended = () => this.#fail(this.#connected ? 'closed' : 'connect');
    socket.on('end', ended);
    socket.on('error', ended);
    socket.on('close', () => {
      ended();
      onGone();
    });
    this.#cancel = timers.after(connectMs, () => this.#fail('connect'));
  }

  get busy(): boolean {
    return this.#exchange !== undefined;
  }

  /** `bytes` is kept until it is written. One at a time; `done` is told once, perhaps during the call. */
  exchange(bytes: Uint8Array, replyLength: number, done: (outcome: RawOutcome) => void): void {
    if (this.#exchange !== undefined) throw new Error('assertion: one exchange at a time');
    if (this.#over !== undefined) {
      done({ kind: 'failed', reason: this.#over });
      return;
    }
    this.#exchange = { replyLength, done };
    this.#socket.write(bytes);
    if (this.#connected) this.#startClock();
  }

  /** The client has gone; nobody is told anything any more. */
  destroy(): void {
    this.#exchange = undefined;
    this.#fail('closed');
  }

  #onConnect(): void {
    this.#connected = true;
    this.#cancel();
    if (this.#exchange !== undefined && this.#over === undefined) this.#startClock();
  }

  #startClock(): void {
    this.#cancel = this.#timers.after(this.#options.exchangeMs, () => this.#fail('timeout'));
  }

  #onData(chunk: Uint8Array): void {
    if (this.#over !== undefined) return;
    if (this.#exchange === undefined) {
      this.#fail('unasked');
      return;
    }
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    const { replyLength } = this.#exchange;
    const skipped = replyLength === 0 ? LENGTH_PREFIX : 0;
    if (this.#received < skipped) return;
    const wanted = skipped + (skipped === 0 ? replyLength : this.#packetLength());
    if (wanted > LENGTH_PREFIX + MAX_FRAME_CONTENT || wanted < skipped + (skipped === 0 ? 1 : OUTER_HEADER_LENGTH))
      this.#fail('length');
    else if (this.#received > wanted) this.#fail('unasked');
    else if (this.#received === wanted) this.#complete(skipped);
  }

  #packetLength(): number {
    const [first] = this.#chunks;
    // A prefix in several reads is rare, and then short.
    const head = first !== undefined && first.length >= LENGTH_PREFIX ? first : concat(...this.#chunks);
    this.#chunks = head === first ? this.#chunks : [head];
    return readLe32(head, 0);
  }

  #complete(skipped: number): void {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0] : concat(...this.#chunks);
    const { done } = this.#exchange ?? {};
    this.#exchange = undefined;
    this.#chunks = [];
    this.#received = 0;
    this.#cancel();
    done?.({ kind: 'reply', bytes: (bytes ?? new Uint8Array(0)).subarray(skipped) });
  }

  #fail(reason: RawFailure): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#cancel();
    this.#chunks = [];
    this.#socket.destroy();
    const { done } = this.#exchange ?? {};
    this.#exchange = undefined;
    done?.({ kind: 'failed', reason });
  }
}
