/**
 * A TCP connection for each packet (lp1.md §1.1): connect, write one BE32 frame, take at most one, end. Invariant: a socket
 * is the first one, which the dialer made, or that of the packet on its way; all others are gone.
 */
import type { Socket } from 'node:net';
import { encodeFrames, FrameCutter, type FrameSink } from '../lp/wire/framing.ts';
import type { CancelTimer } from '../system/timers.ts';
import { LewesError } from './errors.ts';
import { type Carriage, type Carrying, OneShotTransport, type PacketWay } from './one-shot-transport.ts';
import { CLOSE_GRACE_MS, connectSocket, remoteIp, type TcpOptions } from './tcp-connect.ts';
import type { Dialer, Transport, TransportFailure } from './transport.ts';

const NO_PACKETS: readonly Uint8Array[] = [];

/** Connects at once, so that a gateway that is not there is found while dialling; the first packet takes that connection. */
export class OneShotDialer implements Dialer {
  readonly nested = false;
  gatewayIp = new Uint8Array(0);
  readonly #options: TcpOptions;
  readonly #maxQueued: number;

  constructor(options: TcpOptions, maxQueued: number) {
    this.#options = options;
    this.#maxQueued = maxQueued;
  }

  blame(): undefined {
    return undefined;
  }

  async dial(signal: AbortSignal): Promise<Transport> {
    const socket = await connectSocket(this.#options, signal);
    this.gatewayIp = remoteIp(socket);
    const first = new PacketConnection(socket);
    const { hop, timers } = this.#options;
    return new OneShotTransport(new TcpWay(this.#options, first), { hop, timers, maxQueued: this.#maxQueued });
  }
}

class TcpWay implements PacketWay {
  readonly #options: TcpOptions;
  #first: PacketConnection | undefined;

  constructor(options: TcpOptions, first: PacketConnection) {
    this.#options = options;
    this.#first = first;
  }

  carry(carriage: Carriage): Carrying {
    const first = this.#first;
    this.#first = undefined;
    return new TcpCarrying(this.#options, carriage, first);
  }

  async release(): Promise<void> {
    this.#first?.destroy();
    await this.#first?.gone;
    this.#first = undefined;
  }
}

class TcpCarrying implements Carrying {
  readonly #options: TcpOptions;
  readonly #carriage: Carriage;
  readonly #connecting = new AbortController();
  #connection: PacketConnection | undefined;
  #cancelWait: CancelTimer | undefined;
  #over = false;

  constructor(options: TcpOptions, carriage: Carriage, first: PacketConnection | undefined) {
    this.#options = options;
    this.#carriage = carriage;
    // One that lay idle may have been ended meanwhile, or never be heard of again; a new one tells.
    if (first?.usable === true) this.#write(first);
    else {
      first?.destroy();
      void this.#connect();
    }
  }

  stop(): void {
    this.#over = true;
    this.#cancelWait?.();
    this.#connecting.abort(this.#error('aborted', 'stopped', 'the packet was given up'));
    this.#connection?.destroy();
  }

  async finish(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return this.stop();
    this.#over = true;
    this.#cancelWait?.();
    connection.end();
    const cancel = this.#options.timers.after(CLOSE_GRACE_MS, () => connection.destroy());
    await connection.gone;
    cancel();
  }

  async #connect(): Promise<void> {
    try {
      const connection = new PacketConnection(await connectSocket(this.#options, this.#connecting.signal));
      if (this.#over) connection.destroy();
      else this.#write(connection);
    } catch (error) {
      if (!(error instanceof LewesError)) throw error;
      this.#done(NO_PACKETS, { error, retry: true, unanswered: false });
    }
  }

  #write(connection: PacketConnection): void {
    const { packet, answered, waitMs, sent } = this.#carriage;
    this.#connection = connection;
    connection.write(packet, {
      packet: (reply) => {
        if (answered) this.#done([reply], undefined);
      },
      ended: (cause) => this.#done(NO_PACKETS, { error: this.#noAnswer(cause), retry: true, unanswered: true }),
      broken: () => this.#done(NO_PACKETS, { error: this.#broken(), retry: true, unanswered: false }),
    });
    sent();
    if (this.#over || !Number.isFinite(waitMs)) return;
    this.#cancelWait = this.#options.timers.after(waitMs, () =>
      this.#done(NO_PACKETS, answered ? { error: this.#timeout(waitMs), retry: true, unanswered: false } : undefined),
    );
  }

  #done(packets: readonly Uint8Array[], failure: TransportFailure | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelWait?.();
    this.#connection?.destroy();
    this.#carriage.done({ packets, failure });
  }

  #noAnswer(cause: unknown): LewesError {
    const message =
      'the gateway ended the connection without an answer, which is how it refuses: compare identity, protocol version and clock';
    return this.#error('connection_lost', 'no_answer', message, cause);
  }

  #broken(): LewesError {
    const message = 'the gateway sent what is no frame; it is no Lewes gateway, or something is in between';
    return this.#error('connection_lost', 'broken_stream', message);
  }

  #timeout(ms: number): LewesError {
    return this.#error(
      'timeout',
      'timeout',
      `no answer within ${ms} ms: the gateway is overloaded, or packets are lost`,
    );
  }

  #error(
    code: 'connection_lost' | 'timeout' | 'aborted',
    reason: string,
    message: string,
    cause?: unknown,
  ): LewesError {
    return new LewesError({ code, hop: this.#options.hop, step: 'connect', reason, message, cause });
  }
}

interface ConnectionEvents {
  packet(packet: Uint8Array): void;
  /** Nothing more will come. */
  ended(cause: unknown): void;
  /** What came is no frame. */
  broken(): void;
}

class PacketConnection implements FrameSink {
  readonly gone: Promise<void>;
  readonly #socket: Socket;
  readonly #cutter = new FrameCutter(this, 'be32');
  #events: ConnectionEvents | undefined;
  #usable = true;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.gone = new Promise((resolve) => socket.once('close', () => resolve()));
    let cause: unknown;
    socket.on('error', (error) => {
      cause = error;
    });
    const ended = () => {
      this.#usable = false;
      this.#events?.ended(cause);
    };
    socket.once('end', ended);
    socket.once('close', ended);
    socket.on('data', (chunk: Buffer) => {
      // Before its packet was written a gateway has nothing to say.
      const whole = this.#events !== undefined && this.#cutter.push(new Uint8Array(chunk));
      if (whole) return;
      this.#usable = false;
      this.#events?.broken();
      this.destroy();
    });
  }

  /** Nothing was written, and the gateway has not ended it. */
  get usable(): boolean {
    return this.#usable;
  }

  write(packet: Uint8Array, events: ConnectionEvents): void {
    this.#usable = false;
    this.#events = events;
    this.#socket.write(encodeFrames('be32', [packet]));
  }

  admit(): boolean {
    return true;
  }

  packet(packet: Uint8Array): void {
    this.#events?.packet(packet);
  }

  /** Ends our side; unread bytes would keep the stream from ending. */
  end(): void {
    this.#events = undefined;
    this.#socket.resume();
    this.#socket.end();
  }

  destroy(): void {
    this.#events = undefined;
    this.#socket.destroy();
  }
}
