/** Failures counted by code, with the first example of each. Invariant: at most MAX_CODES codes; the rest count as OTHER. */
import type { Failure } from './failure.ts';
import type { ErrorCount } from './result.ts';

const MAX_CODES = 64;
const OTHER = 'OTHER';

interface Entry {
  count: number;
  readonly example: string;
}

export class ErrorCounts {
  readonly #entries = new Map<string, Entry>();

  add({ code, example }: Failure, count = 1): void {
    const known = this.#entries.get(code);
    if (known !== undefined) known.count += count;
    else if (this.#entries.size < MAX_CODES || code === OTHER) this.#entries.set(code, { count, example });
    else this.add({ code: OTHER, example: `${code}: ${example}` }, count);
  }

  merge(counts: readonly ErrorCount[]): void {
    for (const { code, count, example } of counts) this.add({ code, example }, count);
  }

  of(code: string): number {
    return this.#entries.get(code)?.count ?? 0;
  }

  /** The most frequent first. */
  list(): ErrorCount[] {
    return [...this.#entries]
      .map(([code, { count, example }]) => ({ code, count, example }))
      .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1));
  }
}
