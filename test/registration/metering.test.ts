/** Transfer is charged to balances once, whatever restarts or fails, and used up it takes the peer away (registration.md, rules 4 and 5). */
import test from 'ava';
import type { AnswerBody } from '../../src/lp/wire/registration-body.ts';
import { RegistrationConfigError } from '../../src/registration/config-error.ts';
import { charge, Metering } from '../../src/registration/metering.ts';
import { Peers } from '../../src/registration/peers.ts';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { type Registration, type RegistrationStore, StoreError } from '../../src/registration/store/store.ts';
import { WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createMemoryWireGuard, type MemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { bytes32, client, createFixture, type Fixture, PRICED, START, token } from './fixture.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';
import { tunnel } from './store-samples.ts';

const alice = client('alice');
const MOST = Number.MAX_SAFE_INTEGER;

/** A registrar whose sweep has been, and alice with 1000 bytes for 100 s. */
async function withAlice(parts: { store?: RegistrationStore; wireguard?: MemoryWireGuard } = {}): Promise<Fixture> {
  const fixture = createFixture({}, { verifier: PRICED, ...parts });
  await fixture.registrar.sweep();
  await fixture.ask(alice.register(token('first')));
  return fixture;
}

/** Her peer has moved so much since it was made; then, half a minute later, a sweep. */
async function meter(fixture: Fixture, received: number, sent: number): Promise<void> {
  fixture.wireguard.setCounters(alice.publicKey, { received, sent });
  fixture.now += 30;
  await fixture.registrar.sweep();
}

const left = async (fixture: Fixture) => bandwidthOf(await fixture.ask(alice.balance()));
const bandwidthOf = (answer: AnswerBody) => (answer.status === 'completed' ? answer.bandwidth : answer);

/** How often each peer is removed. */
function countRemovals(wireguard: MemoryWireGuard): { count: number } {
  const removals = { count: 0 };
  const remove = wireguard.remove.bind(wireguard);
  wireguard.remove = (publicKey) => {
    removals.count += 1;
    return remove(publicKey);
  };
  return removals;
}

test('what a peer received and sent is charged at the interval, and balance says what was left at the last reading', async (t) => {
  const fixture = await withAlice();
  fixture.wireguard.setCounters(alice.publicKey, { received: 100, sent: 50 });
  fixture.now += 29;
  await fixture.registrar.sweep();
  t.is(await left(fixture), 1000);
  fixture.now += 1;
  await fixture.registrar.sweep();
  t.is(await left(fixture), 850);
  await meter(fixture, 100, 51);
  t.is(await left(fixture), 849);
  t.deepEqual(fixture.faults, []);
});

test('the interval is an option, and a clock that goes back does not stop the readings', async (t) => {
  const fixture = createFixture({ meteringSeconds: 5 }, { verifier: PRICED });
  await fixture.registrar.sweep();
  await fixture.ask(alice.register(token('first')));
  fixture.wireguard.setCounters(alice.publicKey, { received: 10, sent: 0 });
  fixture.now += 5;
  await fixture.registrar.sweep();
  t.is(await left(fixture), 990);
  fixture.wireguard.setCounters(alice.publicKey, { received: 20, sent: 0 });
  fixture.now -= 1000;
  await fixture.registrar.sweep();
  t.is(await left(fixture), 980);
  for (const meteringSeconds of [0, -1, 0.5, Number.NaN]) {
    t.throws(() => createFixture({ meteringSeconds }), { instanceOf: RegistrationConfigError });
  }
});

test('a balance that is used up takes the peer away once, keeps the lease for the grace, and then frees it', async (t) => {
  const fixture = await withAlice();
  const removals = countRemovals(fixture.wireguard);
  await meter(fixture, 600, 401);
  t.is(fixture.wireguard.size, 0);
  t.is(await left(fixture), 0);
  t.like(fixture.registrar.status(), {
    registrations: { dvpn: { active: 0, grace: 1 } },
    leases: { ipv4: { allocated: 1 } },
  });
  fixture.now += 3599;
  await fixture.registrar.sweep();
  t.is(fixture.registrar.status().leases.ipv4.allocated, 1);
  fixture.now += 1;
  await fixture.registrar.sweep();
  t.is(fixture.registrar.status().leases.ipv4.allocated, 0);
  t.is(removals.count, 1);
  t.deepEqual(fixture.faults, []);
});

test('a token adds to what is left, and within the grace it brings the same addresses and a peer that counts from zero', async (t) => {
  const fixture = await withAlice();
  const first = await fixture.ask(alice.balance());
  await meter(fixture, 300, 300);
  t.is(bandwidthOf(await fixture.ask(alice.topup(token('second')))), 1400);
  await meter(fixture, 700, 700);
  await meter(fixture, 1000, 1000);
  t.is(fixture.wireguard.size, 0);
  const again = await fixture.ask(alice.topup(token('third')));
  if (first.status !== 'completed' || again.status !== 'completed') return t.fail();
  t.deepEqual(again, { ...first, expires: again.expires });
  t.is(fixture.wireguard.size, 1);
  for (const more of ['fourth', 'fifth']) await fixture.ask(alice.topup(token(more)));
  // No counter is below that of the peer before: all of it is of this one nevertheless.
  await meter(fixture, 1001, 1000);
  t.is(await left(fixture), 999);
});

test('a registrar that starts again on a standing interface charges the difference, once', async (t) => {
  const before = await withAlice();
  await meter(before, 100, 100);
  await before.registrar.close();
  before.wireguard.setCounters(alice.publicKey, { received: 150, sent: 100 });
  const after = createFixture({}, { verifier: PRICED, store: before.store, wireguard: before.wireguard });
  after.now = before.now + 10;
  await after.registrar.sweep();
  await after.registrar.sweep();
  t.is(await left(after), 750);
  t.is(after.wireguard.size, 1);
});

test('over a durable store, what was charged stays charged, and the difference follows', async (t) => {
  const path = storeDirectory(t);
  const before = await withAlice({ store: await openTestStore(t, path) });
  await meter(before, 100, 100);
  await before.registrar.close();
  await before.store.close();
  before.wireguard.setCounters(alice.publicKey, { received: 150, sent: 100 });
  const after = createFixture(
    {},
    { verifier: PRICED, store: await openTestStore(t, path), wireguard: before.wireguard },
  );
  t.is(await left(after), 800);
  await after.registrar.sweep();
  t.is(await left(after), 750);
});

test('counters below the last ones count in full, whichever of the two is below', async (t) => {
  for (const [received, sent] of [
    [30, 40],
    [130, 40],
    [30, 140],
  ] as const) {
    const fixture = await withAlice();
    await meter(fixture, 100, 100);
    await meter(fixture, received, sent);
    t.is(await left(fixture), 800 - received - sent);
  }
});

test('peers that an interface has lost come back at the next reading and count from zero, however far they come', async (t) => {
  const fixture = await withAlice();
  const bob = client('bob');
  await fixture.ask(bob.register(token('of bob')));
  await meter(fixture, 100, 100);
  fixture.wireguard.restart();
  fixture.now += 30;
  await fixture.registrar.sweep();
  t.is(fixture.wireguard.size, 2);
  await meter(fixture, 150, 150);
  t.is(await left(fixture), 500);
  t.is(bandwidthOf(await fixture.ask(bob.balance())), 1000);
});

for (const by of ['sweep', 'lookup'] as const) {
  test(`the last interval before the end of the lifetime is charged, when a ${by} finds the end`, async (t) => {
    const fixture = await withAlice();
    fixture.now += 75;
    await fixture.registrar.sweep();
    fixture.wireguard.setCounters(alice.publicKey, { received: 200, sent: 0 });
    fixture.now += 25;
    if (by === 'sweep') await fixture.registrar.sweep();
    t.is(await left(fixture), 800);
    t.is(fixture.wireguard.size, 0);
    t.is(bandwidthOf(await fixture.ask(alice.topup(token('second')))), 1800);
  });
}

test('requests that find an end read the counters once a second at most', async (t) => {
  const fixture = await withAlice();
  const others = ['b', 'c', 'd'].map((name) => client(name));
  for (const each of others) await fixture.ask(each.register(token(each.publicKey.join())));
  let readings = 0;
  const list = fixture.wireguard.list.bind(fixture.wireguard);
  fixture.wireguard.list = () => {
    readings += 1;
    return list();
  };
  fixture.now += 100;
  for (const each of [alice, ...others]) await fixture.ask(each.balance());
  await fixture.registrar.sweep();
  t.is(readings, 1);
  t.is(fixture.wireguard.size, 0);
});

test('what a store that fails cannot write is charged by a later sweep, once', async (t) => {
  const fixture = await withAlice();
  for (let n = 1; n <= 2; n += 1) {
    fixture.failing.store = 1;
    await meter(fixture, 100, n);
    t.is(await left(fixture), 1000);
  }
  t.deepEqual(
    fixture.faults.map(({ kind, during }) => [kind, during]),
    [
      ['store', 'sweep'],
      ['store', 'sweep'],
    ],
  );
  fixture.now += 1;
  await fixture.registrar.sweep();
  t.is(await left(fixture), 898);
});

test('a WireGuard that cannot be read delays no end, and is read before the peer is removed', async (t) => {
  const fixture = await withAlice();
  fixture.wireguard.setCounters(alice.publicKey, { received: 100, sent: 0 });
  fixture.failing.wireguard = 100;
  fixture.now += 100;
  await fixture.registrar.sweep();
  t.like(fixture.registrar.status().registrations.dvpn, { active: 0, grace: 1 });
  t.is(fixture.wireguard.size, 1);
  t.is(await left(fixture), 1000);
  fixture.wireguard.setCounters(alice.publicKey, { received: 150, sent: 0 });
  fixture.failing.wireguard = 0;
  fixture.now += 1;
  await fixture.registrar.sweep();
  t.is(fixture.wireguard.size, 0);
  t.is(await left(fixture), 850);
});

test('a peer that could not be removed is read before the next sweep removes it', async (t) => {
  const fixture = await withAlice();
  const remove = fixture.wireguard.remove.bind(fixture.wireguard);
  fixture.wireguard.remove = () => Promise.reject(new WireGuardError('WIREGUARD_UNAVAILABLE', 'told to fail'));
  fixture.now += 100;
  await fixture.registrar.sweep();
  fixture.wireguard.setCounters(alice.publicKey, { received: 100, sent: 0 });
  fixture.wireguard.remove = remove;
  fixture.now += 1;
  await fixture.registrar.sweep();
  t.is(fixture.wireguard.size, 0);
  t.is(await left(fixture), 900);
});

test('a request that finds an end which cannot be read is answered', async (t) => {
  const fixture = await withAlice();
  fixture.now += 100;
  fixture.failing.wireguard = 100;
  t.is(await left(fixture), 1000);
  t.like(fixture.registrar.status().registrations.dvpn, { active: 0, grace: 1 });
});

test('a peer that could not be removed is removed before its registration is revived, so that nothing counts twice', async (t) => {
  const fixture = await withAlice();
  await meter(fixture, 300, 0);
  fixture.now = START + 100;
  fixture.failing.wireguard = 100;
  await fixture.registrar.sweep();
  t.is(fixture.wireguard.size, 1);
  t.like(await fixture.ask(alice.topup(token('second'))), { code: 'try_later' });
  fixture.failing.wireguard = 0;
  t.is(bandwidthOf(await fixture.ask(alice.topup(token('second')))), 1700);
  fixture.now += 30;
  await fixture.registrar.sweep();
  t.is(await left(fixture), 1700);
});

test('a peer without a registration is removed by the sweep, and what it moved is charged to nobody', async (t) => {
  const fixture = await withAlice();
  const bob = client('bob');
  const peer = fixture.wireguard.peer(alice.publicKey);
  if (peer === undefined) return t.fail();
  await fixture.wireguard.upsert({ ...peer, publicKey: bob.publicKey, allowedIps: [] });
  fixture.wireguard.setCounters(bob.publicKey, { received: 500, sent: 500 });
  fixture.now += 30;
  await fixture.registrar.sweep();
  t.is(fixture.wireguard.size, 1);
  t.is(fixture.wireguard.peer(bob.publicKey), undefined);
  t.is(await left(fixture), 1000);

  // Before a sweep has seen it, a registration of its name makes a peer of its own.
  await fixture.wireguard.upsert({ ...peer, publicKey: bob.publicKey, allowedIps: [] });
  fixture.wireguard.setCounters(bob.publicKey, { received: 500, sent: 0 });
  const again = createFixture({}, { verifier: PRICED, store: fixture.store, wireguard: fixture.wireguard });
  await again.ask(bob.register(token('of bob')));
  await again.registrar.sweep();
  t.is(bandwidthOf(await again.ask(bob.balance())), 1000);
});

test('counters and balances up to 2^53 are charged exactly, and a sum beyond ends at 0', (t) => {
  const full = { ...tunnel('a'), bandwidth: MOST, charged: { received: 0, sent: 0 } };
  const charged = (received: number, sent: number, from = full) => charge(from, { received, sent }).bandwidth;
  t.is(charged(MOST - 1, 0), 1);
  t.is(charged(MOST - 1, 1), 0);
  t.is(charged(MOST, MOST), 0);
  const later = charge(full, { received: MOST - 5, sent: 3 });
  t.is(later.bandwidth, 2);
  t.is(charged(MOST - 4, 3, later), 1);
  t.is(charge(later, { received: MOST - 5, sent: 3 }), later);
});

interface Written {
  puts: number;
  readonly perTransaction: number[];
}

/** 600 registrations with peers, each has moved 1 byte, and a count of what is written. */
async function manyPeers(count: number) {
  const store = createMemoryStore({ maxRegistrations: count, maxTokens: 1 });
  const wireguard = createMemoryWireGuard();
  const peers = new Peers(wireguard);
  const names = Array.from({ length: count }, (_, n) => `peer ${n}`);
  for (const name of names) {
    const registration = { ...tunnel(name), bandwidth: 1000, charged: { received: 0, sent: 0 } };
    await store.transaction((tx) => tx.put(registration));
    await peers.follow(undefined, registration);
    wireguard.setCounters(bytes32(name), { received: 1, sent: 0 });
  }
  const written: Written = { puts: 0, perTransaction: [] };
  const failing = { at: -1 };
  const counting: RegistrationStore = {
    ...store,
    transaction: (body) =>
      store.transaction((tx) => {
        if (written.perTransaction.length === failing.at) throw new StoreError('STORE_UNAVAILABLE', 'told to fail');
        const at = written.perTransaction.push(0) - 1;
        const put = async (registration: Registration) => {
          written.perTransaction[at]! += 1;
          written.puts += 1;
          await tx.put(registration);
        };
        return body(new Proxy(tx, { get: (target, key) => (key === 'put' ? put : bound(target, key)) }));
      }),
  };
  const metering = new Metering({ store: counting, wireguard, peers, everySeconds: 30 });
  return { store, metering, written, failing, names };
}

function bound<T extends object>(target: T, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key);
  return typeof value === 'function' ? value.bind(target) : value;
}

async function balances(store: RegistrationStore): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  for await (const { bandwidth } of store.registrations()) found.set(bandwidth, (found.get(bandwidth) ?? 0) + 1);
  return found;
}

test('many peers are charged in transactions of 256, and those that have not moved are not written', async (t) => {
  const { store, metering, written } = await manyPeers(600);
  await metering.read(START, 600);
  t.deepEqual(written.perTransaction, [256, 256, 88]);
  t.deepEqual(await balances(store), new Map([[999, 600]]));
  await metering.read(START + 30, 600);
  t.is(written.puts, 600);
});

test('pages that were written before a store failed are not charged again, and the reading stays due', async (t) => {
  const { store, metering, failing } = await manyPeers(600);
  failing.at = 1;
  await t.throwsAsync(metering.read(START, 600), { instanceOf: StoreError });
  t.deepEqual(
    await balances(store),
    new Map([
      [999, 256],
      [1000, 344],
    ]),
  );
  t.true(metering.isDue(START));
  failing.at = -1;
  await metering.read(START, 600);
  t.false(metering.isDue(START));
  t.deepEqual(await balances(store), new Map([[999, 600]]));
});
