/**
 * A lock between processes: a file that exists while one of them works, with its pid. The work is synchronous and short,
 * so a lock that is old and whose process is gone was left by a crash, and is taken away.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { systemClock } from '../system/clock.ts';
import type { Timers } from '../system/timers.ts';

export interface FileLockOptions {
  readonly timers: Timers;
  readonly signal: AbortSignal | undefined;
}

const RETRY_MS = 20;
/** Holders need milliseconds; this is for a queue of many on a slow disk. */
const MAX_TRIES = 500;
/** Older than any work under the lock, however slow the disk. A pid alone is not enough: the holder may be in a container. */
const STALE_MS = 10_000;

/** Runs `work` with the lock held. Rejects when it cannot be had in ten seconds, with the signal's reason, or with what `work` throws. */
export async function withFileLock<T>(lock: string, { timers, signal }: FileLockOptions, work: () => T): Promise<T> {
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted();
    if (takeLock(lock)) break;
    if (isStale(lock)) removeStale(lock);
    else if (tries >= MAX_TRIES) throw new Error(`${lock} is held by another process; remove it if none uses the file`);
    else await delay(timers, RETRY_MS);
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Linked, so that the lock is never seen without its content. */
function takeLock(lock: string): boolean {
  const own = `${lock}.${randomBytes(6).toString('hex')}`;
  writeFileSync(own, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
  try {
    linkSync(own, lock);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

function isStale(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'latin1'));
    return systemClock.now().unixMs - statSync(lock).mtimeMs > STALE_MS && !lives(pid);
  } catch (error) {
    // Gone: the next try takes it.
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Renamed, so that of two processes one gets it; what came away is looked at again, and put back if it is a new one. */
function removeStale(lock: string): void {
  const aside = `${lock}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (!isStale(aside)) linkSync(aside, lock);
  } finally {
    rmSync(aside, { force: true });
  }
}

function lives(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return codeOf(error) === 'EPERM';
  }
}

function delay(timers: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(ms, resolve);
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
