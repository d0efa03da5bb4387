/**
 * Two runs side by side: the ratio of each figure's medians, and whether its rounds differ by more than noise. What got
 * worse beyond noise and has a bound makes the comparison fail.
 */
import { type Figure, formatValue, medianOf } from './figures.ts';
import type { Machine } from './machine.ts';
import type { Run } from './results.ts';
import { mannWhitney } from './statistics.ts';
import { columns } from './table.ts';
import { conditionsOn } from './targets.ts';

/** Of a hundred figures one differs by chance alone so clearly. */
const SIGNIFICANT = 0.01;
/** Two starts of one program differ by as much: code and data come to lie elsewhere. */
const SMALLEST_EFFECT = 0.03;

export type Change = 'noise' | 'better' | 'WORSE' | 'not comparable';

export interface Comparison {
  readonly name: string;
  readonly before: Figure;
  readonly after: Figure;
  readonly ratio: number;
  readonly change: Change;
  readonly bounded: boolean;
}

export function compareFigures(before: Figure, after: Figure): Comparison {
  const ratio = medianOf(after) / medianOf(before);
  const bounded = conditionsOn(after.name).length > 0;
  const base = { name: after.name, before, after, ratio, bounded };
  if (isInterval(after.name) || before.unit !== after.unit || !Number.isFinite(ratio) || ratio <= 0) {
    return { ...base, change: 'not comparable' };
  }
  if (Math.abs(ratio - 1) < SMALLEST_EFFECT || !differs(before.rounds, after.rounds)) {
    return { ...base, change: 'noise' };
  }
  return { ...base, change: ratio < 1 === (after.better === 'lower') ? 'better' : 'WORSE' };
}

/** Where rounds are too few for the test ever to be sure, they differ if none of one run lies among the other's. */
function differs(a: readonly number[], b: readonly number[]): boolean {
  if (a.length === 0 || b.length === 0) return false;
  const surest = mannWhitney(
    a.map((_, i) => i),
    b.map((_, i) => a.length + i),
  );
  if (surest < SIGNIFICANT) return mannWhitney(a, b) < SIGNIFICANT;
  return Math.max(...a) < Math.min(...b) || Math.max(...b) < Math.min(...a);
}

/** Its rounds are the ends of an interval. */
function isInterval(name: string): boolean {
  return conditionsOn(name).some(({ kind }) => kind === 'holdsZero');
}

/** Figures of both runs, in the order of the second. */
export function compareRuns(before: Run, after: Run): Comparison[] {
  const old = new Map(before.figures.map((figure) => [figure.name, figure]));
  return after.figures.flatMap((figure) => {
    const other = old.get(figure.name);
    return other === undefined ? [] : [compareFigures(other, figure)];
  });
}

export function gotWorse(comparisons: readonly Comparison[]): Comparison[] {
  return comparisons.filter(({ change, bounded }) => bounded && change === 'WORSE');
}

export function comparisonTable(before: Run, after: Run): string {
  const comparisons = compareRuns(before, after);
  const rows = comparisons.map(({ name, before: a, after: b, ratio, change, bounded }) => [
    name,
    formatValue(medianOf(a), a.unit),
    formatValue(medianOf(b), b.unit),
    Number.isFinite(ratio) ? ratio.toFixed(3) : '–',
    change,
    bounded ? 'bounded' : '',
  ]);
  const worse = gotWorse(comparisons);
  const lines = columns(['figure', 'before', 'after', 'after/before', '', ''], rows);
  lines.push('', ...differences(before, after), ...missing(before, after));
  lines.push(
    worse.length === 0
      ? 'No bounded figure got worse beyond noise.'
      : `WORSE beyond noise: ${worse.map(({ name }) => name).join(', ')}`,
  );
  return lines.join('\n');
}

function missing(before: Run, after: Run): string[] {
  const line = (text: string, of: Run, other: Run) => {
    const there = new Set(other.figures.map(({ name }) => name));
    const names = of.figures.map(({ name }) => name).filter((name) => !there.has(name));
    return names.length === 0 ? [] : [`${text}: ${names.join(', ')}`];
  };
  return [...line('Only before', before, after), ...line('Only after', after, before)];
}

/** What makes the runs hard to compare. */
function differences(before: Run, after: Run): string[] {
  const keys: readonly (keyof Machine)[] = ['cpu', 'cores', 'node', 'crypto', 'platform'];
  const lines = keys
    .filter((key) => before.machine[key] !== after.machine[key])
    .map((key) => `NOTE: other ${key}: ${String(before.machine[key])} before, ${String(after.machine[key])} after`);
  if (before.quick !== after.quick) lines.push('NOTE: one of them is a quick run');
  for (const [when, run] of [
    ['before', before],
    ['after', after],
  ] as const) {
    for (const warning of run.warnings) lines.push(`NOTE: ${when}: ${warning}`);
  }
  return lines;
}
