/** Both stores keep the contract; and the registrar's queue and WireGuard in memory keep theirs. */
import test from 'ava';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import { SerialQueue } from '../../src/registration/serial-queue.ts';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { type PeerCounters, WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createMemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { bytes32 } from './fixture.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';
import { testContract } from './store-contract.ts';

testContract({ name: 'memory', create: async (_t, limits) => createMemoryStore(limits), runs: 60 });
testContract({ name: 'lmdb', create: (t, limits) => openTestStore(t, storeDirectory(t), limits), runs: 15 });

test('a queue runs jobs in order, one at a time, and refuses beyond its bound', async (t) => {
  const queue = new SerialQueue(2);
  const done: number[] = [];
  const job = (n: number) => async () => {
    await null;
    done.push(n);
    if (n === 1) throw new Error('one');
    return n;
  };
  const first = queue.run(job(1));
  const second = queue.run(job(2));
  t.is(queue.run(job(3)), undefined);
  const extra = queue.runUnbounded(job(4));
  t.is(queue.length, 3);
  await t.throwsAsync(async () => first, { message: 'one' });
  t.is(await second, 2);
  t.is(await extra, 4);
  await queue.idle();
  t.deepEqual(done, [1, 2, 4]);
  t.is(queue.length, 0);
});

test('WireGuard in memory keeps its own keys, forgets what a resync leaves out, and ends with close', async (t) => {
  const wireguard = createMemoryWireGuard();
  const peer = (name: string) => ({
    publicKey: bytes32(name),
    presharedKey: new PresharedKey(bytes32(`psk ${name}`)),
    allowedIps: ['10.0.0.2/32'],
    keepaliveSeconds: 25,
  });
  const first = peer('a');
  await wireguard.upsert(first);
  first.presharedKey.wipe();
  t.deepEqual(wireguard.peer(bytes32('a'))?.presharedKey.bytes, bytes32('psk a'));
  await wireguard.resync(
    (async function* () {
      yield peer('b');
    })(),
  );
  const listed: PeerCounters[] = [];
  for await (const counters of wireguard.list()) listed.push(counters);
  t.deepEqual(listed, [{ publicKey: bytes32('b'), received: 0, sent: 0 }]);
  await wireguard.remove(bytes32('nobody'));
  await wireguard.close();
  await t.throwsAsync(() => wireguard.upsert(peer('c')), { instanceOf: WireGuardError });
});
