/** Deterministic randomness for seeded tests (sfc32): the same seed gives the same run. Not for anything secret. */
import type { RandomSource } from '../../src/lp/crypto/provider.ts';

export class Prng {
  readonly seed: number;
  private a: number;
  private b: number;
  private c = 0x9e37_79b9;
  private counter = 1;

  constructor(seed: number) {
    this.seed = seed;
    this.a = seed | 0;
    this.b = Math.floor(seed / 0x1_0000_0000) | 0;
    for (let i = 0; i < 16; i++) this.word();
  }

  /** 32 bits. */
  word(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 … n−1. */
  below(n: number): number {
    return n <= 0x1_0000_0000 ? this.word() % n : Math.floor((this.word() / 0x1_0000_0000) * n);
  }

  chance(probability: number): boolean {
    return this.word() < probability * 0x1_0000_0000;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  fill(out: Uint8Array): void {
    for (let i = 0; i < out.length; ) {
      for (let word = this.word(), n = 0; n < 4 && i < out.length; n++, word >>>= 8) out[i++] = word;
    }
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.fill(out);
    return out;
  }

  source(): RandomSource {
    return { kind: 'seeded', fill: (out) => this.fill(out) };
  }
}
