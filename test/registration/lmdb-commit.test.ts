/** Group commit of the durable store, what a failed one takes with it, and what becomes of values that were damaged. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { LmdbStore } from '../../src/registration/store/lmdb.ts';
import { encodeName } from '../../src/registration/store/lmdb-codec.ts';
import { LmdbEnvironment } from '../../src/registration/store/lmdb-environment.ts';
import { storeError } from '../../src/registration/store/lmdb-errors.ts';
import { StoreError } from '../../src/registration/store/store.ts';
import { bytes32 } from './fixture.ts';
import { openTestStore, storeDirectory, table, withTables } from './lmdb-world.ts';
import { all, get, put, rejects } from './store-contract.ts';
import { checkGrants, grantNext, tunnel } from './store-samples.ts';

interface Fault {
  /** What the next commits throw; as LMDB's errors, `code` says what it is. */
  commit: { readonly code: number } | undefined;
  /** Whether LMDB is beyond use until it is opened anew. */
  broken: boolean;
  opened: number;
}

const ENOSPC = 28;

async function openFailing(t: ExecutionContext): Promise<{ store: LmdbStore; fault: Fault; path: string }> {
  const fault: Fault = { commit: undefined, broken: false, opened: 0 };
  const path = storeDirectory(t);
  const store = await openTestStore(t, path, {}, async (options, claim) => {
    const environment = await LmdbEnvironment.open(options, claim);
    fault.opened += 1;
    fault.broken = false;
    const commit = environment.commit.bind(environment);
    environment.commit = (layer) => {
      if (fault.commit === undefined) return commit(layer);
      throw storeError(path, 'written', Object.assign(new Error('told to fail'), fault.commit));
    };
    return Object.defineProperty(environment, 'isBroken', { get: () => fault.broken });
  });
  return { store, fault, path };
}

test('transactions that do not wait for each other share a commit', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  const commits = () =>
    withTables(path, (root) => {
      const { lastTxnId }: { lastTxnId?: number } = root.getStats();
      return lastTxnId ?? 0;
    });
  const before = await commits();
  const grants = await Promise.all(Array.from({ length: 100 }, () => grantNext(store)));
  t.deepEqual(
    grants,
    grants.map((_, index) => index + 1),
  );
  t.is((await commits()) - before, 1);
  t.is(await checkGrants(store), 100);
});

test('a transaction that writes nothing needs no commit, but waits for what it has read', async (t) => {
  const { store, fault } = await openFailing(t);
  await put(store, tunnel('a'));
  fault.commit = { code: ENOSPC };
  t.like(await get(store, 'a'), { expires: 100 });
  const [written, read] = await Promise.allSettled([put(store, tunnel('b')), get(store, 'b')]);
  t.deepEqual([written.status, read.status], ['rejected', 'rejected']);
  t.is(await get(store, 'b'), undefined);
});

test('a commit that fails rejects all of its group, changes nothing, and the next one works', async (t) => {
  const { store, fault } = await openFailing(t);
  await grantNext(store);
  fault.commit = { code: ENOSPC };
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => grantNext(store)));
  for (const outcome of outcomes) {
    t.true(
      outcome.status === 'rejected' && outcome.reason instanceof StoreError && outcome.reason.code === 'STORE_FULL',
    );
  }
  t.is(await checkGrants(store), 1);
  fault.commit = undefined;
  t.deepEqual(await Promise.all([grantNext(store), grantNext(store)]), [2, 3]);
  t.is(await checkGrants(store), 3);
});

test('a body that has read what was then not committed is rejected, whatever it makes of that', async (t) => {
  const { store, fault } = await openFailing(t);
  fault.commit = { code: ENOSPC };
  const doomed = put(store, tunnel('a'));
  const reader = store.transaction(async (tx) => {
    t.like(await tx.get(tunnel('a')), { mode: 'dvpn' });
    await doomed.catch(() => undefined);
    fault.commit = undefined;
    await t.throwsAsync(tx.get(tunnel('a')), { instanceOf: StoreError });
    return 'as if nothing had happened';
  });
  await rejects(t, () => reader, 'STORE_FULL');
  await put(store, tunnel('b'));
  t.is((await all(store)).length, 1);
});

