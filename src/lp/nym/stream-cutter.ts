/**
 * Cuts a connection into messages (nym.md §2): first the two handshake messages of the other side, whose sizes are known
 * and not on the wire, then packets with an LE32 length before them. It holds at most one partial message, and memory for
 * it grows with the bytes that came, never with a length that was only announced.
 */
import { readLe32 } from '../wire/bytes.ts';
import { LENGTH_PREFIX, MAX_PACKET_LENGTH, OUTER_HEADER_LENGTH } from './channel.ts';
import { KKT_REQUEST_LENGTH, kktResponseLength } from './kkt.ts';
import { MESSAGE_1_LENGTH, MESSAGE_2_LENGTH } from './psq-message.ts';

export type StreamMessage = 'kkt' | 'psq' | 'packet';

/** The bytes are valid only during the call; it may overwrite them. */
export type StreamSink = (kind: StreamMessage, bytes: Uint8Array) => void;

const FIRST_BUFFER_BYTES = 512;

export class NymStreamCutter {
  /** The stream cannot be resynchronised any more: close the connection. */
  broken = false;
  private readonly sink: StreamSink;
  private readonly sizes: readonly [kkt: number, psq: number];
  private stage: StreamMessage = 'kkt';
  private readonly prefix = new Uint8Array(LENGTH_PREFIX);
  private prefixFilled = 0;
  /** Of the message that is under way; 0 where only its prefix can say. */
  private length: number;
  private partial: Uint8Array | undefined;
  private filled = 0;
  private held: Uint8Array | undefined;
  private stopped = false;

  /** `from`: whose bytes these are. */
  constructor(from: 'client' | 'node', sink: StreamSink) {
    this.sizes =
      from === 'client' ? [KKT_REQUEST_LENGTH, MESSAGE_1_LENGTH] : [kktResponseLength('mlkem768'), MESSAGE_2_LENGTH];
    this.length = this.sizes[0];
    this.sink = sink;
  }

  /** What comes next, or is under way. */
  get expects(): StreamMessage {
    return this.stage;
  }

  /** Whether a message has begun and is not complete. */
  get midMessage(): boolean {
    return this.prefixFilled > 0 || this.filled > 0 || (this.stage === 'packet' && this.length > 0);
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  /** Returns false when the stream is broken. A stopped cutter keeps a view of the rest, and takes no further read. */
  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && !this.broken) {
      if (this.stopped) {
        this.held = chunk.subarray(at);
        return true;
      }
      at = this.length === 0 ? this.readPrefix(chunk, at) : this.readMessage(chunk, at);
    }
    return !this.broken;
  }

  /** Called by the sink: what follows waits for `resume`. */
  stop(): void {
    this.stopped = true;
  }

  resume(): boolean {
    this.stopped = false;
    const { held } = this;
    this.held = undefined;
    return held === undefined ? !this.broken : this.push(held);
  }

  private readPrefix(chunk: Uint8Array, start: number): number {
    let at = start;
    while (this.prefixFilled < LENGTH_PREFIX && at < chunk.length) this.prefix[this.prefixFilled++] = chunk[at++] ?? 0;
    if (this.prefixFilled < LENGTH_PREFIX) return at;
    this.prefixFilled = 0;
    const length = readLe32(this.prefix, 0);
    if (length < OUTER_HEADER_LENGTH || length > MAX_PACKET_LENGTH) this.broken = true;
    else this.length = length;
    return at;
  }

  private readMessage(chunk: Uint8Array, start: number): number {
    const missing = this.length - this.filled;
    const taken = chunk.subarray(start, start + missing);
    if (this.filled === 0 && taken.length === this.length) this.deliver(taken);
    else {
      this.append(taken);
      if (this.filled === this.length && this.partial !== undefined)
        this.deliver(this.partial.subarray(0, this.length));
    }
    return start + taken.length;
  }

  private append(bytes: Uint8Array): void {
    const needed = this.filled + bytes.length;
    if (this.partial === undefined || this.partial.length < needed) {
      const capacity = Math.min(this.length, Math.max(needed, FIRST_BUFFER_BYTES, 2 * this.filled));
      const grown = new Uint8Array(capacity);
      if (this.partial !== undefined) grown.set(this.partial.subarray(0, this.filled));
      this.partial = grown;
    }
    this.partial.set(bytes, this.filled);
    this.filled = needed;
  }

  private deliver(message: Uint8Array): void {
    const kind = this.stage;
    this.partial = undefined;
    this.filled = 0;
    if (kind === 'kkt') {
      this.stage = 'psq';
      this.length = this.sizes[1];
    } else {
      this.stage = 'packet';
      this.length = 0;
    }
    this.sink(kind, message);
  }
}
