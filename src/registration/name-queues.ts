/**
 * Runs jobs of one name one after the other, in the order in which they came, and those of different names beside each other;
 * an exclusive job runs alone: after all that came before it, and before all that come after. At most `bound` are queued or
 * running; one that fails does not touch the next. So the registrar is the one owner of its tables (design: one actor), and
 * what it commits for several clients is made durable at once.
 */
export class NameQueues {
  readonly #bound: number;
  /** The last job of each name that has one; a tail never rejects. */
  readonly #tails = new Map<string, Promise<void>>();
  /** The last exclusive job. */
  #barrier: Promise<void> = Promise.resolve();
  #length = 0;

  constructor(bound: number) {
    this.#bound = bound;
  }

  /** Jobs that are queued or running. */
  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length >= this.#bound;
  }

  /** The caller has seen that the queues are not full. */
  run<T>(name: string, job: () => Promise<T>): Promise<T> {
    const { result, tail } = this.#after(this.#tails.get(name) ?? this.#barrier, job);
    this.#tails.set(name, tail);
    void tail.then(() => {
      if (this.#tails.get(name) === tail) this.#tails.delete(name);
    });
    return result;
  }

  /** Without a bound, for jobs of which the caller keeps few: the sweep must not be shed with the load it relieves. */
  runExclusive<T>(job: () => Promise<T>): Promise<T> {
    const { result, tail } = this.#after(this.idle(), job);
    this.#tails.clear();
    this.#barrier = tail;
    return result;
  }

  /** Resolves when everything that is queued now is done. */
  async idle(): Promise<void> {
    await Promise.all([this.#barrier, ...this.#tails.values()]);
  }

  #after<T>(before: Promise<void>, job: () => Promise<T>): { result: Promise<T>; tail: Promise<void> } {
    this.#length += 1;
    const result = before.then(job);
    const settled = () => {
      this.#length -= 1;
    };
    return { result, tail: result.then(settled, settled) };
  }
}
