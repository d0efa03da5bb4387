/** Waits for what cannot be ended from here, no longer than a limit and the caller's signal allow. */
import type { Timers } from '../../system/timers.ts';
import type { LewesError } from '../errors.ts';
import { reasonOf } from '../wakeup.ts';

export interface Limits {
  readonly timers: Timers;
  /** Aborts with a LewesError. */
  readonly signal: AbortSignal;
}

/** Settles as `work` does, or rejects with `late()` or the signal's reason; what `work` does afterwards is nobody's. */
export function inTime<T>(work: Promise<T>, ms: number, late: () => LewesError, limits: Limits): Promise<T> {
  const { timers, signal } = limits;
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      cancel();
      signal.removeEventListener('abort', abort);
      finish();
    };
    const abort = () => settle(() => reject(reasonOf(signal)));
    const cancel = timers.after(ms, () => settle(() => reject(late())));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
