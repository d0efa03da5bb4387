/**
 * The machine of a run: what its numbers mean without it is little. Load is read before and after, for what other processes
 * took is in every number that is not CPU time.
 */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { allowedCpus } from './pinning.ts';

export interface Machine {
  readonly cpu: string;
  /** Those that this process may use. */
  readonly cores: number;
  readonly memoryMiB: number;
  readonly platform: string;
  readonly node: string;
  readonly crypto: string;
  /** ISO 8601. */
  readonly date: string;
  readonly commit?: string;
  /** The tree differs from the commit. */
  readonly changed?: boolean;
}

export async function describeMachine(): Promise<Machine> {
  const { commit, changed } = gitState();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: allowedCpus().length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    crypto: (await loadProvider('auto')).name,
    date: new Date().toISOString(),
    ...(commit !== undefined && { commit, changed: changed === true }),
  };
}

function gitState(): { readonly commit?: string; readonly changed?: boolean } {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const commit = git('rev-parse', '--short=12', 'HEAD').trim();
    return { commit, changed: git('status', '--porcelain', '--', '../../src', '../../workers').trim() !== '' };
  } catch {
    return {};
  }
}

/** Of the last minute. */
export function load(): number {
  return loadavg()[0] ?? 0;
}

/** A core's tenth: what a quiet machine does by itself. */
const QUIET_PER_CORE = 0.15;

/** What to say of the load that was there before the run began; undefined on a quiet machine. */
export function busyWarning(before: number, cores: number): string | undefined {
  if (before <= QUIET_PER_CORE * cores) return undefined;
  return (
    `THE MACHINE WAS BUSY: load average ${before.toFixed(2)} on ${cores} cores before the run. ` +
    'Rates, times and the throughput of shards are not to be trusted; CPU times and ratios less than usual.'
  );
}
