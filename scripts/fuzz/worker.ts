/**
 * The thread that runs one target: starts the coverage before anything of ours is loaded, then the loop, or one input. It
 * may hang or run out of memory at any input; whoever started it notices (`run-target.ts`).
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type Gain, V8Coverage } from './coverage.ts';
import type { Finding } from './finding.ts';
import { FlightRecorder, nowMs } from './flight-recorder.ts';
import type { LoopStats } from './loop.ts';
import type { FuzzTarget, TargetModule } from './target.ts';

export interface WorkerJob {
  readonly module: string;
  readonly target: string;
  readonly seed: number;
  readonly corpus: readonly Uint8Array[];
  /** Only these inputs, once each, without seeds and mutations. */
  readonly only: boolean;
  readonly guided: boolean;
  /** From when the target is loaded, for on a busy machine that takes as long as its share of a short run. */
  readonly budgetMs: number;
  readonly maxExecutions: number;
  readonly maxFindings: number;
  readonly memory: SharedArrayBuffer;
}

export type WorkerNote =
  | { readonly kind: 'kept'; readonly input: Uint8Array; readonly gain: Gain }
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'progress' | 'done'; readonly stats: LoopStats };

const PROGRESS_EVERY_MS = 200;
const ROOT = new URL('../../', import.meta.url).href;

async function main(job: WorkerJob): Promise<void> {
  const tell = (note: WorkerNote) => parentPort?.postMessage(note);
  let covered = 'src/';
  const coverage = job.guided ? new V8Coverage((url) => url.startsWith(ROOT + covered)) : undefined;
  const target = await load(job);
  covered = target.covers ?? covered;
  await target.setUp?.();
  const recorder = new FlightRecorder(job.memory);
  // Loaded behind the coverage, for it brings code of the project along.
  const { FuzzLoop } = await import('./loop.ts');
  let toldMs = 0;
  const untilMs = nowMs() + job.budgetMs;
  const loop = new FuzzLoop({
    target: job.only ? onlyCorpus(target) : target,
    seed: job.seed,
    corpus: job.corpus,
    coverage,
    watch: recorder,
    reports: {
      kept: (input, gain) => tell({ kind: 'kept', input, gain }),
      finding: (finding) => tell({ kind: 'finding', finding }),
      progress: (stats) => {
        if (nowMs() - toldMs < PROGRESS_EVERY_MS) return;
        toldMs = nowMs();
        tell({ kind: 'progress', stats });
      },
    },
    maxFindings: job.maxFindings,
    goOn: (executions) => executions < job.maxExecutions && nowMs() < untilMs,
  });
  const stats = await loop.run();
  coverage?.close();
  tell({ kind: 'done', stats });
}

async function load(job: WorkerJob): Promise<FuzzTarget> {
  const { targets }: TargetModule = await import(job.module);
  const target = targets.find(({ name }) => name === job.target);
  if (target === undefined) throw new Error(`no target called ${job.target} in ${job.module}`);
  return target;
}

function onlyCorpus(target: FuzzTarget): FuzzTarget {
  return { ...target, run: (input) => target.run(input), seeds: () => [] };
}

await main(workerData);
