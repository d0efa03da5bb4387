/**
 * One target from outside: a worker thread runs it, and this side watches. An input that runs for more than a second, or
 * takes the thread's memory, costs the thread, not the run: the input is in the flight recorder, a fresh thread shows
 * whether it does it again, and another one goes on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Gain, NO_GAIN } from './coverage.ts';
import { asError, type Finding, type FindingKind, faultKey } from './finding.ts';
import { FlightRecorder, nowMs } from './flight-recorder.ts';
import type { LoopStats } from './loop.ts';
import { minimise } from './minimise.ts';
import type { WorkerJob, WorkerNote } from './worker.ts';

export interface TargetRun {
  /** URL of the file that exports the target. */
  readonly module: string;
  readonly target: string;
  readonly seed: number;
  readonly corpus: readonly Uint8Array[];
  /** Wall-clock time of running inputs; loading the target comes on top. */
  readonly budgetMs: number;
  readonly maxExecutions?: number;
  /** Different faults after which it ends; default 4. */
  readonly maxFindings?: number;
  /** CPU time of one input; default 1,000. */
  readonly hangMs?: number;
  /** Default true. */
  readonly guided?: boolean;
  /** Each input of the corpus once, and nothing else. */
  readonly only?: boolean;
}

export interface Kept {
  readonly input: Uint8Array;
  readonly gain: Gain;
}

export interface TargetReport {
  readonly target: string;
  readonly executions: number;
  readonly pool: number;
  readonly gain: Gain;
  readonly kept: readonly Kept[];
  readonly findings: readonly Finding[];
  /** Inputs that took more than a second once and not again: the machine was busy. */
  readonly slow: number;
}

/** An input may take so much of its thread's time, which a busy machine does not make longer. */
const HANG_MS = 1_000;
/** What waits for something that never comes takes none. */
const HANG_WALL_MS = 10_000;
const LOOK_EVERY_MS = 50;
const LOOK_CLOSER_MS = 200;
/** A thread that loads a target has compiled everything it needs in far less. */
const START_MS = 30_000;
const HEAP_MB = 128;
/** Threads lost to hangs and memory in one run of a target. */
const MAX_LOST = 3;
const MAX_FINDINGS = 4;
/** Each costs a thread, and a hang a second. */
const THREAD_MINIMISE_TRIES = 6;

type Outcome =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'lost';
      readonly how: FindingKind;
      readonly input: Uint8Array | undefined;
      readonly error: unknown;
    };

export async function fuzzTarget(run: TargetRun): Promise<TargetReport> {
  const state = new RunState(run);
  for (let lost = 0; lost <= MAX_LOST; lost++) {
    const outcome = await state.runThread(run.seed + lost);
    if (outcome.kind === 'done') break;
    await state.take(outcome);
    if (state.leftMs <= 0 || run.only === true) break;
  }
  return state.report;
}

class RunState {
  readonly #run: TargetRun;
  readonly #startedMs = nowMs();
  readonly #findings: Finding[] = [];
  readonly #kept: Kept[] = [];
  #executions = 0;
  #stats: LoopStats | undefined;
  #slow = 0;

  constructor(run: TargetRun) {
    this.#run = run;
  }

