/** The durable store on a full or failing disk: try later, nothing changed, and well again by itself. */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { needsReopening, storeError } from '../../src/registration/store/lmdb-errors.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';
import { mixnet } from './store-samples.ts';

const CHILD = join(import.meta.dirname, 'fixtures', 'lmdb-disk-full.ts');
const run = promisify(execFile);

async function isAvailable(command: string, ...args: readonly string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  );
}

function checkReport(t: ExecutionContext, { stdout, stderr }: { stdout: string; stderr: string }, code: string): void {
  // LMDB's binding complains there of a write of its own that failed, and corrupts the heap.
  t.is(stderr, '');
  const counts = { registrations: 2, tokens: 1 };
  t.deepEqual(JSON.parse(stdout), {
    before: counts,
    full: [code, code, code],
    another: code,
    during: { counts, grants: 1 },
    grants: [2, 2],
    after: 'done',
  });
}

test('a disk without space rejects a whole group with STORE_FULL, and the store goes on when there is space', async (t) => {
  // A file system of its own: root, or a system that lets users have namespaces.
  if (!(await isAvailable('unshare', '-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt')))
    return t.pass('no namespaces here');
  const directory = dirname(storeDirectory(t));
  const mount = join(directory, 'small');
  mkdirSync(mount);
  const script = 'mount -t tmpfs -o size=1m,mode=700 none "$1" && exec "$2" "$3" "$1/store" fill';
  const report = await run('unshare', ['-rm', 'sh', '-c', script, 'sh', mount, process.execPath, CHILD]);
  checkReport(t, report, 'STORE_FULL');
});

test('a disk that does not take a write rejects a whole group, and the store goes on when it does', async (t) => {
  if (!(await isAvailable('prlimit', '--version'))) return t.pass('no prlimit here');
  const report = await run(process.execPath, [CHILD, storeDirectory(t), 'limit']);
  checkReport(t, report, 'STORE_UNAVAILABLE');
});

test('a map that is too small grows', async (t) => {
  const store = await openTestStore(t, storeDirectory(t), { mapSize: 64 * 1024 });
  for (const batch of ['a', 'b']) {
    await store.transaction(async (tx) => {
      for (let n = 0; n < 1000; n += 1) await tx.put(mixnet(`${batch} ${n}`));
    });
  }
  t.deepEqual(store.counts(), { registrations: 2000, tokens: 0 });
});

test('what the system says becomes a code, and only what LMDB cannot outlive asks for opening it anew', (t) => {
  const { ENOSPC, EDQUOT, EIO, EROFS } = constants.errno;
  const cases: readonly (readonly [number, string, boolean])[] = [
    [ENOSPC, 'STORE_FULL', false],
    [EDQUOT, 'STORE_FULL', false],
    [-30792, 'STORE_FULL', false],
    [EIO, 'STORE_UNAVAILABLE', false],
    [EROFS, 'STORE_UNAVAILABLE', false],
    [-30795, 'STORE_UNAVAILABLE', true],
    [-30796, 'STORE_DAMAGED', true],
  ];
  for (const [number, code, reopen] of cases) {
    const error = Object.assign(new Error('the reason'), { code: number });
    const mapped = storeError('/data/store', 'written', error);
    t.deepEqual([mapped.code, needsReopening(error)], [code, reopen], String(number));
    t.is(mapped.message, 'the registration store /data/store could not be written: the reason');
  }
});
