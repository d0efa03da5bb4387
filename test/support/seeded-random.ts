/**
 * Randomness that a test dictates: the given byte strings in order, as one stream. It throws when asked for more than
 * it has, so a test also states how much is drawn.
 */

import type { RandomSource } from '../../src/lp/crypto/provider.ts';

export interface SeededRandom extends RandomSource {
  readonly kind: 'seeded';
  /** Bytes that nobody has asked for yet. */
  readonly remaining: number;
}

export function seededRandom(chunks: readonly Uint8Array[]): SeededRandom {
  const stream = Uint8Array.from(Buffer.concat(chunks));
  let used = 0;
  return {
    kind: 'seeded',
    get remaining() {
      return stream.length - used;
    },
    fill(out) {
      if (out.length > stream.length - used) {
        throw new RangeError(`asked for ${out.length} random bytes, ${stream.length - used} are left`);
      }
      out.set(stream.subarray(used, used + out.length));
      used += out.length;
    },
  };
}
