/**
 * What must hold all the time, as functions of what was seen: recovery within the budget, the log, the tables, memory. A
 * violation is told once and with the faults before it.
 */
import { type FaultKind, kindOf } from './kinds.ts';

/** What a client may need after a fault has ended until something it began since then has worked. */
export interface RetryBudget {
  readonly attempts: number;
  readonly seconds: number;
}

const KEPT = 512;

/** One client's way through a fault. Times are those of one monotonic clock. */
export class ClientRecord {
  readonly name: string;
  #failures: number[] = [];
  /** In the order of their answers; many more than fit into a budget's time. */
  #successes: { readonly beganMs: number; readonly answeredMs: number }[] = [];
  #lastError = 'none';
  #disturbedMs = Number.NEGATIVE_INFINITY;

  constructor(name: string) {
    this.name = name;
  }

  get lastError(): string {
    return this.#lastError;
  }

  succeeded(beganMs: number, nowMs: number): void {
    this.#successes.push({ beganMs, answeredMs: nowMs });
    if (this.#successes.length > 2 * KEPT) this.#successes = this.#successes.slice(-KEPT);
  }

  failed(nowMs: number, error: string): void {
    this.#failures.push(nowMs);
    if (this.#failures.length > 2 * KEPT) this.#failures = this.#failures.slice(-KEPT);
    this.#lastError = error;
    this.#disturbedMs = nowMs;
  }

  /** Something was lost and made good, without the caller's doing. */
  disturbed(nowMs: number): void {
    this.#disturbedMs = nowMs;
  }

  wasDisturbedSince(ms: number): boolean {
    return this.#disturbedMs >= ms;
  }

  /** Milliseconds from the end of the fault to the first answer to what began after it; `undefined` so far. */
  recoveredAfter(endedMs: number): number | undefined {
    const first = this.#successes.find(({ beganMs }) => beganMs >= endedMs);
    return first && first.answeredMs - endedMs;
  }

  attemptsSince(endedMs: number): number {
    return this.#failures.filter((ms) => ms >= endedMs).length;
  }
}

/** Why this client is beyond its budget, if it is. */
export function overBudget(
  client: ClientRecord,
  endedMs: number,
  nowMs: number,
  { attempts, seconds }: RetryBudget,
): string | undefined {
  const failed = client.attemptsSince(endedMs);
  const ms = client.recoveredAfter(endedMs) ?? nowMs - endedMs;
  if (failed <= attempts && ms <= seconds * 1_000) return undefined;
  const passed = `${failed} attempts in ${(ms / 1_000).toFixed(1)} s`;
  return `${client.name} has not recovered: ${passed}, last error: ${client.lastError}`;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** `excused`: the faults that are under way, or just over. */
export function isExpected({ level, msg }: LogLine, excused: readonly FaultKind[]): boolean {
  if (level !== 'error' && level !== 'fatal') return true;
  return level === 'error' && excused.some((fault) => kindOf(fault).excuses.some((pattern) => pattern.test(msg)));
}

/** The same for what a process says besides its log. */
export function isExpectedToSay(text: string, excused: readonly FaultKind[]): boolean {
  return text === '' || excused.some((fault) => kindOf(fault).says?.test(text) === true);
}

/** Names of what is not empty, with what is in it. */
export function notEmpty(tables: Readonly<Record<string, number>>): readonly string[] {
  return Object.entries(tables).flatMap(([name, count]) => (count === 0 ? [] : [`${name}: ${count}`]));
}

/**
 * Memory of a process: what it has at first, and a share on top for threads that are made anew, garbage and fragmentation. A
 * process that leaks under faults passes it within minutes.
 */
export class MemoryBound {
  readonly #factor: number;
  readonly #marginBytes: number;
  #baseBytes: number | undefined;
  #maxBytes = 0;
  #lastBytes = 0;

  constructor(factor: number, marginBytes: number) {
    this.#factor = factor;
    this.#marginBytes = marginBytes;
  }

  get lastBytes(): number {
    return this.#lastBytes;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  get boundBytes(): number {
    return this.#baseBytes === undefined
      ? Number.POSITIVE_INFINITY
      : this.#baseBytes * this.#factor + this.#marginBytes;
  }

  /** Once it is warm. */
  setBase(bytes: number): void {
    this.#baseBytes = bytes;
  }

  /** Whether it is within bounds. */
  note(bytes: number): boolean {
    this.#lastBytes = bytes;
    this.#maxBytes = Math.max(this.#maxBytes, bytes);
    return bytes <= this.boundBytes;
  }
}

/** The first that was told, and what came before it. */
export class Violations {
  readonly #history: string[] = [];
  #first: string | undefined;
  readonly #found = Promise.withResolvers<string>();

  /** Of what has happened so far, in order; the last few are kept. */
  event(text: string): void {
    this.#history.push(text);
    if (this.#history.length > 12) this.#history.shift();
  }

  tell(violation: string): void {
    if (this.#first !== undefined) return;
    this.#first = violation;
    this.#found.resolve(violation);
  }

  get first(): string | undefined {
    return this.#first;
  }

  get history(): readonly string[] {
    return this.#history;
  }

  /** Resolves when there is one. */
  get found(): Promise<string> {
    return this.#found.promise;
  }
}
