/**
 * The gateway's data directory: what it makes for itself, its lock against a second gateway, and the note where its admin
 * port is. Directory 0700, files 0600, every file whole or absent.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { createFile, makeDirectory, replaceFile } from './atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from './operator-error.ts';

export interface DataDir {
  readonly path: string;
  /** The identity's default place. */
  readonly identityFile: string;
  readonly wireGuardKeyFile: string;
  readonly nymLpKeyFile: string;
  readonly nymKemKeyFile: string;
  /** A directory that the store makes for itself. */
  readonly storePath: string;
  /** Notes where the admin port listens, for `lewes status`. */
  writeAdmin(note: AdminNote): void;
  /** Removes the note and the lock; safe to call twice. */
  release(): void;
}

export interface AdminNote {
  /** `http://127.0.0.1:9464`, with the port that was bound. */
  readonly url: string;
  readonly pid: number;
}

interface Holder {
  readonly pid: number;
  /** The process's start as the system counts it, so that a reused pid is not taken for the gateway. */
  readonly started: string;
}

const ADMIN_FILE = 'admin.json';
const IDENTITY_FILE = 'identity.pem';
const WIREGUARD_KEY_FILE = 'wireguard.key';
const NYM_LP_KEY_FILE = 'nym-lp.key';
const NYM_KEM_KEY_FILE = 'nym-ml-kem-768.key';
const STORE_DIRECTORY = 'store';
const LOCK_FILE = 'gateway.lock';
/** Each try fails only when another process took or freed the lock in that very moment. */
const LOCK_TRIES = 5;

/** `lewes` in the user's XDG state directory. */
export function defaultDataDir(env: NodeJS.ProcessEnv = process.env, home: string = homedir()): string {
  const state = env.XDG_STATE_HOME;
  // The XDG specification: a relative path there is invalid and ignored.
  return state !== undefined && isAbsolute(state) ? join(state, 'lewes') : join(home, '.local', 'state', 'lewes');
}

/** The store's default place. */
export function storePathOf(directory: string): string {
  return join(resolve(directory), STORE_DIRECTORY);
}

/**
 * Creates the directory where it is missing and locks it for this process. Throws an OperatorError: ERR_DATA_DIR (cannot
 * be made or written) or ERR_DATA_DIR_LOCKED.
 */
export function openDataDir(directory: string): DataDir {
  const path = resolve(directory);
  const lock = join(path, LOCK_FILE);
  const own: Holder = { pid: process.pid, started: startOf(process.pid) };
  try {
    makeDirectory(path);
    if (!statSync(path).isDirectory()) throw new Error('it is not a directory');
    takeLock(path, lock, own);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw unusable(path, error);
  }
  let held = true;
  return {
    path,
    identityFile: join(path, IDENTITY_FILE),
    wireGuardKeyFile: join(path, WIREGUARD_KEY_FILE),
    nymLpKeyFile: join(path, NYM_LP_KEY_FILE),
    nymKemKeyFile: join(path, NYM_KEM_KEY_FILE),
    storePath: storePathOf(path),
    writeAdmin(note) {
      try {
        replaceFile(join(path, ADMIN_FILE), `${JSON.stringify(note)}\n`);
      } catch (error) {
        throw unusable(path, error);
      }
    },
    release() {
      if (!held) return;
      held = false;
      rmSync(join(path, ADMIN_FILE), { force: true });
      const holder = readHolder(lock);
      if (holder !== undefined && same(holder, own)) rmSync(lock, { force: true });
    },
  };
}

/** Where the gateway of this directory listens, or `undefined` when none left a note. Throws OperatorError ERR_DATA_DIR. */
export function readAdmin(directory: string): AdminNote | undefined {
  const text = readIfThere(join(resolve(directory), ADMIN_FILE), directory);
  if (text === undefined) return undefined;
  const value = parseJson(text);
  if (typeof value?.url !== 'string' || typeof value.pid !== 'number') return undefined;
  return { url: value.url, pid: value.pid };
}

function takeLock(path: string, lock: string, own: Holder): void {
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    try {
      createFile(lock, JSON.stringify(own));
      return;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    const holder = readHolder(lock);
    if (holder !== undefined && lives(holder)) throw locked(path, holder.pid);
    removeStale(lock, holder);
  }
  throw locked(path, undefined);
}

/**
 * Takes a dead holder's lock away by renaming it, so that of two processes that found it dead one gets it. What came away
 * is looked at again: if somebody else has locked meanwhile, it is put back.
 */
function removeStale(lock: string, dead: Holder | undefined): void {
  const aside = `${lock}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  const found = readHolder(aside);
  const changed = found !== undefined && (dead === undefined || !same(found, dead)) && lives(found);
  try {
    if (changed) linkSync(aside, lock);
  } finally {
    rmSync(aside, { force: true });
  }
}

function locked(path: string, pid: number | undefined): OperatorError {
  return new OperatorError(
    'ERR_DATA_DIR_LOCKED',
    `another gateway${pid === undefined ? '' : ` (pid ${pid})`} uses the data directory ${path}`,
    'stop it first, or give this one a directory of its own with --data-dir',
  );
}

function unusable(path: string, error: unknown): OperatorError {
  return new OperatorError(
    'ERR_DATA_DIR',
    `the data directory ${path} cannot be used (${reasonOf(error)})`,
    'make it writable for this user, or give another one with --data-dir',
    { cause: error },
  );
}

/** `undefined` when the lock is gone or holds no note of ours (a crash of the machine can leave it empty). */
function readHolder(lock: string): Holder | undefined {
  const text = readIfThere(lock, lock);
  const value = text === undefined ? undefined : parseJson(text);
  const pid = value?.pid;
  const started = value?.started;
  // Signals to pid 0 or below go to process groups.
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1 || typeof started !== 'string') return undefined;
  return { pid, started };
}

function lives({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (systemCode(error) !== 'EPERM') return false;
  }
  const now = startOf(pid);
  return now === '' || started === '' || now === started;
}

function same(a: Holder, b: Holder): boolean {
  return a.pid === b.pid && a.started === b.started;
}

/** Start time in clock ticks since boot: field 22 of /proc/PID/stat. Empty where the system has none. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command name before it is in parentheses and may hold spaces and parentheses itself.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function readIfThere(file: string, shown: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw unusable(shown, error);
  }
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
