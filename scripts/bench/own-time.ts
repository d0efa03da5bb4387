/**
 * A clock for work on this very thread: wall time less what the thread waited for a core, so that a busy machine does not
 * count. Linux's own count of a thread's CPU time moves in steps of milliseconds; its count of waiting is exact.
 */
import { openSync, readSync } from 'node:fs';

const buffer = Buffer.alloc(64);
let file: number | undefined;
try {
  file = openSync('/proc/thread-self/schedstat', 'r');
} catch {
  // Not Linux: wall time has to do.
}

/** Microseconds from somewhere on. Costs a few of them itself, so it is for intervals of a hundred and more. */
export function ownUs(): number {
  return performance.now() * 1e3 - waitedUs();
}

function waitedUs(): number {
  if (file === undefined) return 0;
  const length = readSync(file, buffer, 0, buffer.length, 0);
  const [, waitedNs = '0'] = buffer.toString('latin1', 0, length).split(' ');
  return Number(waitedNs) / 1e3;
}

/** Microseconds of one operation. */
export function timed(n: number, operation: () => unknown): number {
  const started = ownUs();
  for (let i = 0; i < n; i++) operation();
  return (ownUs() - started) / n;
}
