/**
 * Packets over one TCP connection, as BE16 frames (lp2.md §2) or LP1's BE32 ones. What is sent within one turn is joined
 * into one write: a write per packet costs several times more, and a round trip is counted by writes. Invariant: after
 * `destroy`, `close` or the end of the stream no handler is called.
 */
import type { Socket } from 'node:net';
import { encodeFrames, FrameCutter, type FrameSink, type Framing } from '../lp/wire/framing.ts';
import { LewesError } from './errors.ts';
import { CLOSE_GRACE_MS, connectSocket, remoteIp, type TcpOptions } from './tcp-connect.ts';
import type { Dialer, Exchange, Transport, TransportHandlers } from './transport.ts';

export class TcpDialer implements Dialer {
  readonly nested = false;
  gatewayIp = new Uint8Array(0);
  readonly #options: TcpOptions;
  readonly #framing: Framing;

  constructor(options: TcpOptions, framing: Framing) {
    this.#options = options;
    this.#framing = framing;
  }

  blame(): undefined {
    return undefined;
  }

  async dial(signal: AbortSignal): Promise<Transport> {
    const socket = await connectSocket(this.#options, signal);
    this.gatewayIp = remoteIp(socket);
    return new TcpTransport(socket, this.#options, this.#framing);
  }
}

class TcpTransport implements Transport, FrameSink {
  readonly #socket: Socket;
  readonly #options: TcpOptions;
  readonly #framing: Framing;
  readonly #cutter: FrameCutter;
  readonly #gone: Promise<void>;
  #handlers: TransportHandlers | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #over = false;

  constructor(socket: Socket, options: TcpOptions, framing: Framing) {
    this.#socket = socket;
    this.#options = options;
    this.#framing = framing;
    this.#cutter = new FrameCutter(this, framing);
    this.#gone = new Promise((resolve) => socket.once('close', () => resolve()));
    let cause: unknown;
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('data', (chunk: Buffer) => {
      // As a plain array: `slice` of a Buffer would not copy.
      const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      if (this.#over || this.#cutter.push(bytes)) return;
      this.#end(
        'broken_stream',
        'the gateway sent what is no frame; it is no Lewes gateway, or something is in between',
      );
    });
    socket.once('end', () => this.#end('closed', 'the gateway closed the connection', cause));
    socket.once('close', () => this.#end('closed', 'the connection broke', cause));
  }

  get backlog(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  attach(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(packets: readonly Uint8Array[], exchange: Exchange): void {
    if (this.#over || packets.length === 0) return;
    if (this.#queue.length === 0) queueMicrotask(() => this.#flush());
    for (const packet of packets) {
      this.#queue.push(packet);
      this.#queuedBytes += packet.length;
    }
    exchange.sent?.();
  }

  async close(): Promise<void> {
    if (!this.#over) {
      this.#flush();
      this.#over = true;
      this.#socket.end();
    }
    // Unread bytes would keep the stream from ending.
    this.#socket.resume();
    const cancel = this.#options.timers.after(CLOSE_GRACE_MS, () => this.#socket.destroy());
    await this.#gone;
    cancel();
  }

  destroy(): void {
    this.#over = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#socket.destroy();
  }

  admit(): boolean {
    return true;
  }

  packet(packet: Uint8Array): void {
    if (!this.#over) this.#handlers?.packet(packet);
  }

  #flush(): void {
    const queue = this.#queue;
    if (this.#over || queue.length === 0) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#socket.write(encodeFrames(this.#framing, queue));
  }

  #end(reason: string, message: string, cause?: unknown): void {
    if (this.#over) return;
    this.destroy();
    const { hop } = this.#options;
    const error = new LewesError({ code: 'connection_lost', hop, step: 'connect', reason, message, cause });
    this.#handlers?.closed({ error, retry: true, unanswered: reason === 'closed' });
  }
}
