/** Copies of the durable store: made while it is written, consistent, closed to others, and restored by opening them. */
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { openTestStore, storeDirectory } from './lmdb-world.ts';
import { get, put, rejects } from './store-contract.ts';
import { checkGrants, grantNext, tunnel } from './store-samples.ts';

test('a copy that is made while writes go on is a whole store of that time, and opens', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  for (let n = 0; n < 20; n += 1) await Promise.all(Array.from({ length: 50 }, () => grantNext(store)));
  const copy = join(dirname(path), 'copy');
  let isDone = false;
  const backup = store.backup(copy).finally(() => {
    isDone = true;
  });
  let last = 1000;
  while (!isDone) last = await grantNext(store);
  await backup;
  t.is((statSync(copy).mode & 0o777).toString(8), '700');
  t.is((statSync(join(copy, 'data.mdb')).mode & 0o777).toString(8), '600');
  t.deepEqual(readdirSync(copy), ['data.mdb']);

  const restored = await openTestStore(t, copy);
  const grants = await checkGrants(restored);
  t.true(grants >= 1000 && grants <= last, `${grants} of ${last}`);
  t.is(await grantNext(restored), grants + 1);
  t.is(await checkGrants(store), last);
});

test('a copy put in the place of a lost store brings back what it had', async (t) => {
  const path = storeDirectory(t);
  const copy = join(dirname(path), 'copy');
  const store = await openTestStore(t, path);
  await put(store, tunnel('a'));
  await store.backup(copy);
  await put(store, tunnel('b'));
  await store.close();
  rmSync(path, { recursive: true });
  cpSync(copy, path, { recursive: true, preserveTimestamps: true });
  const restored = await openTestStore(t, path);
  t.like(await get(restored, 'a'), { mode: 'dvpn' });
  t.is(await get(restored, 'b'), undefined);
});

test('a copy overwrites nothing, and one that fails leaves nothing', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  const file = join(dirname(path), 'file');
  writeFileSync(file, 'precious');
  const full = join(dirname(path), 'full');
  mkdirSync(full);
  writeFileSync(join(full, 'file'), 'precious');
  for (const target of [file, full, path]) await rejects(t, () => store.backup(target), 'STORE_COPY_EXISTS');
  await rejects(t, () => store.backup(join(dirname(path), 'missing', 'copy')), 'STORE_UNAVAILABLE');
  t.deepEqual(readdirSync(dirname(path)).sort(), ['file', 'full', 'store']);
});

test('copies are made one after the other, and closing waits for them', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  await grantNext(store);
  const copies = ['one', 'two'].map((name) => join(dirname(path), name));
  await Promise.all(copies.map((copy) => store.backup(copy)));
  for (const copy of copies) t.is(await checkGrants(await openTestStore(t, copy)), 1);
  const late = store.backup(join(dirname(path), 'three'));
  await store.close();
  await t.notThrowsAsync(late);
});
