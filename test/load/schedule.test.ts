/** When the operations of an open loop are due. */
import test from 'ava';
import { createSchedule, type ScheduleOptions } from '../../src/load/schedule.ts';
import { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';

function timesOf(options: Omit<ScheduleOptions, 'random'>, prng = new Prng(1)): number[] {
  const schedule = createSchedule({ ...options, random: () => prng.word() / 2 ** 32 });
  const times: number[] = [];
  for (; schedule.nextMs !== Number.POSITIVE_INFINITY; schedule.advance()) times.push(schedule.nextMs);
  return times;
}

const alone = { thread: 0, of: 1 };
const between = (times: readonly number[], fromMs: number, toMs: number) =>
  times.filter((ms) => ms >= fromMs && ms < toMs).length;

test('fixed arrivals are evenly spaced at the full rate, from the first moment on', (t) => {
  const times = timesOf({ arrivals: 'fixed', rate: 250, rampMs: 0, endMs: 1_000, share: alone });
  t.is(times.length, 250);
  t.deepEqual(times.slice(0, 3), [0, 4, 8]);
});

test('a ramp brings half of its time at the full rate, rising evenly, and then the rate stays', (t) => {
  const times = timesOf({ arrivals: 'fixed', rate: 1_000, rampMs: 4_000, endMs: 6_000, share: alone });
  t.deepEqual(
    [0, 1, 2, 3, 4, 5].map((second) => Math.round(between(times, second * 1_000, (second + 1) * 1_000) / 25) * 25),
    [125, 375, 625, 875, 1_000, 1_000],
  );
});

test('the fixed schedules of all threads together are that of one', (t) => {
  const options = { arrivals: 'fixed', rate: 333, rampMs: 700, endMs: 2_000 } as const;
  const parts = [0, 1, 2].flatMap((thread) => timesOf({ ...options, share: { thread, of: 3 } }));
  t.deepEqual(
    parts.sort((a, b) => a - b),
    timesOf({ ...options, share: alone }),
  );
});

test('times never fall, lie within the run, and their number is the integral of the rate', (t) => {
  forSeeds(runs(200, 5_000), (prng) => {
    const rampMs = prng.below(3) * prng.below(5_000);
    const endMs = rampMs + 500 + prng.below(10_000);
    const rate = 10 + prng.below(3_000);
    const of = 1 + prng.below(4);
    const share = { thread: prng.below(of), of };
    const expected = (rate * (endMs - rampMs / 2)) / 1_000 / of;
    for (const arrivals of ['fixed', 'poisson'] as const) {
      const times = timesOf({ arrivals, rate, rampMs, endMs, share }, prng);
      must(
        times.every((ms, at) => ms >= (times[at - 1] ?? 0) && ms < endMs),
        'out of order or beyond the end',
      );
      const tolerance = arrivals === 'fixed' ? 1 : 6 * Math.sqrt(expected) + 1;
      must(Math.abs(times.length - expected) <= tolerance, `${arrivals}: ${times.length} instead of ${expected}`);
    }
  });
  t.pass();
});

test('gaps of Poisson arrivals are exponential: as many as e⁻¹ are longer than the mean', (t) => {
  const times = timesOf({ arrivals: 'poisson', rate: 1_000, rampMs: 0, endMs: 20_000, share: alone });
  const gaps = times.map((ms, at) => ms - (times[at - 1] ?? 0));
  const longer = gaps.filter((gap) => gap > 1).length / gaps.length;
  t.true(Math.abs(longer - Math.exp(-1)) < 0.02, `${longer}`);
});
