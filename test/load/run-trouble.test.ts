/** Load runs against what is no working gateway, and runs that are ended early. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test from 'ava';
import { startGateway } from '../support/test-gateway.ts';
import { noSessions, OPEN_GATES, operation, planOf, run, targetOf } from './in-process.ts';

const GATEWAY = { entry: 'in-thread', set: OPEN_GATES } as const;
/** Of an Ed25519 key that nobody uses. */
const IDENTITY = Uint8Array.from(
  Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'),
);

test.serial(
  'where nobody listens operations fail with the system’s code, and sessions are not tried for ever',
  async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const target = { host: '127.0.0.1', port, identity: IDENTITY };
    const loop = { kind: 'closed', clients: 4, thinkMs: 0 } as const;
    const handshakes = operation(await run(planOf(target, { facts: { loop } })), 'handshake');
    t.is(handshakes.completed, 0);
    // A client that was refused waits for a moment.
    t.true(handshakes.failed > 0 && handshakes.failed <= 40, String(handshakes.failed));
    t.is(handshakes.errors[0]?.code, 'ECONNREFUSED');
    const echoes = await run(planOf(target, { mix: { echo: 1 } }));
    t.like(operation(echoes, 'handshake'), { completed: 0, failed: 8 });
    t.is(echoes.measuredSeconds, 0);
    t.deepEqual(echoes.generator.bottlenecks, []);
  },
);

test.serial(
  'a server that never answers: operations time out, and what is beyond the bound is not begun',
  async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume();
      t.teardown(() => socket.destroy());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const plan = planOf({ host: '127.0.0.1', port, identity: IDENTITY }, { timeoutMs: 300, maxInFlight: 20 });
    const result = await run(plan);
    const { started, failed, errors } = operation(result, 'handshake');
    t.is(failed, started);
    t.deepEqual(errors.map(({ code }) => code).sort(), ['OVERLOADED_GENERATOR', 'TIMED_OUT']);
    t.true(errors.every(({ count }) => count > 10));
    t.true(result.generator.bottlenecks.some((text) => text.includes('were not begun')));
  },
);

test.serial('an interrupted run has a full report of the time that it lasted', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const stopping = new AbortController();
  const loop = { kind: 'open', arrivals: 'poisson', rate: 100 } as const;
  const plan = planOf(targetOf(gateway), { facts: { loop, warmUpSeconds: 0, durationSeconds: 3_600 } });
  const result = await run(plan, { signal: stopping.signal, onInterval: () => stopping.abort() });
  t.true(result.interrupted);
  t.true(result.measuredSeconds >= 1 && result.measuredSeconds < 5);
  const { started, completed, failed } = operation(result, 'handshake');
  t.true(started >= 50 && completed > 0 && completed + failed <= started);
  await noSessions(gateway);
});
