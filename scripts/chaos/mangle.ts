/**
 * What a network can do to one direction of a TCP connection, sans-IO: bytes in, pieces with their times out. Invariant:
 * delaying, splitting and merging keep the stream as it is; duplicating and reordering work on whole frames (lp2.md §2), so
 * that the peers see packets that come twice or late; only `echoBytes`, a cut and a half-close harm the stream. A stream
 * whose frames are not known here (nym.md §2) is harmed by those two as well: whole reads come twice or change places.
 */
import type { Prng } from '../../test/support/prng.ts';

export type Policy =
  | { readonly kind: 'calm' }
  | { readonly kind: 'delay'; readonly minMs: number; readonly maxMs: number }
  | { readonly kind: 'split'; readonly maxBytes: number; readonly gapMs: number }
  /** What comes within so long leaves in one write. */
  | { readonly kind: 'merge'; readonly everyMs: number }
  /** Probabilities: of a frame that it comes twice, of a read that its last bytes do. */
  | { readonly kind: 'duplicate'; readonly frames: number; readonly echoBytes: number }
  /** Each frame is held back for up to so long, and overtaken by those that are held less. */
  | { readonly kind: 'reorder'; readonly holdMs: number }
  /** Probability, per read, that the connection ends somewhere in it. */
  | { readonly kind: 'cut'; readonly chance: number }
  /** The same for one direction of it; the other one goes on. */
  | { readonly kind: 'halfClose'; readonly chance: number };
export type PolicyKind = Policy['kind'];

/** What a direction is made of, as far as is known here. */
export type Framing = 'frames' | 'stream';

/** Whether the peers see other bytes than were sent, as no TCP would let them. */
export function harms({ kind }: Policy, framing: Framing): boolean {
  return framing === 'stream' && (kind === 'duplicate' || kind === 'reorder');
}

export type Piece =
  | {
      readonly kind: 'bytes';
      readonly dueMs: number;
      readonly bytes: Uint8Array;
      /** In a write of its own, whatever else is due. */
      readonly alone: boolean;
    }
  | { readonly kind: 'cut' | 'end'; readonly dueMs: number };

const PREFIX_BYTES = 2;
const MAX_ECHO_BYTES = 64;
const NOTHING = new Uint8Array(0);

interface Segment {
  readonly bytes: Uint8Array;
  readonly begins: boolean;
  readonly ends: boolean;
}

/** Where frames begin and end in a stream that comes in arbitrary reads. */
class FrameMarks {
  #prefix: number[] = [];
  #left = 0;

  *segments(chunk: Uint8Array): Generator<Segment, undefined> {
    let from = 0;
    let begins = this.#between;
    for (let at = 0; at < chunk.length; ) {
      if (this.#left === 0) {
        this.#prefix.push(chunk[at++] ?? 0);
        const [high = 0, low] = this.#prefix;
        if (low === undefined) continue;
        this.#prefix = [];
        this.#left = high * 256 + low;
      } else {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
      }
      if (this.#left > 0) continue;
      yield { bytes: chunk.subarray(from, at), begins, ends: true };
      from = at;
      begins = true;
    }
    if (from < chunk.length) yield { bytes: chunk.subarray(from), begins, ends: false };
  }

  get #between(): boolean {
    return this.#left === 0 && this.#prefix.length === 0;
  }
}

export class Mangler {
  readonly #prng: Prng;
  readonly #framing: Framing;
  readonly #marks = new FrameMarks();
  /** A frame that is not whole yet, held back. */
  #partial: Uint8Array = NOTHING;
  /** Nothing in order may be due before. */
  #latestMs = 0;
  /** Nor a reordered frame before this: it would fall into the middle of another one. */
  #fenceMs = 0;
  #over = false;

  constructor(prng: Prng, framing: Framing = 'frames') {
    this.#prng = prng;
    this.#framing = framing;
  }

