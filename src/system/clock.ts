/**
 * The one place that reads the machine's clocks. Everything below takes a `Clock` (or, in the core, a `Now`) as an
 * argument, so that tests step the time. Ages use the monotonic clock (lp2.md §7): setting the wall clock expires nothing.
 */
import type { Now } from '../lp/time.ts';

export interface Clock {
  now(): Now;
}

export const systemClock: Clock = {
  now: () => ({ monotonicMs: performance.now(), unixMs: Date.now() }),
};

/** A clock that moves only when it is told to. */
export interface SteppedClock extends Clock {
  /** Moves both clocks on by `ms` ≥ 0. */
  advance(ms: number): void;
  /** Moves the wall clock alone, in either direction: what an operator or NTP does. */
  setUnixMs(unixMs: number): void;
}

export function steppedClock(start: Partial<Now> = {}): SteppedClock {
  let monotonicMs = start.monotonicMs ?? 0;
  let unixMs = start.unixMs ?? Date.UTC(2026, 0, 1);
  return {
    now: () => ({ monotonicMs, unixMs }),
    advance(ms) {
      if (!(ms >= 0)) throw new RangeError(`a monotonic clock cannot move by ${ms} ms`);
      monotonicMs += ms;
      unixMs += ms;
    },
    setUnixMs(value) {
      unixMs = value;
    },
  };
}
