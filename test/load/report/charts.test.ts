import test from 'ava';
import { type Chart, chartsOf, phasesOf } from '../../../src/load/report/charts.ts';
import { tableRows } from '../../../src/load/report/plot-sections.ts';
import type { LoadResult } from '../../../src/load/result.ts';
import {
  closedLoop,
  hostile,
  interval,
  long,
  mixed,
  nothingCompleted,
  oneInterval,
  operation,
  overloaded,
  result,
} from './sample-results.ts';

const ALL = { result, overloaded, mixed, closedLoop, nothingCompleted, oneInterval, long, hostile };

function chart(from: LoadResult, id: string): Chart {
  const found = chartsOf(from).find((one) => one.id === id);
  if (found === undefined) throw new Error(`no chart ${id}`);
  return found;
}

for (const [name, make] of Object.entries(ALL)) {
  test(`${name}: every value is finite, aligned with x and within its scale`, (t) => {
    const charts = chartsOf(make());
    t.is(new Set(charts.map(({ id }) => id)).size, charts.length);
    for (const { id, x, y, xValues, series } of charts) {
      t.true(x.min < x.max && y.min < y.max, id);
      t.deepEqual(
        xValues,
        [...xValues].sort((a, b) => a - b),
        id,
      );
      for (const value of xValues) t.true(value >= x.min && value <= x.max, id);
      for (const { values } of series) {
        t.is(values.length, xValues.length, id);
        t.true(
          values.every((value) => value === null || (value >= y.min * 0.999 && value <= y.max)),
          id,
        );
      }
    }
  });
}

test('the order is throughput, latency, distribution, failures, resources', (t) => {
  const ids = chartsOf(overloaded()).map(({ id }) => id);
  t.deepEqual(ids, ['throughput', 'latency-handshake', 'distribution', 'failures', 'generator', 'connections']);
});

test('what there is nothing to draw of has no chart', (t) => {
  t.false(chartsOf(result()).some(({ id }) => id === 'failures'));
  const ids = chartsOf(nothingCompleted()).map(({ id }) => id);
  t.deepEqual(ids, ['throughput', 'failures', 'generator', 'connections']);
  t.deepEqual(chartsOf(result({ intervals: [], operations: [] })), []);
});

test('a closed loop offers nothing', (t) => {
  const { series, title } = chart(closedLoop(), 'throughput');
  t.deepEqual(
    series.map(({ label }) => label),
    ['completed'],
  );
  t.is(title, 'Throughput: completed');
});

test('a second without completed operations is a gap in the latency', (t) => {
  const stalled = { name: 'handshake', completed: 0, failed: 9, p50: 0, p99: 0, max: 0 } as const;
  const intervals = [0, 1, 2].map((second) => interval({ second, offered: 10, capacity: 100 }));
  const { series } = chart(
    result({ intervals: intervals.map((one, at) => (at === 1 ? { ...one, operations: [stalled] } : one)) }),
    'latency-handshake',
  );
  for (const { values } of series) {
    t.is(values[1], null);
    t.not(values[0], null);
  }
});

test('mixed: completed is the sum of all operations', (t) => {
  const run = mixed();
  const { series } = chart(run, 'throughput');
  const [, completed, ...parts] = series;
  t.is(parts.length, 5);
  t.is(
    completed?.values[30],
    parts.reduce((total, { values }) => total + (values[30] ?? 0), 0),
  );
});

test('operations that are only needed on the way are no throughput', (t) => {
  const run = closedLoop();
  const echo = run.intervals[0]?.operations.find(({ name }) => name === 'echo')?.completed;
  t.is(chart(run, 'throughput').series[0]?.values[0], echo);
});

test('the distribution is drawn over 1/(1 − q), without the maximum, which has no place there', (t) => {
  const quantiles = [0, 0.5, 0.9, 0.99, 0.999, 1].map((quantile, index) => ({ quantile, ms: index + 1 }));
  const run = result({ operations: [{ ...operation('handshake', 1_000), quantiles }] });
  const { xValues, x, y, series } = chart(run, 'distribution');
  t.deepEqual(
    xValues.map((value) => Math.round(value)),
    [1, 2, 10, 100, 1_000],
  );
  t.is(x.max, 1_000);
  t.is(y.kind, 'linear');
  t.deepEqual(series[0]?.values, [1, 2, 3, 4, 5]);
});

test('phases follow each other without a hole, also where a second is missing', (t) => {
  const seconds = overloaded().intervals.filter(({ second }) => second !== 9 && second !== 10);
  t.deepEqual(phasesOf(seconds), [
    { name: 'ramp', from: 0, to: 11 },
    { name: 'warm-up', from: 11, to: 15 },
    { name: 'measured', from: 15, to: 75 },
  ]);
});

test('the words of a plot have its figures', (t) => {
  const run = overloaded();
  t.regex(
    chart(run, 'throughput').reading,
    /^Offered: up to 2,0\d\d per second\. Completed in the measured time: between 1,1\d\d and 2,0\d\d per second/,
  );
  t.regex(chart(run, 'latency-handshake').reading, /The longest took 938 ms \(second 52\)\.$/);
  t.regex(
    chart(run, 'failures').reading,
    /^Operations failed in 20 of 75 seconds, at most 931 in one \(second 47\)\.$/,
  );
  t.regex(chart(long(), 'latency-handshake').reading, /\(\d+:\d\d\)\.$/);
});

test('connections and sessions of very different size share a logarithmic scale', (t) => {
  const intervals = [0, 1].map((second) => ({
    ...interval({ second, offered: 10, capacity: 100 }),
    connections: 64,
    sessions: second * 1_000_000,
  }));
  const { y, series } = chart(result({ intervals }), 'connections');
  t.is(y.kind, 'log');
  t.deepEqual(series[1]?.values, [null, 1_000_000]);
});

test('the table of an hour has sixty rows: means of rates, the greatest of latencies', (t) => {
  const { seconds, lines } = tableRows(chart(long(), 'throughput'));
  t.is(seconds, 60);
  t.is(lines.length, 60);
  const latencies = chart(long(), 'latency-handshake');
  const first = latencies.series[0]!.values.slice(0, 60).map((value) => value ?? 0);
  t.is(tableRows(latencies).lines[0]?.values[0], Math.max(...first).toFixed(1));
});

test('the table of a short run has a row for every second', (t) => {
  const { seconds, lines } = tableRows(chart(oneInterval(), 'throughput'));
  t.is(seconds, 1);
  t.deepEqual(lines, [{ from: 0, values: ['60.0', '59.0'] }]);
});
