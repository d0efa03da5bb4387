import test from 'ava';
import { steppedClock, systemClock } from '../../src/system/clock.ts';

test('the system clock is monotonic and knows the date', (t) => {
  const first = systemClock.now();
  const second = systemClock.now();
  t.true(second.monotonicMs >= first.monotonicMs);
  t.true(Math.abs(first.unixMs - Date.now()) < 60_000);
});

test('a stepped clock moves when it is told to, and its wall clock can be set alone', (t) => {
  const clock = steppedClock({ monotonicMs: 5, unixMs: 1_000 });
  clock.advance(20);
  t.deepEqual(clock.now(), { monotonicMs: 25, unixMs: 1_020 });
  clock.setUnixMs(3);
  t.deepEqual(clock.now(), { monotonicMs: 25, unixMs: 3 });
  t.throws(() => clock.advance(-1));
  t.throws(() => clock.advance(Number.NaN));
});
