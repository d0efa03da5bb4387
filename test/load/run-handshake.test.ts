/** Whole load runs of handshakes against a gateway, and what admission says to them. */
import test from 'ava';
import type { LoadInterval } from '../../src/load/result.ts';
import { startLoadThread } from '../../src/load/thread-port.ts';
import { systemClock } from '../../src/system/clock.ts';
import { startGateway } from '../support/test-gateway.ts';
import { begun, inThreadBy, noSessions, OPEN_GATES, operation, planOf, run, targetOf, troubles } from './in-process.ts';

const GATEWAY = { entry: 'in-thread', set: OPEN_GATES } as const;

test.serial(
  'an open loop on a thread of its own: handshakes complete, and the gateway is left without a session',
  async (t) => {
    const gateway = await startGateway(t, GATEWAY);
    const intervals: LoadInterval[] = [];
    const loop = { kind: 'open', arrivals: 'fixed', rate: 100 } as const;
    const plan = planOf(targetOf(gateway), { facts: { loop, sources: 30, warmUpSeconds: 0.2, durationSeconds: 1 } });
    const result = await run(plan, {
      startThread: startLoadThread,
      onInterval: (interval) => intervals.push(interval),
    });
    const handshake = operation(result, 'handshake');
    const { started, completed, latencyMs, quantiles } = handshake;
    t.true(started >= 99 && started <= 101, String(started));
    t.is(completed, begun(handshake));
    t.deepEqual(troubles(handshake), []);
    t.true(
      latencyMs !== undefined && latencyMs.min > 0 && latencyMs.min <= latencyMs.p50 && latencyMs.p50 <= latencyMs.max,
    );
    t.is(quantiles.at(-1)?.ms, latencyMs?.max);
    t.deepEqual(result.intervals, intervals);
    t.deepEqual(
      intervals.map(({ second, phase }) => [second, phase]),
      [
        [0, 'warm-up'],
        [1, 'measured'],
      ],
    );
    const offered = intervals.reduce((sum, interval) => sum + (interval.offered ?? 0), 0);
    t.true(offered >= 119 && offered <= 121, String(offered));
    t.false(result.interrupted);
    t.true(result.generator.busiestThread > 0);
    t.is(result.measuredSeconds, 1);
    await noSessions(gateway);
  },
);

test.serial(
  'an operation that is due as the measured time begins is counted whole, whatever clocks round',
  async (t) => {
    const gateway = await startGateway(t, GATEWAY);
    // Here milliseconds are multiples of 2⁻¹²: a sum with 1.2 is rounded down.
    const origin = 2 ** 40;
    const clock = { now: () => ({ ...systemClock.now(), monotonicMs: origin + systemClock.now().monotonicMs }) };
    const loop = { kind: 'open', arrivals: 'fixed', rate: 1_000 / 1.2 } as const;
    const plan = planOf(targetOf(gateway), { facts: { loop, warmUpSeconds: 0.0012, durationSeconds: 0.03 } });
    const handshake = operation(await run(plan, { startThread: inThreadBy(clock) }), 'handshake');
    t.deepEqual(troubles(handshake), []);
    t.is(handshake.started, 25);
    t.is(handshake.completed, begun(handshake));
  },
);

test.serial(
  'beyond the limit of its address a gateway says Busy, which is counted with when to come again',
  async (t) => {
    const gateway = await startGateway(t, { entry: 'in-thread' });
    const result = await run(planOf(targetOf(gateway), { facts: { warmUpSeconds: 0 } }));
    const handshake = operation(result, 'handshake');
    // 20 at once and 5 per second, of which one was spent on learning the KEM key.
    t.true(handshake.completed <= 30, String(handshake.completed));
    t.deepEqual(troubles(handshake), ['BUSY']);
    t.is(handshake.completed + handshake.failed, handshake.started);
    t.regex(handshake.errors.find(({ code }) => code === 'BUSY')?.example ?? '', /come again after \d+ s/);
    await noSessions(gateway);
  },
);

test.serial('with a source address for every few handshakes the same gateway admits them all', async (t) => {
  const gateway = await startGateway(t, { entry: 'in-thread' });
  const handshake = operation(await run(planOf(targetOf(gateway), { facts: { sources: 100 } })), 'handshake');
  t.deepEqual(troubles(handshake), []);
  t.is(handshake.completed, begun(handshake));
});

test.serial(
  'a closed loop of two threads: each client waits for its handshake, and threads have sources of their own',
  async (t) => {
    const gateway = await startGateway(t, GATEWAY);
    const loop = { kind: 'closed', clients: 3, thinkMs: 1 } as const;
    const result = await run(
      planOf(targetOf(gateway), { facts: { loop, threads: 2, sources: 10, rampSeconds: 0.1, durationSeconds: 1 } }),
    );
    const handshake = operation(result, 'handshake');
    t.true(handshake.completed >= 3, String(handshake.completed));
    t.is(handshake.failed, 0);
    t.is(result.plan.threads, 2);
    t.is(result.generator.sendDelayP99Ms, undefined);
    await noSessions(gateway);
  },
);
