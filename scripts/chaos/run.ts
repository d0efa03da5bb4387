/**
 * A run: warm up, strike by schedule, wait for recovery each time, and check the end. It stops at the first violation.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { Prng } from '../../test/support/prng.ts';
import { until } from '../e2e/until.ts';
import { checkEnding } from './ending.ts';
import { FAULTS } from './faults.ts';
import { MemoryBound, Violations } from './invariants.ts';
import { BUDGET } from './load.ts';
import type { ChaosOptions } from './options.ts';
import { type FaultResult, faultLine, summaryTable } from './report.ts';
import { Schedule, type Step } from './schedule.ts';
import { inMiB, World } from './world.ts';

const WARM_UP_MS = 1_500;
const BREATH_MS = 400;
const LOOK_EVERY_MS = 1_000;
const END_WITHIN_MS = 15_000;
/** The entry's memory: twice what it has when it is warm, and room for a shard's heap that runs full and its successor. */
const MEMORY_FACTOR = 2;
const MEMORY_MARGIN_BYTES = 160 * 2 ** 20;

export interface RunOutcome {
  readonly violation: string | undefined;
}

export async function run(options: ChaosOptions, print: (line: string) => void): Promise<RunOutcome> {
  const runner = new Runner(options, print);
  const violation = await runner.run();
  return { violation };
}

class Runner {
  readonly #options: ChaosOptions;
  readonly #print: (line: string) => void;
  readonly #violations = new Violations();
  readonly #memory = new MemoryBound(MEMORY_FACTOR, MEMORY_MARGIN_BYTES);
  readonly #prng: Prng;
  readonly #schedule: Schedule;
  readonly #faultPrng: Prng;
  readonly #results: FaultResult[] = [];
  readonly #startedMs = performance.now();

  constructor(options: ChaosOptions, print: (line: string) => void) {
    this.#options = options;
    this.#print = print;
    this.#prng = new Prng(options.seed);
    // Of their own, so that the same seed gives the same faults whatever the load draws.
    this.#schedule = new Schedule(options.faults, new Prng(options.seed + 1));
    this.#faultPrng = new Prng(options.seed + 2);
  }

  /** The first violation. */
  async run(): Promise<string | undefined> {
    const mistake = (error: unknown) => this.#violations.tell(`in the runner: ${textOf(error)}`);
    process.on('unhandledRejection', mistake).on('uncaughtException', mistake);
    const { without } = this.#options;
    const world = await World.create({ prng: this.#prng, violations: this.#violations, memory: this.#memory, without });
    const looking = new AbortController();
    const looks = this.#keepLooking(world, looking.signal);
    const done = this.#all(world).catch((error: unknown) => this.#violations.tell(textOf(error)));
    try {
      await Promise.race([done, this.#violations.found]);
      // A fault that is under way comes to its end, so that nothing is made while all is removed.
      await Promise.race([done, wait(END_WITHIN_MS)]);
    } finally {
      looking.abort();
      await looks;
      await world.parts.load.abandon();
      await world.remove();
      process.removeListener('unhandledRejection', mistake).removeListener('uncaughtException', mistake);
    }
    this.#summary();
    return this.#violations.first;
  }

  async #all(world: World): Promise<void> {
    const { load } = world.parts;
    load.start();
    await load.recovered(performance.now(), performance.now());
    await wait(WARM_UP_MS);
    this.#memory.setBase((await world.entry.status()).rssBytes);
    this.#say(
      `${load.clients} clients are at work; after a fault each has ${BUDGET.attempts} attempts and ${BUDGET.seconds} s`,
    );
    while (this.#violations.first === undefined && (!this.#schedule.dealtAll || this.#secondsLeft > 0)) {
      await this.#step(world, this.#schedule.next());
    }
    if (this.#violations.first !== undefined) return;
    world.excused = [];
    const ending = await checkEnding(world);
    this.#say(`at the end: ${ending}; memory at most ${inMiB(this.#memory.maxBytes)}`);
  }

  async #step(world: World, step: Step): Promise<void> {
    const { load } = world.parts;
    const name = step.join(' + ');
    world.excused = step;
    world.struck.push(...step);
    this.#violations.event(`${this.#seconds.toFixed(1)} s: ${name} begins`);
    const beganMs = performance.now();
    const seeds = step.map((fault) => ({ fault, prng: new Prng(this.#faultPrng.word()) }));
    const strikes = await Promise.all(seeds.map(({ fault, prng }) => FAULTS[fault](world, prng)));
    const endedMs = Math.max(...strikes.map((strike) => strike.endedMs));
    const recovery = await load.recovered(beganMs, endedMs);
    await until('every part of the gateway works again', BUDGET.seconds * 1_000, async () => {
      const { ready, alarms } = await world.entry.status();
      return (ready && alarms.length === 0) || this.#violations.first !== undefined || undefined;
    });
    await world.look();
    if (this.#violations.first !== undefined) return;
    const note = strikes.map((strike) => strike.note).join(' + ');
    const result = {
      faults: step,
      note,
      affected: recovery.affected,
      recoveries: recovery.ms,
      slowest: recovery.slowest,
      memoryMiB: Math.round(this.#memory.lastBytes / 2 ** 20),
    };
    this.#results.push(result);
    this.#violations.event(faultLine(this.#seconds, result));
    this.#print(faultLine(this.#seconds, result));
    await wait(this.#faultPrng.below(BREATH_MS));
  }

  async #keepLooking(world: World, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await world.look();
      await wait(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  get #seconds(): number {
    return (performance.now() - this.#startedMs) / 1_000;
  }

  get #secondsLeft(): number {
    return this.#options.minutes * 60 - this.#seconds;
  }

  #say(text: string): void {
    this.#print(`${this.#seconds.toFixed(1).padStart(6)} s  ${text}`);
  }

  #summary(): void {
    this.#print('');
    this.#print(summaryTable(this.#results));
    const { first, history } = this.#violations;
    if (first === undefined) return;
    this.#print('');
    this.#print(`VIOLATION (--seed ${this.#options.seed}): ${first}`);
    this.#print('What happened before:');
    for (const event of history) this.#print(`  ${event.trim()}`);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
