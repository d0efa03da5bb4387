/**
 * The clock that gateways of a chaos run are given: the machine's, moved by offsets in shared memory, so that all threads of
 * a gateway jump together. The system's own clock is never touched.
 */
import { type Clock, systemClock } from '../../src/system/clock.ts';

const MONOTONIC = 0;
const UNIX = 1;

export interface ClockJump {
  /** At least 0: a monotonic clock only leaps ahead. */
  readonly monotonicMs: number;
  readonly unixMs: number;
}

export function makeClockMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
}

export function sharedClock(memory: SharedArrayBuffer): Clock {
  const offsets = new Float64Array(memory);
  return {
    now() {
      const { monotonicMs, unixMs } = systemClock.now();
      return { monotonicMs: monotonicMs + (offsets[MONOTONIC] ?? 0), unixMs: unixMs + (offsets[UNIX] ?? 0) };
    },
  };
}

/** Called by one thread only. */
export function jump(memory: SharedArrayBuffer, { monotonicMs, unixMs }: ClockJump): void {
  if (!(monotonicMs >= 0)) throw new RangeError(`a monotonic clock cannot move by ${monotonicMs} ms`);
  const offsets = new Float64Array(memory);
  offsets[MONOTONIC] = (offsets[MONOTONIC] ?? 0) + monotonicMs;
  offsets[UNIX] = (offsets[UNIX] ?? 0) + unixMs;
}
