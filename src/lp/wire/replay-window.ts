/**
 * The replay window of lp2.md §4.3 and lp1.md §1.6: 1024 counters wide, exact. The bitmap lies in memory of the caller
 * (128 bytes at `offset`, zero at first), so that a million idle sessions do not cost an object each; `next` is the
 * lowest counter above all that were marked.
 */
export const WINDOW_WIDTH = 1024;
export const WINDOW_BYTES = WINDOW_WIDTH / 8;

export type WindowVerdict = 'fresh' | 'duplicate' | 'out_of_window';

export function checkCounter(memory: Uint8Array, offset: number, next: number, counter: number): WindowVerdict {
  if (counter >= next) return 'fresh';
  if (counter + WINDOW_WIDTH < next) return 'out_of_window';
  const bit = counter % WINDOW_WIDTH;
  return ((memory[offset + (bit >>> 3)] ?? 0) & (1 << (bit & 7))) !== 0 ? 'duplicate' : 'fresh';
}

/** Marks a counter that `checkCounter` called fresh and returns the new `next`. */
export function markCounter(memory: Uint8Array, offset: number, next: number, counter: number): number {
  if (counter > next) clear(memory, offset, next, counter);
  const bit = counter % WINDOW_WIDTH;
  const at = offset + (bit >>> 3);
  memory[at] = (memory[at] ?? 0) | (1 << (bit & 7));
  return counter >= next ? counter + 1 : next;
}

/** Forgets the marks of the counters that the jump from `next` to `counter` takes the place of. */
function clear(memory: Uint8Array, offset: number, next: number, counter: number): void {
  if (counter - next >= WINDOW_WIDTH) {
    memory.fill(0, offset, offset + WINDOW_BYTES);
    return;
  }
  for (let passed = next; passed < counter; passed++) {
    const bit = passed % WINDOW_WIDTH;
    const at = offset + (bit >>> 3);
    memory[at] = (memory[at] ?? 0) & ~(1 << (bit & 7));
  }
}
