/** Whole load runs with Nym's protocol, against a node of the test. */
import test, { type ExecutionContext } from 'ava';
import { startLoadThread } from '../../src/load/thread-port.ts';
import { type NymNodeOptions, NymTestNode } from '../support/nym-node.ts';
import { until } from '../support/test-gateway.ts';
import { begun, operation, run, troubles } from './in-process.ts';
import { nymPlanOf } from './nym-plan.ts';

async function nodeFor(t: ExecutionContext, options?: NymNodeOptions): Promise<NymTestNode> {
  const node = await NymTestNode.listen(options);
  t.teardown(() => node.close());
  return node;
}

for (const pipelined of [false, true]) {
  const how = pipelined ? 'both messages at once' : 'one message after the other';
  test.serial(`handshakes, ${how}: all complete, nothing is asked, and no connection is left`, async (t) => {
    const node = await nodeFor(t);
    const result = await run(nymPlanOf(node.data(), { pipelined }));
    const handshake = operation(result, 'handshake');
    t.deepEqual(troubles(handshake), []);
    t.true(handshake.completed >= 20 && handshake.completed === begun(handshake));
    t.true((handshake.latencyMs?.p99 ?? 0) > 0);
    t.is(result.registrations, undefined);
    t.deepEqual(node.requests, []);
    await until(() => node.connections === 0, 'every connection has ended');
  });
}

test.serial('Initials: each node’s answer is that it wants a credential, and none is ever sent', async (t) => {
  const node = await nodeFor(t);
  const loop = { kind: 'closed', clients: 4, thinkMs: 10 } as const;
  const result = await run(nymPlanOf(node.data(), { mix: { initial: 1 }, facts: { loop } }));
  const initial = operation(result, 'initial');
  t.deepEqual(initial.errors, []);
  t.true(initial.completed > 4 && initial.completed === initial.started);
  // Those of the warm-up as well.
  t.true(node.requests.length >= initial.completed && node.requests.every((request) => request === 'initial'));
  t.deepEqual(node.spent, []);
  t.is(result.registrations, undefined);
  await until(() => node.connections === 0, 'every connection has ended');
});

test.serial('a node that registers for nothing keeps the registrations, and the report says so', async (t) => {
  const node = await nodeFor(t);
  const tunnel = { wgPublicKey: new Uint8Array(32).fill(7), port: 51_822, upgradeMode: false };
  const addresses = { ipv4: Uint8Array.of(10, 1, 0, 9), ipv6: new Uint8Array(16).fill(1) };
  node.register = () => ({ kind: 'completed', tunnel: { ...tunnel, ...addresses } });
  const result = await run(nymPlanOf(node.data(), { mix: { initial: 1 } }));
  t.deepEqual(troubles(operation(result, 'initial')), []);
  const made = node.requests.length;
  t.true(made > 20);
  t.deepEqual(result.registrations, { made, released: 0, left: made });
});

test.serial('threads of their own share a mixed load, each from sources of its own', async (t) => {
  const node = await nodeFor(t);
  const remotes = new Set<string>();
  const { track } = node;
  node.track = (socket) => {
    remotes.add(socket.remoteAddress ?? '');
    track.call(node, socket);
  };
  const loop = { kind: 'closed', clients: 4, thinkMs: 20 } as const;
  const facts = { loop, threads: 2, sources: 10, durationSeconds: 1 };
  const mix = { handshake: 1, initial: 1 };
  const plan = nymPlanOf(node.data(), { mix, pipelined: true, facts });
  const result = await run(plan, { startThread: startLoadThread });
  t.is(result.plan.threads, 2);
  t.deepEqual(
    result.operations.map(({ name, failed }) => [name, failed]),
    [
      ['handshake', 0],
      ['initial', 0],
    ],
  );
  t.is(remotes.size, 10);
  t.true([...remotes].every((address) => /^127\.1\.0\.([1-9]|10)$/.test(address)));
});

test.serial(
  'a node that takes one message at a time: pipelined handshakes fail and say what may be wrong',
  async (t) => {
    const node = await nodeFor(t, { oneAtATime: true });
    const { errors, completed } = operation(await run(nymPlanOf(node.data(), { pipelined: true })), 'handshake');
    t.is(completed, 0);
    t.is(errors[0]?.code, 'PSQ_CLOSED');
    t.regex(errors[0]?.example ?? '', /leave --pipelined out/);
  },
);
