/**
 * Runs jobs one after the other in the order in which they came. At most `bound` are queued or running; one that fails
 * does not touch the next. For what has one owner and no names to tell apart: see name-queues.ts for what has.
 */
export class SerialQueue {
  readonly #bound: number;
  #tail: Promise<void> = Promise.resolve();
  #length = 0;

  constructor(bound: number) {
    this.#bound = bound;
  }

  /** Jobs that are queued or running. */
  get length(): number {
    return this.#length;
  }

  /** `undefined`, and nothing done, when the queue is full. */
  run<T>(job: () => Promise<T>): Promise<T> | undefined {
    return this.#length < this.#bound ? this.runUnbounded(job) : undefined;
  }

  /** For jobs of which the caller keeps at most one pending: the sweep must not be shed with the load it relieves. */
  runUnbounded<T>(job: () => Promise<T>): Promise<T> {
    this.#length += 1;
    const result = this.#tail.then(job);
    const settled = () => {
      this.#length -= 1;
    };
    this.#tail = result.then(settled, settled);
    return result;
  }

  /** Resolves when everything that is queued now is done. */
  idle(): Promise<void> {
    return this.#tail;
  }
}
