/**
 * One client connection: its socket, framing and ages. It cuts frames for the acceptor, writes replies in one go per
 * batch, and stops reading while its shard has no room or its client does not read.
 */
import type { Socket } from 'node:net';
import { concat } from '../lp/wire/bytes.ts';
import { FrameCutter, type FrameSink, type Framing, frameOverhead, writeFramePrefix } from '../lp/wire/framing.ts';
import type { Source } from './admission.ts';

/** lp2.md §4.5, in milliseconds. */
export interface ConnectionTimeouts {
  readonly frameMs: number;
  readonly unprovenMs: number;
  readonly idleMs: number;
}

export type CloseReason =
  | 'framing'
  | 'frame_timeout'
  | 'unproven'
  | 'idle'
  | 'not_reading'
  | 'no_answer'
  | 'peer'
  | 'error'
  | 'drain';

/** Unsent replies of a client that does not read: beyond the first bound it is not read either, beyond the second closed. */
const WRITE_PAUSE_BYTES = 256 * 1_024;
const WRITE_LIMIT_BYTES = 4 * 1_024 * 1_024;
/**
 * What one connection may put into one batch: its answers are about as long, so a client that reads stays far below the
 * bound at which it would be closed, and one connection cannot fill a shard's lane alone.
 */
const SHARE_BYTES = 256 * 1_024;
/** No honest client has as many refused within so long: a hello, its H1 and the repeat of both are four. */
const REFUSALS = 8;
const REFUSALS_MS = 250;
/** So many bytes that are passed over weigh as much as a refusal: reading them costs as much. */
const REFUSED_BYTES = 8_192;
const BE16_PREFIX = 2;
/** So long a packet may be under way in its shard before it counts as not valid: its client gives it up by then (lp2.md §5). */
const DECIDED_MS = 10_000;

export class Connection {
  readonly id: number;
  readonly source: Source;
  closed = false;
  /** The frame that is asked for has waited for the batches before it: now it is decided. */
  heldBack = false;
  private readonly socket: Socket;
  private readonly cutter: FrameCutter;
  private readonly startedMs: number;
  private lastReadMs: number;
  private lastValidMs: number | undefined;
  /** The first packet since the last valid one. */
  private otherSinceMs: number | undefined;
  private frameSinceMs: number | undefined;
  /** Frames of the batch that is being read. */
  private replies: Uint8Array[] = [];
  /** Reasons not to read that stand at present. */
  private holds = 0;
  private drainAwaited = false;
  /** It has sent too much of what was refused. */
  resting = false;
  private refusals = 0;
  private refusalsSinceMs = Number.NEGATIVE_INFINITY;
  private share = 0;
  private shareOf = -1;
  /** Packets taken from it, and how many of them have their answer, or are known to get none. */
  private taken = 0;
  private answered = 0;
  /** It ends when all that was taken is answered. */
  private ending = false;
  private endedMs: number | undefined;

  constructor(id: number, socket: Socket, source: Source, sink: FrameSink, nowMs: number) {
    this.id = id;
    this.socket = socket;
    this.source = source;
    this.cutter = new FrameCutter(sink);
    this.startedMs = nowMs;
    this.lastReadMs = nowMs;
  }

  get framing(): Framing {
    return this.cutter.framing ?? 'be16';
  }

  /** What a read brought. False: the stream is broken. */
  read(chunk: Uint8Array, nowMs: number): boolean {
    if (this.closed) return true;
    this.lastReadMs = nowMs;
    if (!this.cutter.push(chunk)) return false;
    if (this.cutter.midFrame) this.frameSinceMs ??= nowMs;
    else this.frameSinceMs = undefined;
    return true;
  }

  /** A frame was completed (or skipped): the next one's time begins with its own first byte. */
  frameDone(): void {
    this.frameSinceMs = undefined;
  }

  /** A packet goes to a shard. */
  packetTaken(): void {
    this.taken++;
    this.frameDone();
  }

  /** Reads no further until `resume`; what was read already waits. */
  hold(): void {
    this.holds++;
    this.cutter.stop();
    this.socket.pause();
  }

  /**
   * Counts a packet that was refused, or a frame of so many bytes that was passed over. True when that is too much: the
   * connection is read no further until `rested`, and what was read already is thrown away but for live packets.
   */
  refused(nowMs: number, bytes = 0): boolean {
    if (nowMs - this.refusalsSinceMs >= REFUSALS_MS) {
      this.refusalsSinceMs = nowMs;
      this.refusals = 0;
    }
    this.refusals += 1 + bytes / REFUSED_BYTES;
    if (this.resting || this.closed || this.refusals < REFUSALS) return false;
    this.resting = true;
    this.holds++;
    this.socket.pause();
    return true;
  }

  /** Reads on. False: the stream is broken. */
  rested(): boolean {
    this.resting = false;
    return this.resume();
  }

