/** A registrar on the durable store: what was paid for outlives its process (registration.md, rules 1 and 2). */
import test from 'ava';
import { client, createFixture, PRICED, token } from './fixture.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';

test('after a restart the same request gets what it paid for, the same addresses, and no second charge', async (t) => {
  const path = storeDirectory(t);
  const [alice, bob] = [client('alice'), client('bob')];
  const before = createFixture({}, { store: await openTestStore(t, path), verifier: PRICED });
  const paid = await before.ask(alice.register(token('one')));
  t.like(paid, { status: 'completed', bandwidth: 1000 });
  await before.registrar.close();
  await before.store.close();

  const store = await openTestStore(t, path);
  const after = createFixture({}, { store, verifier: PRICED });
  await after.registrar.sweep();
  t.is(after.wireguard.size, 1);
  t.deepEqual(await after.ask(alice.register(token('one'))), paid);
  t.like(await after.ask(bob.register(token('one'))), { code: 'credential_spent' });
  const other = await after.ask(bob.register(token('two')));
  t.true(other.status === 'completed' && paid.status === 'completed');
  t.notDeepEqual(other, paid);
  t.deepEqual(store.counts(), { registrations: 2, tokens: 2 });
  t.like(await after.ask(alice.release()), { status: 'completed', bandwidth: 0 });
  t.deepEqual(store.counts(), { registrations: 1, tokens: 2 });
  await after.registrar.close();
});

test('registrations that have run out end over the durable store, too, and their tokens are forgotten', async (t) => {
  const store = await openTestStore(t, storeDirectory(t));
  const fixture = createFixture({}, { store, verifier: PRICED });
  await fixture.registrar.sweep();
  const names = Array.from({ length: 20 }, (_, n) => `client ${n}`);
  await Promise.all(names.map((name) => fixture.ask(client(name).register(token(name)))));
  t.is(fixture.wireguard.size, 20);
  fixture.now += 100;
  await fixture.registrar.sweep();
  t.is(fixture.wireguard.size, 0);
  t.deepEqual(store.counts(), { registrations: 20, tokens: 20 });
  fixture.now += 3600;
  await fixture.registrar.sweep();
  t.deepEqual(store.counts(), { registrations: 0, tokens: 0 });
  t.deepEqual(fixture.faults, []);
});