  get report(): TargetReport {
    const { target } = this.#run;
    const { pool, gain } = this.#stats ?? { pool: 0, gain: NO_GAIN };
    const findings = this.#findings;
    return { target, executions: this.#executions, pool, gain, kept: this.#kept, findings, slow: this.#slow };
  }

  get leftMs(): number {
    const left = this.#run.budgetMs - (nowMs() - this.#startedMs);
    return this.#executions === 0 ? this.#run.budgetMs : left;
  }

  async runThread(seed: number): Promise<Outcome> {
    const { corpus, only = false, maxExecutions = only ? corpus.length : Number.POSITIVE_INFINITY } = this.#run;
    const job = {
      ...this.#jobBase(seed),
      corpus: [...corpus, ...this.#kept.map(({ input }) => input)],
      maxExecutions: maxExecutions - this.#executions,
    };
    const recorder = new FlightRecorder(job.memory);
    const outcome = await runWorker(job, recorder, this.#run.hangMs ?? HANG_MS, (note) => this.#note(note));
    this.#executions += recorder.executions;
    return outcome;
  }

  /** A thread was lost: is it the input's fault? */
  async take({ how, input, error }: Extract<Outcome, { kind: 'lost' }>): Promise<void> {
    if (input === undefined) throw error;
    const { message, stack } = asError(error);
    const key = how === 'exception' ? faultKey(error) : how;
    const finding = { kind: how, key, message, stack, input };
    if (this.#run.only === true) {
      this.#findings.push({ ...finding, minimised: input });
      return;
    }
    const again = await this.#loses(input);
    if (again === undefined) {
      this.#slow++;
      return;
    }
    const minimised = await minimise(input, async (c) => (await this.#loses(c)) === again, THREAD_MINIMISE_TRIES);
    this.#findings.push({ ...finding, minimised });
  }

  /** How this input alone loses a thread, if it does. */
  async #loses(input: Uint8Array): Promise<FindingKind | undefined> {
    const base = this.#jobBase(this.#run.seed);
    const job = { ...base, corpus: [input], only: true, guided: false, maxExecutions: 1, budgetMs: START_MS };
    const outcome = await runWorker(job, new FlightRecorder(job.memory), this.#run.hangMs ?? HANG_MS, () => undefined);
    return outcome.kind === 'lost' ? outcome.how : undefined;
  }

  #jobBase(seed: number): Omit<WorkerJob, 'corpus' | 'maxExecutions'> {
    const { module, target, only = false, guided = true, maxFindings = MAX_FINDINGS } = this.#run;
    const { memory } = new FlightRecorder();
    return { module, target, seed, only, guided: guided && !only, budgetMs: this.leftMs, maxFindings, memory };
  }

  #note(note: WorkerNote): void {
    if (note.kind === 'kept') this.#kept.push({ input: note.input, gain: note.gain });
    else if (note.kind === 'finding') this.#findings.push(note.finding);
    else this.#stats = note.stats;
  }
}

async function runWorker(
  job: WorkerJob,
  recorder: FlightRecorder,
  hangMs: number,
  note: (note: WorkerNote) => void,
): Promise<Outcome> {
  const worker = new Worker(new URL('worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    stdout: false,
    stderr: false,
  });
  let done = false;
  let failure: unknown;
  let over = false;
  worker.on('message', (message: WorkerNote) => {
    note(message);
    if (message.kind === 'done') done = true;
  });
  worker.on('error', (error) => {
    failure = error;
  });
  const exited = new Promise<void>((resolve) => {
    worker.on('exit', () => {
      over = true;
      resolve();
    });
  });
  const hung = await watch(worker, recorder, hangMs, () => over || done, exited);
  const input = recorder.current?.input;
  await worker.terminate();
  await exited;
  if (done) return { kind: 'done' };
  if (hung) return { kind: 'lost', how: 'hang', input, error: new Error(`ran for more than ${hangMs} ms`) };
  const how = isOutOfMemory(failure) ? 'memory' : 'exception';
  return { kind: 'lost', how, input, error: failure ?? new Error('the thread ended by itself') };
}

/** Resolves when the thread is over (false), or has been at one input for too long (true). */
async function watch(
  worker: Worker,
  recorder: FlightRecorder,
  hangMs: number,
  over: () => boolean,
  exited: Promise<void>,
): Promise<boolean> {
  const startedMs = nowMs();
  let looked = { execution: 0, cpuMs: 0 };
  while (!over()) {
    await Promise.race([exited, sleep(LOOK_EVERY_MS)]);
    if (recorder.executions === 0 && nowMs() - startedMs > START_MS) {
      throw new Error('the thread of the target does not start');
    }
    const flight = recorder.current;
    if (flight === undefined || nowMs() - flight.sinceMs < LOOK_CLOSER_MS) continue;
    if (nowMs() - flight.sinceMs > HANG_WALL_MS) return !over();
    const cpuMs = await Promise.race([exited.then(() => 0), cpuMsOf(worker)]);
    if (looked.execution !== flight.execution) looked = { execution: flight.execution, cpuMs };
    else if (cpuMs - looked.cpuMs > hangMs) return !over();
  }
  return false;
}

async function cpuMsOf(worker: Worker): Promise<number> {
  try {
    const { user, system } = await worker.cpuUsage();
    return (user + system) / 1_000;
  } catch {
    // It has just ended.
    return 0;
  }
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
}
