/**
 * What an exit answers to one Forward (lp2.md §5): cuts its stream into packets until the asked number, a packet that
 * ends the wait, or something that ends the exchange is there, and puts them into a ForwardResponse as they come. Invariant:
 * no frame that would not fit into it is buffered.
 */
import { MAX_FRAME_BODY_LENGTH } from '../../lp/wire/application-frame.ts';
import { FrameCutter, type FrameSink, frameOverhead, writeFramePrefix } from '../../lp/wire/framing.ts';
import { isSessionIndex, receiverIndex, TYPE, typeOf, VERSION_1, VERSION_2, versionOf } from '../../lp/wire/packet.ts';
import type { ForwardStatus } from './types.ts';

const REPLY_FRAME_OVERHEAD = frameOverhead('be16');

/**
 * - `open`: more is expected;
 * - `complete`: as many packets as were asked for;
 * - `stopped`: an unsealed Error, Busy or Collision came before;
 * - `tooLarge`: the next frame would not fit into a ForwardResponse;
 * - `broken`: the stream is no sequence of frames.
 */
export type ReplyVerdict = 'open' | 'complete' | 'stopped' | 'tooLarge' | 'broken';

/** Whether a packet is an unsealed Error, Busy or Collision. Under a session index these bytes are ciphertext. */
export function endsTheWait(packet: Uint8Array): boolean {
  if (isSessionIndex(receiverIndex(packet))) return false;
  const version = versionOf(packet);
  if (version !== VERSION_2 && version !== VERSION_1) return false;
  const type = typeOf(packet);
  return type === TYPE.error || type === TYPE.busy || type === TYPE.collision;
}

const RESPONSE_HEAD = 1;
/** Ack and H2 fit, and so do most answers. */
const FIRST_RESPONSE_BYTES = 512;
/** Cut into first memories, since an allocation for each costs a microsecond. As much as one waiting exchange keeps alive. */
const SLAB_BYTES = 16 * 1_024;

let slab = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

/** Plain, unlike Node's pool: who is told a response may take a copy of it by `slice`. */
function firstMemory(): Uint8Array {
  if (slabUsed === SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const at = slabUsed;
  slabUsed += FIRST_RESPONSE_BYTES;
  return slab.subarray(at, slabUsed);
}

export class ReplyReader implements FrameSink {
  /** How many packets are there. */
  count = 0;
  readonly #replies: number;
  readonly #cutter = new FrameCutter(this, 'be32');
  /** The ForwardResponse with the packets so far, and its length. */
  #response = firstMemory();
  #length = RESPONSE_HEAD;
  #verdict: ReplyVerdict = 'open';
  #surplus = false;

  /** `replies` is at least 1. */
  constructor(replies: number) {
    this.#replies = replies;
  }

  push(chunk: Uint8Array): ReplyVerdict {
    if (!this.#cutter.push(chunk)) {
      if (this.#verdict === 'open') this.#verdict = 'broken';
      else this.#surplus = true;
    }
    return this.#verdict;
  }

  /** Exactly the asked packets came and nothing behind them: the next exchange may use the connection. */
  get exact(): boolean {
    return this.#verdict === 'complete' && !this.#surplus && !this.#cutter.midFrame;
  }

  /** The body of the ForwardResponse: this status and what came until now. It lies in the reader's memory. */
  response(status: ForwardStatus): Uint8Array {
    this.#response[0] = status;
    return this.#response.subarray(0, this.#length);
  }

  admit(_bytes: Uint8Array, _offset: number, packetLength: number): boolean {
    if (this.#verdict !== 'open') {
      this.#surplus = true;
      return false;
    }
    if (this.#length + REPLY_FRAME_OVERHEAD + packetLength <= MAX_FRAME_BODY_LENGTH) return true;
    this.#verdict = 'tooLarge';
    return false;
  }

  packet(packet: Uint8Array): void {
    this.#reserve(this.#length + REPLY_FRAME_OVERHEAD + packet.length);
    const at = writeFramePrefix(this.#response, this.#length, 'be16', packet.length);
    this.#response.set(packet, at);
    this.#length = at + packet.length;
    this.count++;
    if (this.count === this.#replies) this.#verdict = 'complete';
    else if (endsTheWait(packet)) this.#verdict = 'stopped';
  }

  #reserve(length: number): void {
    const { length: capacity } = this.#response;
    if (length <= capacity) return;
    const grown = new Uint8Array(Math.min(MAX_FRAME_BODY_LENGTH, Math.max(length, 2 * capacity)));
    grown.set(this.#response.subarray(0, this.#length));
    this.#response = grown;
  }
}