  /** Takes back one `hold`. False: the stream is broken. */
  resume(): boolean {
    this.holds--;
    if (this.closed || this.holds > 0) return true;
    if (!this.cutter.resume()) return false;
    if (!this.cutter.isStopped) this.socket.resume();
    return true;
  }

  /** Counts a packet that goes into a batch. True: the connection's share of this batch is used up. */
  useShare(batch: number, length: number): boolean {
    this.share = batch === this.shareOf ? this.share + length : length;
    this.shareOf = batch;
    return this.share >= SHARE_BYTES;
  }

  valid(nowMs: number): void {
    this.lastValidMs = nowMs;
    this.otherSinceMs = undefined;
  }

  /** A packet that may yet turn out valid. */
  other(nowMs: number): void {
    this.otherSinceMs ??= nowMs;
  }

  /**
   * Queues a reply; `frame` has its BE16 length before it and lies in a batch that is not touched any more. True for the
   * first one of a batch: `flush` is due at its end.
   */
  reply(frame: Uint8Array): boolean {
    if (this.closed) return false;
    this.answered++;
    return this.replies.push(this.framing === 'be16' ? frame : reframe(frame)) === 1;
  }

  /**
   * A packet gets no answer, and LP1 says so by the end of the connection (lp1.md §8.4): if it carried that packet alone. One
   * that carries several lives on, unless `failed`: then it ends after the other answers. BE16 is LP2's, and never ended
   * so. True: `flush` is due at the end of the batch, and `finished` to be asked.
   */
  noAnswer(failed: boolean): boolean {
    if (this.closed || this.framing !== 'be32') return false;
    this.answered++;
    if (failed || (this.taken === 1 && !this.cutter.hasMore)) this.ending = true;
    return this.ending;
  }

  /** Nothing is to come any more: to be ended. */
  get finished(): boolean {
    return this.ending && !this.closed && this.answered >= this.taken && !this.cutter.hasMore;
  }

  /** Sends what the batch brought, in one write. False: the client does not read and its bound is reached. */
  flush(): boolean {
    const { replies } = this;
    const [first] = replies;
    if (first === undefined || this.closed) return true;
    this.replies = [];
    this.socket.write(replies.length === 1 ? first : concat(...replies));
    return this.boundUnsent();
  }

  /** The packet itself goes out first: for hints that the acceptor builds. False: as with `flush`. */
  sendPacket(packet: Uint8Array): boolean {
    if (this.closed) return true;
    this.answered++;
    const frame = new Uint8Array(frameOverhead(this.framing) + packet.length);
    frame.set(packet, writeFramePrefix(frame, 0, this.framing, packet.length));
    this.socket.write(frame);
    return this.boundUnsent();
  }

  /** Why the connection's time is up, if it is (§4.5). */
  overdue(nowMs: number, timeouts: ConnectionTimeouts): CloseReason | undefined {
    const { lastValidMs, otherSinceMs } = this;
    const { unprovenMs } = timeouts;
    if (nowMs - Math.max(this.lastReadMs, lastValidMs ?? 0) >= timeouts.idleMs) return 'idle';
    if (this.cutter.isStopped) return undefined;
    // The beginning of a frame that waited with a held connection: its time begins when somebody looks.
    if (this.cutter.midFrame) this.frameSinceMs ??= nowMs;
    const { frameSinceMs } = this;
    if (frameSinceMs !== undefined && nowMs - frameSinceMs >= timeouts.frameMs) return 'frame_timeout';
    if (lastValidMs === undefined) return nowMs - this.startedMs >= unprovenMs ? 'unproven' : undefined;
    const onlyOthers = otherSinceMs !== undefined && nowMs - otherSinceMs >= Math.min(unprovenMs, DECIDED_MS);
    return onlyOthers && nowMs - lastValidMs >= unprovenMs ? 'unproven' : undefined;
  }

  /** What was written goes out; what still comes is read and thrown away, so that the other side's end is seen. */
  end(): void {
    this.closed = true;
    this.socket.end();
    this.socket.resume();
  }

  /** Whether an ended connection's other side has had a frame's time to close too; it begins when somebody looks. */
  lingers(nowMs: number, timeouts: ConnectionTimeouts): boolean {
    this.endedMs ??= nowMs;
    return nowMs - this.endedMs >= timeouts.frameMs;
  }

  destroy(): void {
    this.closed = true;
    this.socket.destroy();
  }

  private boundUnsent(): boolean {
    const unsent = this.socket.writableLength;
    if (unsent > WRITE_LIMIT_BYTES) return false;
    if (unsent > WRITE_PAUSE_BYTES && !this.drainAwaited) {
      this.drainAwaited = true;
      this.hold();
      this.socket.once('drain', () => {
        this.drainAwaited = false;
        if (!this.resume()) this.destroy();
      });
    }
    return true;
  }
}

function reframe(frame: Uint8Array): Uint8Array {
  const packet = frame.subarray(BE16_PREFIX);
  const out = new Uint8Array(frameOverhead('be32') + packet.length);
  out.set(packet, writeFramePrefix(out, 0, 'be32', packet.length));
  return out;
}
