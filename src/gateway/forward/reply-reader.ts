/**
 * What an exit answers to one Forward (lp2.md §5): cuts its stream into packets until the asked number, a packet that
 * ends the wait, or something that ends the exchange is there. Invariant: the packets held fit into one
 * ForwardResponse, and no frame that would not fit is buffered.
 */
import { MAX_FRAME_BODY_LENGTH } from '../../lp/wire/application-frame.ts';
import { FrameCutter, type FrameSink, frameOverhead } from '../../lp/wire/framing.ts';
import { isSessionIndex, receiverIndex, TYPE, typeOf, VERSION_1, VERSION_2, versionOf } from '../../lp/wire/packet.ts';

/** One byte of the ForwardResponse is its status. */
export const MAX_REPLY_FRAMES_LENGTH = MAX_FRAME_BODY_LENGTH - 1;
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

export class ReplyReader implements FrameSink {
  /** Copies: they outlive the reads that brought them. */
  readonly packets: Uint8Array[] = [];
  readonly #replies: number;
  readonly #cutter = new FrameCutter(this, 'be32');
  #room = MAX_REPLY_FRAMES_LENGTH;
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

  admit(_bytes: Uint8Array, _offset: number, packetLength: number): boolean {
    if (this.#verdict !== 'open') {
      this.#surplus = true;
      return false;
    }
    if (REPLY_FRAME_OVERHEAD + packetLength <= this.#room) return true;
    this.#verdict = 'tooLarge';
    return false;
  }

  packet(packet: Uint8Array): void {
    this.#room -= REPLY_FRAME_OVERHEAD + packet.length;
    this.packets.push(new Uint8Array(packet));
    if (this.packets.length === this.#replies) this.#verdict = 'complete';
    else if (endsTheWait(packet)) this.#verdict = 'stopped';
  }
}
