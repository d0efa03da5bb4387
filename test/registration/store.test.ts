/** The store's contract, as the memory store keeps it: all or nothing, copies of secrets, dates, tokens, bounds. */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import { SerialQueue } from '../../src/registration/serial-queue.ts';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import {
  type DvpnRegistration,
  dueAt,
  type Registration,
  type RegistrationStore,
  StoreError,
} from '../../src/registration/store/store.ts';
import { type PeerCounters, WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createMemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { bytes32 } from './fixture.ts';

const create = () => createMemoryStore({ maxRegistrations: 4, maxTokens: 2 });
const tunnel = (name: string, expires = 100): DvpnRegistration => ({
  mode: 'dvpn',
  wgPublicKey: bytes32(name),
  presharedKey: new PresharedKey(bytes32(`psk ${name}`)),
  addresses: { ipv4: new Uint8Array(4), ipv6: new Uint8Array(16) },
  ownerHash: bytes32('owner'),
  bandwidth: 5,
  expires,
  phase: { kind: 'active' },
});
const get = (store: RegistrationStore, name: string) =>
  store.transaction((tx) => tx.get({ mode: 'dvpn', wgPublicKey: bytes32(name) }));
const put = (store: RegistrationStore, ...registrations: readonly Registration[]) =>
  store.transaction(async (tx) => {
    for (const registration of registrations) await tx.put(registration);
  });
const rejects = async (t: ExecutionContext, run: () => Promise<unknown>, code: string) => {
  const error = await t.throwsAsync(run, { instanceOf: StoreError });
  t.is<string | undefined, string>(error?.code, code);
};

test('a transaction that rejects has written nothing', async (t) => {
  const store = create();
  await put(store, tunnel('a', 50));
  await t.throwsAsync(
    store.transaction(async (tx) => {
      await tx.put({ ...tunnel('a', 60), presharedKey: new PresharedKey(bytes32('other')) });
      await tx.put(tunnel('b'));
      await tx.delete(tunnel('a'));
      await tx.spend({ id: bytes32('t'), payer: 'p', keepUntil: 9 });
      throw new Error('on purpose');
    }),
    { message: 'on purpose' },
  );
  t.like(await get(store, 'a'), { expires: 50 });
  t.deepEqual(((await get(store, 'a')) as DvpnRegistration).presharedKey.bytes, bytes32('psk a'));
  t.is(await get(store, 'b'), undefined);
  t.is((await store.transaction((tx) => tx.due(50, 9))).length, 1);
  t.is(await store.transaction((tx) => tx.spend({ id: bytes32('t'), payer: 'p', keepUntil: 9 })), 'spent_now');
});

test('the store keeps its own copy of a preshared key and hands out copies', async (t) => {
  const store = create();
  const original = tunnel('a');
  await put(store, original);
  original.presharedKey.wipe();
  const copy = (await get(store, 'a')) as DvpnRegistration;
  t.deepEqual(copy.presharedKey.bytes, bytes32('psk a'));
  copy.presharedKey.wipe();
  t.deepEqual(((await get(store, 'a')) as DvpnRegistration).presharedKey.bytes, bytes32('psk a'));
});

test('what is due comes by date, as long as it is due, and not before', async (t) => {
  const store = create();
  const due = async (now: number, limit = 9) =>
    (await store.transaction((tx) => tx.due(now, limit))).map((registration) => dueAt(registration));
  await put(store, tunnel('a', 30), tunnel('b', 10), tunnel('c', 20));
  t.deepEqual(await due(9), []);
  t.deepEqual(await due(20), [10, 20]);
  t.deepEqual(await due(1_000_000_000, 2), [10, 20]);
  await put(store, { ...tunnel('b', 10), phase: { kind: 'grace', until: 40 } });
  await store.transaction((tx) => tx.delete(tunnel('c')));
  t.deepEqual(await due(39), [30]);
  t.deepEqual(await due(40), [30, 40]);
  await put(store, { ...tunnel('a', 30), bandwidth: 0 });
  t.deepEqual(await due(1), [0]);
});

test('what is due agrees with a scan of everything, whichever way the clock goes', async (t) => {
  const steps = fc.array(fc.record({ name: fc.nat(3), expires: fc.nat(30), now: fc.nat(30), gone: fc.boolean() }));
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const store = create();
      const model = new Map<number, number>();
      for (const { name, expires, now, gone } of list) {
        const registration = tunnel(String(name), expires);
        await store.transaction((tx) => (gone ? tx.delete(registration) : tx.put(registration)));
        if (gone) model.delete(name);
        else model.set(name, expires);
        const due = await store.transaction((tx) => tx.due(now, 9));
        t.deepEqual(
          due.map(dueAt),
          [...model.values()].filter((at) => at <= now).sort((a, b) => a - b),
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('a token is spent once, and known to whom, until it is taken back or forgotten', async (t) => {
  const store = create();
  const spend = (id: string, payer: string) =>
    store.transaction((tx) => tx.spend({ id: bytes32(id), payer, keepUntil: 100 }));
  t.is(await spend('t', 'p'), 'spent_now');
  t.is(await spend('t', 'p'), 'spent_by_payer');
  t.is(await spend('t', 'q'), 'spent_by_other');
  await store.transaction((tx) => tx.unspend(bytes32('t')));
  t.is(await spend('t', 'q'), 'spent_now');
  await store.transaction((tx) => tx.forgetTokens(99));
  t.is(await spend('t', 'q'), 'spent_by_payer');
  await store.transaction((tx) => tx.forgetTokens(100));
  t.is(await spend('t', 'p'), 'spent_now');
});

test('a full store refuses what is new and takes what replaces', async (t) => {
  const store = create();
  await put(store, ...['a', 'b', 'c', 'd'].map((name) => tunnel(name)));
  await rejects(t, () => put(store, tunnel('e')), 'STORE_FULL');
  await t.notThrowsAsync(put(store, tunnel('a', 70)));
  const spend = (id: string) => store.transaction((tx) => tx.spend({ id: bytes32(id), payer: 'p', keepUntil: 1 }));
  await spend('1');
  await spend('2');
  await rejects(t, () => spend('3'), 'STORE_FULL');
});

test('transactions run one at a time, and none after close', async (t) => {
  const store = create();
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = store.transaction(async (tx) => {
    await promise;
    await tx.put(tunnel('a'));
  });
  const second = get(store, 'a');
  resolve();
  await first;
  t.like(await second, { mode: 'dvpn' });
  await store.close();
  await rejects(t, () => get(store, 'a'), 'STORE_CLOSED');
});

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
