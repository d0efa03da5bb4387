/**
 * One thread of the generator, without the thread: prepares, runs its share of the plan, drains, clears away, reports.
 * Invariants: the run begins with `go`, when all threads are ready; at the end nothing is under way and every session that
 * was opened has been closed.
 */

import type { CryptoProvider, RandomSource } from '../lp/crypto/provider.ts';
import type { Clock } from '../system/clock.ts';
import { monitorLoopDelay } from '../system/loop-delay.ts';
import { createDriver, type Driver } from './drivers.ts';
import { failure, OVERLOADED_GENERATOR } from './failure.ts';
import type { FromThread, ThreadReport, ToThread } from './messages.ts';
import { Operation, type OperationHooks } from './operation.ts';
import { type LoadPlan, shareOf, sourceAddress, spansOf, type ThreadShare } from './plan.ts';
import { type ProtocolParts, protocolParts } from './protocol-parts.ts';
import type { RegistrationCounts } from './registrations.ts';
import type { OperationName } from './result.ts';
import { Recorder } from './statistics.ts';
import { ThreadMeter } from './thread-meter.ts';
import { TokenStock } from './token-stock.ts';
import { DueList, type ThreadWorld } from './world.ts';

/** How exact deadlines and repeats are; every sweep looks at all that is under way. */
const SWEEP_MS = 50;
/** For sessions to be opened at a gateway that says Busy. */
const PREPARE_MS = 30_000;
/** For releasing what was registered. */
const CLEAR_MS = 30_000;
/** For connections that were let go of to end. */
const LINGER_MS = 1_000;
/** After an interruption nobody wants to wait for timeouts. */
const INTERRUPTED_DRAIN_MS = 1_000;

export interface LoadThreadDependencies {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly clock: Clock;
  post(message: FromThread): void;
}

