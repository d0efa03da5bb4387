/** Timers that a test steps, and the clock that goes with them. */
import type { Timers } from '../../../src/system/timers.ts';

interface Pending {
  readonly dueMs: number;
  readonly action: () => void;
}

export class SteppedTimers implements Timers {
  #nowMs = 0;
  readonly #pending = new Set<Pending>();

  get pending(): number {
    return this.#pending.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, action: () => void): () => void {
    const pending = { dueMs: this.#nowMs + ms, action };
    this.#pending.add(pending);
    return () => this.#pending.delete(pending);
  }

  /** Runs in order what falls due in the next `ms` milliseconds. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#pending].filter((p) => p.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#pending.delete(due);
      this.#nowMs = due.dueMs;
      due.action();
    }
    this.#nowMs = endMs;
  }
}
