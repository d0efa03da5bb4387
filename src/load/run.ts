/**
 * A load run from its plan to its result: starts the threads, lets them begin together, follows their seconds, and judges
 * the generator. Invariants: whichever way it ends, the threads are gone; an aborted run has a full result of the time
 * that it lasted.
 */
import { availableParallelism, cpus, totalmem } from 'node:os';
import process from 'node:process';
import type { TokenSource } from '../client/token-source.ts';
import { bottlenecksOf } from './bottlenecks.ts';
import { mergeReports, SecondMerger, type Totals } from './merge.ts';
import type { FromThread, ThreadReport } from './messages.ts';
import { type LoadPlan, spansOf, usefulThreads } from './plan.ts';
import { LOAD_SCHEMA, type LoadInterval, type LoadResult, type OperationResult } from './result.ts';
import { type StartThread, startLoadThread, type ThreadPort } from './thread-port.ts';
import { TokenDesk } from './token-desk.ts';

export interface LoadOptions {
  readonly plan: LoadPlan;
  /** Ends the run before its time. */
  readonly signal: AbortSignal;
  /** Pays for registrations where the gateway asks for it. */
  readonly tokenSource?: TokenSource;
  readonly onInterval?: (interval: LoadInterval) => void;
  /** Replaced in tests. */
  readonly startThread?: StartThread;
}

export function runLoad(options: LoadOptions): Promise<LoadResult> {
  return new LoadRun(options).run();
}

class LoadRun {
  readonly #options: LoadOptions;
  readonly #desk: TokenDesk;
  readonly #threads: ThreadPort[] = [];
  readonly #merger: SecondMerger;
  readonly #count: number;
  readonly #done = Promise.withResolvers<void>();
  readonly #reports: ThreadReport[] = [];
  readonly #reported = new Set<number>();
  readonly #intervals: LoadInterval[] = [];
  readonly #sessions = { open: 0, wanted: 0 };
  #ready = 0;
  #crypto = '';
  #startedAt = new Date();
  #cpu = process.cpuUsage();
  #cpuAtMs = performance.now();

  constructor(options: LoadOptions) {
    this.#options = options;
    const { facts } = options.plan;
    this.#count = usefulThreads(options.plan);
    this.#merger = new SecondMerger(this.#count, spansOf(facts), facts.loop.kind === 'open');
    this.#desk = new TokenDesk(options.tokenSource);
  }

