/** Room for commits: what is reserved before one is enough for it, and what LMDB wrote is never written over. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { encodeToken } from '../../src/registration/store/lmdb-codec.ts';
import { LmdbEnvironment } from '../../src/registration/store/lmdb-environment.ts';
import { bytesInUse, DATA_FILE } from '../../src/registration/store/lmdb-files.ts';
import { Layer } from '../../src/registration/store/lmdb-layer.ts';
import { DiskRoom, lengthFor } from '../../src/registration/store/lmdb-room.ts';
import { Prng } from '../support/prng.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';

const PAGE_SIZE = 4_096;
const IDS = 6_000;

test('LMDB makes the file longer at no commit itself, of few or many entries, new, changed or removed', async (t) => {
  const path = storeDirectory(t);
  await (await openTestStore(t, path)).close();
  const data = join(path, DATA_FILE);
  const options = { path, mapSize: 2 ** 28, readOnly: false, owner: Buffer.alloc(16, 7) };
  const environment = await LmdbEnvironment.open(options, true);
  t.teardown(() => environment.close());
  const prng = new Prng(1);
  for (let round = 0; round < 60; round++) {
    const layer = new Layer();
    const size = prng.pick([1, 1, 2, 5, 40, 300, 1_000, 3_000]);
    for (let i = 0; i < size; i++) {
      const id = createHash('sha256')
        .update(String(prng.below(IDS)))
        .digest();
      const second = 1_780_000_000 + prng.below(1_000_000);
      const payer = 'x'.repeat(prng.below(256));
      const removed = round > 10 && prng.below(3) === 0;
      layer.tokens.set(id, removed ? null : { value: encodeToken({ id, payer, keepUntil: second }), second }, 0);
    }
    const before = statSync(data).size;
    const used = { pageSize: PAGE_SIZE, pages: bytesInUse(data, path) / PAGE_SIZE };
    environment.commit(layer);
    t.is(statSync(data).size, Math.max(before, lengthFor(layer, used)), `round ${round}, ${size} changes`);
  }
});

test('room is made at the end of the file as it is, and only where it is missing', (t) => {
  const path = storeDirectory(t);
  writeFileSync(path, 'abc');
  const room = new DiskRoom(path);
  t.teardown(() => room.close());
  room.reserve(70_000);
  t.is(statSync(path).size, 70_000);
  writeFileSync(path, Buffer.alloc(100_000, 1), { flag: 'r+' });
  room.reserve(100_001);
  const written = readFileSync(path);
  t.is(written.length, 100_001);
  t.true(written.subarray(0, 100_000).every((byte) => byte === 1));
  room.reserve(10);
  t.is(statSync(path).size, 100_001);
});
