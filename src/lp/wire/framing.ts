/**
 * Frames on a stream (lp2.md §2): `BE16 length ‖ packet`, or LP1's `BE32 length ‖ packet`. The first two bytes of a
 * connection fix its framing. The cutter holds at most one partial frame, and only one whose header was admitted:
 * the rest of a refused frame passes through unbuffered.
 */
import { readBe16, writeBe16, writeBe32 } from './bytes.ts';
import { HEADER_LENGTH, MAX_PACKET_LENGTH, MIN_PACKET_LENGTH } from './packet.ts';

export type Framing = 'be16' | 'be32';

export interface FrameSink {
  /**
   * Asked once per frame as soon as its 12 header bytes are there (at `offset` of `bytes`); false skips the frame. `wait`
   * stops the cutter as `stop` does, and `resume` asks again for the same frame.
   */
  admit(bytes: Uint8Array, offset: number, packetLength: number): boolean | 'wait';
  /** A whole packet. The bytes are valid only during the call. */
  packet(packet: Uint8Array): void;
}

/** First allocation for a frame that comes in pieces; it doubles as bytes arrive, so a length alone costs nothing. */
const FIRST_BUFFER_BYTES = 512;

export class FrameCutter {
  framing: Framing | undefined;
  /** The stream cannot be resynchronised any more: close the connection. */
  broken = false;
  private readonly sink: FrameSink;
  /** Big-endian, of as many bytes as there are: a number costs a connection less than an array. */
  private prefix = 0;
  private prefixFilled = 0;
  /** Packet length of the frame that is under way, 0 between frames. */
  private length = 0;
  private skip = 0;
  private partial: Uint8Array | undefined;
  private filled = 0;
  private admitted = false;
  /** What a stopped cutter has not looked at yet. */
  private held: Uint8Array | undefined;
  private stopped = false;

  constructor(sink: FrameSink, framing?: Framing) {
    this.sink = sink;
    this.framing = framing;
  }

  /** Whether a frame has begun and is not complete (for the frame timeout). */
  get midFrame(): boolean {
    return this.prefixFilled > 0 || this.length > 0;
  }

  /** Whether anything is there that the sink has not had: part of a frame, or what a stopped cutter holds. */
  get hasMore(): boolean {
    return this.midFrame || this.held !== undefined;
  }

