/** Latencies in a histogram: what is read is what was recorded, to three digits. */
import test from 'ava';
import { Latencies } from '../../src/load/latencies.ts';
import { forSeeds, must, runs } from '../support/property.ts';

test('quantiles are those of the sorted values to a thousandth, also after merging and crossing a thread', (t) => {
  forSeeds(runs(40, 1_000), (prng) => {
    const values = Array.from({ length: 1 + prng.below(2_000) }, () => Math.exp(prng.below(1_600) / 100) / 1e3 + 0.001);
    const parts = [Latencies.empty(), Latencies.empty()];
    for (const [at, ms] of values.entries()) parts[at % 2]?.record(ms);
    const merged = Latencies.empty();
    for (const part of parts) merged.add(Latencies.decode(part.encode()));
    values.sort((a, b) => a - b);
    must(merged.count === values.length, 'some were lost');
    for (const quantile of [0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.max(0, Math.ceil(quantile * values.length) - 1)] ?? 0;
      const read = merged.ms(quantile);
      must(Math.abs(read - exact) <= exact * 0.0011 + 0.001, `${quantile}: ${read} instead of ${exact}`);
    }
  });
  t.pass();
});

test('nothing recorded has no summary and no distribution, and zero for every quantile', (t) => {
  const none = Latencies.empty();
  t.is(none.summary(), undefined);
  t.deepEqual(none.distribution(), []);
  t.is(none.ms(0.99), 0);
});

test('what is beyond the bounds is taken to the bound', (t) => {
  const latencies = Latencies.empty();
  latencies.record(-1);
  latencies.record(1e9);
  t.is(latencies.count, 2);
  t.like(latencies.summary(), { min: 0.001 });
  t.true(latencies.maxMs >= 600_000);
});

test('a distribution rises to the greatest value and has no point that a single count does not reach', (t) => {
  const latencies = Latencies.empty();
  for (let ms = 1; ms <= 1_000; ms++) latencies.record(ms);
  const points = latencies.distribution();
  const last = points.at(-1);
  t.deepEqual(last, { quantile: 1, ms: latencies.maxMs });
  t.true(points.slice(0, -1).every(({ quantile }) => (1 - quantile) * 1_000 >= 1));
  t.true(
    points.every(
      ({ quantile, ms }, at) => quantile >= (points[at - 1]?.quantile ?? 0) && ms >= (points[at - 1]?.ms ?? 0),
    ),
  );
});
