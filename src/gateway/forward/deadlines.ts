/**
 * Deadlines of one kind, all equally far away when they are set: a list in the order of time, with one timer for its first
 * member. Invariant: who was deleted never expires. The timer stays when the list runs empty, so that members which come
 * and go quickly set none; `close` cancels it.
 */
import type { CancelTimer, Timers } from '../../system/timers.ts';

export interface Time {
  readonly timers: Timers;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** What may have a deadline, one at a time. The fields are the list's, which so needs no memory of its own. */
export abstract class Timed<Self extends Timed<Self>> {
  list: Deadlines<Self> | undefined;
  dueMs = 0;
  earlier: Self | undefined;
  later: Self | undefined;
}

export class Deadlines<T extends Timed<T>> {
  readonly #ms: number;
  readonly #time: Time;
  readonly #expired: (member: T) => void;
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;
  #cancelTimer: CancelTimer | undefined;

  /** `expired` is told of a member that is in no list any more. */
  constructor(ms: number, time: Time, expired: (member: T) => void) {
    this.#ms = ms;
    this.#time = time;
    this.#expired = expired;
  }

  get size(): number {
    return this.#size;
  }

  /** The one that is due first. */
  get first(): T | undefined {
    return this.#first;
  }

  add(member: T): void {
    member.list?.delete(member);
    member.list = this;
    member.dueMs = this.#time.nowMs() + this.#ms;
    member.earlier = this.#last;
    if (this.#last === undefined) this.#first = member;
    else this.#last.later = member;
    this.#last = member;
    this.#size++;
    if (this.#cancelTimer === undefined) this.#wait(this.#ms);
  }

  /** Nothing happens where the member is not in this list. */
  delete(member: T): void {
    if (member.list !== this) return;
    const { earlier, later } = member;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    member.list = undefined;
    member.earlier = undefined;
    member.later = undefined;
    this.#size--;
  }

  /** Nothing is to be added any more; what is there does not expire. */
  close(): void {
    this.#cancelTimer?.();
  }

  #wait(ms: number): void {
    this.#cancelTimer = this.#time.timers.after(ms, () => this.#sweep());
  }

  #sweep(): void {
    this.#cancelTimer = undefined;
    const nowMs = this.#time.nowMs();
    let first = this.#first;
    while (first !== undefined && first.dueMs <= nowMs) {
      this.delete(first);
      this.#expired(first);
      first = this.#first;
    }
    // Timers count whole milliseconds, and may be a fraction early.
    if (first !== undefined && this.#cancelTimer === undefined) this.#wait(Math.max(1, Math.ceil(first.dueMs - nowMs)));
  }
}
