/** Whole load runs through an entry to an exit. */
import test from 'ava';
import { startGateway } from '../support/test-gateway.ts';
import {
  allowing,
  begun,
  noSessions,
  OPEN_GATES,
  operation,
  pair,
  planOf,
  run,
  targetOf,
  troubles,
} from './in-process.ts';

test.serial(
  'handshakes with an exit through an entry: all complete, and neither has a session at the end',
  async (t) => {
    const { exit, entry } = await pair(t);
    const plan = planOf(targetOf(exit), { via: targetOf(entry), mix: { forward: 1 } });
    const result = await run(plan);
    const forward = operation(result, 'forward');
    t.deepEqual(troubles(forward), []);
    t.is(forward.completed, begun(forward));
    t.is(result.operations.length, 1);
    await Promise.all([noSessions(exit), noSessions(entry)]);
  },
);

test.serial('an exit that the entry does not list: every forward says so', async (t) => {
  const exit = await startGateway(t, { entry: 'in-thread', seed: new Uint8Array(32).fill(0x33) });
  const entry = await startGateway(t, { entry: 'in-thread', set: OPEN_GATES });
  const loop = { kind: 'closed', clients: 4, thinkMs: 0 } as const;
  const result = await run(planOf(targetOf(exit), { via: targetOf(entry), mix: { forward: 1 }, facts: { loop } }));
  const { completed, errors } = operation(result, 'forward');
  t.is(completed, 0);
  t.deepEqual(
    errors.map(({ code }) => code),
    ['FORWARD_FAILED_NOT_ALLOWED'],
  );
  await noSessions(entry);
});

test.serial('the exit’s Busy comes through as Busy', async (t) => {
  const exit = await startGateway(t, { entry: 'in-thread', seed: new Uint8Array(32).fill(0x33) });
  const entry = await startGateway(t, { entry: 'in-thread', set: [...OPEN_GATES, allowing(exit)] });
  const loop = { kind: 'closed', clients: 8, thinkMs: 0 } as const;
  const result = await run(planOf(targetOf(exit), { via: targetOf(entry), mix: { forward: 1 }, facts: { loop } }));
  const forward = operation(result, 'forward');
  t.true(forward.completed <= 30, String(forward.completed));
  t.deepEqual(troubles(forward), ['BUSY']);
});
