/**
 * What begins operations: an open loop by its schedule, whatever becomes of them, or a closed loop of clients that each wait
 * for theirs. Invariant: `over` resolves once, at the end of the plan's time or after `stop`; nothing is begun after that.
 */
import { Pace } from './pace.ts';
import { type LoadPlan, type Mix, shareOf, spansOf, type ThreadShare } from './plan.ts';
import type { OperationName } from './result.ts';
import { createSchedule } from './schedule.ts';

/** A client that was refused does not ask again at once: a failing gateway would see nothing but one busy loop. */
const PAUSE_AFTER_FAILURE_MS = 100;
/** How soon a client looks again who can do nothing now. */
const NOT_READY_PAUSE_MS = 20;
/** Draws among the operations until one can be done. */
const DRAWS = 16;

export interface DriverHooks {
  /** Milliseconds since the start of the run. */
  nowMs(): number;
  /** Uniform in [0, 1). */
  random(): number;
  readonly names: readonly OperationName[];
  /** Whether a client of a closed loop can do this now. */
  isReady(name: OperationName, client: number): boolean;
  /** The plan asks for one more operation. */
  offered(): void;
  begin(
    name: OperationName,
    intendedMs: number,
    client: number | undefined,
    finished?: (failed: boolean) => void,
  ): void;
  /** It was due when the run ended, and had not been begun. */
  missed(name: OperationName, intendedMs: number): void;
}

export interface Driver {
  readonly over: Promise<void>;
  begin(): void;
  /** A convenient moment to look at what is due. */
  pump(): void;
  stop(): void;
}

export function createDriver(plan: LoadPlan, share: ThreadShare, hooks: DriverHooks): Driver {
  const pick = picker(plan.mix, hooks);
  return plan.facts.loop.kind === 'open'
    ? new OpenLoop(plan, share, hooks, pick)
    : new ClosedLoop(plan, share, hooks, pick);
}

/** Chooses operations by their weights. */
function picker(mix: Mix, { names, random }: DriverHooks): () => OperationName {
  const total = names.reduce((sum, name) => sum + (mix[name] ?? 0), 0);
  return () => {
    let at = random() * total;
    for (const name of names) {
      at -= mix[name] ?? 0;
      if (at < 0) return name;
    }
    const [first] = names;
    if (first === undefined) throw new Error('assertion: a plan has an operation');
    return first;
  };
}

/** A timer may fire a little early. */
const TIMER_EARLY_MS = 1;

class Ending {
  readonly #over = Promise.withResolvers<void>();
  readonly #timer: NodeJS.Timeout;
  readonly #act: () => void;
  #ended = false;

  constructor(afterMs: number, act: () => void) {
    this.#act = act;
    this.#timer = setTimeout(() => this.end(), afterMs + TIMER_EARLY_MS);
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#act();
    this.#over.resolve();
  }
}

class OpenLoop implements Driver {
  readonly #pace: Pace;
  readonly #ending: Ending;

  constructor(plan: LoadPlan, share: ThreadShare, hooks: DriverHooks, pick: () => OperationName) {
    const { loop } = plan.facts;
    if (loop.kind !== 'open') throw new Error('assertion: the loop is open');
    const { rampMs, endMs } = spansOf(plan.facts);
    const { arrivals, rate } = loop;
    const schedule = createSchedule({ arrivals, rate, rampMs, endMs, share, random: hooks.random });
    this.#pace = new Pace(schedule, {
      nowMs: hooks.nowMs,
      begin: (intendedMs) => {
        hooks.offered();
        hooks.begin(pick(), intendedMs, undefined);
      },
      missed: (intendedMs) => {
        hooks.offered();
        hooks.missed(pick(), intendedMs);
      },
    });
    this.#ending = new Ending(endMs, () => this.#pace.stop());
  }

  get over(): Promise<void> {
    return this.#ending.over;
  }

  begin(): void {
    this.#pace.pump();
  }

  pump(): void {
    this.#pace.pump();
  }

  stop(): void {
    this.#ending.end();
  }
}

class ClosedLoop implements Driver {
  readonly #hooks: DriverHooks;
  readonly #pick: () => OperationName;
  readonly #ending: Ending;
  readonly #clients: number;
  readonly #thinkMs: number;
  readonly #spacingMs: number;
  readonly #timers = new Set<NodeJS.Timeout | NodeJS.Immediate>();
  #stopped = false;

  constructor(plan: LoadPlan, share: ThreadShare, hooks: DriverHooks, pick: () => OperationName) {
    const { loop } = plan.facts;
    if (loop.kind !== 'closed') throw new Error('assertion: the loop is closed');
    const { rampMs, endMs } = spansOf(plan.facts);
    this.#hooks = hooks;
    this.#pick = pick;
    this.#clients = shareOf(loop.clients, share);
    this.#thinkMs = loop.thinkMs;
    this.#spacingMs = this.#clients === 0 ? 0 : rampMs / this.#clients;
    this.#ending = new Ending(endMs, () => this.#clear());
  }

  get over(): Promise<void> {
    return this.#ending.over;
  }

  begin(): void {
    for (let client = 0; client < this.#clients; client++) this.#later(client, client * this.#spacingMs);
  }

  pump(): void {}

  stop(): void {
    this.#ending.end();
  }

  #clear(): void {
    this.#stopped = true;
    for (const timer of this.#timers) {
      clearTimeout(timer as NodeJS.Timeout);
      clearImmediate(timer as NodeJS.Immediate);
    }
    this.#timers.clear();
  }

  #later(client: number, ms: number): void {
    if (this.#stopped) return;
    const act = () => {
      this.#timers.delete(timer);
      this.#next(client);
    };
    const timer: NodeJS.Timeout | NodeJS.Immediate = ms > 0 ? setTimeout(act, ms) : setImmediate(act);
    this.#timers.add(timer);
  }

  #next(client: number): void {
    if (this.#stopped) return;
    let name: OperationName | undefined;
    for (let draw = 0; draw < DRAWS && name === undefined; draw++) {
      const drawn = this.#pick();
      if (this.#hooks.isReady(drawn, client)) name = drawn;
    }
    if (name === undefined) {
      this.#later(client, NOT_READY_PAUSE_MS);
      return;
    }
    this.#hooks.begin(name, this.#hooks.nowMs(), client, (failed) =>
      this.#later(client, this.#thinkMs + (failed ? PAUSE_AFTER_FAILURE_MS : 0)),
    );
  }
}
