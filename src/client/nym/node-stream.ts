/**
 * The TCP connection to a node (nym.md §2): bytes out, whole messages in. What is sent within one turn leaves in one write,
 * for a round trip is counted by writes. Invariant: exactly one `ended`, and no call of a handler after it or `destroy`.
 */
import type { Socket } from 'node:net';
import { NymStreamCutter } from '../../lp/nym/stream-cutter.ts';
import type { Timers } from '../../system/timers.ts';
import { CLOSE_GRACE_MS, connectSocket, remoteIp, type TcpOptions } from '../tcp-connect.ts';

export type StreamEnd =
  /** `foreign`: bytes came that were no whole message. */
  { readonly kind: 'closed'; readonly foreign: boolean; readonly cause: unknown } | { readonly kind: 'broken_framing' };

export interface StreamHandlers {
  /** The bytes are valid during the call, which may overwrite them. */
  message(kind: 'handshake' | 'packet', bytes: Uint8Array): void;
  ended(end: StreamEnd): void;
}

export class NodeStream {
  /** Of the node, as it was dialled. */
  readonly remoteIp: Uint8Array;
  readonly #socket: Socket;
  readonly #timers: Timers;
  readonly #cutter: NymStreamCutter;
  readonly #gone: Promise<void>;
  #handlers: StreamHandlers | undefined;
  #queue: Uint8Array[] = [];
  #over = false;

  private constructor(socket: Socket, timers: Timers) {
    this.#socket = socket;
    this.#timers = timers;
    this.remoteIp = remoteIp(socket);
    this.#cutter = new NymStreamCutter('node', (kind, bytes) => {
      if (!this.#over) this.#handlers?.message(kind === 'packet' ? 'packet' : 'handshake', bytes);
    });
    this.#gone = new Promise((resolve) => socket.once('close', () => resolve()));
    let cause: unknown;
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    const closed = () => this.#end({ kind: 'closed', foreign: this.#cutter.midMessage, cause });
    socket.once('end', closed);
    socket.once('close', closed);
  }

  /** Rejects with `connect_failed`, or with the signal's reason, a LewesError. */
  static async connect(options: TcpOptions, signal: AbortSignal): Promise<NodeStream> {
    return new NodeStream(await connectSocket(options, signal), options.timers);
  }

  attach(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  send(bytes: Uint8Array): void {
    if (this.#over) return;
    if (this.#queue.length === 0) queueMicrotask(() => this.#flush());
    this.#queue.push(bytes);
  }

  /** Ends this side, and resolves when the connection is gone, within a second or so. */
  async close(): Promise<void> {
    this.#flush();
    this.#over = true;
    this.#socket.end();
    // Unread bytes would keep the stream from ending.
    this.#socket.resume();
    const cancel = this.#timers.after(CLOSE_GRACE_MS, () => this.#socket.destroy());
    await this.#gone;
    cancel();
  }

  destroy(): void {
    this.#over = true;
    this.#queue = [];
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    if (this.#over) return;
    // As a plain array: `slice` of a Buffer would not copy.
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    if (!this.#cutter.push(bytes)) this.#end({ kind: 'broken_framing' });
  }

  #flush(): void {
    const queue = this.#queue;
    if (this.#over || queue.length === 0) return;
    this.#queue = [];
    const [first] = queue;
    this.#socket.write(queue.length === 1 && first !== undefined ? first : Buffer.concat(queue));
  }

  #end(end: StreamEnd): void {
    if (this.#over) return;
    this.destroy();
    this.#handlers?.ended(end);
  }
}
