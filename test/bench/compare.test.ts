import test from 'ava';
import { compareFigures, compareRuns, comparisonTable, gotWorse } from '../../scripts/bench/compare.ts';
import { figure, type Unit } from '../../scripts/bench/figures.ts';
import { runOf } from './run.ts';

const BOUNDED = 'gateway/handshake-vs-tls';
const UNBOUNDED = 'micro/yardstick';
const around = (value: number) => [-3, -2, -1, 0, 1, 2, 3].map((step) => value * (1 + step / 100));
const change = (a: readonly number[], b: readonly number[], unit: Unit = 'ratio') =>
  compareFigures(figure(BOUNDED, unit, a), figure(BOUNDED, unit, b)).change;

test('rounds that mingle are noise, whatever their medians', (t) => {
  t.is(change([1, 2, 3, 4, 5, 6, 7], [1.5, 2.5, 3.5, 4.4, 5.5, 6.5, 7.5]), 'noise');
});

test('rounds apart from each other are a change, in the direction that the figure has', (t) => {
  t.is(change(around(1), around(1.2)), 'WORSE');
  t.is(change(around(1.2), around(1)), 'better');
  t.is(change(around(100), around(120), 'per_s'), 'better');
  t.is(change(around(120), around(100), 'per_s'), 'WORSE');
});

test('a change below what two starts of one program differ by is noise, however sure', (t) => {
  const exact = (value: number) => Array.from({ length: 9 }, (_, i) => value + i * 1e-6);
  t.is(change(exact(1), exact(1.02)), 'noise');
  t.is(change(exact(1), exact(1.04)), 'WORSE');
});

test('of a few rounds, none may lie among the other’s', (t) => {
  t.is(change([1, 1.1, 1.2], [1.3, 1.4, 1.5]), 'WORSE');
  t.is(change([1, 1.1, 1.2], [1.15, 1.4, 1.5]), 'noise');
  t.is(change([1], [2]), 'WORSE');
});

test('figures of another unit, without rounds, or that are intervals are not compared', (t) => {
  t.is(compareFigures(figure('a', 'us', [1]), figure('a', 'ns', [1])).change, 'not comparable');
  t.is(compareFigures(figure('a', 'us', []), figure('a', 'us', [1])).change, 'not comparable');
  t.is(compareFigures(figure('a', 'us', [0]), figure('a', 'us', [1])).change, 'not comparable');
  const slope = (low: number, high: number) => figure('soak/rss-slope', 'MiB', [low, high]);
  t.is(compareFigures(slope(-1, 1), slope(5, 6)).change, 'not comparable');
});

test('only what has a bound makes a comparison fail', (t) => {
  const before = runOf([figure(BOUNDED, 'ratio', around(1)), figure(UNBOUNDED, 'us', around(1))]);
  const slower = runOf([figure(BOUNDED, 'ratio', around(1)), figure(UNBOUNDED, 'us', around(2))]);
  t.deepEqual(gotWorse(compareRuns(before, slower)), []);
  const worse = runOf([figure(BOUNDED, 'ratio', around(2)), figure(UNBOUNDED, 'us', around(1))]);
  t.deepEqual(
    gotWorse(compareRuns(before, worse)).map(({ name }) => name),
    [BOUNDED],
  );
});

test('the table names what is in one run only, and what differs between the machines', (t) => {
  const before = runOf([figure('a', 'us', [1]), figure('b', 'us', [1])]);
  const other = { ...before.machine, node: 'v27.0.0' };
  const after = runOf([figure('b', 'us', [1]), figure('c', 'us', [1])], { machine: other, quick: true });
  const table = comparisonTable(before, after);
  t.regex(table, /^Only before: a$/m);
  t.regex(table, /^Only after: c$/m);
  t.regex(table, /other node: v26\.0\.0 before, v27\.0\.0 after/);
  t.regex(table, /one of them is a quick run/);
  t.regex(table, /^No bounded figure got worse beyond noise\.$/m);
});
