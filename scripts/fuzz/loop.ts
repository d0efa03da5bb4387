/**
 * The coverage-guided loop for one target in one thread: inputs are mutated from a pool, run in batches, and V8 is asked
 * after each batch whether anything new ran. If so, the batch is run again in halves until the inputs are found that did
 * it; they join the pool. The same seed, pool and number of executions give the same inputs.
 */
import process from 'node:process';
import fc from 'fast-check';
import { Prng } from '../../test/support/prng.ts';
import { type CoverageSource, type Gain, NO_GAIN, Seen } from './coverage.ts';
import { asError, type Finding, faultKey } from './finding.ts';
import { minimise } from './minimise.ts';
import { mutate } from './mutate.ts';
import type { FuzzTarget } from './target.ts';

/** Told around each execution, so that somebody outside of this thread knows which input hangs. */
export interface Watch {
  begin(input: Uint8Array): void;
  end(): void;
}

export interface LoopStats {
  readonly executions: number;
  /** Inputs in the pool. */
  readonly pool: number;
  /** Beyond what seeds and kept corpus reach. */
  readonly gain: Gain;
  readonly total: Gain;
}

export interface LoopReports {
  kept(input: Uint8Array, gain: Gain): void;
  finding(finding: Finding): void;
  progress(stats: LoopStats): void;
}

export interface LoopOptions {
  readonly target: FuzzTarget;
  readonly seed: number;
  readonly corpus: readonly Uint8Array[];
  /** Without it nothing guides: every input is as good as any other. */
  readonly coverage: CoverageSource | undefined;
  readonly watch: Watch;
  readonly reports: LoopReports;
  /** Different faults; beyond it the loop ends. */
  readonly maxFindings: number;
  readonly goOn: (executions: number) => boolean;
}

const DEFAULT_MAX_LENGTH = 2_048;
const DEFAULT_BATCH = 1_024;
const FIRST_BATCH = 8;
const MAX_POOL = 4_096;
const MINIMISE_TRIES = 1_500;
/** Array buffers of one batch that are worth a look, and of one input that are a finding: decoders get a few KiB. */
const BATCH_BUFFER_BYTES = 256 * 2 ** 20;
const INPUT_BUFFER_BYTES = 64 * 2 ** 20;

