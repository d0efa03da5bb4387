/**
 * The plots of a result as data: columns, scales, and the sentence that says in words what a plot shows. The page draws
 * them (page-program.ts) and knows nothing else, so scales and gaps are settled here. A second in which nothing was
 * completed has no latency: a gap, never a zero. Bounded by the intervals and quantiles of the result.
 */
import type { LoadInterval, LoadResult, OperationName } from '../result.ts';
import { greatest, mainOperations, orderedOperations, sum } from './figures.ts';
import { capitalized, formatCount, formatDecimal, formatMoment, formatMs, formatRate } from './format.ts';

export interface Series {
  readonly label: string;
  /** Number of a colour of the page's style, from 1; 0 is the quiet one. */
  readonly colour: number;
  /** Lengths of dashes and gaps; empty for a full line. */
  readonly dash: readonly number[];
  /** Filled down to the axis. */
  readonly filled: boolean;
  /** What a table row of several seconds tells: their mean, or the greatest. */
  readonly summary: 'mean' | 'max';
  readonly values: readonly (number | null)[];
}

export interface Scale {
  readonly label: string;
  readonly kind: 'linear' | 'log';
  readonly min: number;
  readonly max: number;
}

export interface Chart {
  readonly id: string;
  readonly title: string;
  /** What it shows, in words. */
  readonly reading: string;
  /** Seconds of the run, or 1/(1 − quantile). */
  readonly along: 'seconds' | 'quantile';
  readonly x: Scale;
  readonly y: Scale;
  readonly xValues: readonly number[];
  readonly series: readonly Series[];
}

/** A stretch of seconds, `to` excluded. */
export interface Phase {
  readonly name: LoadInterval['phase'];
  readonly from: number;
  readonly to: number;
}

/** Beyond this ratio a linear scale would press the lesser values flat. */
const LOG_FROM_RATIO = 20;
/** Of the distribution: a quantile as far as this, however many operations there were. */
const MAX_QUANTILE_SCALE = 1e8;

const DASHES: readonly (readonly number[])[] = [[], [10, 4], [3, 3], [10, 3, 3, 3], [16, 4]];

const OPERATION_COLOURS: Readonly<Record<OperationName, number>> = {
  handshake: 1,
  echo: 2,
  register: 3,
  rekey: 4,
  forward: 5,
  // Never beside register, which it is the first half of.
  initial: 3,
};

/** Of a sum beside its parts. */
const TOTAL_COLOUR = 6;

export function phasesOf(intervals: readonly LoadInterval[]): readonly Phase[] {
  const phases: Phase[] = [];
  for (const { second, phase } of intervals) {
    const last = phases.at(-1);
    if (last?.name === phase) phases[phases.length - 1] = { ...last, to: second + 1 };
    else {
      // Without a hole between two phases, also where a second is missing.
      if (last !== undefined) phases[phases.length - 1] = { ...last, to: second };
      phases.push({ name: phase, from: second, to: second + 1 });
    }
  }
  return phases;
}

/** In the order of the report; what there is nothing to draw of is left out. */
export function chartsOf(result: LoadResult): readonly Chart[] {
  const over = result.intervals.length === 0 ? [] : timeChartsOf(result);
  const distribution = distributionChart(result);
  const [throughput, ...rest] = over;
  return [
    ...(throughput === undefined ? [] : [throughput]),
    ...rest.filter(({ id }) => id.startsWith('latency')),
    ...(distribution === undefined ? [] : [distribution]),
    ...rest.filter(({ id }) => !id.startsWith('latency')),
  ];
}

function timeChartsOf(result: LoadResult): readonly Chart[] {
  const failures = failureChart(result);
  return [
    throughputChart(result),
    ...orderedOperations(result).flatMap(({ name }) => latencyChart(result, name) ?? []),
    ...(failures === undefined ? [] : [failures]),
    generatorChart(result),
    connectionsChart(result),
  ];
}

function throughputChart({ plan, intervals, operations }: LoadResult): Chart {
  const totals = intervals.map((interval) =>
    sum(mainOperations(plan.scenario, interval.operations).map(({ completed }) => completed)),
  );
  const offered = intervals.map(({ offered: asked }) => asked ?? null);
  const isOpen = offered.some((value) => value !== null);
  const parts = plan.scenario === 'mixed' ? operations : [];
  const series: readonly Series[] = [
    ...(isOpen ? [line('offered', 0, 1, offered)] : []),
    line('completed', parts.length > 0 ? TOTAL_COLOUR : 1, 0, totals, parts.length === 0),
    ...parts.map(({ name }) => line(name, OPERATION_COLOURS[name], 2, valuesOf(intervals, name, 'completed'))),
  ];
  const measured = totals.filter((_, index) => intervals[index]?.phase === 'measured');
  const words = isOpen ? `Offered: up to ${formatCount(highest(offered))} per second. ` : '';
  return timeChart(intervals, {
    id: 'throughput',
    title: isOpen ? 'Throughput: offered and completed' : 'Throughput: completed',
    reading: `${words}${rangeText('Completed', measured.length > 0 ? measured : totals, measured.length > 0)}`,
    y: linear('operations per second', highest([...offered, ...totals])),
    series,
  });
}

