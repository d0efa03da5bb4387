/** Which faults the chaos runner deals, and what its command line takes. */
import { fc, testProp } from '@fast-check/ava';
import test from 'ava';
import { FAULT_KINDS, kindOf } from '../../scripts/chaos/kinds.ts';
import { parseOptions } from '../../scripts/chaos/options.ts';
import { Replacements, Schedule } from '../../scripts/chaos/schedule.ts';
import { Prng } from '../support/prng.ts';

testProp('each kind comes once before any comes twice, and alone at first', [fc.nat()], (t, seed) => {
  const schedule = new Schedule(FAULT_KINDS, new Prng(seed));
  t.false(schedule.dealtAll);
  const first = FAULT_KINDS.map(() => schedule.next());
  t.true(schedule.dealtAll && first.every((step) => step.length === 1));
  t.deepEqual(first.map(([fault]) => fault).sort(), [...FAULT_KINDS].sort());
  const second = FAULT_KINDS.map(() => schedule.next());
  t.deepEqual(second.map(([fault]) => fault).sort(), [...FAULT_KINDS].sort());
});

test('later on, faults of the network are laid over others, never over each other', (t) => {
  const schedule = new Schedule(FAULT_KINDS, new Prng(1));
  const later = Array.from({ length: 20 * FAULT_KINDS.length }, () => schedule.next());
  const pairs = later.filter((step) => step.length === 2);
  t.true(pairs.length > FAULT_KINDS.length);
  for (const [fault, over] of pairs) {
    t.not(kindOf(fault).part, 'network');
    t.is(over === undefined ? undefined : kindOf(over).part, 'network');
  }
});

test('the same seed deals the same faults', (t) => {
  const deal = (seed: number) => {
    const schedule = new Schedule(FAULT_KINDS, new Prng(seed));
    return Array.from({ length: 100 }, () => schedule.next());
  };
  t.deepEqual(deal(5), deal(5));
  t.notDeepEqual(deal(5), deal(6));
});

test('a thread is struck so often within the window, then another one, then none until time has passed', (t) => {
  const replacements = new Replacements(2, 60);
  const strike = (nowMs: number) => {
    const chosen = replacements.choose(['a', 'b'], nowMs);
    if (chosen.waitMs === 0) replacements.note(chosen.thread, nowMs);
    return `${chosen.thread} ${chosen.waitMs}`;
  };
  t.deepEqual([strike(0), strike(1), strike(2), strike(3), strike(10)], ['a 0', 'b 0', 'a 0', 'b 0', 'a 50']);
  t.is(strike(60), 'a 0');
  replacements.forget();
  t.is(strike(60), 'a 0');
});

test('the command line has its defaults and says what is wrong', (t) => {
  const quick = FAULT_KINDS.filter((fault) => kindOf(fault).isSlow === undefined);
  t.deepEqual(parseOptions([], 7), { minutes: 1, seed: 7, faults: quick, without: [] });
  t.like(parseOptions(['--minutes', '5'], 7), { faults: FAULT_KINDS });
  t.deepEqual(parseOptions(['--minutes', '0.5', '--seed', '3', '--faults', 'tcp-cut,shard-exit'], 7), {
    minutes: 0.5,
    seed: 3,
    faults: ['tcp-cut', 'shard-exit'],
    without: [],
  });
  const without = parseOptions(['--no-wireguard', '--no-disk'], 7);
  if (typeof without === 'string') return t.fail(without);
  t.deepEqual(without.without, ['wireguard', 'disk']);
  t.true(without.faults.every((fault) => kindOf(fault).needs === undefined));
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [['--minutes', 'x'], /--minutes/],
    [['--minutes', '0'], /--minutes/],
    [['--seed', '1.5'], /--seed/],
    [['--faults', 'rain'], /"rain" is no fault/],
    [['--faults', 'store-full', '--no-disk'], /no fault is left/],
    [['--other'], /--other/],
  ];
  for (const [args, pattern] of wrong) t.regex(String(parseOptions(args, 7)), pattern);
});
