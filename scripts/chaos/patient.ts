/**
 * A client of a chaos run that does one thing again and again, and tries again after a pause when it fails. What it may fail
 * with while a gateway suffers is a LewesError; a mistake of the library or of the protocol is a violation.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { LewesError, type LewesErrorCode } from '../../src/client/index.ts';
import { ClientRecord, type Violations } from './invariants.ts';

/** Doubles up to the last one: in 20 s that is at most 28 attempts. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 800;
/** No fault of a network or a gateway explains these. */
const MISTAKES: ReadonlySet<LewesErrorCode> = new Set(['internal', 'malformed_answer', 'invalid_option', 'version']);

export interface PatientParts {
  readonly violations: Violations;
  readonly stop: AbortSignal;
}

export abstract class Patient {
  readonly record: ClientRecord;
  protected readonly parts: PatientParts;

  constructor(name: string, parts: PatientParts) {
    this.record = new ClientRecord(name);
    this.parts = parts;
  }

  /** Until it is stopped; then everything of it is closed. */
  async run(): Promise<void> {
    const { stop } = this.parts;
    let pauseMs = FIRST_PAUSE_MS;
    while (!stop.aborted) {
      const began = performance.now();
      try {
        await this.act();
        this.record.succeeded(began, performance.now());
        pauseMs = FIRST_PAUSE_MS;
        await this.#rest(this.paceMs);
      } catch (error) {
        if (!stop.aborted) this.#failed(error, began);
        await this.#rest(pauseMs);
        pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS);
      }
    }
    await this.close();
  }

  /** Between two acts that worked. */
  protected abstract readonly paceMs: number;
  protected abstract act(): Promise<void>;
  protected abstract close(): Promise<void>;

  /** Whether what looks like a mistake may come of a fault that struck since the act began. */
  protected excuses(_error: LewesError, _beganMs: number): boolean {
    return false;
  }

  #failed(error: unknown, beganMs: number): void {
    if (!(error instanceof LewesError)) {
      this.parts.violations.tell(`${this.record.name}: ${error instanceof Error ? error.stack : String(error)}`);
      return;
    }
    const told = `${error.code}/${error.reason} during ${error.step}: ${error.message}`;
    this.record.failed(performance.now(), told);
    if (MISTAKES.has(error.code) && !this.excuses(error, beganMs))
      this.parts.violations.tell(`${this.record.name}: ${told}`);
  }

  async #rest(ms: number): Promise<void> {
    await wait(ms, undefined, { signal: this.parts.stop }).catch(() => undefined);
  }
}
