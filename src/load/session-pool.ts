/**
 * The sessions that a load keeps with one gateway: opened before the run, opened again when they are lost, closed at the
 * end. Invariants: an operation that asks gets a session or a failure, at its deadline at the latest, in the order of asking
 * among those that wait; who has a session for himself has it alone among his kind.
 */
import type { Now } from '../lp/time.ts';
import { type Failure, failure, timedOut } from './failure.ts';
import type { LiveSession } from './live-session.ts';
import { openSession } from './opening.ts';
import type { Operation } from './operation.ts';
import type { Peer, Timed, World } from './world.ts';

/** Opened side by side before the run; more would time out where a gateway is slow. */
const OPENING_AT_ONCE = 32;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;
/** How often what waits is looked at: for its deadline, and for sessions to open. */
const WAITING_LOOK_MS = 250;
const NEVER = Number.POSITIVE_INFINITY;

/** A session that nobody else uses in the same way until it is given back. */
export interface Loan {
  readonly session: LiveSession;
  /** `restMs`: so long nobody else is to have it for himself. */
  release(restMs?: number): void;
}

interface Slot {
  session: LiveSession | undefined;
  opening: boolean;
  /** Monotonic; not opened before. */
  notBeforeMs: number;
  pauseMs: number;
  lent: boolean;
  /** Monotonic; not lent before. */
  restsUntilMs: number;
}

interface Waiter {
  readonly operation: Operation;
  /** The one that it waits for; undefined: any. */
  readonly slot: Slot | undefined;
  readonly exclusive: boolean;
  readonly give: (loan: Loan) => void;
}

export interface SessionPoolHooks {
  /** Counts an opening during the run. */
  opening(): Operation | undefined;
  /** An opening before the run came to nothing. */
  failedBefore(failure: Failure): void;
}

export class SessionPool implements Timed {
  dueMs = NEVER;
  readonly #world: World;
  readonly #peer: Peer;
  readonly #hooks: SessionPoolHooks;
  readonly #slots: Slot[];
  /** How often somebody had to wait because all sessions were taken. */
  waited = 0;
  #waiting: Waiter[] = [];
  #next = 0;
  #preparing = true;
  #closed = false;

