/**
 * The store's files: a directory (0700) with LMDB's two files (0600) and the lock. They hold preshared keys, so what others
 * could read or replace is refused. A copy is a directory of the same shape, there whole or not at all.
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { storeError } from './lmdb-errors.ts';
import { StoreError } from './store.ts';

export const DATA_FILE = 'data.mdb';
const LMDB_LOCK_FILE = 'lock.mdb';
const LMDB_FILES = [DATA_FILE, LMDB_LOCK_FILE];
const LOCK_FILE = 'store.lock';
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** LMDB's table of readers takes 8,272 bytes. */
const LOCK_FILE_BYTES = 16_384;
/** More than an empty store takes. */
const PROBE_BYTES = 131_072;
/** LMDB's data format 2 as its binding writes it. */
const META = {
  length: 152,
  magicAt: 24,
  magic: 0xbeefc0de,
  versionAt: 28,
  version: 2,
  pageSizeAt: 48,
  lastPageAt: 144,
} as const;
const OTHERS_MAY = 0o077;
const OTHERS_MAY_WRITE = 0o022;

/** Makes the directory where it is missing and is not only read; its real path. Throws StoreError. */
export function prepareDirectory(path: string, readOnly: boolean): string {
  try {
    if (!readOnly && mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE }) !== undefined) sync(dirname(path));
    const directory = realpathSync(path);
    const stats = statSync(directory);
    if (!stats.isDirectory()) throw unsafe(path, 'is not a directory');
    if ((stats.mode & OTHERS_MAY_WRITE) !== 0) throw unsafe(path, `is writable for others: chmod 700 ${path}`);
    for (const name of LMDB_FILES) checkFile(join(directory, name));
    return directory;
  } catch (error) {
    throw storeError(path, 'opened', error);
  }
}

export function lockFileOf(directory: string): string {
  return join(directory, LOCK_FILE);
}

/** LMDB itself does not sync the directory in which it made its files. */
export function syncDirectory(path: string): void {
  try {
    sync(path);
  } catch (error) {
    throw storeError(path, 'opened', error);
  }
}

/**
 * Finds out before LMDB does whether it can open its files: its binding can end the process when it cannot, and writing
 * into its lock file's map ends it on a full disk. Throws StoreError. Only for who holds the store's lock, or to read.
 */
export function checkFiles(directory: string, readOnly: boolean): void {
  const data = join(directory, DATA_FILE);
  try {
    if (!readOnly) reserveLockFile(join(directory, LMDB_LOCK_FILE));
    const size = statsOf(data)?.size ?? 0;
    if (size === 0 && readOnly) throw noStore(directory);
    const bytes = size === 0 ? 0 : bytesInUse(data, directory);
    if (readOnly) return;
    if (size === 0) probeSpace(directory);
    else accessSync(data, constants.R_OK | constants.W_OK);
    // Pages beyond the end of a file that was cut short would end the process; as zeros they are found to be damaged.
    if (size < bytes) truncateSync(data, bytes);
  } catch (error) {
    throw storeError(directory, 'opened', error);
  }
}

export function noStore(path: string): StoreError {
  return new StoreError('STORE_DAMAGED', `${path} holds no registration store: restore a copy, or give another path`);
}

/** Makes LMDB's lock file with disk space behind it. It must not be opened when it is there: closing it drops LMDB's locks. */
function reserveLockFile(path: string): void {
  if (statsOf(path) !== undefined) {
    accessSync(path, constants.R_OK | constants.W_OK);
    return;
  }
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(temporary, Buffer.alloc(LOCK_FILE_BYTES), { flag: 'wx', mode: FILE_MODE });
    // Whoever was faster has one in use.
    if (statsOf(path) === undefined) linkSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function probeSpace(directory: string): void {
  const temporary = join(directory, `.probe.${randomBytes(6).toString('hex')}`);
  try {
    writeFileSync(temporary, Buffer.alloc(PROBE_BYTES), { flag: 'wx', mode: FILE_MODE });
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** What both of LMDB's meta pages say of the file; the first one says where the second one is. Throws StoreError. */
export function bytesInUse(data: string, directory: string): number {
  const file = openSync(data, 'r');
  try {
    const page = Buffer.alloc(META.length);
    let pageSize = 0;
    let lastPage = 0;
    for (let number = 0; number < 2; number += 1) {
      const isMeta =
        readSync(file, page, 0, META.length, number * pageSize) === META.length &&
        page.readUInt32LE(META.magicAt) === META.magic &&
        page.readUInt32LE(META.versionAt) === META.version;
      if (!isMeta) throw noStore(directory);
      pageSize = page.readUInt32LE(META.pageSizeAt);
      lastPage = Math.max(lastPage, Number(page.readBigUInt64LE(META.lastPageAt)));
    }
    return (lastPage + 1) * pageSize;
  } finally {
    closeSync(file);
  }
}

/** `write` puts the data file into a directory that nobody else can read, which then gets the target's name. */
export async function makeCopy(target: string, write: (directory: string) => Promise<void>): Promise<void> {
  const path = resolve(target);
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    if (statsOf(path) !== undefined) throw copyExists(path);
    mkdirSync(temporary, { mode: DIRECTORY_MODE });
    await write(temporary);
    const data = join(temporary, DATA_FILE);
    chmodSync(data, FILE_MODE);
    sync(data);
    sync(temporary);
    place(temporary, path);
    sync(dirname(path));
  } catch (error) {
    throw storeError(path, 'written as a copy', error);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** A rename replaces an empty directory, which is no loss, and fails for everything else that is there by now. */
function place(temporary: string, path: string): void {
  try {
    renameSync(temporary, path);
  } catch (error) {
    throw statsOf(path) === undefined ? error : copyExists(path);
  }
}

function copyExists(path: string): StoreError {
  return new StoreError('STORE_COPY_EXISTS', `${path} is there already: a copy of the store overwrites nothing`);
}

function checkFile(file: string): void {
  const stats = statsOf(file);
  if (stats === undefined) return;
  if (!stats.isFile()) throw unsafe(file, 'is not a regular file');
  if ((stats.mode & OTHERS_MAY) !== 0) throw unsafe(file, `is open to others: chmod 600 ${file}`);
}

function unsafe(path: string, what: string): StoreError {
  return new StoreError('STORE_UNAVAILABLE', `${path} ${what}`);
}

function statsOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
