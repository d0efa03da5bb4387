/**
 * The steps of a probe or a local network: what was done at which gateway, in how many milliseconds, or why it failed.
 * One entry per gateway and step: a step that was repeated adds its milliseconds. The entries are a schema that scripts
 * read, so fields are only ever added.
 */
import { type Hop, LewesError, type Step } from '../client/index.ts';
import { formatMs, type Progress } from './output.ts';

export type StepName = Step | 'echo' | 'token' | 'release' | 'start' | 'reload' | 'stop';

export interface StepError {
  readonly code: string;
  /** A finer word than `code`; the same where there is none. */
  readonly reason: string;
  /** What is wrong and what to do, without the hop, as a phrase. */
  readonly message: string;
}

export interface StepResult {
  readonly hop: Hop;
  readonly step: StepName;
  readonly ok: boolean;
  readonly ms: number;
  readonly error?: StepError;
}

/** A step that failed without an exception of the client: its answer says so. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure';
  readonly fields: StepError;

  constructor(fields: StepError) {
    super(fields.message);
    this.fields = fields;
  }
}

export class StepLog {
  readonly #progress: Progress;
  readonly #steps: StepResult[] = [];
  readonly #nowMs: () => number;
  readonly #startMs: number;

  constructor(progress: Progress, nowMs: () => number = () => performance.now()) {
    this.#progress = progress;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  get steps(): readonly StepResult[] {
    return this.#steps;
  }

  get ok(): boolean {
    return this.#steps.every(({ ok }) => ok);
  }

  get totalMs(): number {
    return rounded(this.#nowMs() - this.#startMs);
  }

  get nowMs(): number {
    return this.#nowMs();
  }

  done(hop: Hop, step: StepName, ms: number): void {
    this.#add({ hop, step, ok: true, ms });
  }

  failed(hop: Hop, step: StepName, ms: number, error: StepError): void {
    this.#add({ hop, step, ok: false, ms, error });
  }

  /** Runs and notes one step. Throws what `work` throws, with the failure noted. */
  async run<T>(hop: Hop, step: StepName, work: () => Promise<T>): Promise<T> {
    const startMs = this.#nowMs();
    try {
      const result = await work();
      this.done(hop, step, this.#nowMs() - startMs);
      return result;
    } catch (error) {
      this.failed(hop, step, this.#nowMs() - startMs, stepError(error));
      throw error;
    }
  }

  #add(result: StepResult): void {
    const { hop, step, error } = result;
    this.#progress.note(
      `  ${label(hop).padEnd(5)}  ${step.padEnd(12)} ${formatMs(result.ms)}${error ? `  failed: ${error.message}` : ''}`,
    );
    const at = this.#steps.findIndex((other) => other.hop === hop && other.step === step);
    const before = this.#steps[at];
    if (before === undefined) this.#steps.push({ ...result, ms: rounded(result.ms) });
    else this.#steps[at] = { ...result, ms: rounded(before.ms + result.ms) };
  }
}

/** What is worth telling of a failed step; mistakes of ours are thrown on. */
export function stepError(error: unknown): StepError {
  if (error instanceof StepFailure) return error.fields;
  if (error instanceof LewesError) {
    // The hop stands beside it already.
    const message = error.message.replace(/^(?:entry|exit) gateway: /, '');
    return { code: error.code, reason: error.reason, message };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return { code: error.code, reason: error.code, message: error.message };
  }
  throw error;
}

/** The steps as aligned lines. */
export function stepTable(steps: readonly StepResult[]): string {
  const rows = steps.map(({ hop, step, ms, error }) => {
    const result = error === undefined ? 'ok' : `failed (${error.reason})`;
    return `${label(hop).padEnd(7)} ${step.padEnd(12)} ${formatMs(ms)}  ${result}`;
  });
  return [`${'hop'.padEnd(7)} ${'step'.padEnd(12)} ${'time'.padStart(11)}  result`, ...rows].join('\n');
}

/** One line for every step that failed: what, and what to do. */
export function failureLines(steps: readonly StepResult[]): readonly string[] {
  return steps.flatMap(({ hop, step, error }) => {
    if (error === undefined) return [];
    return [`lewes: ${hop === 'direct' ? '' : `${hop}: `}${step} failed: ${error.message}.`];
  });
}

function label(hop: Hop): string {
  return hop === 'direct' ? '-' : hop;
}

/** Microseconds are enough. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
