/**
 * How long a thread has owed an answer while this process was awake to hear it. One that stood still (stopped, or moved with its
 * virtual machine) wakes with its timers first and the answers after them: no thread is at fault for that time, so a look counts
 * only as much as lies between two looks of a process that runs.
 */

/** Looks come every second at least. */
const MAX_STEP_MS = 2_000;

export class Silence {
  #lastLookMs: number | undefined;
  #silentMs = 0;

  /** `owedSinceMs`: when the answer that is waited for was asked for; `undefined` where none is. */
  look(owedSinceMs: number | undefined, nowMs: number): number {
    const stepMs = Math.min(MAX_STEP_MS, nowMs - (this.#lastLookMs ?? nowMs));
    this.#lastLookMs = nowMs;
    this.#silentMs = owedSinceMs === undefined ? 0 : Math.min(nowMs - owedSinceMs, this.#silentMs + stepMs);
    return this.#silentMs;
  }
}
