/** Requests of different names under way at once: what they share is never handed out twice (registration.md, rules 2 and 3). */
import test from 'ava';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import type { RegistrationStore } from '../../src/registration/store/store.ts';
import { createMemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { client, createFixture, PRICED, token } from './fixture.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Its peers are set when it is told to. */
function gatedWireGuard() {
  const wireguard = createMemoryWireGuard();
  const { upsert } = wireguard;
  const opened = Promise.withResolvers<void>();
  const asked = { count: 0 };
  wireguard.upsert = async (peer) => {
    asked.count += 1;
    const kept = { ...peer, presharedKey: peer.presharedKey.copy() };
    await opened.promise;
    await upsert.call(wireguard, kept);
  };
  return { wireguard, asked, open: () => opened.resolve() };
}

function addressOf(answer: object): string {
  return 'addresses' in answer ? JSON.stringify(answer.addresses) : 'none';
}

test('a request waits for none of another name', async (t) => {
  const { wireguard, asked, open } = gatedWireGuard();
  const { ask } = createFixture({}, { wireguard });
  const pending = ['a', 'b', 'c'].map((name) => ask(client(name).register()));
  await turn();
  t.is(asked.count, 3);
  open();
  const answers = await Promise.all(pending);
  t.is(new Set(answers.map(addressOf)).size, 3);
});

test('the addresses and the key of a quote are kept while it is paid, however long that takes', async (t) => {
  const { wireguard, open } = gatedWireGuard();
  // Two hosts: the second client would get the first one's addresses if they were freed.
  const fixture = createFixture({ ipv4: { cidr: '10.9.0.0/30' } }, { wireguard, verifier: PRICED });
  const { ask, registrar } = fixture;
  const quote = await ask(client('a').quote());
  fixture.now += 119;
  const paid = ask(client('a').finalise(token('one')));
  await turn();
  fixture.now += 100;
  t.like(await ask(client('b').quote()), { code: 'pool_exhausted' });
  open();
  const answer = await paid;
  t.is(answer.status, 'completed');
  t.is(addressOf(answer), addressOf(quote));
  t.like(registrar.status(), { quotes: 0, leases: { ipv4: { allocated: 1, held: 0, free: 0 } } });
  t.false(wireguard.peer(client('a').publicKey)?.presharedKey.bytes.every((byte) => byte === 0));
});

test('the limit of registrations holds for those that are under way', async (t) => {
  const { wireguard, open } = gatedWireGuard();
  const { ask, registrar } = createFixture({ registrationsLimit: 2 }, { wireguard });
  const pending = ['a', 'b', 'c', 'd'].map((name) => ask(client(name).register()));
  await turn();
  open();
  const answers = await Promise.all(pending);
  t.is(answers.filter(({ status }) => status === 'completed').length, 2);
  t.is(answers.filter((answer) => answer.status === 'failed' && answer.code === 'limit_reached').length, 2);
  t.is(registrar.status().registrations.dvpn.active, 2);
});

test('of many names that pay with one token at once, one is granted', async (t) => {
  const store = await openTestStore(t, storeDirectory(t));
  const { ask, registrar } = createFixture({}, { store, verifier: PRICED });
  const names = Array.from({ length: 32 }, (_, n) => `client ${n}`);
  const answers = await Promise.all(names.map((name) => ask(client(name).register(token('one')))));
  t.is(answers.filter(({ status }) => status === 'completed').length, 1);
  t.is(answers.filter((answer) => answer.status === 'failed' && answer.code === 'credential_spent').length, 31);
  t.deepEqual(store.counts(), { registrations: 1, tokens: 1 });
  t.like(registrar.status().leases.ipv4, { allocated: 1, held: 0 });
});

test('first requests that come together take over what the store has once', async (t) => {
  const store = createMemoryStore({ maxRegistrations: 10, maxTokens: 10 });
  await createFixture({}, { store }).ask(client('old').register());
  let reads = 0;
  const counting: RegistrationStore = {
    ...store,
    async *registrations() {
      reads += 1;
      yield* store.registrations();
    },
  };
  const { ask, registrar } = createFixture({}, { store: counting });
  await Promise.all(['a', 'b', 'c'].map((name) => ask(client(name).register())));
  t.is(reads, 1);
  t.like(registrar.status(), { registrations: { dvpn: { active: 4 } }, leases: { ipv4: { allocated: 4 } } });
});

test('a request that has to read the counters first waits for all others, and closing waits for it', async (t) => {
  const { wireguard, open } = gatedWireGuard();
  open();
  const fixture = createFixture({}, { wireguard, verifier: PRICED });
  const { ask, registrar } = fixture;
  await ask(client('a').register(token('one')));
  await registrar.sweep();
  wireguard.setCounters(client('a').publicKey, { received: 300, sent: 100 });
  fixture.now += 100;
  const found = [ask(client('a').balance()), ask(client('b').register(token('two')))];
  await registrar.close();
  const [balance, other] = await Promise.all(found);
  t.like(balance, { status: 'completed', bandwidth: 600 });
  t.like(other, { status: 'completed', bandwidth: 1000 });
});
