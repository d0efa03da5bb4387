/**
 * Which cores the processes of a benchmark run on: the measured one and the load apart, so that neither takes the other's
 * time or cache. `taskset` (util-linux) does it; without it or with one core, nothing is pinned and the run says so.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Lists as `taskset -c` takes them; undefined: wherever the system likes. */
export interface Cores {
  readonly server: string | undefined;
  readonly load: string | undefined;
}

export const ANYWHERE: Cores = { server: undefined, load: undefined };

/** "0-3,8" → 0, 1, 2, 3, 8. */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first = 0, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

export function allowedCpus(): number[] {
  try {
    const line = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return parseCpuList(line?.[1] ?? '');
  } catch {
    return [];
  }
}

/** Becomes the program that it starts, on the cores it is told. */
export const TASKSET = 'taskset';

let tasksetThere: boolean | undefined;

function hasTaskset(): boolean {
  try {
    tasksetThere ??= execFileSync(TASKSET, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }).length > 0;
  } catch {
    tasksetThere = false;
  }
  return tasksetThere;
}

/** One core for the server, the others for the load. */
export function apart(): Cores {
  const all = allowedCpus();
  if (all.length < 2 || !hasTaskset()) return ANYWHERE;
  const [first, ...others] = all;
  return { server: String(first), load: others.join(',') };
}

/** Where the server is to use several cores: half of them with four and more, otherwise all, and the load as well. */
export function halves(): Cores {
  const all = allowedCpus();
  if (all.length < 4 || !hasTaskset()) return ANYWHERE;
  const half = all.length >> 1;
  return { server: all.slice(0, half).join(','), load: all.slice(half).join(',') };
}

/** Why nothing is pinned, if so. */
export function pinningFault(): string | undefined {
  if (allowedCpus().length < 2) return 'one core only: server and load share it';
  return hasTaskset() ? undefined : 'taskset (util-linux) is missing: server and load are not kept apart';
}
