/**
 * How seeded tests run: the short form always, the long one when LEWES_LONG is set. LEWES_SEED repeats what a failure
 * printed; without it the short form has a seed of its own (a gate gives the same answer twice), the long one the time.
 */
import process from 'node:process';
import { Prng } from './prng.ts';

export const LONG = (process.env.LEWES_LONG ?? '') !== '';
const SEED_GIVEN = process.env.LEWES_SEED;
export const SEED = SEED_GIVEN !== undefined ? Number(SEED_GIVEN) : LONG ? Date.now() % 2 ** 31 : 1;

export function runs(short: number, long: number): number {
  return LONG ? long : short;
}

/**
 * Runs `count` sequences, each with a seed of its own, and names the seed of the one that fails. A seed that was given
 * is the first one's, so the failing sequence comes first.
 */
export function forSeeds(count: number, sequence: (prng: Prng, n: number) => void): void {
  for (let n = 0; n < count; n++) {
    const seed = SEED + n;
    try {
      sequence(new Prng(seed), n);
    } catch (cause) {
      throw new Error(`LEWES_SEED=${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
}

/** An assertion that does not stay in memory as ava's do: sequences make millions of them. */
export function must(condition: boolean, what: string | (() => string)): asserts condition {
  if (!condition) throw new Error(typeof what === 'string' ? what : what());
}