  constructor(world: World, peer: Peer, size: number, hooks: SessionPoolHooks) {
    this.#world = world;
    this.#peer = peer;
    this.#hooks = hooks;
    this.#slots = Array.from({ length: size }, () => ({
      session: undefined,
      opening: false,
      notBeforeMs: 0,
      pauseMs: FIRST_PAUSE_MS,
      lent: false,
      restsUntilMs: 0,
    }));
  }

  get size(): number {
    return this.#slots.length;
  }

  get open(): number {
    return this.#slots.reduce((sum, { session }) => sum + (session === undefined ? 0 : 1), 0);
  }

  /**
   * Opens all, the first one alone, so that the others have the KEM key. A Busy is waited for until `untilMs`; what fails
   * otherwise is left for the run.
   */
  async prepare(untilMs: number, signal: AbortSignal): Promise<void> {
    let next = 0;
    const worker = async () => {
      for (let slot = this.#slots[next++]; slot !== undefined; slot = this.#slots[next++]) {
        await this.#prepareSlot(slot, untilMs, signal);
      }
    };
    const [first] = this.#slots;
    next = 1;
    if (first !== undefined) await this.#prepareSlot(first, untilMs, signal);
    await Promise.all(Array.from({ length: OPENING_AT_ONCE }, worker));
    this.#preparing = false;
  }

  /** `index`: a client's own session; undefined: whichever comes next. `exclusive`: no other exclusive use meanwhile. */
  acquire(index: number | undefined, exclusive: boolean, operation: Operation, give: (loan: Loan) => void): void {
    const own = index === undefined ? undefined : this.#slots[index % this.#slots.length];
    const waiter = { operation, slot: own, exclusive, give };
    const slot = own ?? this.#pick(exclusive);
    if (slot?.session !== undefined && !(exclusive && this.#taken(slot))) {
      this.#lend(slot, slot.session, waiter);
      return;
    }
    if (own !== undefined) this.#reopen(own);
    if (exclusive && this.open > 0) this.waited++;
    this.#waiting.push(waiter);
    this.#wakeAt(operation.deadlineMs);
  }

  /** Whether a client's own session can be had at once, by him alone. */
  isFree(index: number): boolean {
    const slot = this.#slots[index % this.#slots.length];
    this.#reopen(slot);
    return slot?.session !== undefined && !this.#taken(slot);
  }

  /** From now on the sessions become free for exclusive use one after the other, evenly over this time. */
  stagger(overMs: number): void {
    const nowMs = this.#world.now().monotonicMs;
    for (const [at, slot] of this.#slots.entries()) slot.restsUntilMs = nowMs + (overMs * at) / this.#slots.length;
  }

  due(now: Now): void {
    const nowMs = now.monotonicMs;
    const expired = this.#waiting.filter(({ operation }) => operation.deadlineMs <= nowMs);
    if (expired.length > 0) this.#waiting = this.#waiting.filter(({ operation }) => operation.deadlineMs > nowMs);
    for (const slot of this.#slots) {
      this.#reopen(slot);
      this.#serve(slot);
    }
    if (this.#waiting.length === 0) this.#world.due.delete(this);
    this.dueMs = nowMs + WAITING_LOOK_MS;
    for (const { operation } of expired) operation.fail(timedOut('no session was free', this.#world.timeoutMs));
  }

  /** Tells the gateway of the end of all. */
  close(): void {
    this.#closed = true;
    for (const slot of this.#slots) {
      slot.session?.close();
      slot.session = undefined;
    }
    for (const { operation } of this.#waiting.splice(0)) operation.fail(failure('CLOSED', 'the run is over'));
    this.#world.due.delete(this);
  }

  /** The next session in turn that may be lent; slots without one are opened on the way. */
  #pick(exclusive: boolean): Slot | undefined {
    const { length } = this.#slots;
    for (let tried = 0; tried < length; tried++) {
      this.#next = (this.#next + 1) % length;
      const slot = this.#slots[this.#next];
      if (slot?.session === undefined) this.#reopen(slot);
      else if (!(exclusive && this.#taken(slot))) return slot;
    }
    return undefined;
  }

  #lend(slot: Slot, session: LiveSession, { exclusive, give }: Waiter): void {
    if (!exclusive) {
      give({ session, release: () => {} });
      return;
    }
    slot.lent = true;
    let back = false;
    give({
      session,
      release: (restMs = 0) => {
        if (back) return;
        back = true;
        slot.lent = false;
        slot.restsUntilMs = this.#world.now().monotonicMs + restMs;
        this.#serve(slot);
      },
    });
  }

  #taken({ lent, restsUntilMs }: Slot): boolean {
    return lent || this.#world.now().monotonicMs < restsUntilMs;
  }

  /** Whoever waits gets what has become free. */
  #serve(slot: Slot): void {
    const waiting = this.#waiting;
    if (waiting.length === 0 || slot.session === undefined) return;
    const stay: Waiter[] = [];
    this.#waiting = [];
    for (const waiter of waiting) {
      const fits = waiter.slot === undefined || waiter.slot === slot;
      if (slot.session === undefined || !fits || (waiter.exclusive && this.#taken(slot))) stay.push(waiter);
      else this.#lend(slot, slot.session, waiter);
    }
    // What began to wait meanwhile comes behind.
    this.#waiting = [...stay, ...this.#waiting];
  }

  async #prepareSlot(slot: Slot, untilMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#closed) {
      const reason = await this.#openOnce(slot);
      if (reason === undefined) return;
      const pauseMs = (reason.retryAfterS ?? 0) * 1_000;
      if (pauseMs === 0 || this.#world.now().monotonicMs + pauseMs > untilMs) return this.#hooks.failedBefore(reason);
      await pause(this.#world, pauseMs, signal);
    }
  }

  #openOnce(slot: Slot): Promise<Failure | undefined> {
    return new Promise((resolve) => this.#open(slot, undefined, resolve));
  }

  /** In the run: unless it is being done, or it is too early. */
  #reopen(slot: Slot | undefined): void {
    if (slot === undefined || this.#preparing || this.#closed || slot.opening || slot.session !== undefined) return;
    if (this.#world.now().monotonicMs < slot.notBeforeMs) return;
    this.#open(slot, this.#hooks.opening(), () => {});
  }

  #open(slot: Slot, operation: Operation | undefined, told: (failure: Failure | undefined) => void): void {
    slot.opening = true;
    const nowMs = this.#world.now().monotonicMs;
    openSession(this.#world, {
      peer: this.#peer,
      deadlineMs: nowMs + this.#world.timeoutMs,
      opened: (session) => {
        slot.opening = false;
        slot.pauseMs = FIRST_PAUSE_MS;
        operation?.done();
        if (this.#closed) {
          session.close();
          return told(undefined);
        }
        slot.session = session;
        slot.lent = false;
        slot.restsUntilMs = 0;
        session.onLost = () => {
          slot.session = undefined;
        };
        told(undefined);
        this.#serve(slot);
      },
      failed: (reason) => {
        slot.opening = false;
        const pauseMs = reason.retryAfterS === undefined ? slot.pauseMs : reason.retryAfterS * 1_000;
        slot.notBeforeMs = this.#world.now().monotonicMs + pauseMs;
        slot.pauseMs = Math.min(MAX_PAUSE_MS, 2 * slot.pauseMs);
        operation?.fail(reason);
        told(reason);
      },
    });
  }

  #wakeAt(ms: number): void {
    this.dueMs = Math.min(this.dueMs, ms, this.#world.now().monotonicMs + WAITING_LOOK_MS);
    this.#world.due.add(this);
  }
}

/** Resolves after the time or when the signal aborts. */
export function pause(world: World, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const item: Timed = { dueMs: world.now().monotonicMs + ms, due: () => finish() };
    const finish = () => {
      world.due.delete(item);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    world.due.add(item);
    signal.addEventListener('abort', finish, { once: true });
  });
}
