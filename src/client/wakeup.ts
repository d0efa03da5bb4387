/**
 * One timer for whoever has many deadlines: it fires no later than the earliest time that was named, and the owner then
 * looks what is due. Answers cancel nothing, so that a busy link does not set a timer per packet.
 */
import type { Clock } from '../system/clock.ts';
import type { CancelTimer, Timers } from '../system/timers.ts';
import { LewesError } from './errors.ts';

export class Wakeup {
  readonly #time: Time;
  readonly #action: () => void;
  #dueMs = Number.POSITIVE_INFINITY;
  #cancel: CancelTimer | undefined;

  constructor(time: Time, action: () => void) {
    this.#time = time;
    this.#action = action;
  }

  /** Monotonic milliseconds; infinite for nothing. */
  before(dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    this.cancel();
    this.#dueMs = dueMs;
    const ms = Math.max(1, Math.ceil(dueMs - this.#time.clock.now().monotonicMs));
    this.#cancel = this.#time.timers.after(ms, () => {
      this.#cancel = undefined;
      this.#dueMs = Number.POSITIVE_INFINITY;
      this.#action();
    });
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }
}

export interface Time {
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Rejects with the signal's reason, which is an error of this library. */
export function sleep(ms: number, timers: Timers, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal));
    const stop = () => {
      cancel();
      reject(reasonOf(signal));
    };
    const cancel = timers.after(ms, () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** The links abort with a LewesError only. */
export function reasonOf(signal: AbortSignal): LewesError {
  if (signal.reason instanceof LewesError) return signal.reason;
  throw new Error('assertion: a link aborts with a LewesError', { cause: signal.reason });
}
