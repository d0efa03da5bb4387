/**
 * What `lewes load` shows on a terminal: the live display while it runs (live-display.ts), and the summary of its result.
 * The summary is plain text without escape sequences, so that it can be redirected; what makes the figures doubtful
 * stands before them. Text from outside passes through `plain`.
 */
import type { LoadResult, OperationResult } from '../result.ts';
import {
  generatorRows,
  headline,
  machineRows,
  mainOperations,
  noticesOf,
  orderedOperations,
  overviewOf,
  planRows,
  type Row,
  sampleNotes,
} from './figures.ts';
import { formatCount, formatMs, formatRate, formatShare, plain } from './format.ts';
import { alignedLines, wrapped } from './text-table.ts';

export { createLiveDisplay } from './live-display.ts';

/** Of sentences; tables may be wider. */
const TEXT_WIDTH = 100;
/** Of an error's example, so that a row stays a row. */
const EXAMPLE_LENGTH = 120;
/** Kinds of errors of an operation that are listed; the rest is counted. */
const LISTED_ERRORS = 12;

const PERCENTILES = ['min', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'mean'] as const;

/** Ends with a newline. */
export function formatSummary(result: LoadResult): string {
  const { plan } = result;
  const through = plan.via === undefined ? '' : ` through ${plain(plan.via)}`;
  const sections = [
    noticeLines(result),
    [`Load test: ${plan.scenario} against ${plain(plan.target)}${through}`, ...wrapped(headline(result), TEXT_WIDTH)],
    section('Plan', rowLines(planRows(result))),
    section('Machine', rowLines(machineRows(result))),
    section('Rates', rateLines(result)),
    section('Latency in ms', latencyLines(result)),
    section('Errors', errorLines(result)),
    section('Generator', rowLines(generatorRows(result.generator))),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => (line === '' ? '' : `  ${line}`))];
}

function noticeLines(result: LoadResult): readonly string[] {
  return noticesOf(result).flatMap(({ title, points }) => [
    ...wrapped(title, TEXT_WIDTH - 2).map((line) => `! ${line}`),
    ...points.flatMap((point) =>
      wrapped(point, TEXT_WIDTH - 4).map((line, index) => `!   ${index === 0 ? '- ' : '  '}${line}`),
    ),
  ]);
}

function rowLines(rows: readonly Row[]): readonly string[] {
  return alignedLines(['left', 'left'], rows);
}

function rateLines(result: LoadResult): readonly string[] {
  const { plan, operations } = result;
  const { offeredPerSecond, completedPerSecond } = overviewOf(result);
  const rows = orderedOperations(result).map((operation) => {
    const { name, started, completed, failed, completedPerSecond: rate } = operation;
    const share = formatShare(failed, completed + failed);
    return [name, ...[started, completed, failed].map(formatCount), share, formatRate(rate)];
  });
  const heading = ['operation', 'started', 'completed', 'failed', 'of all', 'completed/s'];
  const main = mainOperations(plan.scenario, operations);
  const offered =
    offeredPerSecond === undefined || main.length === 0
      ? []
      : [
          `offered ${formatRate(offeredPerSecond)}/s, of which ${formatShare(completedPerSecond, offeredPerSecond)} completed`,
        ];
  return [...alignedLines(['left', 'right', 'right', 'right', 'right', 'right'], [heading, ...rows]), ...offered];
}

function latencyLines(result: LoadResult): readonly string[] {
  const rows = orderedOperations(result).flatMap(({ name, latencyMs }) =>
    latencyMs === undefined ? [] : [[name, ...PERCENTILES.map((percentile) => formatMs(latencyMs[percentile]))]],
  );
  if (rows.length === 0) return [];
  const heading = ['operation', ...PERCENTILES];
  return [
    ...alignedLines(['left', ...PERCENTILES.map(() => 'right' as const)], [heading, ...rows]),
    ...(result.plan.loop.kind === 'open' ? ['from the intended time of sending'] : []),
    ...sampleNotes(result).flatMap((note) => wrapped(note, TEXT_WIDTH)),
  ];
}

function errorLines(result: LoadResult): readonly string[] {
  const rows = orderedOperations(result).flatMap(errorRows);
  if (rows.length === 0) return ['none'];
  const heading = ['operation', 'code', 'count', 'of all', 'example'];
  return alignedLines(['left', 'left', 'right', 'right', 'left'], [heading, ...rows]);
}

function errorRows({ name, completed, failed, errors }: OperationResult): readonly (readonly string[])[] {
  const sorted = errors.toSorted((a, b) => b.count - a.count);
  const rest = sorted.slice(LISTED_ERRORS);
  const row = (code: string, count: number, example: string) => [
    name,
    code,
    formatCount(count),
    formatShare(count, completed + failed),
    example,
  ];
  return [
    ...sorted
      .slice(0, LISTED_ERRORS)
      .map(({ code, count, example }) => row(plain(code, 40), count, plain(example, EXAMPLE_LENGTH))),
    ...(rest.length === 0
      ? []
      : [
          row(
            `${rest.length} more kinds`,
            rest.reduce((total, { count }) => total + count, 0),
            '',
          ),
        ]),
  ];
}
