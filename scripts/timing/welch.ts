/**
 * Welch's t-test on the times of two classes of inputs, as dudect has it (Reparaz, Balasch, Verbauwhede 2017): on all times,
 * on those below several percentiles of both classes together, and of second order, on squared distances from the class's
 * mean. Rounds are tested one by one and their medians count, so that one disturbed round decides nothing.
 */

/** Shares of the times that are kept, shortest first: disturbances lengthen. The second-order test takes two of them. */
const KEPT = [1, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25] as const;
const KEPT_SECOND_ORDER = [1, 0.95] as const;

/** Of one round; `which` tells the class of each time. */
export interface Samples {
  readonly times: Float64Array;
  readonly which: Uint8Array;
  readonly length: number;
}

interface Test {
  readonly order: 1 | 2;
  readonly kept: number;
  readonly t: number;
  /** Mean of class 1 less mean of class 0, and its standard error; of second order in squared nanoseconds. */
  readonly difference: number;
  readonly standardError: number;
  /** How much of a constant difference is left between the means once the longest times are cut off. */
  readonly response: number;
}

export interface RoundResult {
  readonly samples: number;
  readonly tests: readonly Test[];
}

export interface Finding {
  /** In all rounds. */
  readonly samples: number;
  /** Of the test that says most: the median of the rounds. */
  readonly t: number;
  readonly order: 1 | 2;
  readonly kept: number;
  /** Nanoseconds by which class 1 takes longer: by the test that says most, or where nothing is seen by the least noisy one. */
  readonly differenceNs: number;
  /** A constant difference of so many nanoseconds would have been seen. */
  readonly resolutionNs: number;
}

class Moments {
  private n = 0;
  private mean = 0;
  private squares = 0;

  add(value: number): void {
    this.n++;
    const delta = value - this.mean;
    this.mean += delta / this.n;
    this.squares += delta * (value - this.mean);
  }

  get average(): number {
    return this.mean;
  }

  /** Variance of the mean. */
  get error(): number {
    return this.n < 2 ? Number.POSITIVE_INFINITY : this.squares / (this.n - 1) / this.n;
  }
}

function compare(order: 1 | 2, kept: number, classes: readonly [Moments, Moments], response: number): Test {
  const difference = classes[1].average - classes[0].average;
  const standardError = Math.sqrt(classes[0].error + classes[1].error);
  // Classes without any spread differ for certain or not at all.
  const t = difference === 0 ? 0 : difference / Math.max(standardError, Number.MIN_VALUE);
  return { order, kept, t, difference, standardError, response };
}

function moments({ times, which, length }: Samples, limit: number, value: (time: number, of: number) => number) {
  const classes: [Moments, Moments] = [new Moments(), new Moments()];
  for (let i = 0; i < length; i++) {
    const time = times[i] ?? 0;
    if (time > limit) continue;
    const of = which[i] ?? 0;
    classes[of === 0 ? 0 : 1].add(value(time, of));
  }
  return classes;
}

/** Share of the times below the limit whose width estimates the density there. */
const EDGE = 0.1;

/**
 * A slower class loses more of its times to the limit, so less than its whole difference is left: with density f and share F at
 * the limit L, mean m below it, 1 − (L − m)·f/F.
 */
function responseAt(sorted: Float64Array, kept: number, mean: number): number {
  if (kept === 1) return 1;
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const limit = at(kept);
  const width = limit - at(kept * (1 - EDGE));
  return width > 0 ? Math.max(0, 1 - ((limit - mean) * EDGE) / width) : 0;
}

/** All tests of one round. */
export function testRound(samples: Samples): RoundResult {
  const sorted = samples.times.slice(0, samples.length).sort();
  const tests: Test[] = [];
  for (const kept of KEPT) {
    const limit = sorted[Math.max(0, Math.ceil(kept * sorted.length) - 1)] ?? 0;
    const classes = moments(samples, limit, (time) => time);
    const means = [classes[0].average, classes[1].average];
    tests.push(compare(1, kept, classes, responseAt(sorted, kept, (classes[0].average + classes[1].average) / 2)));
    if (!KEPT_SECOND_ORDER.some((share) => share === kept)) continue;
    const squares = moments(samples, limit, (time, of) => (time - (means[of] ?? 0)) ** 2);
    tests.push(compare(2, kept, squares, 0));
  }
  return { samples: samples.length, tests };
}

/**
 * |t| of the median round from which on two classes differ. The median of five has about half the spread of one, so that
 * chance reaches 3 in less than one of ten million tests; a difference that is there in every round reaches it soon.
 */
export const T_THRESHOLD = 3;

/** Test by test the median of the rounds; then the test that says most. At least one round. */
export function combine(rounds: readonly RoundResult[]): Finding {
  const medians = (rounds[0]?.tests ?? []).map(({ order, kept }, i) => {
    const of = (value: (of: Test) => number) => median(rounds.flatMap(({ tests }) => tests[i] ?? []).map(value));
    const visible = of(({ standardError, response }) => (T_THRESHOLD * standardError) / response);
    return { order, kept, t: of(({ t }) => t), difference: of(({ difference }) => difference), visible };
  });
  const firstOrder = medians.filter(({ order }) => order === 1);
  const most = loudest(medians);
  const [quietest] = [...firstOrder].sort((a, b) => a.visible - b.visible);
  const named = most !== undefined && Math.abs(most.t) >= T_THRESHOLD ? loudest(firstOrder) : quietest;
  if (most === undefined || quietest === undefined || named === undefined) throw new Error('no round was measured');
  return {
    samples: rounds.reduce((sum, { samples }) => sum + samples, 0),
    t: most.t,
    order: most.order,
    kept: most.kept,
    differenceNs: named.difference,
    resolutionNs: quietest.visible,
  };
}

function loudest<T extends { readonly t: number }>(tests: readonly T[]): T | undefined {
  return tests.reduce<T | undefined>(
    (best, test) => (best && Math.abs(best.t) >= Math.abs(test.t) ? best : test),
    undefined,
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
