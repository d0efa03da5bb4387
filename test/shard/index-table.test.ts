/** The table of indices against a Map, through growth, shrinking and deletions that leave no gap. */
import test from 'ava';
import { IndexTable } from '../../src/shard/index-table.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';

/** Few different keys, so that deletions meet what was added: random, in a row, and alike in their low bits. */
function draw(prng: Prng): number {
  const n = prng.below(3_000);
  if (prng.chance(0.3)) return n;
  return (prng.chance(0.5) ? Math.imul(n, 0x9e37_79b1) : n << 18) >>> 0;
}

test('a table holds what a Map would, whatever is added and deleted', (t) => {
  forSeeds(runs(6, 200), (prng) => {
    const table = new IndexTable(prng.word());
    const model = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      const key = draw(prng);
      // Phases of growing and of shrinking.
      if (prng.chance(i % 8_000 < 4_000 ? 0.7 : 0.3)) {
        const value = prng.below(2 ** 20);
        table.set(key, value);
        model.set(key, value);
      } else must(table.delete(key) === model.delete(key), () => `${key} is deleted when it is there`);
      const asked = draw(prng);
      must(table.get(asked) === model.get(asked), () => `${asked} has its value`);
      must(table.has(asked | 0) === model.has(asked), 'signed or not, it is the same key');
      must(table.size === model.size, 'the size is right');
    }
    const keys = [...table.keys()].map((key) => key >>> 0).sort((a, b) => a - b);
    must(keys.join() === [...model.keys()].sort((a, b) => a - b).join(), 'its keys are those of the model');
    for (const key of model.keys()) table.delete(key);
    must(table.size === 0 && [...table.keys()].length === 0, 'and it can be emptied');
  });
  t.pass();
});

test('0 is a key like others, as a value too', (t) => {
  const table = new IndexTable();
  t.is(table.get(0), undefined);
  table.set(0, 0);
  t.is(table.get(0), 0);
  t.true(table.delete(0));
  t.false(table.delete(0));
});

test('a cleared table is empty', (t) => {
  const table = new IndexTable();
  for (let key = 0; key < 1_000; key++) table.set(key, key);
  table.clear();
  t.is(table.size, 0);
  t.false(table.has(7));
});
