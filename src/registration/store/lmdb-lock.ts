/**
 * Keeps a second process from opening the store: a file with the holder's pid and start time, so that a lock whose
 * holder was killed counts for nothing, and needs no cleaning by hand. It is the friendly half: processes that cannot
 * see each other (containers that share a volume) are kept apart by the owner that every commit looks at.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { StoreError } from './store.ts';

interface Holder {
  readonly pid: number;
  /** The process's start as the system counts it: a pid is used again, a pid with its start time is not. */
  readonly started: string;
}

/** Each try fails only when another process took or left the lock in that very moment. */
const TRIES = 5;

/**
 * What this thread holds. A stale file can carry the very pid that this process got, or be what a thread of it left
 * behind that crashed: its successor takes over.
 */
const held = new Set<string>();

export interface StoreLock {
  /** May be called twice. */
  release(): void;
}

/** Throws StoreError STORE_IN_USE; system errors as they are. `path` is absolute, in a directory that is there. */
export function lockStore(path: string): StoreLock {
  const own: Holder = { pid: process.pid, started: startOf(process.pid) };
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (create(path, own)) {
      held.add(path);
      return { release: () => release(path, own) };
    }
    const holder = readHolder(path);
    if (holder !== undefined && lives(holder, path)) throw inUse(path, holder.pid);
    // Of two that find it stale, both may get here: then the later one takes over, and the earlier one's commits fail.
    rmSync(path, { force: true });
  }
  throw inUse(path, undefined);
}

/** The file can be another process's by now, which found it stale. */
function release(path: string, own: Holder): void {
  if (!held.delete(path)) return;
  const holder = readHolder(path);
  if (holder?.pid === own.pid && holder.started === own.started) rmSync(path, { force: true });
}

/** Whole or not at all; false when it is there already. */
function create(path: string, own: Holder): boolean {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(temporary, JSON.stringify(own), { flag: 'wx', mode: 0o600 });
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function inUse(path: string, pid: number | undefined): StoreError {
  const who = pid === undefined ? 'another process' : `the process with pid ${pid}`;
  return new StoreError('STORE_IN_USE', `${who} has locked the registration store (${path}): stop it first`);
}

/** `undefined` when it is gone or unreadable (a crash of the machine can leave it empty). */
function readHolder(path: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value && 'started' in value)) return undefined;
    const { pid, started } = value;
    // Signals to pid 0 or below go to process groups.
    if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1 || typeof started !== 'string') return undefined;
    return { pid, started };
  } catch {
    return undefined;
  }
}

function lives(holder: Holder, path: string): boolean {
  if (holder.pid === process.pid && holder.started === startOf(process.pid)) return held.has(path);
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  const now = startOf(holder.pid);
  return now === '' || holder.started === '' || now === holder.started;
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