export class LoadThread {
  readonly #plan: LoadPlan;
  readonly #share: ThreadShare;
  readonly #dependencies: LoadThreadDependencies;
  readonly #world: ThreadWorld;
  readonly #tokens: TokenStock;
  readonly #parts: ProtocolParts;
  readonly #stopping = new AbortController();
  readonly #meter: ThreadMeter;
  readonly #maxInFlight: number;
  #recorder: Recorder;
  #driver: Driver | undefined;
  #startMs = 0;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(plan: LoadPlan, share: ThreadShare, dependencies: LoadThreadDependencies) {
    this.#plan = plan;
    this.#share = share;
    this.#dependencies = dependencies;
    this.#maxInFlight = Math.max(1, shareOf(plan.maxInFlight, share));
    const { post } = dependencies;
    this.#tokens = new TokenStock({
      ask: (challenge) => post({ kind: 'askToken', challenge }),
      giveBack: (token) => post({ kind: 'giveBack', token }),
    });
    this.#world = this.#makeWorld();
    this.#meter = new ThreadMeter(monitorLoopDelay());
    this.#recorder = this.#makeRecorder();
    this.#parts = this.#makeParts();
  }

  receive(message: ToThread): void {
    switch (message.kind) {
      case 'go':
        this.#go();
        return;
      case 'stop':
        this.#stopping.abort();
        this.#driver?.stop();
        return;
      case 'token':
        this.#tokens.arrived(message.token);
        return;
      case 'noToken':
        this.#tokens.refused(message.code, message.message);
        return;
    }
  }

  /** Opens the sessions and learns what is the same for all operations. */
  async prepare(): Promise<void> {
    const { clock, crypto, post } = this.#dependencies;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    const { pools, scenarios } = this.#parts;
    const untilMs = clock.now().monotonicMs + PREPARE_MS;
    const { signal } = this.#stopping;
    for (const pool of pools) await pool.prepare(untilMs, signal);
    for (const scenario of scenarios.values()) if (!signal.aborted) await scenario.prepare?.();
    const open = pools.reduce((sum, pool) => sum + pool.open, 0);
    const wanted = pools.reduce((sum, pool) => sum + pool.size, 0);
    post({ kind: 'ready', open, wanted, crypto: crypto.name });
  }

  #go(): void {
    this.#startMs = this.#nowMs();
    const plan = this.#plan;
    this.#driver = createDriver(plan, this.#share, {
      nowMs: () => this.#nowMs() - this.#startMs,
      random: () => this.#random(),
      names: [...this.#parts.scenarios.keys()],
      isReady: (name, client) => this.#parts.scenarios.get(name)?.isReady?.(client) ?? true,
      offered: () => this.#recorder.offered(),
      begin: (name, intendedMs, client, finished) => this.#begin(name, intendedMs, client, finished),
      missed: (name, intendedMs) => this.#missed(name, intendedMs),
    });
    this.#driver.begin();
    if (this.#stopping.signal.aborted) this.#driver.stop();
    this.#driver.over
      .then(() => this.#wind())
      .catch((error: unknown) => {
        // Out of the promise: a mistake of ours has to end the thread.
        setImmediate(() => {
          throw error;
        });
      });
  }

  async #wind(): Promise<void> {
    const { post } = this.#dependencies;
    const endMs = this.#nowMs() - this.#startMs;
    this.#recorder.end(endMs);
    const meters = this.#meter.end();
    await this.#drain();
    const registrations = await this.#clear();
    const { measuredFromMs } = spansOf(this.#plan.facts);
    const report: ThreadReport = {
      counts: this.#recorder.result(),
      measuredMs: Math.max(0, this.#recorder.endMs - measuredFromMs),
      ...meters,
      waitedForSessions: this.#parts.pools.reduce((sum, { waited }) => sum + waited, 0),
      waitedForTokens: this.#tokens.waited,
      ...(registrations !== undefined && { registrations }),
    };
    post({ kind: 'done', report });
    clearInterval(this.#sweeper);
    this.#meter.stop();
  }

  /** Every operation ends at its deadline, so this does; an interruption cuts it short. */
  #drain(): Promise<void> {
    const { signal } = this.#stopping;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const cut = () => {
        timer = setTimeout(() => this.#onIdle?.(), INTERRUPTED_DRAIN_MS);
      };
      this.#onIdle = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', cut);
        this.#onIdle = undefined;
        resolve();
      };
      if (signal.aborted) cut();
      else signal.addEventListener('abort', cut, { once: true });
      if (this.#inFlight === 0) this.#onIdle();
    });
  }

  async #clear(): Promise<RegistrationCounts | undefined> {
    this.#tokens.end();
    let counts: RegistrationCounts | undefined;
    const untilMs = this.#nowMs() + CLEAR_MS;
    for (const scenario of this.#parts.scenarios.values()) counts = (await scenario.finish?.(untilMs)) ?? counts;
    for (const pool of this.#parts.pools) pool.close();
    const { gauges, due } = this.#world;
    // What was let go of is gone after its linger at the latest; sessions of an interrupted run end with it.
    const patienceMs = this.#nowMs() + LINGER_MS;
    while (gauges.connections > 0 && this.#nowMs() < patienceMs) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      due.sweep(this.#world.now());
    }
    return counts;
  }

  #begin(name: OperationName, intendedMs: number, client: number | undefined, finished?: (failed: boolean) => void) {
    const scenario = this.#parts.scenarios.get(name);
    if (scenario === undefined) throw new Error(`assertion: ${name} was not prepared`);
    const nowMs = this.#nowMs() - this.#startMs;
    this.#recorder.started(name, intendedMs, nowMs, client === undefined);
    if (client === undefined && this.#inFlight >= this.#maxInFlight) {
      this.#recorder.failed(name, intendedMs, nowMs, this.#overloaded());
      return;
    }
    scenario.start(this.#operation(name, intendedMs, client, finished));
  }

  #operation(
    name: OperationName,
    intendedMs: number,
    client: number | undefined,
    finished?: (failed: boolean) => void,
  ): Operation {
    this.#inFlight++;
    const hooks: OperationHooks = {
      completed: () => this.#recorder.completed(name, intendedMs, this.#nowMs() - this.#startMs),
      failed: (reason) => this.#recorder.failed(name, intendedMs, this.#nowMs() - this.#startMs, reason),
      finished: (failed) => {
        this.#inFlight--;
        finished?.(failed);
        if (this.#inFlight === 0) this.#onIdle?.();
      },
    };
    return new Operation(name, client, this.#startMs + intendedMs + this.#plan.timeoutMs, hooks);
  }

  /** The run is over, and it was not begun. */
  #missed(name: OperationName, intendedMs: number): void {
    const nowMs = this.#nowMs() - this.#startMs;
    this.#recorder.started(name, intendedMs, nowMs, false);
    this.#recorder.failed(name, intendedMs, nowMs, failure(OVERLOADED_GENERATOR, 'it was due and not begun in time'));
  }

  #overloaded() {
    const example = `${this.#maxInFlight} operations were under way on this thread, and no more are begun (--max-in-flight)`;
    return failure(OVERLOADED_GENERATOR, example);
  }

  #makeParts(): ProtocolParts {
    return protocolParts(this.#plan, this.#share, {
      crypto: this.#dependencies.crypto,
      world: this.#world,
      tokens: this.#tokens,
      poolHooks: {
        opening: () => {
          const intendedMs = this.#nowMs() - this.#startMs;
          this.#recorder.started('handshake', intendedMs, intendedMs, false);
          return this.#operation('handshake', intendedMs, undefined);
        },
        failedBefore: (reason) => this.#recorder.failedBefore('handshake', reason),
      },
    });
  }

  #makeWorld(): ThreadWorld {
    const { random, clock } = this.#dependencies;
    const { timeoutMs, facts } = this.#plan;
    let connection = 0;
    return {
      random,
      timeoutMs,
      due: new DueList(),
      gauges: { connections: 0, sessions: 0 },
      now: () => clock.now(),
      nextSource: () => sourceAddress(connection++, facts.sources, this.#share),
      afterRead: () => this.#driver?.pump(),
    };
  }

  #makeRecorder(): Recorder {
    const { post } = this.#dependencies;
    return new Recorder(spansOf(this.#plan.facts), (counts) => {
      const { connections, sessions } = this.#world.gauges;
      post({ kind: 'second', counts, connections, sessions });
    });
  }

  #sweep(): void {
    this.#world.due.sweep(this.#world.now());
    if (this.#driver === undefined) return;
    const nowMs = this.#nowMs() - this.#startMs;
    const { measuredFromMs } = spansOf(this.#plan.facts);
    if (nowMs >= measuredFromMs) this.#meter.begin();
    this.#recorder.advance(nowMs);
  }

  #nowMs(): number {
    return this.#dependencies.clock.now().monotonicMs;
  }

  readonly #draw = new Uint8Array(4);
  /** Uniform in [0, 1). */
  #random(): number {
    this.#dependencies.random.fill(this.#draw);
    return new DataView(this.#draw.buffer).getUint32(0) / 2 ** 32;
  }
}
