/**
 * An input read as decisions: whoever plays a world by a {@link Prng} is steered by the bytes instead, so that mutating them
 * changes single decisions and coverage can guide a whole scenario. Small draws take a byte or two from the tape; keys and
 * other random bytes come from a fixed seed, and so does everything when the tape is over.
 */
import { Prng } from '../../test/support/prng.ts';

export class Tape extends Prng {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array, seed = 1) {
    super(seed);
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  override below(n: number): number {
    if (this.ended || n > 0x1_0000) return super.below(n);
    const byte = this.#next();
    return (n <= 0x100 ? byte : byte * 0x100 + this.#next()) % n;
  }

  override chance(probability: number): boolean {
    return this.ended ? super.chance(probability) : this.#next() < probability * 0x100;
  }

  /** So many bytes of the tape itself, fewer at its end. */
  take(length: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += taken.length;
    return taken;
  }

  #next(): number {
    return this.#bytes[this.#at++] ?? 0;
  }
}
