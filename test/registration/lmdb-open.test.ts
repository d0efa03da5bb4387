/** Opening the durable store: what is made, what is refused and left as it is, and who may write. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openTestStore, storeDirectory, table, withTables } from './lmdb-world.ts';
import { all, get, put, rejects } from './store-contract.ts';
import { tunnel } from './store-samples.ts';

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const text = (value: string) => Buffer.from(value);

test('a new store is a directory of mode 0700 with files of mode 0600, and its content outlives close', async (t) => {
  const path = join(storeDirectory(t), 'deeper');
  const store = await openTestStore(t, path);
  await put(store, tunnel('a'));
  t.is(modeOf(path), '700');
  for (const name of readdirSync(path)) t.is(modeOf(join(path, name)), '600', name);
  await Promise.all([store.close(), store.close()]);
  t.deepEqual(readdirSync(path).sort(), ['data.mdb', 'lock.mdb']);
  t.like(await get(await openTestStore(t, path), 'a'), { mode: 'dvpn', expires: 100 });
});

test('everything is refused after close, and close lets what is queued end', async (t) => {
  const store = await openTestStore(t, storeDirectory(t));
  const queued = put(store, tunnel('a'));
  const closed = store.close();
  await rejects(t, () => put(store, tunnel('b')), 'STORE_CLOSED');
  await t.notThrowsAsync(queued);
  await closed;
  await rejects(t, () => all(store), 'STORE_CLOSED');
  await rejects(t, () => store.backup('/nowhere'), 'STORE_CLOSED');
  await rejects(t, async () => store.counts(), 'STORE_CLOSED');
});

test('a store of a later version is refused with its version, its path and what to do, and left as it is', async (t) => {
  const path = storeDirectory(t);
  await (await openTestStore(t, path)).close();
  await withTables(path, (root) => table(root, 'meta').putSync(text('schema'), text('2')));
  const before = hashOf(join(path, 'data.mdb'));
  const message = await rejects(t, () => openTestStore(t, path), 'STORE_NEWER');
  for (const part of [path, 'version 2', 'up to 1', 'use the program that wrote it'])
    t.true(message.includes(part), part);
  t.is(hashOf(join(path, 'data.mdb')), before);
  await withTables(path, (root) => table(root, 'meta').putSync(text('schema'), text('1')));
  await t.notThrowsAsync(openTestStore(t, path));
});

test('what is no registration store is refused', async (t) => {
  const foreign = storeDirectory(t);
  await withTables(foreign, (root) => ['one', 'two'].map((name) => table(root, name).putSync(text('k'), text('v'))));
  for (const name of ['data.mdb', 'lock.mdb']) chmodSync(join(foreign, name), 0o600);
  await rejects(t, () => openTestStore(t, foreign), 'STORE_DAMAGED');

  const good = storeDirectory(t);
  await (await openTestStore(t, good)).close();
  const whole = readFileSync(join(good, 'data.mdb'));
  const otherVersion = Buffer.from(whole);
  otherVersion.writeUInt32LE(3, 4096 + 28);
  for (const content of [Buffer.alloc(20_000, 7), Buffer.alloc(20_000), whole.subarray(0, 5000), otherVersion]) {
    const garbage = storeDirectory(t);
    mkdirSync(garbage, { mode: 0o700 });
    writeFileSync(join(garbage, 'data.mdb'), content, { mode: 0o600 });
    await rejects(t, () => openTestStore(t, garbage), 'STORE_DAMAGED');
  }

  const short = storeDirectory(t);
  const store = await openTestStore(t, short);
  await put(store, ...Array.from({ length: 500 }, (_, n) => tunnel(String(n))));
  await store.close();
  truncateSync(join(short, 'data.mdb'), 40_000);
  await rejects(t, async () => all(await openTestStore(t, short)), 'STORE_DAMAGED');

  const file = storeDirectory(t);
  writeFileSync(file, 'x');
  await rejects(t, () => openTestStore(t, file), 'STORE_UNAVAILABLE');
});

test('a store whose making was cut short is made to its end', async (t) => {
  const empty = storeDirectory(t);
  await withTables(empty, () => undefined);
  for (const name of readdirSync(empty)) chmodSync(join(empty, name), 0o600);
  await t.notThrowsAsync(openTestStore(t, empty));
  const half = storeDirectory(t);
  await withTables(half, (root) => table(root, 'meta'));
  for (const name of readdirSync(half)) chmodSync(join(half, name), 0o600);
  await t.notThrowsAsync(openTestStore(t, half));
});

test('files that others can read and directories that others can write are refused with the remedy', async (t) => {
  const path = storeDirectory(t);
  await (await openTestStore(t, path)).close();
  const data = join(path, 'data.mdb');
  chmodSync(data, 0o640);
  t.regex(await rejects(t, () => openTestStore(t, path), 'STORE_UNAVAILABLE'), /chmod 600 .*data\.mdb/);
  chmodSync(data, 0o600);
  chmodSync(path, 0o770);
  t.regex(await rejects(t, () => openTestStore(t, path), 'STORE_UNAVAILABLE'), /chmod 700/);
  chmodSync(path, 0o700);
  await t.notThrowsAsync(openTestStore(t, path));
});

test('a store is opened once, until it is closed', async (t) => {
  const path = storeDirectory(t);
  const first = await openTestStore(t, path);
  const message = await rejects(t, () => openTestStore(t, path), 'STORE_IN_USE');
  t.true(message.includes(`pid ${process.pid}`));
  await first.close();
  await t.notThrowsAsync(openTestStore(t, path));
});

test('a lock counts for nothing when its holder is gone, its pid is another process now, or it is empty', async (t) => {
  const path = storeDirectory(t);
  await (await openTestStore(t, path)).close();
  const lock = join(path, 'store.lock');
  const stale = [
    { pid: 2 ** 22 + 1, started: '1' },
    { pid: process.ppid, started: '1' },
    { pid: process.pid, started: '1' },
  ];
  for (const content of ['', 'x', '{}', ...stale.map((holder) => JSON.stringify(holder))]) {
    writeFileSync(lock, content, { mode: 0o600 });
    await (await openTestStore(t, path)).close();
  }
  t.pass();
});

test('of two writers that do not see each other, the earlier one can no longer write', async (t) => {
  const path = storeDirectory(t);
  const earlier = await openTestStore(t, path);
  await put(earlier, tunnel('a'));
  rmSync(join(path, 'store.lock'));
  const later = await openTestStore(t, path);
  await rejects(t, () => put(earlier, tunnel('b')), 'STORE_IN_USE');
  await put(later, tunnel('c'));
  await rejects(t, () => earlier.transaction((tx) => tx.delete(tunnel('a'))), 'STORE_IN_USE');
  t.is((await all(later)).length, 2);
});

test('a store that is open for reading only reads what another one writes, and writes nothing', async (t) => {
  const path = storeDirectory(t);
  await rejects(t, () => openTestStore(t, path, { readOnly: true }), 'STORE_UNAVAILABLE');
  t.false(existsSync(path));
  const writer = await openTestStore(t, path);
  await put(writer, tunnel('a'));
  const reader = await openTestStore(t, path, { readOnly: true });
  t.like(await get(reader, 'a'), { mode: 'dvpn' });
  await rejects(t, () => put(reader, tunnel('b')), 'STORE_UNAVAILABLE');
  await put(writer, tunnel('c'));
  t.like(await get(reader, 'c'), { mode: 'dvpn' });
  t.deepEqual(reader.counts(), { registrations: 2, tokens: 0 });
});
