/**
 * What one thread counts: each second on its own, and the measured time as a whole. Pure: times are arguments. Invariant:
 * a second is told once and in order, also one in which nothing happened; an operation belongs to the measured time by its
 * intended time, a completion per second by when it came.
 */
import { ErrorCounts } from './error-counts.ts';
import type { Failure } from './failure.ts';
import { Latencies } from './latencies.ts';
import type { Spans } from './plan.ts';
import type { ErrorCount, OperationName } from './result.ts';

export interface SecondOfOperation {
  readonly name: OperationName;
  readonly completed: number;
  readonly failed: number;
  /** Encoded Latencies; absent when nothing was completed. */
  readonly latencies?: string;
}

export interface SecondCounts {
  readonly second: number;
  readonly offered: number;
  readonly operations: readonly SecondOfOperation[];
}

export interface MeasuredOperation {
  readonly name: OperationName;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  /** Completed before the end of the measured time, whenever begun. */
  readonly completedInTime: number;
  readonly errors: readonly ErrorCount[];
  readonly latencies?: string;
}

export interface MeasuredCounts {
  readonly operations: readonly MeasuredOperation[];
  /** Encoded Latencies: how late operations were begun. Absent when none was. */
  readonly sendDelays?: string;
}

class OperationCounts {
  started = 0;
  completed = 0;
  failed = 0;
  completedInTime = 0;
  readonly errors = new ErrorCounts();
  readonly latencies = Latencies.empty();
  secondCompleted = 0;
  secondFailed = 0;
  readonly secondLatencies = Latencies.empty();
}

export class Recorder {
  readonly #spans: Spans;
  readonly #told: (counts: SecondCounts) => void;
  readonly #operations = new Map<OperationName, OperationCounts>();
  readonly #sendDelays = Latencies.empty();
  #second = 0;
  #offered = 0;
  /** Moves to an earlier time when the run is ended before its time. */
  #endMs: number;

  constructor(spans: Spans, told: (counts: SecondCounts) => void) {
    this.#spans = spans;
    this.#endMs = spans.endMs;
    this.#told = told;
  }

  get endMs(): number {
    return this.#endMs;
  }

  /** All times are milliseconds since the start of the run. */
  started(name: OperationName, intendedMs: number, nowMs: number, late: boolean): void {
    this.advance(nowMs);
    if (!this.#measured(intendedMs)) return;
    this.#of(name).started++;
    if (late) this.#sendDelays.record(nowMs - intendedMs);
  }

  /** The plan asks for an operation in this second. */
  offered(): void {
    this.#offered++;
  }

  completed(name: OperationName, intendedMs: number, nowMs: number): void {
    this.advance(nowMs);
    const counts = this.#of(name);
    const ms = nowMs - intendedMs;
    counts.secondCompleted++;
    counts.secondLatencies.record(ms);
    if (this.#measured(nowMs)) counts.completedInTime++;
    if (!this.#measured(intendedMs)) return;
    counts.completed++;
    counts.latencies.record(ms);
  }

  failed(name: OperationName, intendedMs: number, nowMs: number, failure: Failure): void {
    this.advance(nowMs);
    const counts = this.#of(name);
    counts.secondFailed++;
    if (!this.#measured(intendedMs)) return;
    counts.failed++;
    counts.errors.add(failure);
  }

  /** What had to be there before the run and is not; it shows among the errors whenever it happened. */
  failedBefore(name: OperationName, failure: Failure): void {
    const counts = this.#of(name);
    counts.started++;
    counts.failed++;
    counts.errors.add(failure);
  }

  /** Tells of the seconds that are over. */
  advance(nowMs: number): void {
    while (nowMs >= (this.#second + 1) * 1_000 && this.#second * 1_000 < this.#endMs) this.#tell();
  }

  /** The measured time is over, at its end or before; a second that has begun is told as it is. */
  end(nowMs: number): void {
    this.#endMs = Math.min(this.#endMs, nowMs);
    this.advance(nowMs);
    if (this.#second * 1_000 < this.#endMs) this.#tell();
  }

  result(): MeasuredCounts {
    const operations = [...this.#operations].map(([name, counts]) => ({
      name,
      started: counts.started,
      completed: counts.completed,
      failed: counts.failed,
      completedInTime: counts.completedInTime,
      errors: counts.errors.list(),
      ...(counts.latencies.count > 0 && { latencies: counts.latencies.encode() }),
    }));
    return { operations, ...(this.#sendDelays.count > 0 && { sendDelays: this.#sendDelays.encode() }) };
  }

  #measured(ms: number): boolean {
    return ms >= this.#spans.measuredFromMs && ms < this.#endMs;
  }

  #tell(): void {
    const operations: SecondOfOperation[] = [];
    for (const [name, counts] of this.#operations) {
      const { secondCompleted: completed, secondFailed: failed, secondLatencies } = counts;
      if (completed + failed === 0) continue;
      operations.push({ name, completed, failed, ...(completed > 0 && { latencies: secondLatencies.encode() }) });
      secondLatencies.reset();
      counts.secondCompleted = 0;
      counts.secondFailed = 0;
    }
    const counts = { second: this.#second, offered: this.#offered, operations };
    this.#second++;
    this.#offered = 0;
    this.#told(counts);
  }

  #of(name: OperationName): OperationCounts {
    let counts = this.#operations.get(name);
    if (counts === undefined) {
      counts = new OperationCounts();
      this.#operations.set(name, counts);
    }
    return counts;
  }
}
