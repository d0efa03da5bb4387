/**
 * The input that a thread is running, in memory that its watcher shares: when the thread hangs or is gone, the input is
 * still there. Written by one thread, read by the other.
 */
import process from 'node:process';

const RUNNING = 0;
const LENGTH = 1;
const EXECUTIONS = 2;
const WORDS = 4;
const HEAD_BYTES = 4 * WORDS + 8;
/** Longer inputs are cut here; none of the targets takes them. */
const MAX_INPUT_BYTES = 262_144;

export interface Flight {
  readonly input: Uint8Array;
  readonly sinceMs: number;
  readonly execution: number;
}

export class FlightRecorder {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #since: Float64Array;
  readonly #input: Uint8Array;

  constructor(memory = new SharedArrayBuffer(HEAD_BYTES + MAX_INPUT_BYTES)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, WORDS);
    this.#since = new Float64Array(memory, 4 * WORDS, 1);
    this.#input = new Uint8Array(memory, HEAD_BYTES);
  }

  begin(input: Uint8Array): void {
    const length = Math.min(input.length, MAX_INPUT_BYTES);
    this.#input.set(input.subarray(0, length));
    this.#words[LENGTH] = length;
    this.#since[0] = nowMs();
    Atomics.add(this.#words, EXECUTIONS, 1);
    Atomics.store(this.#words, RUNNING, 1);
  }

  end(): void {
    Atomics.store(this.#words, RUNNING, 0);
  }

  /** What is running now; of a thread that is gone, what ran when it ended. */
  get current(): Flight | undefined {
    if (Atomics.load(this.#words, RUNNING) === 0) return undefined;
    const input = this.#input.slice(0, this.#words[LENGTH]);
    return { input, sinceMs: this.#since[0] ?? 0, execution: Atomics.load(this.#words, EXECUTIONS) };
  }

  get executions(): number {
    return Atomics.load(this.#words, EXECUTIONS);
  }
}

/** Monotonic, and the same in every thread. */
export function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
