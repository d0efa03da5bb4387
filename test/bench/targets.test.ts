import { readFileSync } from 'node:fs';
import test from 'ava';
import { BENCHES, chooseBenches } from '../../scripts/bench/benches.ts';
import { figure } from '../../scripts/bench/figures.ts';
import {
  byName,
  type Condition,
  EARLIER_TARGETS,
  formatBound,
  type Met,
  TARGETS,
  type Target,
  verdict,
} from '../../scripts/bench/targets.ts';

const ALL = [...TARGETS, ...EARLIER_TARGETS];
const conditions = (targets: readonly Target[]) => targets.flatMap(({ alternatives }) => alternatives.flat());

/** The rows that are to be reached, with each of their numbers. */
const ROWS: readonly (readonly [row: string, bounds: readonly string[]])[] = [
  ['handshake', ['≤ 0.48', '≤ 1.25']],
  ['echo', ['≤ 1.33', '≤ 4 µs']],
  ['echo, pipelined', ['≥ 250,000/s', '≤ 4 µs', '≤ 2.50 µs']],
  ['forward', ['≤ 0.35']],
  ['idle session', ['≤ 600 B', '< 1,024 MiB', '≤ 5 ms', '≤ 5 ms']],
  ['overload', ['≥ 0.90', '≤ 25 ms', '≤ 10 ms']],
  ['shards', ['≥ 0.95', '≥ 0.95', '≤ 1.05', '≤ 1.05', '≤ 1.05', '≤ 1.05']],
  ['soak', ['interval holds 0']],
];

for (const [row, bounds] of ROWS) {
  test(`the targets have the row "${row}" with all its bounds`, (t) => {
    const targets = TARGETS.filter((target) => target.row === row);
    t.deepEqual(conditions(targets).map(formatBound), bounds);
  });
}

test('no target belongs to another row', (t) => {
  const rows = new Set(ROWS.map(([row]) => row));
  t.deepEqual(
    TARGETS.filter(({ row }) => !rows.has(row)),
    [],
  );
});

test('every condition is about a figure of a group that is measured, and none is there twice', (t) => {
  const groups = new Set(BENCHES.map(({ group }) => group));
  const names = conditions(ALL).map((condition) => condition.figure);
  for (const name of names) t.true(groups.has(name.split('/')[0] ?? ''), name);
  t.is(new Set(names).size, names.length);
});

test('a target with alternatives is met by any of them, and only by all of its conditions', (t) => {
  const pipelined = TARGETS.find(({ row }) => row === 'echo, pipelined')!;
  const met = (rate: number, shard: number, acceptor: number) =>
    verdict(
      pipelined,
      byName([
        figure('gateway/pipelined-rate', 'per_s', [rate]),
        figure('gateway/pipelined-shard', 'us', [shard]),
        figure('gateway/pipelined-acceptor', 'us', [acceptor]),
      ]),
    );
  t.is(met(250_000, 9, 9), 'met');
  t.is(met(1, 4, 2.5), 'met');
  t.is(met(1, 4, 2.6), 'NOT met');
  t.is(met(1, 4.1, 2.5), 'NOT met');
});

test('what was not measured is neither met nor missed', (t) => {
  const pipelined = TARGETS.find(({ row }) => row === 'echo, pipelined')!;
  t.is(verdict(pipelined, byName([])), 'not measured');
  t.is(verdict(pipelined, byName([figure('gateway/pipelined-rate', 'per_s', [1])])), 'not measured');
  t.is(verdict(pipelined, byName([figure('gateway/pipelined-rate', 'per_s', [])])), 'not measured');
});

const TABLE: readonly [Condition['kind'], number[], Met][] = [
  ['atMost', [1], 'met'],
  ['atMost', [1, 9, 1], 'met'],
  ['atMost', [1.01], 'NOT met'],
  ['below', [1], 'NOT met'],
  ['below', [0.99], 'met'],
  ['atLeast', [1], 'met'],
  ['atLeast', [0.99], 'NOT met'],
  ['holdsZero', [-1, 0.5, 2], 'met'],
  ['holdsZero', [0.1, 0.5, 2], 'NOT met'],
  ['holdsZero', [-2, -0.1], 'NOT met'],
];
for (const [kind, rounds, expected] of TABLE) {
  test(`a condition "${kind}" of 1 with rounds ${rounds.join(', ')} is ${expected}`, (t) => {
    const condition: Condition =
      kind === 'holdsZero' ? { kind, figure: 'a/b', unit: 'MiB' } : { kind, figure: 'a/b', bound: 1, unit: 'MiB' };
    const target = { row: '', text: '', alternatives: [[condition]] };
    t.is(verdict(target, byName([figure('a/b', 'MiB', rounds)])), expected);
  });
}

test('RESULTS.md has all targets as they are now', (t) => {
  const results = readFileSync(new URL('../../scripts/bench/RESULTS.md', import.meta.url), 'utf8');
  for (const { text } of ALL) t.true(results.includes(text), text);
});

test('benches are chosen by group and by name; without any, those that run unasked', (t) => {
  const bench = (group: string, name: string, onlyWhenAsked = false) => ({ group, name, onlyWhenAsked, run: () => [] });
  const benches = [bench('a', 'x'), bench('a', 'y', true), bench('b', 'z')];
  const names = (asked: string[]) => chooseBenches(asked, benches).chosen.map(({ name }) => name);
  t.deepEqual(names([]), ['x', 'z']);
  t.deepEqual(names(['a']), ['x', 'y']);
  t.deepEqual(names(['y', 'b']), ['y', 'z']);
  t.deepEqual(chooseBenches(['a', 'q'], benches).unknown, ['q']);
});

test('no two benches have one name, and none has a group’s', (t) => {
  const words = [...BENCHES.map(({ name }) => name), ...new Set(BENCHES.map(({ group }) => group))];
  t.is(new Set(words).size, words.length);
});
