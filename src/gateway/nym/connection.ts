/**
 * One client connection of Nym's: its socket, its cutter and its ages. It reads no further while as many of its messages
 * are without an answer as its session holds, while the shard has no room, or while the client does not read; what a batch
 * brought for it leaves in one write. Every message that a shard takes has one answer, or is the connection's last.
 */
import type { Socket } from 'node:net';
import { NymStreamCutter, type StreamSink } from '../../lp/nym/stream-cutter.ts';
import { concat } from '../../lp/wire/bytes.ts';
import type { Source } from '../admission.ts';
import type { NymCloseReason } from './reasons.ts';

export interface NymTimeouts {
  /** From the connection to message 2. */
  readonly handshakeMs: number;
  /** Until a first message is whole. */
  readonly unprovenMs: number;
  /** A message, from its first byte. */
  readonly frameMs: number;
  /** A client that takes nothing of what is written. */
  readonly writeMs: number;
}

/**
 * Messages without an answer at which no more is read, and their bytes: a session holds eight and 128 KiB besides the one
 * that it serves, and what was read when the bound is reached may be one message more.
 */
const MAX_UNANSWERED = 8;
const MAX_UNANSWERED_BYTES = 65_536;
/** Unsent answers: beyond it nothing more is read. */
const WRITE_PAUSE_BYTES = 131_072;

export interface NymConnectionOptions {
  readonly id: number;
  readonly shard: number;
  readonly source: Source;
  readonly socket: Socket;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** The stream cannot be cut any more: the connection is to be closed. */
  readonly broken: () => void;
}

export class NymConnection {
  readonly id: number;
  readonly shard: number;
  readonly source: Source;
  closed = false;
  /** The shard has something of it. */
  known = false;
  /** Of its session, once message 2 is out. */
  index: number | undefined;
  readonly #socket: Socket;
  readonly #nowMs: () => number;
  readonly #broken: () => void;
  readonly #cutter: NymStreamCutter;
  readonly #startedMs: number;
  #messages = 0;
  #frameSinceMs: number | undefined;
  /** Lengths of the messages that have no answer. */
  readonly #unanswered: number[] = [];
  #unansweredBytes = 0;
  #holds = 0;
  #windowFull = false;
  #writeFull = false;
  #outgoing: Uint8Array[] = [];
  #unsentSinceMs: number | undefined;
  #closedMs: number | undefined;

  constructor({ id, shard, source, socket, nowMs, broken }: NymConnectionOptions, sink: StreamSink) {
    this.id = id;
    this.shard = shard;
    this.source = source;
    this.#socket = socket;
    this.#nowMs = nowMs;
    this.#broken = broken;
    this.#cutter = new NymStreamCutter('client', sink);
    this.#startedMs = nowMs();
  }

  /** What a read brought. */
  read(chunk: Uint8Array): void {
    if (this.closed) return;
    const sound = this.#cutter.push(chunk);
    if (this.#cutter.midMessage) this.#frameSinceMs ??= this.#nowMs();
    else this.#frameSinceMs = undefined;
    if (!sound) this.#broken();
  }

  /** A whole message goes to the shard. */
  taken(length: number): void {
    this.#messages++;
    this.#frameSinceMs = undefined;
    this.#unanswered.push(length);
    this.#unansweredBytes += length;
    if (this.#windowFull || !this.#overWindow) return;
    this.#windowFull = true;
    this.hold();
  }

  /** Reads no further until `resume`. */
  hold(): void {
    this.#holds++;
    this.#cutter.stop();
    this.#socket.pause();
  }

  /** Takes back one `hold`. */
  resume(): void {
    this.#holds--;
    if (this.closed || this.#holds > 0) return;
    if (!this.#cutter.resume()) this.#broken();
    else if (!this.#cutter.isStopped) this.#socket.resume();
  }

  /** Queues an answer; the bytes are not touched any more. True for the first one of a batch: `flush` is due at its end. */
  send(bytes: Uint8Array): boolean {
    if (this.closed) return false;
    this.#unansweredBytes -= this.#unanswered.shift() ?? 0;
    return this.#outgoing.push(bytes) === 1;
  }

  /** Sends what the batch brought, and reads on where that makes room. */
  flush(): void {
    this.#write();
    if (!this.#windowFull || this.#overWindow) return;
    this.#windowFull = false;
    this.resume();
  }

  /** Why the connection's time is up, if it is. Sessions' own times are the shard's matter. */
  overdue(nowMs: number, timeouts: NymTimeouts): NymCloseReason | undefined {
    const age = nowMs - this.#startedMs;
    if (this.index === undefined && age >= timeouts.handshakeMs) return 'handshake_timeout';
    if (this.#messages === 0 && age >= timeouts.unprovenMs) return 'handshake_timeout';
    if (this.#unsentSinceMs !== undefined && nowMs - this.#unsentSinceMs >= timeouts.writeMs) return 'not_reading';
    if (this.#cutter.isStopped || !this.#cutter.midMessage) return undefined;
    // The beginning of a message that waited with a held connection: its time begins when somebody looks.
    this.#frameSinceMs ??= nowMs;
    return nowMs - this.#frameSinceMs >= timeouts.frameMs ? 'frame_timeout' : undefined;
  }

  /** Nothing is read any more. What was written before goes out, as far as the client takes it in a message's time. */
  end(): void {
    if (this.closed) return;
    this.#write();
    this.closed = true;
    if (this.#socket.writableLength === 0) this.#socket.destroy();
    else this.#socket.destroySoon();
  }

  destroy(): void {
    this.closed = true;
    this.#socket.destroy();
  }

  /** Whether the end of a connection that is closed takes too long; the time begins when somebody looks. */
  lingers(nowMs: number, { frameMs }: NymTimeouts): boolean {
    this.#closedMs ??= nowMs;
    return nowMs - this.#closedMs >= frameMs;
  }

  get #overWindow(): boolean {
    return this.#unanswered.length >= MAX_UNANSWERED || this.#unansweredBytes >= MAX_UNANSWERED_BYTES;
  }

  #write(): void {
    const outgoing = this.#outgoing;
    const [first] = outgoing;
    if (first === undefined || this.closed) return;
    this.#outgoing = [];
    this.#socket.write(outgoing.length === 1 ? first : concat(...outgoing), () => this.#written());
    if (this.#socket.writableLength > 0) this.#unsentSinceMs ??= this.#nowMs();
    if (this.#writeFull || this.#socket.writableLength <= WRITE_PAUSE_BYTES) return;
    this.#writeFull = true;
    this.hold();
  }

  #written(): void {
    const unsent = this.#socket.writableLength;
    this.#unsentSinceMs = unsent > 0 ? this.#nowMs() : undefined;
    if (!this.#writeFull || unsent > WRITE_PAUSE_BYTES) return;
    this.#writeFull = false;
    this.resume();
  }
}
