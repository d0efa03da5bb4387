/**
 * When the operations of an open loop are due: a pure sequence of times, from the start of the run, that no answer and no
 * stall moves. The rate rises linearly from zero during the ramp and stays. Invariant: times never fall; all threads'
 * schedules together are one of the whole rate.
 *
 * Arrivals are made on a clock on which one operation is due per tick on average, and that clock is mapped to time by the
 * inverse of the rate's integral: so a ramp is exact for fixed and Poisson arrivals alike.
 */
import type { ThreadShare } from './plan.ts';

export interface ScheduleOptions {
  readonly arrivals: 'poisson' | 'fixed';
  /** Operations per second of all threads, at the end of the ramp. */
  readonly rate: number;
  readonly rampMs: number;
  /** Nothing is due from here on. */
  readonly endMs: number;
  readonly share: ThreadShare;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface Schedule {
  /** Milliseconds since the start of the run; infinite when nothing more is due. */
  readonly nextMs: number;
  advance(): void;
}

export function createSchedule(options: ScheduleOptions): Schedule {
  return new RampedSchedule(options);
}

class RampedSchedule implements Schedule {
  nextMs = 0;
  readonly #options: ScheduleOptions;
  readonly #perMs: number;
  /** On the clock of one operation per tick. */
  #ticks: number;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    const { arrivals, share, rate } = options;
    // Threads interleave fixed arrivals; independent Poisson streams add up to one.
    this.#perMs = (arrivals === 'fixed' ? rate : rate / share.of) / 1_000;
    this.#ticks = arrivals === 'fixed' ? share.thread - share.of : 0;
    this.advance();
  }

  advance(): void {
    const { arrivals, share, random, rampMs, endMs } = this.#options;
    this.#ticks += arrivals === 'fixed' ? share.of : -Math.log(1 - random());
    const atMs = timeOf(this.#ticks / this.#perMs, rampMs);
    this.nextMs = atMs < endMs ? atMs : Number.POSITIVE_INFINITY;
  }
}

/** When the integral of the rate, as a multiple of the full rate, has reached `fullMs`. */
function timeOf(fullMs: number, rampMs: number): number {
  return fullMs < rampMs / 2 ? Math.sqrt(2 * fullMs * rampMs) : fullMs + rampMs / 2;
}
