/**
 * From what the threads counted to one result: seconds as soon as every thread has told of them, totals at the end. Pure.
 * Invariant: a second is given out once, in order, and holds every thread's part.
 */
import { ErrorCounts } from './error-counts.ts';
import { Latencies } from './latencies.ts';
import type { FromThread, ThreadReport } from './messages.ts';
import { OPERATIONS, phaseOf, type Spans } from './plan.ts';
import type { RegistrationCounts } from './registrations.ts';
import type { ErrorCount, LoadInterval, OperationName, OperationResult } from './result.ts';

type SecondMessage = Extract<FromThread, { readonly kind: 'second' }>;

/** `generatorCores` is measured by whoever merges. */
export type MergedSecond = Omit<LoadInterval, 'generatorCores'>;

export class SecondMerger {
  readonly #threads: number;
  readonly #spans: Spans;
  readonly #open: boolean;
  readonly #gathered = new Map<number, SecondMessage[]>();

  constructor(threads: number, spans: Spans, openLoop: boolean) {
    this.#threads = threads;
    this.#spans = spans;
    this.#open = openLoop;
  }

  /** The second, when this was the last part of it. */
  add(message: SecondMessage): MergedSecond | undefined {
    const { second } = message.counts;
    const parts = this.#gathered.get(second) ?? [];
    parts.push(message);
    this.#gathered.set(second, parts);
    if (parts.length < this.#threads) return undefined;
    this.#gathered.delete(second);
    return this.#merge(second, parts);
  }

  #merge(second: number, parts: readonly SecondMessage[]): MergedSecond {
    const sum = (read: (part: SecondMessage) => number) => parts.reduce((total, part) => total + read(part), 0);
    return {
      second,
      phase: phaseOf(second, this.#spans),
      ...(this.#open && { offered: sum(({ counts }) => counts.offered) }),
      operations: OPERATIONS.flatMap((name) => mergeSecond(name, parts)),
      connections: sum(({ connections }) => connections),
      sessions: sum(({ sessions }) => sessions),
    };
  }
}

function mergeSecond(name: OperationName, parts: readonly SecondMessage[]): LoadInterval['operations'] {
  const own = parts.flatMap(({ counts }) => counts.operations.filter((operation) => operation.name === name));
  if (own.length === 0) return [];
  const latencies = Latencies.empty();
  for (const { latencies: text } of own) if (text !== undefined) latencies.add(Latencies.decode(text));
  return [
    {
      name,
      completed: own.reduce((sum, { completed }) => sum + completed, 0),
      failed: own.reduce((sum, { failed }) => sum + failed, 0),
      p50: latencies.ms(0.5),
      p99: latencies.ms(0.99),
      max: latencies.maxMs,
    },
  ];
}

export interface Totals {
  readonly operations: readonly OperationResult[];
  readonly measuredSeconds: number;
  /** Of all operations. */
  readonly errors: readonly ErrorCount[];
  readonly sendDelayMs: { readonly p50: number; readonly p99: number } | undefined;
  /** Of all threads' registrations; undefined where the plan has none. */
  readonly registrations: RegistrationCounts | undefined;
}

export function mergeReports(reports: readonly ThreadReport[]): Totals {
  const measuredSeconds = Math.max(0, ...reports.map(({ measuredMs }) => measuredMs)) / 1_000;
  const operations = OPERATIONS.flatMap((name) => mergeOperation(name, reports, measuredSeconds));
  const errors = new ErrorCounts();
  for (const operation of operations) errors.merge(operation.errors);
  const delays = Latencies.empty();
  for (const { counts } of reports)
    if (counts.sendDelays !== undefined) delays.add(Latencies.decode(counts.sendDelays));
  return {
    operations,
    measuredSeconds,
    errors: errors.list(),
    sendDelayMs: delays.count === 0 ? undefined : { p50: delays.ms(0.5), p99: delays.ms(0.99) },
    registrations: mergeRegistrations(reports),
  };
}

function mergeOperation(
  name: OperationName,
  reports: readonly ThreadReport[],
  measuredSeconds: number,
): readonly OperationResult[] {
  const own = reports.flatMap(({ counts }) => counts.operations.filter((operation) => operation.name === name));
  if (own.length === 0) return [];
  const latencies = Latencies.empty();
  const errors = new ErrorCounts();
  for (const part of own) {
    if (part.latencies !== undefined) latencies.add(Latencies.decode(part.latencies));
    errors.merge(part.errors);
  }
  const sum = (read: (part: (typeof own)[number]) => number) => own.reduce((total, part) => total + read(part), 0);
  const latencyMs = latencies.summary();
  return [
    {
      name,
      started: sum(({ started }) => started),
      completed: sum(({ completed }) => completed),
      failed: sum(({ failed }) => failed),
      completedPerSecond: measuredSeconds > 0 ? sum(({ completedInTime }) => completedInTime) / measuredSeconds : 0,
      ...(latencyMs !== undefined && { latencyMs }),
      errors: errors.list(),
      quantiles: latencies.distribution(),
    },
  ];
}

function mergeRegistrations(reports: readonly ThreadReport[]): RegistrationCounts | undefined {
  const all = reports.flatMap(({ registrations }) => (registrations === undefined ? [] : [registrations]));
  if (all.length === 0) return undefined;
  const sum = (read: (counts: RegistrationCounts) => number) => all.reduce((total, counts) => total + read(counts), 0);
  return { made: sum(({ made }) => made), released: sum(({ released }) => released), left: sum(({ left }) => left) };
}
