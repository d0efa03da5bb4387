/**
 * What LMDB and the system say about the store, as StoreErrors: which ones mean that it is full, which ones that it is
 * damaged, and which ones leave LMDB itself unusable until it is opened anew. Never a key or a value in a message: LMDB's
 * own messages hold none, and a damaged entry is named by a hash.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:os';
import { StoreError, type StoreErrorCode } from './store.ts';

const { ENOSPC, EDQUOT, EIO, EFBIG, EROFS } = constants.errno;
const MDB_MAP_FULL = -30792;
const FULL = new Set<unknown>([ENOSPC, EDQUOT, MDB_MAP_FULL]);
/** MDB_INVALID, MDB_VERSION_MISMATCH, MDB_CORRUPTED, MDB_PAGE_NOTFOUND. */
const DAMAGED = new Set<unknown>([-30793, -30794, -30796, -30797]);
/** After these LMDB has given the transaction up and is as good as before. */
const HARMLESS = new Set<unknown>([...FULL, EIO, EFBIG, EROFS]);
const HASH_TEXT_LENGTH = 16;

/** `doing` completes "the registration store /path could not be ...". */
export function storeError(path: string, doing: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new StoreError(codeOf(error), `the registration store ${path} could not be ${doing}: ${reason}`, {
    cause: error,
  });
}

/** Whether LMDB refuses everything after this error; a StoreError is our own finding about its content. */
export function needsReopening(error: unknown): boolean {
  return !(error instanceof StoreError) && !HARMLESS.has(numberOf(error));
}

export function damagedEntry(path: string, what: 'registration' | 'token', key: Uint8Array): StoreError {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, HASH_TEXT_LENGTH);
  return new StoreError(
    'STORE_DAMAGED',
    `the registration store ${path} has a ${what} that cannot be read (SHA-256 of its key: ${hash}…): restore a copy`,
  );
}

function codeOf(error: unknown): StoreErrorCode {
  const number = numberOf(error);
  if (FULL.has(number)) return 'STORE_FULL';
  return DAMAGED.has(number) ? 'STORE_DAMAGED' : 'STORE_UNAVAILABLE';
}

/** LMDB's errors carry errno or MDB_ numbers; those of node:fs carry names and errno below zero. */
function numberOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('errno' in error && typeof error.errno === 'number') return Math.abs(error.errno);
  return 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}
