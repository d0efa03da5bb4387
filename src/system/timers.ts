/**
 * Timers as a dependency: whoever waits takes a `Timers`, so that a test steps time instead of sleeping.
 * Cancelling is idempotent, and a timer that was cancelled never fires.
 */
export type CancelTimer = () => void;

export interface Timers {
  /** Runs `action` once, not before `ms` milliseconds have passed, and never during this call. */
  after(ms: number, action: () => void): CancelTimer;
}

/** The process's own timers. They keep the process alive: what is closed must cancel its timers. */
export const systemTimers: Timers = {
  after(ms, action) {
    const handle = setTimeout(action, ms);
    return () => clearTimeout(handle);
  },
};
