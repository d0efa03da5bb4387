/**
 * Clock and timers that move together, and only when told to. `drive` moves them until a promise is settled, with turns of
 * the event loop in between for the sockets of the same process: a loopback connection needs no other time.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type SteppedClock, steppedClock } from '../../src/system/clock.ts';
import type { CancelTimer, Timers } from '../../src/system/timers.ts';

interface Pending {
  readonly dueMs: number;
  readonly action: () => void;
}

/** Enough turns for a request through an entry and back. */
const TURNS_PER_STEP = 12;

export class SteppedTime implements Timers {
  readonly clock: SteppedClock = steppedClock({ monotonicMs: 1_000, unixMs: Date.UTC(2026, 5, 1) });
  readonly #pending = new Set<Pending>();

  get timers(): Timers {
    return this;
  }

  get pending(): number {
    return this.#pending.size;
  }

  get nowMs(): number {
    return this.clock.now().monotonicMs;
  }

  after(ms: number, action: () => void): CancelTimer {
    const pending = { dueMs: this.nowMs + ms, action };
    this.#pending.add(pending);
    return () => this.#pending.delete(pending);
  }

  /** Runs in order what falls due in the next `ms` milliseconds. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const due = [...this.#pending].filter((p) => p.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#pending.delete(due);
      this.clock.advance(Math.max(0, due.dueMs - this.nowMs));
      due.action();
    }
    this.clock.advance(endMs - this.nowMs);
  }

  /** Settles as the promise does. Throws when that takes more than `maxMs` of stepped time. */
  async drive<T>(promise: Promise<T>, stepMs = 250, maxMs = 180_000): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    const endMs = this.nowMs + maxMs;
    for (;;) {
      await turns();
      if (settled) return promise;
      if (this.nowMs >= endMs) throw new Error(`not settled within ${maxMs} ms`);
      this.advance(stepMs);
    }
  }
}

/** Lets the sockets of this process do their work. */
export async function turns(count: number = TURNS_PER_STEP): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

/** Waits, without time, until the condition holds. */
export async function until(condition: () => boolean, maxTurns = 20_000): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i >= maxTurns) throw new Error('the condition never held');
    await nextTurn();
  }
}