  async run(): Promise<LoadResult> {
    const { plan, signal, startThread = startLoadThread } = this.#options;
    const stop = () => this.#tellAll('stop');
    try {
      for (let thread = 0; thread < this.#count; thread++) {
        const port = startThread(
          { plan, share: { thread, of: this.#count } },
          {
            message: (message) => this.#receive(message, thread),
            ended: (error) => this.#ended(error, thread),
          },
        );
        this.#threads.push(port);
      }
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      await this.#done.promise;
      await this.#desk.settled();
      return this.#result();
    } finally {
      signal.removeEventListener('abort', stop);
      await Promise.all(this.#threads.map((thread) => thread.terminate()));
    }
  }

  #receive(message: FromThread, thread: number): void {
    switch (message.kind) {
      case 'ready':
        this.#threadReady(message);
        return;
      case 'second':
        this.#second(message);
        return;
      case 'done':
        this.#reports.push(message.report);
        this.#reported.add(thread);
        if (this.#reports.length === this.#count) this.#done.resolve();
        return;
      case 'askToken':
        void this.#desk.ask(message.challenge).then((answer) => this.#threads[thread]?.send(answer));
        return;
      case 'giveBack':
        this.#desk.giveBack(message.token);
        return;
    }
  }

  #threadReady({ open, wanted, crypto }: Extract<FromThread, { readonly kind: 'ready' }>): void {
    this.#ready++;
    this.#crypto = crypto;
    this.#sessions.open += open;
    this.#sessions.wanted += wanted;
    if (this.#ready < this.#count) return;
    this.#startedAt = new Date();
    this.#cpu = process.cpuUsage();
    this.#cpuAtMs = performance.now();
    // Without any session there is nothing to run, and the errors say why.
    if (this.#sessions.wanted > 0 && this.#sessions.open === 0) this.#tellAll('stop');
    this.#tellAll('go');
  }

  #second(message: Extract<FromThread, { readonly kind: 'second' }>): void {
    const merged = this.#merger.add(message);
    if (merged === undefined) return;
    const interval = { ...merged, generatorCores: this.#coresSinceLast() };
    this.#intervals.push(interval);
    this.#options.onInterval?.(interval);
  }

  #coresSinceLast(): number {
    const { user, system } = process.cpuUsage(this.#cpu);
    const nowMs = performance.now();
    const elapsedMs = Math.max(1, nowMs - this.#cpuAtMs);
    this.#cpu = process.cpuUsage();
    this.#cpuAtMs = nowMs;
    return (user + system) / 1e3 / elapsedMs;
  }

  #tellAll(kind: 'go' | 'stop'): void {
    for (const thread of this.#threads) thread.send({ kind });
  }

  /** After its report a thread ends as it should, and others may still drain. */
  #ended(error: Error | undefined, thread: number): void {
    if (this.#reported.has(thread)) return;
    this.#done.reject(error ?? new Error('assertion: a generator thread ended before its report'));
  }

  #result(): LoadResult {
    const { plan, signal } = this.#options;
    const totals = mergeReports(this.#reports);
    const { operations, measuredSeconds, registrations } = totals;
    return {
      schema: LOAD_SCHEMA,
      plan: { ...plan.facts, threads: this.#count },
      startedAt: this.#startedAt.toISOString(),
      measuredSeconds,
      machine: {
        cores: availableParallelism(),
        cpu: cpus()[0]?.model ?? 'unknown',
        memoryBytes: totalmem(),
        node: process.version,
        crypto: this.#crypto,
      },
      operations,
      intervals: this.#intervals,
      generator: this.#judge(totals),
      ...(registrations !== undefined && { registrations }),
      interrupted: signal.aborted,
    };
  }

  #judge({ operations, errors, sendDelayMs }: Totals): LoadResult['generator'] {
    const measured = this.#intervals.filter(({ phase }) => phase === 'measured');
    const cpuCores =
      measured.reduce((sum, { generatorCores }) => sum + generatorCores, 0) / Math.max(1, measured.length);
    const greatest = (read: (report: ThreadReport) => number) => Math.max(0, ...this.#reports.map(read));
    const busyShare = greatest((report) => report.busyShare);
    const busiest = this.#reports.find((report) => report.busyShare === busyShare);
    const loopDelayP99Ms = greatest((report) => report.loopDelayP99Ms);
    const latencyMs = mostCompleted(operations)?.latencyMs;
    return {
      cpuCores,
      busiestThread: busyShare,
      loopDelayP99Ms,
      ...(sendDelayMs !== undefined && { sendDelayP99Ms: sendDelayMs.p99 }),
      bottlenecks: bottlenecksOf({
        threads: this.#count,
        machineCores: availableParallelism(),
        busyShare,
        cpuShare: busiest?.cpuShare ?? 0,
        loopDelayP99Ms,
        ...(sendDelayMs !== undefined && { sendDelayMs }),
        ...(latencyMs !== undefined && { latencyMs }),
        errors,
        sessions: this.#sessions,
        waitedForSessions: this.#reports.reduce((sum, { waitedForSessions }) => sum + waitedForSessions, 0),
        waitedForTokens: this.#reports.reduce((sum, { waitedForTokens }) => sum + waitedForTokens, 0),
      }),
    };
  }
}

function mostCompleted(operations: readonly OperationResult[]): OperationResult | undefined {
  return [...operations].sort((a, b) => b.completed - a.completed)[0];
}
