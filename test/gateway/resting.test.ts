/** Connections that rest: how long, and how many are read on at once. The host is the test's; no time passes but what it steps. */
import test from 'ava';
import type { Connection } from '../../src/gateway/connection.ts';
import { RestRoom } from '../../src/gateway/resting.ts';
import { SteppedTimers } from './forward/stepped-timers.ts';

function room() {
  const timers = new SteppedTimers();
  const rested: number[] = [];
  const made = new RestRoom({
    after: (ms, action) => timers.after(ms, action),
    rested: (connection) => rested.push(connection.id),
  });
  const add = (id: number) => made.add({ id } as Connection);
  /** One step after the other: a timer that is set during a step is the next one's. */
  const pass = (ms: number) => {
    for (let at = 0; at < ms; at += 10) timers.advance(10);
  };
  return { made, add, pass, rested };
}

test('a connection rests a quarter of a second', (t) => {
  const { made, add, pass, rested } = room();
  add(1);
  pass(240);
  t.deepEqual(rested, []);
  pass(10);
  t.deepEqual(rested, [1]);
  t.is(made.size, 0);
});

test('however many rest, sixteen are read on at once, in their order', (t) => {
  const { made, add, pass, rested } = room();
  for (let id = 0; id < 100; id++) add(id);
  pass(250);
  t.is(rested.length, 16);
  pass(10);
  t.is(rested.length, 32);
  pass(1_000);
  t.deepEqual(
    rested,
    Array.from({ length: 100 }, (_, id) => id),
  );
  t.is(made.size, 0);
  add(100);
  pass(250);
  t.is(rested.at(-1), 100, 'an empty room begins anew');
});
