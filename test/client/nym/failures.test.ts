import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { type NymNodeData, registerNym } from '../../../src/client/index.ts';
import { errorOf, hopAt, nodeFor, optionsFor } from './fixture.ts';

async function serverFor(t: ExecutionContext, answer: string): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const other = (data: NymNodeData, more: Partial<NymNodeData>): NymNodeData => ({ ...data, ...more });
const wrongDigest = { hash: 'blake3', digest: new Uint8Array(32) } as const;

test('a closed port, a wrong key, a stale announcement and a foreign program are told apart', async (t) => {
  const node = await nodeFor(t);
  const data = node.data();
  const closed = await nodeFor(t, { fill: 0x61 });
  const gone = closed.data();
  await closed.close();
  const http = { address: { host: '127.0.0.1', port: Number((await serverFor(t, 'HTTP/1.1 400 no')).slice(10)) } };
  const lpKey = closed.node.publicKey;
  const cases: readonly (readonly [NymNodeData, string, string, string, RegExp])[] = [
    [gone, 'connect', 'connect_failed', 'ECONNREFUSED', /nothing listens there/],
    [other(data, { lpKey }), 'kkt', 'connection_lost', 'closed', /LP key is not this node's/],
    [other(data, { lpKey, source: 'stored' }), 'kkt', 'connection_lost', 'closed', /announcement is stale/],
    [other(data, { lpKey, source: 'fetched' }), 'kkt', 'connection_lost', 'closed', /another program/],
    [other(data, { kemDigest: wrongDigest, source: 'stored' }), 'kkt', 'kem_key', 'digest', /announcement is stale/],
    [other(data, { kemDigest: wrongDigest }), 'kkt', 'kem_key', 'digest', /compare the digest/],
    [other(data, http), 'kkt', 'connection_lost', 'foreign', /no LP listener/],
    [other(data, { lpKey: new Uint8Array(32) }), 'kkt', 'gateway_key', 'node_key', /no key agreement/],
  ];
  for (const [at, step, code, reason, message] of cases) {
    const error = await errorOf(t, registerNym(optionsFor(at)));
    t.like(error, { step, code, reason, hop: 'direct' });
    t.regex(error.message, message);
  }
});

test('a node without tunnels says so', async (t) => {
  const node = await nodeFor(t, { dvpn: false });
  const error = await errorOf(t, registerNym(optionsFor(node.data())));
  t.like(error, { code: 'refused', step: 'initial' });
  t.regex(error.message, /without WireGuard/);
});

test('what fails behind the entry is told as that of the exit, and what fails at the entry as that of the entry', async (t) => {
  const [entryNode, exitNode] = [await nodeFor(t), await nodeFor(t, { fill: 0x51 })];
  const stale = other(exitNode.data(), { kemDigest: wrongDigest, source: 'stored' });
  const digest = await errorOf(t, registerNym(optionsFor(entryNode.data(), { exit: hopAt(stale) })));
  t.like(digest, { hop: 'exit', step: 'kkt', code: 'kem_key' });
  const wrongKey = other(exitNode.data(), { lpKey: entryNode.node.publicKey });
  const closed = await errorOf(t, registerNym(optionsFor(entryNode.data(), { exit: hopAt(wrongKey) })));
  t.like(closed, { hop: 'exit', step: 'kkt', code: 'forward_failed', reason: 'closed' });
  t.regex(closed.message, /^exit gateway: the entry closed the connection during the forward \(kkt\)/);
  const gone = exitNode.data();
  await exitNode.close();
  const refused = await errorOf(t, registerNym(optionsFor(entryNode.data(), { exit: hopAt(gone) })));
  t.like(refused, { hop: 'exit', step: 'kkt', code: 'forward_failed' });
  const entry = other(entryNode.data(), { kemDigest: wrongDigest });
  const own = await errorOf(t, registerNym(optionsFor(entry, { exit: hopAt(gone) })));
  t.like(own, { hop: 'entry', step: 'kkt', code: 'kem_key' });
});

test('an attempt that failed before anything was paid is repeated only when that is asked for', async (t) => {
  const node = await nodeFor(t);
  node.register = () => ({ kind: 'completed', tunnel: TUNNEL });
  let refusals = 2;
  node.closeAfter = (kind, n) => kind === 'kkt' && n === 0 && refusals-- > 0;
  await errorOf(t, registerNym(optionsFor(node.data())));
  t.is(node.accepted, 1);
  const { entry } = await registerNym(optionsFor(node.data(), { retries: 1 }));
  t.false(entry.paid);
  t.is(node.accepted, 3);
});

test('an abort ends what is under way, with its reason as the cause', async (t) => {
  const node = await nodeFor(t);
  const reason = new Error('enough');
  const controller = new AbortController();
  node.reply = (kind, bytes) => {
    if (kind !== 'psq') return [bytes];
    setImmediate(() => controller.abort(reason));
    return [];
  };
  const error = await errorOf(t, registerNym(optionsFor(node.data(), { signal: controller.signal })));
  t.like(error, { code: 'aborted', step: 'psq', cause: reason });
});

const TUNNEL = {
  wgPublicKey: new Uint8Array(32).fill(0x77),
  port: 51_822,
  ipv4: Uint8Array.of(10, 1, 0, 9),
  ipv6: new Uint8Array(16).fill(1),
  upgradeMode: false,
};
