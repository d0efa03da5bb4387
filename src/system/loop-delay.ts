/**
 * Delay of the calling thread's event loop: how late it comes to what is due. Main and worker threads measure
 * themselves; the numbers are plain data, so that they cross threads in a snapshot.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Seconds. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface LoopDelayMonitor {
  /** What was measured since the last read. */
  read(): LoopDelay;
  stop(): void;
}

/** Finer than the delays that matter (10 ms and more), and coarse enough to cost nothing. */
const RESOLUTION_MS = 10;

export function monitorLoopDelay(): LoopDelayMonitor {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // The histogram holds the time between two timers, of which the resolution itself is no delay.
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3);
  return {
    read() {
      // An empty histogram gives no usable numbers.
      if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 };
      const delay = {
        p50: seconds(histogram.percentile(50)),
        p99: seconds(histogram.percentile(99)),
        max: seconds(histogram.max),
      };
      histogram.reset();
      return delay;
    },
    stop: () => {
      histogram.disable();
    },
  };
}
