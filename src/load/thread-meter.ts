/** How busy the calling thread was in the measured time: what the generator judges itself by. */
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import process from 'node:process';
import type { LoopDelayMonitor } from '../system/loop-delay.ts';

export interface MeterReading {
  /** Share of the time in which the thread was not waiting for events, whether it had a core or not. */
  readonly busyShare: number;
  /** Of a core. */
  readonly cpuShare: number;
  readonly loopDelayP99Ms: number;
}

interface Start {
  readonly atMs: number;
  readonly utilization: EventLoopUtilization;
  readonly cpu: NodeJS.CpuUsage;
}

export class ThreadMeter {
  readonly #loopDelay: LoopDelayMonitor;
  #start: Start | undefined;

  constructor(loopDelay: LoopDelayMonitor) {
    this.#loopDelay = loopDelay;
  }

  /** The measured time begins; further calls change nothing. */
  begin(): void {
    if (this.#start !== undefined) return;
    this.#loopDelay.read();
    this.#start = {
      atMs: performance.now(),
      utilization: performance.eventLoopUtilization(),
      cpu: process.threadCpuUsage(),
    };
  }

  /** All zero where the measured time never began. */
  end(): MeterReading {
    const start = this.#start;
    if (start === undefined) return { busyShare: 0, cpuShare: 0, loopDelayP99Ms: 0 };
    const { user, system } = process.threadCpuUsage(start.cpu);
    const elapsedMs = Math.max(1, performance.now() - start.atMs);
    return {
      busyShare: performance.eventLoopUtilization(start.utilization).utilization,
      cpuShare: (user + system) / 1e3 / elapsedMs,
      loopDelayP99Ms: this.#loopDelay.read().p99 * 1e3,
    };
  }

  stop(): void {
    this.#loopDelay.stop();
  }
}