function latencyChart(result: LoadResult, name: OperationName): Chart | undefined {
  const { intervals } = result;
  const [p50, p99, max] = (['p50', 'p99', 'max'] as const).map((key) => valuesOf(intervals, name, key));
  if (p50 === undefined || p99 === undefined || max === undefined || highest(max) === 0) return undefined;
  const longest = highest(max);
  return timeChart(intervals, {
    id: `latency-${name}`,
    title: `Latency of ${name}`,
    reading: `${wordsOfRange('The median', p50)}, ${wordsOfRange('p99', p99)}. The longest took ${formatMs(longest)} ms (${momentOf(intervals, max.indexOf(longest))}).`,
    y: logarithmic('milliseconds', [p50, max]),
    series: [
      { ...line('max', 3, 2, max), summary: 'max' },
      { ...line('p99', 2, 1, p99), summary: 'max' },
      { ...line('p50', 1, 0, p50), summary: 'max' },
    ],
  });
}

/** Undefined when no operation failed in any second. */
function failureChart(result: LoadResult): Chart | undefined {
  const { intervals } = result;
  const series = orderedOperations(result).flatMap(({ name }, index) => {
    const values = valuesOf(intervals, name, 'failed');
    return highest(values) === 0 ? [] : [{ ...line(name, OPERATION_COLOURS[name], index % DASHES.length, values) }];
  });
  if (series.length === 0) return undefined;
  const totals = intervals.map(({ operations }) => sum(operations.map(({ failed }) => failed)));
  const most = highest(totals);
  const failing = totals.filter((total) => total > 0).length;
  return timeChart(intervals, {
    id: 'failures',
    title: 'Failed operations',
    reading: `Operations failed in ${formatCount(failing)} of ${formatCount(intervals.length)} seconds, at most ${formatCount(most)} in one (${momentOf(intervals, totals.indexOf(most))}).`,
    y: linear('failed per second', highest(series.flatMap(({ values }) => values))),
    series: series.length === 1 ? series.map((only) => ({ ...only, colour: 3, filled: true })) : series,
  });
}

function generatorChart({ intervals, plan, machine }: LoadResult): Chart {
  const cores = intervals.map(({ generatorCores }) => generatorCores);
  const limit = Math.min(plan.threads, machine.cores);
  const most = highest(cores);
  return timeChart(intervals, {
    id: 'generator',
    title: 'Generator: processor',
    reading: `The generator used up to ${formatDecimal(most)} cores; its ${plan.threads === 1 ? 'thread' : `${formatCount(plan.threads)} threads`} and this machine’s ${formatCount(machine.cores)} cores allow about ${formatCount(limit)}.`,
    y: linear('cores', Math.max(most, limit)),
    series: [line('all threads busy', 0, 1, Array<number>(cores.length).fill(limit)), line('used', 4, 0, cores, true)],
  });
}

function connectionsChart({ intervals }: LoadResult): Chart {
  const connections = intervals.map((interval) => interval.connections);
  const sessions = intervals.map((interval) => interval.sessions);
  const most = [highest(connections), highest(sessions)];
  const spread = Math.max(...most) / Math.max(1, Math.min(...most));
  const isLog = spread > LOG_FROM_RATIO && Math.min(...most) > 0;
  const drawable = (values: readonly number[]) => values.map((value) => (isLog && value <= 0 ? null : value));
  return timeChart(intervals, {
    id: 'connections',
    title: 'Connections and sessions',
    reading: `Up to ${formatCount(most[0] ?? 0)} connections and ${formatCount(most[1] ?? 0)} sessions at a time.`,
    y: isLog
      ? logarithmic('open at a time', [drawable(connections), drawable(sessions)])
      : linear('open at a time', Math.max(...most)),
    series: [line('connections', 5, 0, drawable(connections)), line('sessions', 2, 1, drawable(sessions))],
  });
}

function momentOf(intervals: readonly LoadInterval[], index: number): string {
  const span = (intervals.at(-1)?.second ?? 0) - (intervals[0]?.second ?? 0);
  return formatMoment(intervals[index]?.second ?? 0, span);
}

