/**
 * Which fault comes next, from a seed. Faults are dealt from a shuffled deck of all kinds, so each comes once before any comes
 * twice; from the second deck on, some come with a fault of the network laid over them.
 */
import type { Prng } from '../../test/support/prng.ts';
import { type FaultKind, kindOf } from './kinds.ts';

const LAID_OVER = 0.35;
const NEVER = Number.POSITIVE_INFINITY;

/** What strikes together: one fault, or one and one of the network. */
export type Step = readonly [FaultKind] | readonly [FaultKind, FaultKind];

export class Schedule {
  readonly #kinds: readonly FaultKind[];
  readonly #prng: Prng;
  #deck: FaultKind[] = [];
  #decks = 0;

  /** At least one kind. */
  constructor(kinds: readonly FaultKind[], prng: Prng) {
    if (kinds.length === 0) throw new Error('assertion: a schedule has faults');
    this.#kinds = kinds;
    this.#prng = prng;
  }

  /** Every kind has been dealt. */
  get dealtAll(): boolean {
    return this.#decks > 1 || (this.#decks === 1 && this.#deck.length === 0);
  }

  next(): Step {
    if (this.#deck.length === 0) {
      this.#deck = shuffled(this.#kinds, this.#prng);
      this.#decks++;
    }
    const fault = this.#deck.pop();
    if (fault === undefined) throw new Error('assertion: the deck was refilled');
    const network = this.#kinds.filter((kind) => kindOf(kind).part === 'network');
    const alone = this.#decks === 1 || network.length === 0 || kindOf(fault).part === 'network';
    return alone || !this.#prng.chance(LAID_OVER) ? [fault] : [fault, this.#prng.pick(network)];
  }
}

function shuffled<T>(from: readonly T[], prng: Prng): T[] {
  const left = [...from];
  const out: T[] = [];
  while (left.length > 0) out.push(...left.splice(prng.below(left.length), 1));
  return out;
}

/**
 * A gateway that has to replace a thread too often within a minute ends, as it should; a run stays below that bound. Times are
 * the gateway's, whatever its clock does.
 */
export class Replacements {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #struck = new Map<string, number[]>();

  constructor(max: number, windowMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
  }

  note(thread: string, nowMs: number): void {
    this.#struck.set(thread, [...this.#recent(thread, nowMs), nowMs]);
  }

  /** A fresh process has replaced nothing yet. */
  forget(): void {
    this.#struck.clear();
  }

  /** The thread that was struck least of late, and how long to wait until it may be struck. */
  choose(threads: readonly string[], nowMs: number): { readonly thread: string; readonly waitMs: number } {
    let best = { thread: threads[0] ?? '', waitMs: NEVER, count: NEVER };
    for (const thread of threads) {
      const recent = this.#recent(thread, nowMs);
      const freeing = recent[recent.length - this.#max];
      const waitMs = freeing === undefined ? 0 : freeing + this.#windowMs - nowMs;
      if (waitMs < best.waitMs || (waitMs === best.waitMs && recent.length < best.count)) {
        best = { thread, waitMs, count: recent.length };
      }
    }
    return best;
  }

  #recent(thread: string, nowMs: number): number[] {
    return (this.#struck.get(thread) ?? []).filter((at) => nowMs - at < this.#windowMs);
  }
}
