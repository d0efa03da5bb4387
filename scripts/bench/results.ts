/**
 * The results of a run as JSON: machine, load, every figure with all its rounds, every target with its verdict. The schema's
 * number changes with the meaning of a field; files of another number are refused.
 */
import { type Better, type Figure, medianOf, type Series, UNITS, type Unit } from './figures.ts';
import type { Machine } from './machine.ts';
import { byName, conditionsOn, EARLIER_TARGETS, formatBound, holds, TARGETS, verdict } from './targets.ts';

export const SCHEMA = 1;

export interface Run {
  readonly machine: Machine;
  readonly quick: boolean;
  /** Load average of a minute. */
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly seconds: number;
  /** What has to be known of the run as a whole. */
  readonly warnings: readonly string[];
  /** Benches that failed, with the reason: their figures are missing. */
  readonly failures: readonly string[];
  readonly figures: readonly Figure[];
}

export function encodeRun(run: Run): string {
  const figures = byName(run.figures);
  const result = {
    schema: SCHEMA,
    ...run,
    figures: run.figures.map((figure) => ({
      ...withMedian(figure),
      parts: figure.parts.map(withMedian),
      ...boundsOf(figure, figures),
    })),
    targets: [...TARGETS, ...EARLIER_TARGETS].map((target) => ({
      row: target.row,
      text: target.text,
      met: verdict(target, figures),
    })),
  };
  return `${JSON.stringify(result, undefined, 2)}\n`;
}

function withMedian<S extends Series>(of: S): S & { readonly median: number } {
  return { ...of, median: medianOf(of) };
}

function boundsOf({ name }: Figure, figures: ReadonlyMap<string, Figure>): object {
  const bounds = conditionsOn(name).map((condition) => ({
    bound: formatBound(condition),
    met: holds(condition, figures),
  }));
  return bounds.length === 0 ? {} : { bounds };
}

export class ResultsError extends Error {
  override readonly name = 'ResultsError';
  readonly code = 'ERR_BENCH_RESULTS';
}

/** Throws ResultsError: the file is the operator's. `name` is for its message. */
export function decodeRun(text: string, name: string): Run {
  const json = parse(text, name);
  if (!isObject(json) || json.schema !== SCHEMA) {
    throw new ResultsError(`${name} is not a result of this benchmark, schema ${SCHEMA}`);
  }
  const { machine, figures } = json;
  if (!isObject(machine) || !Array.isArray(figures) || !figures.every(isFigure)) {
    throw new ResultsError(`${name} has no machine or a figure that does not read`);
  }
  // Checked as far as a comparison uses it.
  return { ...(json as unknown as Run), figures: figures.map(toFigure) };
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ResultsError(`${name} is no JSON`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isSeries(value: unknown): boolean {
  if (!isObject(value) || typeof value.name !== 'string' || !Array.isArray(value.rounds)) return false;
  // JSON has no NaN: a round that measured nothing is null.
  const rounds = value.rounds.every((round) => typeof round === 'number' || round === null);
  return rounds && UNITS.some((unit) => unit === value.unit);
}

function isFigure(value: unknown): boolean {
  if (!isSeries(value) || !isObject(value) || !Array.isArray(value.parts)) return false;
  return (value.better === 'lower' || value.better === 'higher') && value.parts.every(isSeries);
}

interface JsonSeries {
  readonly name: string;
  readonly unit: Unit;
  readonly rounds: readonly (number | null)[];
}

function toSeries({ name, unit, rounds }: JsonSeries): Series {
  return { name, unit, rounds: rounds.map((round) => round ?? Number.NaN) };
}

function toFigure(value: JsonSeries & { readonly better: Better; readonly parts: readonly JsonSeries[] }): Figure {
  return { ...toSeries(value), better: value.better, parts: value.parts.map(toSeries) };
}
