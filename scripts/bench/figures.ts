/**
 * A figure: a quantity that was measured in several rounds, alone or against a peer whose rounds alternate with its own. Every
 * round is kept, so that two runs can be compared honestly; the value is their median. What is to be reached stands in
 * targets.ts, by the figure's name, and nowhere else.
 */
import { median } from './statistics.ts';

export const UNITS = ['ratio', 'ns', 'us', 'ms', 'B', 'MiB', 'per_s', 'count'] as const;
export type Unit = (typeof UNITS)[number];
/** Which way a figure improves. */
export type Better = 'lower' | 'higher';

export interface Series {
  readonly name: string;
  readonly unit: Unit;
  /** One value each, in the order in which they were measured. */
  readonly rounds: readonly number[];
}

/** `name` is `group/what`, unique in a run and the same from run to run: targets and comparisons go by it. */
export interface Figure extends Series {
  readonly better: Better;
  /** What the rounds were made of: of a ratio its own side, then the peer's. */
  readonly parts: readonly Series[];
  /** What a reader of the number has to know. */
  readonly note?: string;
}

interface Details {
  readonly better?: Better;
  readonly parts?: readonly Series[];
  readonly note?: string | undefined;
}

export function figure(name: string, unit: Unit, rounds: readonly number[], details: Details = {}): Figure {
  const { better = unit === 'per_s' ? 'higher' : 'lower', parts = [], note } = details;
  return { name, unit, rounds, better, parts, ...(note !== undefined && { note }) };
}

/** Each round of `own` to the same round of `peer`: what slows the machine for a while slows both. */
export function ratioFigure(name: string, own: Series, peer: Series, details: Omit<Details, 'parts'> = {}): Figure {
  if (own.rounds.length !== peer.rounds.length) throw new Error(`${name}: rounds of both sides come in pairs`);
  const rounds = own.rounds.map((value, i) => value / (peer.rounds[i] ?? Number.NaN));
  return figure(name, 'ratio', rounds, { ...details, parts: [own, peer] });
}

export function series(name: string, unit: Unit, rounds: readonly number[]): Series {
  return { name, unit, rounds };
}

export function medianOf({ rounds }: Series): number {
  return median(rounds);
}

const SUFFIX: Readonly<Record<Unit, string>> = {
  ratio: '',
  ns: ' ns',
  us: ' µs',
  ms: ' ms',
  B: ' B',
  MiB: ' MiB',
  per_s: '/s',
  count: '',
};

export function formatValue(value: number, unit: Unit): string {
  const size = Math.abs(value);
  const digits = size >= 100 || (Number.isInteger(value) && unit !== 'ratio') ? 0 : size >= 10 ? 1 : 2;
  const text = unit === 'ratio' ? value.toFixed(2) : withThousands(value.toFixed(digits));
  return `${text}${SUFFIX[unit]}`;
}

function withThousands(text: string): string {
  const [whole = '', fraction] = text.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

export function formatSeries(of: Series): string {
  return `${formatValue(medianOf(of), of.unit)} (${of.name})`;
}
