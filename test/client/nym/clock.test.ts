import test from 'ava';
import { registerNym } from '../../../src/client/index.ts';
import { ClockSearch } from '../../../src/client/nym/clock-search.ts';
import { errorOf, hopAt, nodeFor, optionsFor, wallet } from './fixture.ts';

test('a clock that is off by minutes is found by asking, on one connection, and used for Finalise as well', async (t) => {
  for (const skewS of [31, -45, 200, -300]) {
    const node = await nodeFor(t);
    node.clockSkewS = skewS;
    const { entry } = await registerNym(optionsFor(node.data(), { credentials: wallet() }));
    t.true(Math.abs(entry.clockSkewS - skewS) <= 30, `${skewS} found as ${entry.clockSkewS}`);
    t.true(entry.paid);
    t.is(node.accepted, 1);
    t.deepEqual(node.requests, ['initial', 'finalise'], 'what was refused for its time went no further');
  }
});

test('what the exit taught of the clock is the first guess at the entry', async (t) => {
  const [entryNode, exitNode] = [await nodeFor(t), await nodeFor(t, { fill: 0x51 })];
  for (const node of [entryNode, exitNode]) node.clockSkewS = 100;
  const asked: string[] = [];
  const { entry } = await registerNym(
    optionsFor(entryNode.data(), {
      exit: hopAt(exitNode.data(), 0x21),
      credentials: wallet(),
      onStep: ({ hop, step }) => void asked.push(`${hop} ${step}`),
    }),
  );
  t.is(entry.clockSkewS, 120);
  const initials = (hop: string) => asked.filter((each) => each === `${hop} initial`).length;
  t.true(initials('exit') > 1);
  t.is(initials('entry'), 1);
});

test('the Date of the announcement finds a clock that is off by hours', async (t) => {
  const node = await nodeFor(t);
  node.clockSkewS = 7_200;
  const data = { ...node.data(), clockHintS: 7_195 };
  const { entry } = await registerNym(optionsFor(data, { credentials: wallet() }));
  t.is(entry.clockSkewS, 7_195);
});

test('a clock that cannot be found, or may not be looked for, is told as that', async (t) => {
  const node = await nodeFor(t);
  node.clockSkewS = 7_200;
  const far = await errorOf(t, registerNym(optionsFor(node.data(), { credentials: wallet() })));
  t.like(far, { code: 'clock', step: 'initial' });
  t.regex(far.message, /more than 30 s apart: set the clock/);
  node.clockSkewS = 60;
  const hinted = { ...node.data(), clockHintS: 61 };
  const only = await errorOf(t, registerNym(optionsFor(hinted, { searchClock: false })));
  t.regex(only.message, /dated 61 s ahead of this machine's/);
});

test('a search tries each time once, leaves no gap of a minute, and ends', (t) => {
  const search = new ClockSearch({ guessS: 0, hintS: 1e9, search: true });
  const tried = [search.skewS];
  while (search.refused()) tried.push(search.skewS);
  t.is(new Set(tried).size, tried.length);
  t.is(tried.length, 11);
  const sorted = tried.toSorted((a, b) => a - b);
  t.true(sorted.every((skew, at) => at === 0 || skew - (sorted[at - 1] ?? 0) <= 60));
  t.is(search.skewS, 0);
  t.is(search.timeAt(-1), 0n, 'a machine before 1970 sends a time all the same');
});
