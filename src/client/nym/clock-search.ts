/**
 * What time to write into requests for one node (nym.md §8.5, §11). A node takes 30 s to either side and says of anything
 * else no more than "invalid timestamp", so its clock has to be found by asking: first this machine's time, or what an
 * earlier node taught; then what the node itself said elsewhere (the Date of the HTTP answer that brought its announcement);
 * then a minute further to either side at each try, since two tries a minute apart leave no gap. A refused request has done
 * nothing, and the connection goes on. The number of tries is bounded: beyond some minutes a clock has to be set.
 * Sans-IO, and nothing is computed with a number that a node has sent.
 */

/** Two tolerances of 30 s. */
const STRIDE_S = 60;
/** Five minutes and a half to either side; each costs one round trip. */
const STRIDES = 5;
/** What a Date of a node may say: a hint beyond a day and a night is nonsense, and is not followed. */
const MAX_HINT_S = 86_400;

export class ClockSearch {
  readonly #candidates: readonly number[];
  #at = 0;

  /** Both in seconds, to be added to this machine's time. `search` false: only the first guess is used. */
  constructor({ guessS, hintS, search }: { guessS: number; hintS: number | undefined; search: boolean }) {
    this.#candidates = search ? candidatesOf(guessS, hintS) : [guessS];
  }

  /** In use now, or found: the node's time is this machine's plus so many seconds, to 30 s. */
  get skewS(): number {
    return this.#candidates[this.#at] ?? 0;
  }

  /** Unix seconds for a request. */
  timeAt(unixMs: number): bigint {
    return BigInt(Math.max(0, Math.floor(unixMs / 1_000) + this.skewS));
  }

  /** The node refused this time. False when there is nothing left to try; the first guess is in use again then. */
  refused(): boolean {
    this.#at++;
    if (this.#at < this.#candidates.length) return true;
    this.#at = 0;
    return false;
  }
}

function candidatesOf(guessS: number, hintS: number | undefined): readonly number[] {
  const known = [guessS, ...(hintS !== undefined && Math.abs(hintS) <= MAX_HINT_S ? [hintS] : []), 0];
  const strides = Array.from({ length: STRIDES }, (_, at) => (at + 1) * STRIDE_S).flatMap((s) => [s, -s]);
  return [...new Set([...known, ...strides])];
}
