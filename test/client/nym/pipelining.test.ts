import test, { type ExecutionContext } from 'ava';
import { MemoryNymKemKeyCache, type NymRegisterOptions, registerNym } from '../../../src/client/index.ts';
import type { NymNodeOptions } from '../../support/nym-node.ts';
import { hopAt, nodeFor, optionsFor, proxyFor, wallet } from './fixture.ts';

/** Entry behind a counting proxy, exit, and a client that both know. `count`: round trips of one registration. */
async function known(t: ExecutionContext, entryOptions: NymNodeOptions = {}) {
  const [entryNode, exitNode] = [await nodeFor(t, entryOptions), await nodeFor(t, { fill: 0x51 })];
  const proxy = await proxyFor(t, entryNode);
  const kemKeyCache = new MemoryNymKemKeyCache();
  const exit = hopAt(exitNode.data(), 0x21);
  const base = optionsFor(entryNode.data(proxy.address), { exit, kemKeyCache, credentials: wallet() });
  await registerNym(base);
  const count = async (more: Partial<NymRegisterOptions>) => {
    proxy.roundTrips = 0;
    const found = await registerNym({ ...base, ...more });
    t.true(!found.entry.paid && found.exit?.paid === false);
    return proxy.roundTrips;
  };
  return { entryNode, exitNode, proxy, kemKeyCache, base, count };
}

test('two hops that know the client take 7 round trips in the reference order', async (t) => {
  const { count } = await known(t);
  t.is(await count({}), 7);
});

test('with pipelining and cached KEM keys two known hops take 4 round trips, one less than the goal of 5', async (t) => {
  const { count, entryNode } = await known(t);
  t.is(await count({ pipelining: true }), 4);
  t.is(entryNode.accepted, 2, 'without a second attempt');
});

test('with pipelining and unknown KEM keys two known hops take 6 round trips', async (t) => {
  const { count } = await known(t);
  t.is(await count({ pipelining: true, kemKeyCache: new MemoryNymKemKeyCache() }), 6);
});

test('with pipelining an unknown client pays at both hops in 5 round trips, and never before both have answered', async (t) => {
  const { base, proxy, entryNode, exitNode } = await known(t);
  proxy.roundTrips = 0;
  const order: string[] = [];
  for (const node of [entryNode, exitNode]) {
    node.register = ({ kind }) => {
      order.push(kind);
      return undefined;
    };
  }
  const at = (hop: typeof base.entry, fill: number) => ({ ...hop, wgPublicKey: new Uint8Array(32).fill(fill) });
  const { exit = base.entry } = base;
  const found = await registerNym({ ...base, entry: at(base.entry, 0x61), exit: at(exit, 0x62), pipelining: true });
  t.true(found.entry.paid && found.exit?.paid);
  t.deepEqual(order, ['initial', 'initial', 'finalise', 'finalise']);
  t.is(proxy.roundTrips, 5);
});

test('an entry that takes one message at a time is met again in the reference order, and remembered', async (t) => {
  const { count, entryNode } = await known(t, { oneAtATime: true });
  t.is(await count({ pipelining: true }), 7 + 2, 'connect and one burst were in vain');
  t.is(entryNode.accepted, 3);
  t.is(await count({ pipelining: true }), 7);
});

test('an entry that refuses only what follows the handshake is met again as well', async (t) => {
  const { count, entryNode, base } = await known(t, { oneAtATime: true });
  // Its own handshake is not pipelined, so the first thing that is is the exit's.
  const kemKeyCache = new MemoryNymKemKeyCache();
  t.true((await count({ pipelining: true, kemKeyCache })) > 7);
  t.is(entryNode.accepted, 3);
  t.true(kemKeyCache.refusesPipelining(base.entry.node.lpKey));
});

test('a KEM key in the cache that is not the announced one is passed over', async (t) => {
  const { count, kemKeyCache, base, entryNode } = await known(t);
  kemKeyCache.set(base.entry.node.lpKey, new Uint8Array(1_184).fill(1));
  t.is(await count({ pipelining: true }), 5);
  t.is(entryNode.accepted, 2);
});

test('a node that is not there is tried once, with pipelining or without', async (t) => {
  const node = await nodeFor(t);
  const data = node.data();
  await node.close();
  const error = await t.throwsAsync(registerNym(optionsFor(data, { pipelining: true })), { code: 'connect_failed' });
  t.like(error, { reason: 'ECONNREFUSED', step: 'connect' });
});