  /** Cuts what a read brought; a stopped cutter keeps a view of it. Returns false when the stream is broken. */
  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && !this.broken) {
      if (this.stopped) {
        this.held = chunk.subarray(at);
        return true;
      }
      if (this.skip > 0) at = this.skipBytes(chunk, at);
      else if (this.length === 0) at = this.readPrefix(chunk, at);
      else at = this.readPacket(chunk, at);
    }
    return !this.broken;
  }

  /** Called by the sink during `packet`: the rest of the read waits for `resume`, and no further one may be pushed. */
  stop(): void {
    this.stopped = true;
  }

  /** Goes on with what was held; the sink may stop again. Returns false when the stream is broken. */
  resume(): boolean {
    this.stopped = false;
    const { held } = this;
    this.held = undefined;
    // A frame that is in pieces and was told to wait has no bytes to come that would ask for it.
    this.settlePartial();
    return held === undefined ? !this.broken : this.push(held);
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  private skipBytes(chunk: Uint8Array, at: number): number {
    const n = Math.min(this.skip, chunk.length - at);
    this.skip -= n;
    if (this.skip === 0) this.length = 0;
    return at + n;
  }

  private readPrefix(chunk: Uint8Array, start: number): number {
    let at = start;
    for (;;) {
      const width = this.framing === undefined ? 2 : this.framing === 'be16' ? 2 : 4;
      for (; this.prefixFilled < width && at < chunk.length; this.prefixFilled++) {
        this.prefix = ((this.prefix << 8) | (chunk[at++] ?? 0)) >>> 0;
      }
      if (this.prefixFilled < width) return at;
      if (this.framing !== undefined) break;
      // A packet has at least 34 bytes, so two leading zeros can only begin a BE32 length.
      this.framing = this.prefix === 0 ? 'be32' : 'be16';
    }
    const length = this.prefix;
    this.prefix = 0;
    this.prefixFilled = 0;
    if (length < MIN_PACKET_LENGTH || length > MAX_PACKET_LENGTH) this.broken = true;
    else this.length = length;
    return at;
  }

  private readPacket(chunk: Uint8Array, at: number): number {
    const available = chunk.length - at;
    if (this.partial === undefined && available >= this.length) return this.takeWhole(chunk, at);
    const n = Math.min(available, this.length - this.filled);
    this.append(chunk, at, n);
    this.settlePartial();
    return at + n;
  }

  /** Asks for the frame that is in pieces once its header is there, and hands it out when it is whole. */
  private settlePartial(): void {
    const { partial } = this;
    if (partial === undefined || this.filled < HEADER_LENGTH) return;
    if (!this.admitted && !this.askForPartial(partial)) return;
    if (this.filled < this.length) return;
    const packet = partial.subarray(0, this.length);
    this.reset();
    this.sink.packet(packet);
  }

  private askForPartial(partial: Uint8Array): boolean {
    const verdict = this.sink.admit(partial, 0, this.length);
    if (verdict === 'wait') this.stopped = true;
    else if (verdict) this.admitted = true;
    else {
      this.skip = this.length - this.filled;
      this.partial = undefined;
      this.filled = 0;
      if (this.skip === 0) this.length = 0;
    }
    return this.admitted;
  }

  private reset(): void {
    this.partial = undefined;
    this.filled = 0;
    this.length = 0;
    this.admitted = false;
  }

  private takeWhole(chunk: Uint8Array, at: number): number {
    const end = at + this.length;
    const verdict = this.sink.admit(chunk, at, this.length);
    if (verdict === 'wait') {
      this.stopped = true;
      return at;
    }
    this.length = 0;
    if (verdict) this.sink.packet(chunk.subarray(at, end));
    return end;
  }

  private append(chunk: Uint8Array, at: number, n: number): void {
    const needed = this.filled + n;
    if (this.partial === undefined || this.partial.length < needed) {
      const size = Math.min(this.length, Math.max(FIRST_BUFFER_BYTES, 2 * needed));
      const grown = new Uint8Array(size);
      if (this.partial !== undefined) grown.set(this.partial.subarray(0, this.filled));
      this.partial = grown;
    }
    this.partial.set(chunk.subarray(at, at + n), this.filled);
    this.filled = needed;
  }
}

export function frameOverhead(framing: Framing): number {
  return framing === 'be16' ? 2 : 4;
}

/** Writes the length prefix at `offset` and returns the offset behind it. */
export function writeFramePrefix(out: Uint8Array, offset: number, framing: Framing, packetLength: number): number {
  if (framing === 'be16') {
    writeBe16(out, offset, packetLength);
    return offset + 2;
  }
  writeBe32(out, offset, packetLength);
  return offset + 4;
}

/** Packets as frames, in one byte string. */
export function encodeFrames(framing: Framing, packets: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const packet of packets) length += frameOverhead(framing) + packet.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const packet of packets) {
    at = writeFramePrefix(out, at, framing, packet.length);
    out.set(packet, at);
    at += packet.length;
  }
  return out;
}

/** The packets of a byte string that is nothing but whole BE16 frames (Forward and ForwardResponse bodies), or `undefined`. */
export function decodeFrames(bytes: Uint8Array): Uint8Array[] | undefined {
  const packets: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 2) return undefined;
    const length = readBe16(bytes, at);
    at += 2;
    if (length < MIN_PACKET_LENGTH || bytes.length - at < length) return undefined;
    packets.push(bytes.subarray(at, at + length));
    at += length;
  }
  return packets;
}
