/** The work of `lewes backup`: opens the store for reading beside whoever writes it, and has LMDB copy one state of it. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { defaultDataDir, storePathOf } from '../ops/data-dir.ts';
import { OperatorError } from '../ops/operator-error.ts';
import { type LmdbStore, openLmdbStore } from '../registration/store/lmdb.ts';
import { StoreError } from '../registration/store/store.ts';
import { EXIT, type ExitCode, UsageError } from './exit.ts';
import { printJson, printLine } from './output.ts';

export interface BackupFlags {
  readonly dataDir?: string;
  readonly store?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** Nothing is written here; the map has to have room for what is there, and address space costs nothing. */
const READ_LIMITS = { maxRegistrations: 2 ** 24, maxTokens: 2 ** 24 };

export async function backup({ dataDir, store, out, json }: BackupFlags): Promise<ExitCode> {
  if (out === undefined) throw new UsageError('backup needs a place for the copy', 'give --out DIR');
  const path = resolve(store ?? storePathOf(dataDir ?? defaultDataDir()));
  const file = resolve(out);
  try {
    const counts = await copy(path, file);
    if (json === true) printJson({ ok: true, store: path, copy: file, ...counts });
    else printLine(`${file}: ${counts.registrations} registrations, ${counts.tokens} spent tokens`);
  } catch (error) {
    throw error instanceof StoreError ? told(error) : error;
  }
  return EXIT.done;
}

/** What the copy itself has: the store may be further by now. */
async function copy(path: string, out: string): Promise<{ registrations: number; tokens: number }> {
  if (!existsSync(path)) {
    throw new OperatorError(
      'ERR_BACKUP_NO_STORE',
      `there is no store ${path}`,
      'give the data directory with --data-dir, or the store with --store; with store.kind = "memory" there is none',
    );
  }
  await using store = disposable(await openLmdbStore({ path, ...READ_LIMITS, readOnly: true }));
  await store.backup(out);
  await using made = disposable(await openLmdbStore({ path: out, ...READ_LIMITS, readOnly: true }));
  const { registrations, tokens } = made.counts();
  return { registrations, tokens };
}

function disposable(store: LmdbStore): LmdbStore & AsyncDisposable {
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

function told(error: StoreError): OperatorError {
  const remedy =
    error.code === 'STORE_COPY_EXISTS'
      ? 'give another --out; nothing is overwritten'
      : 'run it as the user of the gateway, with the version that wrote the store, and with room for the copy';
  return new OperatorError(error.code, error.message, remedy, { cause: error });
}
