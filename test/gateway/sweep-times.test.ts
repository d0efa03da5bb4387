/** When the registrar is told to sweep: a reading of the tunnels' counters is part of a sweep (design §2, registration.md rule 5). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { startRegistrarInThread } from '../../src/gateway/registrar-thread.ts';
import { systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { startGateway } from '../support/test-gateway.ts';

const TICKS_PER_SECOND = 4;

/** The second of each sweep that a minute of ticks brings. */
async function sweepsOf(t: ExecutionContext, interval: number): Promise<readonly number[]> {
  let ticks = 0;
  const sweeps: number[] = [];
  const startRegistrar = () => {
    const defer = (action: () => void) => setImmediate(action);
    const thread = startRegistrarInThread({ defer, clock: systemClock, timers: systemTimers, random: systemRandom });
    const post: typeof thread.post = (message) => {
      if (message.kind === 'sweep' && ticks > 0) sweeps.push(ticks / TICKS_PER_SECOND);
      thread.post(message);
    };
    return { ...thread, post };
  };
  // Ticks are the test's.
  const timers = { after: () => () => undefined };
  const set = [`metering.interval=${interval}`];
  const { gateway } = await startGateway(t, { set, entry: 'in-thread', dependencies: { startRegistrar, timers } });
  for (ticks = 1; ticks <= 60 * TICKS_PER_SECOND; ticks++) {
    gateway.tick();
    await nextTurn();
  }
  return sweeps;
}

test('counters are read as often as metering.interval says, also where that is more than every 5 s', async (t) => {
  t.deepEqual(
    await sweepsOf(t, 1),
    Array.from({ length: 60 }, (_, i) => i + 1),
  );
  t.deepEqual((await sweepsOf(t, 2)).slice(0, 3), [2, 4, 6]);
});

test('sweeps come every 5 s at least, and one of them at the end of each metering.interval', async (t) => {
  t.deepEqual((await sweepsOf(t, 3_600)).slice(0, 3), [5, 10, 15]);
  t.deepEqual((await sweepsOf(t, 30)).slice(0, 3), [5, 10, 15]);
  t.deepEqual((await sweepsOf(t, 7)).slice(0, 4), [3.5, 7, 10.5, 14]);
});
