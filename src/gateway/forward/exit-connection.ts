/**
 * One TCP connection to an exit. It listens to its socket from beginning to end and hands what happens to whoever owns
 * the connection at that time: an exchange, the kept connections, or nobody. Invariant: every socket error is handled,
 * `ended` comes at most once, nothing comes after `destroy`, then it has no deadline, and `onGone` comes once, when the
 * socket is closed.
 */
import type { Socket, TcpNetConnectOpts } from 'node:net';
import type { Exit } from './allow-list.ts';
import { Timed } from './deadlines.ts';

export interface ExitConnectionOwner {
  connected(): void;
  /** The bytes are valid only during the call. */
  received(chunk: Uint8Array): void;
  /** End of stream or failure. */
  ended(): void;
}

/** Returns a socket that is connecting. */
export type Connect = (to: TcpNetConnectOpts) => Socket;

/** Reads on, so that the end of the stream is noticed, and throws away what comes. */
const NOBODY: ExitConnectionOwner = { connected() {}, received() {}, ended() {} };

/** One for all connections: what a read brings is looked at, and copied where it is wanted, before the next one. */
const READ_BUFFER = new Uint8Array(64 * 1_024);

export class ExitConnection extends Timed<ExitConnection> {
  readonly #socket: Socket;
  #owner: ExitConnectionOwner = NOBODY;
  #over = false;

  /** Throws where the system gives no socket. */
  constructor(connect: Connect, exit: Exit, onGone: () => void) {
    super();
    const socket = connect({
      host: exit.address,
      port: exit.port,
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (length) => this.#received(length) },
    });
    this.#socket = socket;
    socket.on('connect', () => this.#owner.connected());
    socket.on('end', () => this.#finish());
    socket.on('error', () => this.#finish());
    socket.on('close', () => {
      this.list?.delete(this);
      this.#finish();
      onGone();
    });
  }

  get usable(): boolean {
    return !this.#over && this.#socket.writable;
  }

  own(owner: ExitConnectionOwner): void {
    this.#owner = owner;
  }

  disown(): void {
    this.#owner = NOBODY;
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Writes, then ends this direction; `flushed` is called when the system has taken all, not at all on failure. */
  end(bytes: Uint8Array, flushed: () => void): void {
    this.#socket.once('finish', flushed);
    this.#socket.end(bytes);
  }

  /** Its time is up: as if it had failed. */
  expire(): void {
    this.#finish();
  }

  destroy(): void {
    this.list?.delete(this);
    this.#owner = NOBODY;
    this.#over = true;
    this.#socket.destroy();
  }

  /** True: reads on. */
  #received(length: number): boolean {
    this.#owner.received(READ_BUFFER.subarray(0, length));
    return true;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended();
  }
}