test('a body that goes on while a commit succeeds sees the same before and after it', async (t) => {
  const store = await openTestStore(t, storeDirectory(t));
  const first = put(store, tunnel('a', 50));
  await store.transaction(async (tx) => {
    await tx.put(tunnel('b'));
    await first;
    await nextTurn();
    t.like(await tx.get(tunnel('a')), { expires: 50 });
    await tx.put(tunnel('a', 60));
  });
  t.deepEqual(
    (await store.transaction((tx) => tx.due(1000, 9))).map(({ expires }) => expires),
    [60, 100],
  );
  t.deepEqual(store.counts(), { registrations: 2, tokens: 0 });
});

test('a store whose LMDB is beyond use is opened anew by the next transaction', async (t) => {
  const { store, fault } = await openFailing(t);
  await grantNext(store);
  fault.commit = { code: -30795 };
  await rejects(t, () => grantNext(store), 'STORE_UNAVAILABLE');
  fault.commit = undefined;
  fault.broken = true;
  t.deepEqual(await Promise.all([grantNext(store), grantNext(store)]), [2, 3]);
  t.is(fault.opened, 2);
  fault.broken = true;
  t.is((await all(store)).length, 4);
  t.is(fault.opened, 3);
  t.is(await checkGrants(store), 3);
});

test('a transaction that is used after its end is our own mistake', async (t) => {
  const store = await openTestStore(t, storeDirectory(t));
  const leaked = await store.transaction(async (tx) => ({ put: () => tx.put(tunnel('a')) }));
  await t.throwsAsync(leaked.put, { message: /^assertion/ });
  await t.throwsAsync(put(store, { ...tunnel('a'), bandwidth: 0.5 }), { message: /^assertion/ });
  t.deepEqual(await all(store), []);
});

test('a damaged registration is named by a hash, refused by every way to it, and hides no other', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  await put(store, tunnel('a', 10), tunnel('b', 20));
  const [a, b] = [encodeName(tunnel('a')), encodeName(tunnel('b'))];
  // Whole, but another's.
  await withTables(path, (root) => {
    const registrations = table(root, 'registrations');
    registrations.putSync(a, registrations.getBinary(b) ?? Buffer.alloc(0));
  });
  const ways: readonly (() => Promise<unknown>)[] = [
    () => get(store, 'a'),
    () => put(store, tunnel('a')),
    () => store.transaction((tx) => tx.delete(tunnel('a'))),
    () => store.transaction((tx) => tx.due(10, 9)),
    () => all(store),
  ];
  for (const way of ways) {
    const message = await rejects(t, way, 'STORE_DAMAGED');
    t.regex(message, /SHA-256 of its key: [0-9a-f]{16}…/);
    t.false(message.includes(a.subarray(1).toString('base64')) || message.includes(a.toString('hex')));
  }
  t.like(await get(store, 'b'), { expires: 20 });
  await put(store, tunnel('b', 30));
});

test('an entry of the index by time without its registration, and a damaged token, are errors too', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  const token = { id: bytes32('t'), payer: 'p', keepUntil: 10 };
  await store.transaction(async (tx) => {
    await tx.put(tunnel('a', 10));
    await tx.spend(token);
  });
  await withTables(path, (root) => {
    table(root, 'registrations').removeSync(encodeName(tunnel('a')));
    table(root, 'tokens').putSync(Buffer.from(token.id), Buffer.from('nonsense'));
  });
  await rejects(t, () => store.transaction((tx) => tx.due(10, 9)), 'STORE_DAMAGED');
  await rejects(t, () => store.transaction((tx) => tx.spend(token)), 'STORE_DAMAGED');
  await rejects(t, () => store.transaction((tx) => tx.unspend(token.id)), 'STORE_DAMAGED');
  await rejects(t, () => store.transaction((tx) => tx.forgetTokens(10)), 'STORE_DAMAGED');
});
