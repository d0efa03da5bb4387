/** What the tests of the durable store share: directories, and stores that close themselves. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Database, open, type RootDatabase } from 'lmdb';
import { type LmdbStore, type LmdbStoreOptions, openLmdbStore } from '../../src/registration/store/lmdb.ts';
import { LONG } from '../support/property.ts';

/** Memory, where there is such a file system: what SIGKILL leaves is the same there, and a sync costs nothing. The long form takes the disk. */
const ROOT = !LONG && existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

const BINARY = { encoding: 'binary', keyEncoding: 'binary', noSubdir: false } as const;

/** A directory for this test; the store in it is to be made. */
export function storeDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(ROOT, 'lewes-store-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'store');
}

export async function openTestStore(
  t: ExecutionContext,
  path: string,
  options: Partial<LmdbStoreOptions> = {},
  ...rest: Parameters<typeof openLmdbStore> extends [unknown, ...infer Rest] ? Rest : never
): Promise<LmdbStore> {
  const store = await openLmdbStore({ path, maxRegistrations: 100_000, maxTokens: 100_000, ...options }, ...rest);
  t.teardown(() => store.close());
  return store;
}

/** The same files by the binding itself, beside an open store or without one. */
export async function withTables<T>(path: string, use: (root: RootDatabase<Buffer, Buffer>) => T): Promise<T> {
  const root = open<Buffer, Buffer>(path, { ...BINARY, maxDbs: 8, overlappingSync: false });
  try {
    return use(root);
  } finally {
    await root.close();
  }
}

export function table(root: RootDatabase<Buffer, Buffer>, name: string): Database<Buffer, Buffer> {
  return root.openDB<Buffer, Buffer>({ ...BINARY, name });
}