export class FuzzLoop {
  readonly #options: LoopOptions;
  readonly #target: FuzzTarget;
  readonly #prng: Prng;
  readonly #seen = new Seen();
  readonly #pool: Uint8Array[] = [];
  readonly #findings = new Set<string>();
  readonly #fresh: Uint8Array[] = [];
  #executions = 0;
  #baseline: Gain = NO_GAIN;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#target = options.target;
    this.#prng = new Prng(seedOf(options.seed, options.target.name));
  }

  async run(): Promise<LoopStats> {
    const { coverage, reports } = this.#options;
    await this.#begin();
    let size = FIRST_BATCH;
    const most = this.#target.batch ?? DEFAULT_BATCH;
    while (this.#goesOn) {
      const batch = Array.from({ length: Math.min(size, most) }, () => this.#candidate());
      await this.#runAll(batch);
      await this.#checkBuffers(batch);
      const found = coverage !== undefined && (await this.#search(batch, coverage));
      size = found ? Math.max(FIRST_BATCH, size >> 1) : Math.min(most, 2 * size);
      reports.progress(this.stats);
    }
    return this.stats;
  }

  get stats(): LoopStats {
    const { total } = this.#seen;
    const gain = {
      blocks: total.blocks - this.#baseline.blocks,
      functions: total.functions - this.#baseline.functions,
    };
    return { executions: this.#executions, pool: this.#pool.length, gain, total };
  }

  get #goesOn(): boolean {
    return this.#findings.size < this.#options.maxFindings && this.#options.goOn(this.#executions);
  }

  /** Seeds and corpus: what they reach is where the loop begins. */
  async #begin(): Promise<void> {
    const { coverage, corpus } = this.#options;
    coverage?.take();
    for (const input of [...this.#target.seeds(), ...corpus]) {
      if (!this.#goesOn) break;
      this.#pool.push(input);
      await this.#execute(input);
    }
    if (coverage === undefined) return;
    this.#seen.commit(coverage.take());
    this.#baseline = this.#seen.total;
  }

  /** Whether a batch that has just run reached anything new; then its inputs are run again to find out which. */
  async #search(batch: readonly Uint8Array[], coverage: CoverageSource): Promise<boolean> {
    const whole = coverage.take();
    if (this.#seen.gain(whole).blocks === 0) return false;
    await this.#bisect(batch, coverage);
    // What only shows once (something made at the first use) is no reason to search again.
    this.#seen.commit(whole);
    return true;
  }

  async #bisect(inputs: readonly Uint8Array[], coverage: CoverageSource): Promise<void> {
    if (!this.#goesOn || inputs.length === 0) return;
    await this.#runAll(inputs);
    const ran = coverage.take();
    if (this.#seen.gain(ran).blocks === 0) return;
    const [only] = inputs;
    if (inputs.length === 1 && only !== undefined) {
      this.#keep(only, this.#seen.commit(ran));
      return;
    }
    const middle = inputs.length >> 1;
    await this.#bisect(inputs.slice(0, middle), coverage);
    await this.#bisect(inputs.slice(middle), coverage);
  }

  #keep(input: Uint8Array, gain: Gain): void {
    if (this.#pool.length < MAX_POOL) this.#pool.push(input);
    else this.#pool[this.#prng.below(MAX_POOL)] = input;
    this.#options.reports.kept(input, gain);
  }

  #candidate(): Uint8Array {
    const prng = this.#prng;
    const { fresh, mutate: structured, dictionary = [], maxLength = DEFAULT_MAX_LENGTH } = this.#target;
    if (fresh !== undefined && prng.chance(0.15)) return this.#nextFresh().slice(0, maxLength);
    const parent = this.#pool.length > 0 ? this.#pick() : prng.bytes(prng.below(64));
    const context = { prng, pool: this.#pool, dictionary, maxLength };
    if (structured === undefined || prng.chance(0.4)) return mutate(parent, context);
    const changed = structured(parent.slice(), prng);
    return (prng.chance(0.2) ? mutate(changed, context) : changed).slice(0, maxLength);
  }

  /** What was found last leads on most often. */
  #pick(): Uint8Array {
    const among = this.#prng.chance(0.5)
      ? Math.min(this.#prng.chance(0.5) ? 1 : 8, this.#pool.length)
      : this.#pool.length;
    const back = this.#prng.below(among);
    return this.#pool[this.#pool.length - 1 - back] ?? new Uint8Array(0);
  }

  #nextFresh(): Uint8Array {
    const { fresh } = this.#target;
    if (this.#fresh.length === 0 && fresh !== undefined) {
      this.#fresh.push(...fc.sample(fresh, { seed: this.#prng.word() | 0, numRuns: 64 }));
    }
    return this.#fresh.pop() ?? new Uint8Array(0);
  }

  async #runAll(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) {
      if (!this.#goesOn) return;
      await this.#execute(input);
    }
  }

  async #execute(input: Uint8Array): Promise<void> {
    const error = await this.#attempt(input);
    if (error === undefined) return;
    const key = faultKey(error);
    if (this.#findings.has(key)) return;
    this.#findings.add(key);
    const sameFault = async (candidate: Uint8Array) => {
      const again = await this.#attempt(candidate);
      return again !== undefined && faultKey(again) === key;
    };
    const minimised = await minimise(input, sameFault, MINIMISE_TRIES);
    const { message, stack } = asError(error);
    this.#options.reports.finding({ kind: 'exception', key, message, stack, input, minimised });
  }

  /** What it threw. The target gets a copy: opening in place must not change the pool. */
  async #attempt(input: Uint8Array): Promise<unknown> {
    const { watch } = this.#options;
    this.#executions++;
    watch.begin(input);
    try {
      const running = this.#target.run(input.slice());
      if (running !== undefined) await running;
      return undefined;
    } catch (error) {
      return error ?? new Error('something undefined was thrown');
    } finally {
      watch.end();
    }
  }

  /** V8's heap has a limit of its own; what lies outside of it is looked at here. */
  async #checkBuffers(batch: readonly Uint8Array[]): Promise<void> {
    if (process.memoryUsage().arrayBuffers < BATCH_BUFFER_BYTES) return;
    for (const input of batch) {
      const before = process.memoryUsage().arrayBuffers;
      await this.#attempt(input);
      const grown = process.memoryUsage().arrayBuffers - before;
      if (grown < INPUT_BUFFER_BYTES || this.#findings.has('memory')) continue;
      this.#findings.add('memory');
      const message = `array buffers of ${grown} bytes for an input of ${input.length}`;
      this.#options.reports.finding({ kind: 'memory', key: 'memory', message, stack: '', input, minimised: input });
    }
  }
}

/** Every target has numbers of its own, whichever run beside it. */
function seedOf(seed: number, name: string): number {
  let hash = seed | 0;
  for (const character of name) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0;
  return hash >>> 0;
}
