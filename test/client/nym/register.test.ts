import test from 'ava';
import { registerNym } from '../../../src/client/index.ts';
import { hopAt, nodeFor, optionsFor, wallet } from './fixture.ts';

test('a client registers with a node, and pays once when the node wants it', async (t) => {
  const node = await nodeFor(t);
  const credentials = wallet();
  const steps: string[] = [];
  const { entry, exit } = await registerNym(
    optionsFor(node.data(), {
      credentials,
      onStep: ({ hop, step, ms }) => void steps.push(`${hop} ${step} ${ms >= 0}`),
    }),
  );
  t.is(exit, undefined);
  t.like(entry, { hop: 'direct', ipv4: '10.1.0.5', ipv6: 'fc01::5', endpoint: '127.0.0.1:51822', paid: true });
  t.like(entry, { confirmedByInitial: false, clockSkewS: 0, presharedKey: new Uint8Array(32).fill(0x12) });
  t.deepEqual(
    steps,
    ['connect', 'kkt', 'psq', 'initial', 'credential', 'finalise'].map((step) => `direct ${step} true`),
  );
  t.deepEqual(node.requests, ['initial', 'finalise']);
  t.deepEqual(credentials.outcomes, ['direct accepted']);
  t.like(credentials.asked[0], { ticket: 'wireguard_entry', identity: node.identity });
});

test('a node that knows the client completes without a credential', async (t) => {
  const node = await nodeFor(t);
  await registerNym(optionsFor(node.data(), { credentials: wallet() }));
  const credentials = wallet();
  const { entry } = await registerNym(optionsFor(node.data(), { credentials }));
  t.like(entry, { ipv4: '10.1.0.5', paid: false });
  t.deepEqual(credentials.asked, []);
});

test('a client registers with an exit through its entry, the exit first, with a ticket of its own for each', async (t) => {
  const [entryNode, exitNode] = [await nodeFor(t), await nodeFor(t, { fill: 0x51 })];
  const credentials = wallet();
  const registered: string[] = [];
  const { entry, exit } = await registerNym(
    optionsFor(entryNode.data(), {
      exit: hopAt(exitNode.data(), 0x21),
      credentials,
      onRegistered: ({ hop }) => void registered.push(hop),
    }),
  );
  t.deepEqual(registered, ['exit', 'entry']);
  t.deepEqual(
    credentials.asked.map(({ hop, ticket }) => `${hop} ${ticket}`),
    ['exit wireguard_exit', 'entry wireguard_entry'],
  );
  t.is(entry.hop, 'entry');
  t.is(exit?.endpoint, '127.0.0.1:51822');
  t.is(exitNode.accepted, 1);
});
