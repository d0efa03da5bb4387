/**
 * CPU time of a process and of its threads, from Linux's /proc: microseconds of user and system time together.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second of /proc on Linux: fixed by the kernel's interface. */
const TICK_US = 1e6 / 100;

export interface CpuTimes {
  /** All threads. */
  readonly process: number;
  /** The main thread, which is the acceptor's. */
  readonly main: number;
  /** Worker threads: the shards. */
  readonly workers: number;
}

/** Of this very process. Worker threads are told apart by their name. */
export function ownCpu(mainThread: NodeJS.CpuUsage, isWorker: (name: string) => boolean): CpuTimes {
  const { user, system } = process.cpuUsage();
  let workers = 0;
  for (const task of taskIds()) {
    const stat = readTask(task);
    if (stat !== undefined && isWorker(stat.name)) workers += stat.us;
  }
  return { process: user + system, main: mainThread.user + mainThread.system, workers };
}

/** The threads that an action starts before it returns. */
export class ThreadGroup {
  private readonly ids = new Set<string>();

  start<T>(action: () => T): T {
    const before = new Set(taskIds());
    const result = action();
    for (const id of taskIds()) if (!before.has(id)) this.ids.add(id);
    return result;
  }

  /** Microseconds of those that still run. */
  get cpu(): number {
    let sum = 0;
    for (const id of this.ids) sum += readTask(id)?.us ?? 0;
    return sum;
  }

  get size(): number {
    return this.ids.size;
  }
}

function taskIds(): string[] {
  return readdirSync('/proc/self/task');
}

function readTask(id: string): { name: string; us: number } | undefined {
  try {
    // schedstat has nanoseconds where stat has ticks of 10 ms.
    const name = readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim();
    const [ns = ''] = readFileSync(`/proc/self/task/${id}/schedstat`, 'utf8').split(' ');
    if (ns !== '' && ns !== '0') return { name, us: Number(ns) / 1e3 };
    const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { name, us: (Number(fields[11]) + Number(fields[12])) * TICK_US };
  } catch {
    return undefined;
  }
}
