/**
 * One UAPI operation over the interface's unix socket, on a connection of its own: several on one are silently lost. Bounded in
 * time and size; never rejects. When the promise settles the connection is closed and nothing reads the request any more,
 * so that the caller can wipe it; what was read is wiped here.
 */
import { createConnection, type Socket } from 'node:net';
import type { CancelTimer, Timers } from '../../system/timers.ts';
import { type AnswerDefect, type AnswerOutcome, AnswerParser, type DumpSink, MAX_STATUS_BYTES } from './uapi-answer.ts';

export interface Operation {
  readonly request: Uint8Array;
  /** Of the whole: connecting, asking, and the answer to its end. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** For a `get`: who reads the dump, and how long it may be. */
  readonly dump?: { readonly sink: DumpSink; readonly maxBytes: number };
}

export type OperationOutcome =
  | Extract<AnswerOutcome, { kind: 'answered' }>
  /** No connection, and nothing was done. `code` is the system's. */
  | { readonly kind: 'unreachable'; readonly code: string }
  /** It may or may not have been carried out. */
  | { readonly kind: 'broken'; readonly defect: AnswerDefect | 'timed_out' | 'connection_lost' }
  | { readonly kind: 'aborted' };

/** One read of a dump: some 200 peers, which take about 2 ms to parse. */
const DUMP_BUFFER_BYTES = 65_536;

export function operate(path: string, operation: Operation, timers: Timers): Promise<OperationOutcome> {
  if (operation.signal.aborted) return Promise.resolve({ kind: 'aborted' });
  return new Promise((resolve) => new RunningOperation(path, operation, timers, resolve));
}

class RunningOperation {
  readonly #socket: Socket;
  readonly #parser: AnswerParser;
  readonly #buffer: Buffer;
  readonly #signal: AbortSignal;
  readonly #cancelTimeout: CancelTimer;
  #connected = false;
  #outcome: OperationOutcome | undefined;

  constructor(
    path: string,
    { request, timeoutMs, signal, dump }: Operation,
    timers: Timers,
    resolve: (outcome: OperationOutcome) => void,
  ) {
    this.#signal = signal;
    this.#parser = new AnswerParser(dump?.maxBytes ?? MAX_STATUS_BYTES, dump?.sink);
    this.#buffer = Buffer.alloc(dump === undefined ? MAX_STATUS_BYTES : DUMP_BUFFER_BYTES);
    // Into one buffer that can be wiped, instead of into as many as there are reads.
    const onread = { buffer: this.#buffer, callback: (length: number) => this.#read(length) };
    this.#socket = createConnection({ path, onread });
    this.#cancelTimeout = timers.after(timeoutMs, () => this.#settle({ kind: 'broken', defect: 'timed_out' }));
    signal.addEventListener('abort', this.#abort);
    this.#socket.on('connect', () => {
      this.#connected = true;
      this.#socket.write(request);
    });
    this.#socket.on('end', () => this.#settle(this.#parser.end()));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    this.#socket.on('close', () => {
      this.#settle({ kind: 'broken', defect: 'connection_lost' });
      resolve(this.#outcome ?? { kind: 'aborted' });
    });
  }

  /** The first word counts. The promise settles with the connection's close. */
  #settle(outcome: OperationOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#cancelTimeout();
    this.#signal.removeEventListener('abort', this.#abort);
    this.#parser.wipe();
    this.#buffer.fill(0);
    this.#socket.destroy();
  }

  readonly #abort = (): void => this.#settle({ kind: 'aborted' });

  #read(length: number): boolean {
    const outcome = this.#outcome ?? this.#parser.push(this.#buffer.subarray(0, length));
    this.#buffer.fill(0, 0, length);
    if (outcome !== undefined) this.#settle(outcome);
    else setImmediate(this.#readOn);
    // One read in a turn: left alone, the socket hands over 32 of them in a row, and the thread does nothing else.
    return false;
  }

  readonly #readOn = (): void => {
    if (!this.#socket.destroyed) this.#socket.resume();
  };

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#connected) this.#settle({ kind: 'broken', defect: 'connection_lost' });
    else this.#settle({ kind: 'unreachable', code: error.code ?? 'unknown' });
  }
}

export interface Watch {
  close(): void;
}

/**
 * A silent connection that tells when the other process ends: the only sign of it while nothing is asked. Not for boringtun,
 * where it would occupy a thread. `gone` is called once, unless the watch is closed first.
 */
export function watchProcess(path: string, gone: () => void): Watch {
  const socket = createConnection({ path });
  let closed = false;
  // Nothing is to be read here; resuming is what shows the end.
  socket.resume();
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (!closed) gone();
  });
  return {
    close() {
      closed = true;
      socket.destroy();
    },
  };
}
