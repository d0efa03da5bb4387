/**
 * Begins what a schedule says when it is due. Timers of the event loop are exact to about a millisecond, which is as long as a
 * handshake takes; so the last stretch before an operation is waited for in turns of the loop, as long as that takes no more
 * than SPIN_SHARE of the thread's time. Invariant: nothing begins before its time; a backlog is worked off in order, a few
 * per turn, so that answers are read in between.
 */
import type { Schedule } from './schedule.ts';

/** Beginning a handshake takes 0.2 ms: answers wait 3 ms at most. */
const STARTS_PER_TURN = 16;
/** Within reach of a timer that fires late. */
const SPIN_WITHIN_MS = 1.5;
const SPIN_SHARE = 0.15;
const SPIN_START_MS = 20;

export interface PaceHooks {
  /** Milliseconds since the start of the run. */
  nowMs(): number;
  /** Begins the operation that is due at this time. */
  begin(intendedMs: number): void;
  /** It was due, and the end came before it was begun. */
  missed(intendedMs: number): void;
}

/** How the loop is asked to come back; replaced in tests. */
export interface Turns {
  after(ms: number, action: () => void): () => void;
  soon(action: () => void): () => void;
}

const loopTurns: Turns = {
  after(ms, action) {
    const handle = setTimeout(action, ms);
    return () => clearTimeout(handle);
  },
  soon(action) {
    const handle = setImmediate(action);
    return () => clearImmediate(handle);
  },
};

export class Pace {
  readonly #schedule: Schedule;
  readonly #hooks: PaceHooks;
  readonly #turns: Turns;
  #cancel: (() => void) | undefined;
  #spunMs = 0;
  #over = false;

  constructor(schedule: Schedule, hooks: PaceHooks, turns: Turns = loopTurns) {
    this.#schedule = schedule;
    this.#hooks = hooks;
    this.#turns = turns;
  }

  /** Begins what is due. To be called at the start, and whenever it is convenient. */
  pump(): void {
    if (this.#over) return;
    const { nowMs, begin } = this.#hooks;
    const now = nowMs();
    for (let begun = 0; begun < STARTS_PER_TURN && this.#schedule.nextMs <= now; begun++) {
      const intendedMs = this.#schedule.nextMs;
      this.#schedule.advance();
      begin(intendedMs);
    }
    if (this.#cancel === undefined) this.#arm(now);
  }

  stop(): void {
    if (this.#over) return;
    this.#over = true;
    const { nowMs, missed } = this.#hooks;
    for (const now = nowMs(); this.#schedule.nextMs <= now; this.#schedule.advance()) missed(this.#schedule.nextMs);
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(nowMs: number): void {
    const waitMs = this.#schedule.nextMs - nowMs;
    if (waitMs === Number.POSITIVE_INFINITY) return;
    const spins = waitMs > 0 && waitMs <= SPIN_WITHIN_MS;
    if (waitMs <= 0 || (spins && this.#spunMs < SPIN_START_MS + SPIN_SHARE * nowMs)) {
      this.#cancel = this.#turns.soon(() => {
        if (spins) this.#spunMs += Math.max(0, this.#hooks.nowMs() - nowMs);
        this.#turn();
      });
    } else {
      const ms = waitMs > SPIN_WITHIN_MS ? Math.floor(waitMs - 1) : 1;
      this.#cancel = this.#turns.after(ms, () => this.#turn());
    }
  }

  #turn(): void {
    this.#cancel = undefined;
    this.pump();
  }
}
