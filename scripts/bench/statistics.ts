/**
 * Statistics of rounds: medians, and whether two sets of rounds differ by more than noise. A handful of rounds is all there
 * is, so the test is exact where that is cheap, and asks nothing of their distribution.
 */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Between the two nearest ranks in proportion. NaN for no values. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** All ways to choose are counted up to here; beyond, the normal approximation is good to a percent. */
const MAX_EXACT = 16;

/**
 * Mann-Whitney's test, two-sided: how likely a difference of ranks at least as large is, if both sets come from the same
 * distribution. 1 where a set is empty.
 */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1;
  const mean = (a.length * b.length) / 2;
  const off = Math.abs(uOf(a, b) - mean);
  const tied = new Set([...a, ...b]).size < a.length + b.length;
  if (!tied && a.length <= MAX_EXACT && b.length <= MAX_EXACT) return exactTail(a.length, b.length, off);
  return approximateTail(a, b, off);
}

/** Pairs in which the first is the greater; a tie counts half. */
function uOf(a: readonly number[], b: readonly number[]): number {
  let u = 0;
  for (const x of a) for (const y of b) u += x > y ? 1 : x === y ? 0.5 : 0;
  return u;
}

/** The number of orders of n and m values with a given U obeys c(n, m, u) = c(n − 1, m, u − m) + c(n, m − 1, u). */
function exactTail(n: number, m: number, off: number): number {
  let counts: number[][] = Array.from({ length: m + 1 }, () => [1]);
  for (let i = 1; i <= n; i++) {
    const next: number[][] = [[1]];
    for (let j = 1; j <= m; j++) {
      const row = Array.from({ length: i * j + 1 }, (_, u) => (counts[j]?.[u - j] ?? 0) + (next[j - 1]?.[u] ?? 0));
      next.push(row);
    }
    counts = next;
  }
  const orders = counts[m] ?? [];
  const total = orders.reduce((sum, count) => sum + count, 0);
  const mean = (n * m) / 2;
  return orders.reduce((sum, count, u) => sum + (Math.abs(u - mean) >= off ? count : 0), 0) / total;
}

function approximateTail(a: readonly number[], b: readonly number[], off: number): number {
  const [n, m, all] = [a.length, b.length, a.length + b.length];
  const times = new Map<number, number>();
  for (const value of [...a, ...b]) times.set(value, (times.get(value) ?? 0) + 1);
  const ties = [...times.values()].reduce((sum, t) => sum + (t ** 3 - t), 0);
  const variance = ((n * m) / 12) * (all + 1 - ties / (all * (all - 1)));
  if (variance <= 0) return 1;
  // Half a step, because U moves in whole ones.
  return Math.min(1, 2 * normalTail(Math.max(0, off - 0.5) / Math.sqrt(variance)));
}

/** P(Z ≥ z) for z ≥ 0, to seven digits (Abramowitz and Stegun 26.2.17). */
function normalTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
}

export interface Slope {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
}

/** z of 95 %. */
const CONFIDENCE = 1.96;

/**
 * Theil-Sen: the median slope of all pairs of points, and Sen's interval of 95 % around it. A few wild values do not move
 * it. An interval that holds 0 shows no slope.
 */
export function theilSen(x: readonly number[], y: readonly number[]): Slope {
  const slopes: number[] = [];
  for (let i = 0; i < x.length; i++) {
    for (let j = i + 1; j < x.length; j++) {
      const run = (x[j] ?? 0) - (x[i] ?? 0);
      if (run !== 0) slopes.push(((y[j] ?? 0) - (y[i] ?? 0)) / run);
    }
  }
  if (slopes.length === 0) return { slope: Number.NaN, low: Number.NaN, high: Number.NaN };
  slopes.sort((a, b) => a - b);
  const n = x.length;
  const spread = CONFIDENCE * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const last = slopes.length - 1;
  const low = slopes[Math.max(0, Math.floor((slopes.length - spread) / 2))] ?? Number.NaN;
  const high = slopes[Math.min(last, Math.ceil((slopes.length + spread) / 2))] ?? Number.NaN;
  return { slope: median(slopes), low, high };
}
