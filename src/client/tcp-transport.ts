/**
 * Packets over one TCP connection with BE16 frames (lp2.md §2). What is sent within one turn is joined into one write:
 * a write per packet costs several times more, and a round trip is counted by writes. Invariant: after `destroy`, `close`
 * or the end of the stream no handler is called.
 */
import { connect, type Socket } from 'node:net';
import { encodeFrames, FrameCutter, type FrameSink } from '../lp/wire/framing.ts';
import type { Timers } from '../system/timers.ts';
import { type Hop, LewesError } from './errors.ts';
import type { Address } from './gateway-target.ts';
import type { Dialer, Exchange, Transport, TransportHandlers } from './transport.ts';
import { reasonOf } from './wakeup.ts';

/** A gateway ends its side as soon as it has read ours; a second is for slow networks. */
const CLOSE_GRACE_MS = 1_000;

export interface TcpOptions {
  readonly address: Address;
  readonly hop: Hop;
  readonly connectTimeoutMs: number;
  readonly localAddress: string | undefined;
  readonly timers: Timers;
}

export class TcpDialer implements Dialer {
  readonly nested = false;
  readonly #options: TcpOptions;

  constructor(options: TcpOptions) {
    this.#options = options;
  }

  blame(): undefined {
    return undefined;
  }

  dial(signal: AbortSignal): Promise<Transport> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const { address, localAddress, timers, connectTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const { host, port } = address;
      const socket = connect({ host, port, noDelay: true, ...(localAddress !== undefined && { localAddress }) });
      const settle = (finish: () => void) => {
        cancelTimer();
        signal.removeEventListener('abort', abort);
        socket.removeListener('error', failed);
        finish();
      };
      const give = (error: LewesError) =>
        settle(() => {
          socket.on('error', () => {});
          socket.destroy();
          reject(error);
        });
      const failed = (error: NodeJS.ErrnoException) => give(this.#connectError(error.code ?? 'unknown', error));
      const abort = () => give(reasonOf(signal));
      const cancelTimer = timers.after(connectTimeoutMs, () => give(this.#connectError('timeout')));
      signal.addEventListener('abort', abort, { once: true });
      socket.once('error', failed);
      socket.once('connect', () => settle(() => resolve(new TcpTransport(socket, this.#options))));
    });
  }

  #connectError(reason: string, cause?: unknown): LewesError {
    const { address, hop } = this.#options;
    const at = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
    const message = `no connection to ${at} (${reason}): ${ADVICE[reason] ?? 'check the address and the network'}`;
    return new LewesError({ code: 'connect_failed', hop, step: 'connect', reason, message, cause });
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there; check address and port, and that the gateway runs',
  timeout: 'no answer in time; check the address, and that no firewall is in between',
  ENOTFOUND: 'there is no such name',
  EADDRNOTAVAIL: 'the local address is none of this machine, or all its ports are in use',
};

class TcpTransport implements Transport, FrameSink {
  readonly #socket: Socket;
  readonly #options: TcpOptions;
  readonly #cutter = new FrameCutter(this, 'be16');
  readonly #gone: Promise<void>;
  #handlers: TransportHandlers | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #over = false;

  constructor(socket: Socket, options: TcpOptions) {
    this.#socket = socket;
    this.#options = options;
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
    this.#socket.write(encodeFrames('be16', queue));
  }

  #end(reason: string, message: string, cause?: unknown): void {
    if (this.#over) return;
    this.destroy();
    const { hop } = this.#options;
    const error = new LewesError({ code: 'connection_lost', hop, step: 'connect', reason, message, cause });
    this.#handlers?.closed({ error, retry: true });
  }
}
