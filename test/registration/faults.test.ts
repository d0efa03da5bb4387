/** What a registrar does when its store, its WireGuard, its queue or its own code fails (registration.md, rules 2, 5 and 9). */
import test from 'ava';
import { encodeRequest } from '../../src/lp/wire/registration-body.ts';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createMemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { bytes32, client, createFixture, START } from './fixture.ts';

const alice = client('alice');
const mallory = client('alice', 'mallory', 'psk of mallory');

test('a failing WireGuard leaves nothing of a registration behind', async (t) => {
  const { ask, registrar, wireguard, failing, faults } = createFixture();
  for (const op of ['quote', 'register'] as const) {
    failing.wireguard = 1;
    t.like(await ask(alice[op]()), { code: 'try_later', retryAfter: 5 });
    t.is(wireguard.size, 0);
    t.deepEqual(registrar.status().registrations.dvpn, { active: 0, grace: 0 });
    t.like(registrar.status().leases, { ipv4: { allocated: 0, held: 0, free: 253 }, ipv6: { allocated: 0, held: 0 } });
    t.like(await ask(alice.balance()), { code: 'not_owner' });
  }
  t.deepEqual(
    faults.map(({ kind, during }) => [kind, during]),
    [
      ['wireguard', 'quote'],
      ['wireguard', 'register'],
    ],
  );
  t.like(await ask(alice.register()), { status: 'completed' });
});

test('a failing WireGuard changes neither key nor registration, and the sweep repairs the peer', async (t) => {
  const { ask, registrar, wireguard, failing } = createFixture();
  await registrar.sweep();
  const first = await ask(alice.register());
  failing.wireguard = 2;
  t.like(await ask(client('alice', 'alice', 'new psk').register()), { code: 'try_later' });
  t.deepEqual(await ask(alice.balance()), first);
  failing.wireguard = 2;
  t.like(await ask(alice.release()), { code: 'try_later' });
  t.deepEqual(await ask(alice.balance()), first);
  await wireguard.remove(alice.publicKey);
  await registrar.sweep();
  t.deepEqual(wireguard.peer(alice.publicKey)?.presharedKey.bytes, bytes32('psk of alice'));
});

test('a peer that cannot be removed keeps its addresses from others until it is gone', async (t) => {
  const fixture = createFixture();
  const { registrar, wireguard, failing } = fixture;
  await fixture.ask(alice.register());
  await registrar.sweep();
  failing.wireguard = 100;
  fixture.now = START + 86_400 + 3600;
  for (let i = 0; i < 3; i += 1) await registrar.sweep();
  t.is(wireguard.size, 1);
  t.is(registrar.status().leases.ipv4.allocated, 1);
  failing.wireguard = 0;
  await registrar.sweep();
  t.is(wireguard.size, 0);
  fixture.now += 5;
  await registrar.sweep();
  t.is(registrar.status().leases.ipv4.allocated, 0);
});

test('when a change cannot be taken back it stands, and the sweep brings its peer', async (t) => {
  const wireguard = createMemoryWireGuard();
  const { upsert } = wireguard;
  const { ask, registrar, failing } = createFixture({}, { wireguard });
  await registrar.sweep();
  wireguard.upsert = async () => {
    failing.store = 1;
    throw new WireGuardError('WIREGUARD_REFUSED', 'told to fail, and the store next');
  };
  t.like(await ask(alice.register()), { code: 'try_later' });
  t.is(registrar.status().leases.ipv4.allocated, 1);
  t.is(registrar.status().registrations.dvpn.active, 1);
  wireguard.upsert = upsert;
  await registrar.sweep();
  t.is(wireguard.size, 1);
  t.like(await ask(alice.register()), { status: 'completed' });
  t.is(registrar.status().leases.ipv4.allocated, 1);
});

test('an absent store is try_later and nothing is leased', async (t) => {
  const { ask, registrar, failing, faults } = createFixture();
  for (let call = 1; call <= 2; call += 1) {
    failing.store = 1;
    t.like(await ask(alice.register()), { code: 'try_later', retryAfter: 5 });
  }
  t.is(registrar.status().leases.ipv4.free, 253);
  t.is(faults.length, 2);
  t.like(await ask(alice.register()), { status: 'completed' });
});

test('a full queue is try_later, and requests run in the order in which they came', async (t) => {
  const { ask, registrar } = createFixture({ queueLength: 3 });
  const pending = [alice.register(), mallory.register(), alice.release(), mallory.register()].map((each) => ask(each));
  t.is(registrar.status().queueLength, 3);
  const [first, second, third, fourth] = await Promise.all(pending);
  t.like(first, { status: 'completed' });
  t.like(second, { code: 'not_owner' });
  t.like(third, { status: 'completed', bandwidth: 0 });
  t.like(fourth, { code: 'try_later', retryAfter: 1 });
  t.is(registrar.status().queueLength, 0);
});

test('a body that is not of the table is failure 1, and the next request is served', async (t) => {
  const { ask, registrar } = createFixture();
  const handle = (body: Uint8Array) => registrar.handle({ body, source: 's', family: 'f', quotesAllowed: 1 });
  t.deepEqual(await handle(Uint8Array.of(0x80)), { kind: 'failure', code: 1, text: 'missing_key: v' });
  t.deepEqual(await handle(new Uint8Array(4097)), { kind: 'failure', code: 1, text: 'too_long' });
  t.like(await ask(alice.register()), { status: 'completed' });
});

test('a mistake of ours is internal, is reported, and does not touch the next request', async (t) => {
  const store = createMemoryStore({ maxRegistrations: 10, maxTokens: 10 });
  let broken = true;
  const breaking = {
    ...store,
    transaction: ((body) => (broken ? body({} as never) : store.transaction(body))) as typeof store.transaction,
  };
  const { ask, faults, registrar } = createFixture({}, { store: breaking });
  t.like(await ask(alice.register()), { code: 'internal' });
  t.like(faults, [{ kind: 'internal', during: 'register' }]);
  broken = false;
  t.like(await ask(alice.register()), { status: 'completed' });
  t.is(registrar.status().leases.ipv4.allocated, 1);
});

test('a closed registrar finishes what is queued and answers failure 4 to the rest', async (t) => {
  const { ask, registrar } = createFixture();
  const pending = ask(alice.register());
  const closed = registrar.close();
  const late = await registrar.handle({
    body: encodeRequest(alice.balance()),
    source: 's',
    family: 'f',
    quotesAllowed: 1,
  });
  t.like(late, { kind: 'failure', code: 4 });
  await closed;
  t.like(await pending, { status: 'completed' });
});