  /** What becomes of a read. The pieces own their bytes. Nothing comes of it once the direction is at its end. */
  push(read: Uint8Array, policy: Policy, nowMs: number): Piece[] {
    if (this.#over) return [];
    const chunk = Uint8Array.from(read);
    const segments = this.#segments(chunk);
    if (policy.kind === 'duplicate' || policy.kind === 'reorder') {
      return segments.flatMap((segment) => this.#byFrame(segment, policy, nowMs));
    }
    const held = this.#partial;
    this.#partial = NOTHING;
    return this.#byStream(held.length === 0 ? chunk : Buffer.concat([held, chunk]), policy, nowMs);
  }

  /** The source has ended its side: the rest, and then the end. */
  finish(nowMs: number): Piece[] {
    if (this.#over) return [];
    const rest = this.#partial.length === 0 ? [] : [this.#inOrder(this.#partial, nowMs)];
    return [...rest, this.#stop('end', nowMs)];
  }

  #segments(chunk: Uint8Array): readonly Segment[] {
    if (this.#framing === 'stream') return [{ bytes: chunk, begins: true, ends: true }];
    return [...this.#marks.segments(chunk)];
  }

  #byStream(bytes: Uint8Array, policy: Exclude<Policy, { kind: 'duplicate' | 'reorder' }>, nowMs: number): Piece[] {
    switch (policy.kind) {
      case 'calm':
        return [this.#inOrder(bytes, nowMs)];
      case 'delay':
        return [this.#inOrder(bytes, nowMs + policy.minMs + this.#prng.below(policy.maxMs - policy.minMs + 1))];
      case 'split':
        return this.#split(bytes, policy.maxBytes, policy.gapMs, nowMs);
      case 'merge':
        return [this.#inOrder(bytes, Math.ceil(nowMs / policy.everyMs) * policy.everyMs)];
      case 'cut':
      case 'halfClose': {
        if (!this.#prng.chance(policy.chance)) return [this.#inOrder(bytes, nowMs)];
        const part = bytes.subarray(0, this.#prng.below(bytes.length));
        const end = policy.kind === 'cut' ? 'cut' : 'end';
        return part.length === 0 ? [this.#stop(end, nowMs)] : [this.#inOrder(part, nowMs), this.#stop(end, nowMs)];
      }
    }
  }

  #split(bytes: Uint8Array, maxBytes: number, gapMs: number, nowMs: number): Piece[] {
    const pieces: Piece[] = [];
    let dueMs = Math.max(nowMs, this.#latestMs);
    for (let at = 0; at < bytes.length; dueMs += gapMs) {
      const length = 1 + this.#prng.below(maxBytes);
      pieces.push(this.#inOrder(bytes.subarray(at, at + length), dueMs, true));
      at += length;
    }
    return pieces;
  }

  #byFrame(
    { bytes, begins, ends }: Segment,
    policy: Extract<Policy, { kind: 'duplicate' | 'reorder' }>,
    nowMs: number,
  ): Piece[] {
    // Its beginning has left already, under another policy.
    if (!begins && this.#partial.length === 0) return [this.#inOrder(bytes, nowMs)];
    this.#partial = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes]);
    if (!ends) return [];
    const frame = this.#partial;
    this.#partial = NOTHING;
    if (policy.kind === 'reorder') return [this.#outOfOrder(frame, nowMs + this.#prng.below(policy.holdMs + 1))];
    const pieces = [this.#inOrder(frame, nowMs)];
    if (this.#prng.chance(policy.frames)) pieces.push(this.#inOrder(frame, nowMs));
    if (this.#prng.chance(policy.echoBytes)) {
      pieces.push(this.#inOrder(frame.subarray(-1 - this.#prng.below(MAX_ECHO_BYTES)), nowMs));
    }
    return pieces;
  }

  #inOrder(bytes: Uint8Array, wantedMs: number, alone = false): Piece {
    const dueMs = Math.max(wantedMs, this.#latestMs);
    this.#latestMs = dueMs;
    this.#fenceMs = dueMs;
    return { kind: 'bytes', dueMs, bytes, alone };
  }

  #outOfOrder(bytes: Uint8Array, wantedMs: number): Piece {
    const dueMs = Math.max(wantedMs, this.#fenceMs);
    this.#latestMs = Math.max(this.#latestMs, dueMs);
    return { kind: 'bytes', dueMs, bytes, alone: false };
  }

  #stop(kind: 'cut' | 'end', nowMs: number): Piece {
    this.#over = true;
    return { kind, dueMs: Math.max(nowMs, this.#latestMs) };
  }
}

/** Two prefix bytes and a packet, from the front of `bytes`; for whoever looks at what came out. */
export function framesIn(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at + PREFIX_BYTES <= bytes.length; ) {
    const length = PREFIX_BYTES + (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
    if (at + length > bytes.length) break;
    frames.push(bytes.subarray(at, at + length));
    at += length;
  }
  return frames;
}
