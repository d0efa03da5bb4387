/** The replay window (lp2.md §4.3) against a model that is a Set of counters. */
import test from 'ava';
import { checkCounter, markCounter, WINDOW_BYTES, WINDOW_WIDTH } from '../../src/lp/wire/replay-window.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';

const OFFSET = 7;
const OPERATIONS = 250_000;

/** Near the edges of the window, inside it, a little ahead, or a long jump. */
function draw(prng: Prng, next: number): number {
  switch (prng.below(16)) {
    case 0:
      return Math.max(0, next - WINDOW_WIDTH - 2 + prng.below(5));
    case 1:
      return next + WINDOW_WIDTH - 2 + prng.below(5);
    case 2:
      return prng.chance(0.02) ? next + prng.below(2 ** 40) : next + prng.below(4 * WINDOW_WIDTH);
    case 3:
      return prng.below(next + 1);
    case 4:
    case 5:
    case 6:
    case 7:
      return next + prng.below(3);
    default:
      return Math.max(0, next - prng.below(WINDOW_WIDTH + 8));
  }
}

test('a window of 1024 counters gives the verdicts of a Set, with long jumps, 10⁶ times', (t) => {
  forSeeds(runs(4, 40), (prng) => {
    const memory = prng.bytes(OFFSET + WINDOW_BYTES + OFFSET);
    memory.fill(0, OFFSET, OFFSET + WINDOW_BYTES);
    const around = [...memory.subarray(0, OFFSET), ...memory.subarray(OFFSET + WINDOW_BYTES)];
    let seen = new Set<number>();
    let next = 0;
    for (let i = 0; i < OPERATIONS; i++) {
      const counter = draw(prng, next);
      const expected = counter + WINDOW_WIDTH < next ? 'out_of_window' : seen.has(counter) ? 'duplicate' : 'fresh';
      const verdict = checkCounter(memory, OFFSET, next, counter);
      must(verdict === expected, () => `operation ${i}: ${counter} of ${next} is ${verdict}, not ${expected}`);
      // Some are only looked at: their tag was wrong.
      if (verdict !== 'fresh' || prng.chance(0.2)) continue;
      next = markCounter(memory, OFFSET, next, counter);
      seen.add(counter);
      must(next > counter, 'next is above every counter that was marked');
      if (seen.size > 8 * WINDOW_WIDTH) seen = new Set([...seen].filter((c) => c + WINDOW_WIDTH >= next));
    }
    const after = [...memory.subarray(0, OFFSET), ...memory.subarray(OFFSET + WINDOW_BYTES)];
    must(after.join() === around.join(), 'bytes outside the window are untouched');
  });
  t.pass();
});

test('the highest counter below 2⁴⁸ is exact', (t) => {
  const memory = new Uint8Array(WINDOW_BYTES);
  const last = 2 ** 48 - 1;
  let next = markCounter(memory, 0, 0, last);
  t.is(checkCounter(memory, 0, next, last), 'duplicate');
  t.is(checkCounter(memory, 0, next, last - WINDOW_WIDTH + 1), 'fresh');
  t.is(checkCounter(memory, 0, next, last - WINDOW_WIDTH), 'out_of_window');
  next = markCounter(memory, 0, next, last - 1);
  t.is(next, last + 1);
  t.is(checkCounter(memory, 0, next, last - 1), 'duplicate');
});