/** Every operation's quantiles on one axis; where another has a quantile and this has none there is a gap to be spanned. */
function distributionChart(result: LoadResult): Chart | undefined {
  const curves = orderedOperations(result).flatMap(({ name, quantiles }) => {
    const points = quantiles.filter(({ quantile, ms }) => quantile >= 0 && quantile < 1 && ms > 0);
    const scaled = points.map(({ quantile, ms }) => [1 / (1 - quantile), ms] as const);
    const at = new Map(scaled.filter(([x]) => x <= MAX_QUANTILE_SCALE));
    return at.size === 0 ? [] : [{ name, at }];
  });
  if (curves.length === 0) return undefined;
  const xValues = [...new Set(curves.flatMap(({ at }) => [...at.keys()]))].toSorted((a, b) => a - b);
  const series = curves.map(({ name, at }, index) =>
    line(
      name,
      OPERATION_COLOURS[name],
      index % DASHES.length,
      xValues.map((x) => at.get(x) ?? null),
    ),
  );
  const values = series.map((one) => one.values);
  const most = highest(values.flat());
  const isLog = most / lowest(values.flat()) > LOG_FROM_RATIO;
  return {
    id: 'distribution',
    title: 'Distribution of latency',
    reading: orderedOperations(result).flatMap(distributionText).join(' '),
    along: 'quantile',
    x: {
      label: 'share of operations',
      kind: 'log',
      min: 1,
      max: 10 ** exponentAbove(Math.max(10, xValues.at(-1) ?? 1)),
    },
    y: isLog ? logarithmic('milliseconds', values) : linear('milliseconds', most),
    xValues,
    series,
  };
}

function distributionText({ name, latencyMs }: LoadResult['operations'][number]): readonly string[] {
  if (latencyMs === undefined) return [];
  const { p50, p99, 'p99.99': p9999 } = latencyMs;
  return [
    `${capitalized(name)}: half within ${formatMs(p50)} ms, 99 % within ${formatMs(p99)} ms, 99.99 % within ${formatMs(p9999)} ms.`,
  ];
}

function timeChart(
  intervals: readonly LoadInterval[],
  chart: Pick<Chart, 'id' | 'title' | 'reading' | 'y' | 'series'>,
): Chart {
  const xValues = intervals.map(({ second }) => second);
  const first = xValues[0] ?? 0;
  const last = xValues.at(-1) ?? 0;
  const x: Scale = { label: 'time since the start', kind: 'linear', min: first, max: Math.max(first + 1, last) };
  return { ...chart, along: 'seconds', x, xValues };
}

function line(label: string, colour: number, dash: number, values: readonly (number | null)[], filled = false): Series {
  return { label, colour, dash: DASHES[dash] ?? [], filled, summary: 'mean', values: values.map(shortened) };
}

/** Counts as they are; of others four digits are more than a plot shows, and an hour's file stays small. */
function shortened(value: number | null): number | null {
  if (value === null || !Number.isFinite(value)) return null;
  return Number.isInteger(value) ? value : Number(value.toPrecision(4));
}

function valuesOf(
  intervals: readonly LoadInterval[],
  name: OperationName,
  key: 'completed' | 'failed' | 'p50' | 'p99' | 'max',
): readonly (number | null)[] {
  const isLatency = key !== 'completed' && key !== 'failed';
  return intervals.map(({ operations }) => {
    const operation = operations.find((one) => one.name === name);
    if (operation === undefined) return isLatency ? null : 0;
    // A logarithmic scale has no zero.
    return isLatency && (operation.completed === 0 || operation[key] <= 0) ? null : operation[key];
  });
}

/** Greatest value that is there; 0 where there is none. */
function highest(values: readonly (number | null)[]): number {
  return greatest(values.filter((value) => value !== null));
}

function lowest(values: readonly (number | null)[]): number {
  return values.reduce<number>((least, value) => (value !== null && value < least ? value : least), Infinity);
}

function linear(label: string, max: number): Scale {
  return { label, kind: 'linear', min: 0, max: niceAbove(max) };
}

/** Whole decades around the values. */
function logarithmic(label: string, columns: readonly (readonly (number | null)[])[]): Scale {
  const least = Math.min(...columns.map(lowest));
  const bottom = Math.floor(Math.log10(Number.isFinite(least) ? least : 1));
  const top = Math.max(bottom + 1, exponentAbove(Math.max(...columns.map(highest))));
  return { label: `${label}, log scale`, kind: 'log', min: 10 ** bottom, max: 10 ** top };
}

function exponentAbove(value: number): number {
  return value > 0 ? Math.ceil(Math.log10(value)) : 0;
}

/** Some room above the greatest, ending on a round number. */
function niceAbove(max: number): number {
  if (!(max > 0)) return 1;
  const wanted = max * 1.05;
  const step = 10 ** Math.floor(Math.log10(wanted)) / 5;
  return Number((Math.ceil(wanted / step) * step).toPrecision(6));
}

function wordsOfRange(name: string, values: readonly (number | null)[]): string {
  const [least, most] = [formatMs(lowest(values)), formatMs(highest(values))];
  return least === most ? `${name} was ${least} ms` : `${name} lay between ${least} and ${most} ms`;
}

function rangeText(name: string, totals: readonly number[], isMeasured: boolean): string {
  const when = isMeasured ? ' in the measured time' : '';
  const [least, most] = [lowest(totals), highest(totals)];
  if (least === most) return `${name}${when}: ${formatCount(most)} per second.`;
  const mean = formatRate(Math.round(sum(totals) / totals.length));
  return `${name}${when}: between ${formatCount(least)} and ${formatCount(most)} per second, ${mean} on average.`;
}
