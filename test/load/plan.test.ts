/** How a plan is cut into shares, phases and source addresses. */
import test from 'ava';
import { MAX_SOURCES, phaseOf, shareOf, sourceAddress } from '../../src/load/plan.ts';
import { forSeeds, must, runs } from '../support/property.ts';

test('the shares of all threads are the whole and differ by one at most', (t) => {
  forSeeds(runs(500, 20_000), (prng) => {
    const total = prng.below(10_000);
    const of = 1 + prng.below(64);
    const shares = Array.from({ length: of }, (_, thread) => shareOf(total, { thread, of }));
    must(shares.reduce((sum, share) => sum + share, 0) === total, 'not the whole');
    must(Math.max(...shares) - Math.min(...shares) <= 1, 'uneven');
  });
  t.pass();
});

test('a second has the phase in which it begins', (t) => {
  const spans = { rampMs: 1_500, measuredFromMs: 3_000, endMs: 5_000 };
  t.deepEqual(
    [0, 1, 2, 3, 4].map((second) => phaseOf(second, spans)),
    ['ramp', 'ramp', 'warm-up', 'measured', 'measured'],
  );
});

test('one source is the system’s choice', (t) => {
  t.is(sourceAddress(5, 1, { thread: 0, of: 1 }), undefined);
});

test('sources are as many different addresses of 127.0.0.0/8, none of them 127.0.0.1', (t) => {
  const addresses = new Set(
    Array.from({ length: MAX_SOURCES }, (_, n) => sourceAddress(n, MAX_SOURCES, { thread: 0, of: 1 })),
  );
  t.is(addresses.size, MAX_SOURCES);
  for (const address of addresses) {
    const [a, b, c, d] = (address ?? '').split('.').map(Number);
    if (a !== 127 || !(b! >= 1 && b! <= 254) || !(c! >= 0 && c! <= 255) || !(d! >= 1 && d! <= 250)) t.fail(address);
  }
});

test('threads use all sources, and each its own where there are enough', (t) => {
  const of = 3;
  const drawn = [0, 1, 2].map(
    (thread) => new Set(Array.from({ length: 100 }, (_, n) => sourceAddress(n, 300, { thread, of }))),
  );
  t.is(new Set(drawn.flatMap((set) => [...set])).size, 300);
});
