/**
 * Latencies in an HdrHistogram of microseconds with three significant digits, from 1 µs to 10 min: how they are recorded,
 * how they cross threads, and what is read from them. Invariant: what is merged has the same bounds, so nothing is lost.
 */
import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { LatencyMs } from './result.ts';

/** Longer than any operation may take. */
const MAX_US = 600_000_000;
/** Points of the distribution for each halving of what lies beyond. */
const POINTS_PER_HALVING = 4;

export class Latencies {
  readonly #histogram: Histogram;

  private constructor(histogram: Histogram) {
    this.#histogram = histogram;
  }

  static empty(): Latencies {
    return new Latencies(
      build({
        lowestDiscernibleValue: 1,
        highestTrackableValue: MAX_US,
        numberOfSignificantValueDigits: 3,
        bitBucketSize: 32,
        autoResize: false,
      }),
    );
  }

  static decode(text: string): Latencies {
    return new Latencies(decodeFromCompressedBase64(text));
  }

  encode(): string {
    return encodeIntoCompressedBase64(this.#histogram);
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  record(ms: number): void {
    this.#histogram.recordValue(Math.min(MAX_US, Math.max(1, Math.round(ms * 1e3))));
  }

  add(other: Latencies): void {
    this.#histogram.add(other.#histogram);
  }

  reset(): void {
    this.#histogram.reset();
  }

  /** 0 when nothing was recorded. */
  ms(quantile: number): number {
    if (this.count === 0) return 0;
    // No percentile lies beyond the greatest value, though the bucket that holds it does.
    return Math.min(this.#histogram.getValueAtPercentile(quantile * 100), this.#histogram.maxValue) / 1e3;
  }

  get maxMs(): number {
    return this.count === 0 ? 0 : this.#histogram.maxValue / 1e3;
  }

  /** Undefined when nothing was recorded. */
  summary(): LatencyMs | undefined {
    if (this.count === 0) return undefined;
    return {
      min: this.#histogram.minNonZeroValue / 1e3,
      mean: Math.round(this.#histogram.mean) / 1e3,
      p50: this.ms(0.5),
      p90: this.ms(0.9),
      p99: this.ms(0.99),
      'p99.9': this.ms(0.999),
      'p99.99': this.ms(0.9999),
      max: this.maxMs,
    };
  }

  /** Quantiles that come ever closer to 1, up to the last that one of the counts decides; then the greatest value. */
  distribution(): { readonly quantile: number; readonly ms: number }[] {
    const { count } = this;
    if (count === 0) return [];
    const points: { quantile: number; ms: number }[] = [];
    for (let k = 0; ; k++) {
      const rest = 2 ** (-k / POINTS_PER_HALVING);
      if (rest * count < 1) break;
      points.push({ quantile: 1 - rest, ms: this.ms(1 - rest) });
    }
    points.push({ quantile: 1, ms: this.maxMs });
    return points;
  }
}
