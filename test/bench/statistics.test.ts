import { fc, testProp } from '@fast-check/ava';
import test from 'ava';
import { mannWhitney, median, quantile, theilSen } from '../../scripts/bench/statistics.ts';

test('the median of an even number of values lies between the middle two, and their order does not matter', (t) => {
  t.is(median([9, 1, 5]), 5);
  t.is(median([4, 1, 3, 2]), 2.5);
  t.is(median([7]), 7);
  t.true(Number.isNaN(median([])));
});

test('quantiles lie between ranks in proportion', (t) => {
  t.is(quantile([10, 20, 30], 0), 10);
  t.is(quantile([10, 20, 30], 1), 30);
  t.is(quantile([10, 20, 30], 0.75), 25);
});

const KNOWN: readonly [string, number[], number[], number][] = [
  ['three below three', [1, 2, 3], [4, 5, 6], 2 / 20],
  ['five below five', [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 2 / 252],
  ['seven above seven', [8, 9, 10, 11, 12, 13, 14], [1, 2, 3, 4, 5, 6, 7], 2 / 3_432],
  // U = 1: the orders with U ≤ 1 or U ≥ 8.
  ['three and three, one pair the other way', [1, 2, 4], [3, 5, 6], 4 / 20],
  ['all of one value', [5, 5, 5], [5, 5, 5], 1],
  ['nothing', [], [1, 2], 1],
];
for (const [name, a, b, p] of KNOWN) {
  test(`mannWhitney is exact for ${name}`, (t) => {
    t.true(Math.abs(mannWhitney(a, b) - p) < 1e-12, String(mannWhitney(a, b)));
    t.is(mannWhitney(b, a), mannWhitney(a, b));
  });
}

test('with ties mannWhitney goes by the normal approximation', (t) => {
  const a = [1, 1, 2, 2, 3, 3, 4, 4];
  t.true(mannWhitney(a, a) > 0.95);
  const shifted = a.map((value) => value + 10);
  t.true(mannWhitney(a, shifted) < 0.002);
});

/** P of a U as far from its mean, by trying every choice of ranks. */
function byEnumeration(a: readonly number[], b: readonly number[]): number {
  const all = [...a, ...b].sort((x, y) => x - y);
  const offOf = (first: readonly number[], second: readonly number[]) => {
    let u = 0;
    for (const x of first) for (const y of second) if (x > y) u++;
    return Math.abs(u - (first.length * second.length) / 2);
  };
  const off = offOf(a, b);
  let [extreme, total] = [0, 0];
  for (let mask = 0; mask < 2 ** all.length; mask++) {
    const first = all.filter((_, i) => (mask >> i) & 1);
    if (first.length !== a.length) continue;
    total++;
    const second = all.filter((_, i) => !((mask >> i) & 1));
    if (offOf(first, second) >= off) extreme++;
  }
  return extreme / total;
}

testProp(
  'without ties mannWhitney is what trying every order gives',
  [fc.uniqueArray(fc.integer({ min: 0, max: 1_000 }), { minLength: 3, maxLength: 9 }), fc.integer({ min: 1, max: 8 })],
  (t, values, cut) => {
    const at = Math.min(cut, values.length - 1);
    const [a, b] = [values.slice(0, at), values.slice(at)];
    t.true(Math.abs(mannWhitney(a, b) - byEnumeration(a, b)) < 1e-9);
  },
);

test('theilSen gives the slope of a line, and its interval has no width', (t) => {
  const x = [0, 1, 2, 3, 4, 5];
  const { slope, low, high } = theilSen(
    x,
    x.map((value) => 3 * value - 7),
  );
  t.deepEqual({ slope, low, high }, { slope: 3, low: 3, high: 3 });
});

test('one wild value does not move theilSen', (t) => {
  const x = Array.from({ length: 11 }, (_, i) => i);
  const y = x.map((value) => (value === 5 ? 1e9 : 2 * value));
  t.is(theilSen(x, y).slope, 2);
});

test('the interval of a flat, noisy series holds 0, that of a rising one does not', (t) => {
  const x = Array.from({ length: 20 }, (_, i) => i);
  const noise = x.map((value) => ((value * 7) % 5) - 2);
  const flat = theilSen(x, noise);
  t.true(flat.low <= 0 && flat.high >= 0);
  const rising = theilSen(
    x,
    noise.map((value, i) => value + i),
  );
  t.true(rising.low > 0);
});

test('theilSen of fewer than two points is no number', (t) => {
  t.true(Number.isNaN(theilSen([1], [1]).slope));
});
