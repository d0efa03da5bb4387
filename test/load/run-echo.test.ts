/** Whole load runs of echoes on kept sessions. */
import test from 'ava';
import { startGateway } from '../support/test-gateway.ts';
import { begun, noSessions, OPEN_GATES, operation, planOf, run, targetOf, troubles } from './in-process.ts';

const GATEWAY = { entry: 'in-thread', set: OPEN_GATES } as const;
const mix = { echo: 1 };

test.serial('a closed loop: each client has a session and one echo under way', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const loop = { kind: 'closed', clients: 4, thinkMs: 1 } as const;
  const facts = { loop, warmUpSeconds: 0, durationSeconds: 1.1 };
  const result = await run(planOf(targetOf(gateway), { mix, facts }));
  const { started, completed, failed } = operation(result, 'echo');
  t.true(started > 20, String(started));
  t.deepEqual([completed, failed], [started, 0]);
  t.is(result.operations.length, 1);
  t.is(result.intervals[0]?.sessions, 4);
  t.is(result.intervals[0]?.offered, undefined);
  await noSessions(gateway);
});

test.serial('an open loop shares its sessions, several echoes on one at a time', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const loop = { kind: 'open', arrivals: 'poisson', rate: 600 } as const;
  const result = await run(planOf(targetOf(gateway), { mix, sessions: 2, facts: { loop, payloadBytes: 5_000 } }));
  const echo = operation(result, 'echo');
  t.true(echo.started > 200, String(echo.started));
  t.deepEqual(troubles(echo), []);
  t.is(echo.completed, begun(echo));
  t.is(result.intervals[0]?.sessions, 2);
  await noSessions(gateway);
});

test.serial(
  'a gateway that is stopped under load: echoes fail, the run ends, and sessions are tried again',
  async (t) => {
    const gateway = await startGateway(t, GATEWAY);
    const facts = { warmUpSeconds: 0, durationSeconds: 2 };
    const result = await run(planOf(targetOf(gateway), { mix, timeoutMs: 400, facts }), {
      onInterval: ({ second }) => {
        if (second === 0) void gateway.gateway.stop('at once');
      },
    });
    const echo = operation(result, 'echo');
    t.true(echo.completed >= 50 && echo.failed >= 50, JSON.stringify([echo.completed, echo.failed]));
    t.is(echo.completed + echo.failed, echo.started);
    t.true(operation(result, 'handshake').failed > 0);
  },
);
