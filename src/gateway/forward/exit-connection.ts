/**
 * One TCP connection to an exit. It listens to its socket from beginning to end and hands what happens to whoever owns
 * the connection at that time: an exchange, the kept connections, or nobody. Invariant: every socket error is handled,
 * `ended` comes at most once, nothing comes after `destroy`, and `onGone` comes once, when the socket is closed.
 */
import type { Socket } from 'node:net';

export interface ExitConnectionOwner {
  connected(): void;
  received(chunk: Uint8Array): void;
  /** End of stream or failure. */
  ended(): void;
}

/** Reads on, so that the end of the stream is noticed, and throws away what comes. */
const NOBODY: ExitConnectionOwner = { connected() {}, received() {}, ended() {} };

export class ExitConnection {
  readonly #socket: Socket;
  #owner: ExitConnectionOwner = NOBODY;
  #over = false;

  /** `socket` is connecting. */
  constructor(socket: Socket, onGone: (connection: ExitConnection) => void) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('connect', () => this.#owner.connected());
    socket.on('data', (chunk: Buffer) => this.#owner.received(chunk));
    socket.on('end', () => this.#finish());
    socket.on('error', () => this.#finish());
    socket.on('close', () => {
      this.#finish();
      onGone(this);
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

  destroy(): void {
    this.#owner = NOBODY;
    this.#over = true;
    this.#socket.destroy();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended();
  }
}
