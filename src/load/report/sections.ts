/**
 * The parts of the HTML report that are words and tables: header, notices, key figures, operations, errors, plan, machine
 * and generator. What makes the figures doubtful stands before all of them.
 */
import type { LoadResult, OperationResult } from '../result.ts';
import {
  generatorRows,
  headline,
  loadText,
  machineRows,
  type Notice,
  noticesOf,
  orderedOperations,
  overviewOf,
  phasesText,
  planRows,
  plural,
  type Row,
  sampleNotes,
} from './figures.ts';
import { ABSENT, capitalized, formatCount, formatMs, formatRate, formatShare, plain } from './format.ts';
import { type Content, html, Markup } from './markup.ts';

/** Of an error's example. */
const EXAMPLE_LENGTH = 600;
/** Kinds of errors of one operation that are listed; the rest is counted. */
const LISTED_ERRORS = 100;

const PERCENTILES = ['min', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'mean'] as const;

const NOTHING = new Markup('');

export function headerSection(result: LoadResult): Markup {
  const { plan, startedAt } = result;
  const through = plan.via === undefined ? NOTHING : html`, through ${plan.via}`;
  return html`<header>
<p class="over">Load test · ${startedAt}</p>
<h1>${capitalized(plan.scenario)} against ${plan.target}</h1>
<p class="quiet">${capitalized(loadText(plan))}; ${phasesText(plan)}${through}</p>
<p class="headline">${headline(result)}</p>
</header>`;
}

export function noticeSections(result: LoadResult): Content {
  return noticesOf(result).map(noticeSection);
}

function noticeSection({ kind, title, points }: Notice): Markup {
  const list = points.length === 0 ? NOTHING : html`<ul>${points.map((point) => html`<li>${point}</li>`)}</ul>`;
  return html`<div class="notice${kind === 'interrupted' ? '' : ' doubt'}" role="note">
<p>${kind === 'interrupted' ? '' : html`<span aria-hidden="true">⚠ </span>`}${title}</p>${list}
</div>`;
}

interface Tile {
  readonly name: string;
  readonly figure: string;
  readonly unit: string;
  readonly beside: string;
  readonly isBad?: boolean;
}

export function tileSection(result: LoadResult): Markup {
  return html`<dl class="tiles">${tilesOf(result).map(
    ({ name, figure, unit, beside, isBad = false }) => html`
<div class="tile${isBad ? ' bad' : ''}"><dt>${name}</dt><dd><span class="figure">${figure} <span class="unit">${unit}</span></span>
<span class="beside">${beside}</span></dd></div>`,
  )}
</dl>`;
}

function tilesOf(result: LoadResult): readonly Tile[] {
  const { plan } = result;
  const { offeredPerSecond, completedPerSecond, completed, failed, slowest } = overviewOf(result);
  const of = slowest !== undefined && plan.scenario === 'mixed' ? ` (${slowest.name}, the slowest)` : '';
  const loop =
    offeredPerSecond === undefined
      ? loadText(plan)
      : `of ${formatRate(offeredPerSecond)} offered, ${formatShare(completedPerSecond, offeredPerSecond)}`;
  const all = completed + failed;
  return [
    {
      name: `Completed ${plural(plan.scenario)}`,
      figure: formatRate(completedPerSecond),
      unit: 'per second',
      beside: loop,
    },
    { name: 'Median latency', ...latencyTile(slowest?.latencyMs.p50, `half were faster${of}`) },
    { name: '99th percentile', ...latencyTile(slowest?.latencyMs.p99, `1 of 100 was slower${of}`) },
    {
      name: 'Failed',
      figure: formatShare(failed, all),
      unit: '',
      beside: `${formatCount(failed)} of ${formatCount(all)}`,
      isBad: failed > 0,
    },
  ];
}

function latencyTile(ms: number | undefined, beside: string): Pick<Tile, 'figure' | 'unit' | 'beside'> {
  return ms === undefined
    ? { figure: ABSENT, unit: '', beside: 'nothing was completed' }
    : { figure: formatMs(ms), unit: 'ms', beside };
}

export function tableSections(result: LoadResult): Content {
  return html`<h2>Operations</h2>
${ratesTable(result)}
${latencyTable(result)}
<h2>Errors</h2>
${errorsTable(result)}
<h2>Conditions</h2>
${factsTable('Plan', planRows(result))}
<div class="pair">${factsTable('Machine of the generator', machineRows(result))}
${factsTable('The generator itself', generatorRows(result.generator))}</div>`;
}

function factsTable(caption: string, rows: readonly Row[]): Markup {
  return html`<table class="facts block"><caption>${caption}</caption><tbody>${rows.map(
    ([name, value]) => html`
<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}
</tbody></table>`;
}

/** A region that can be scrolled must be reachable by keyboard, and have a name. */
function scrolling(name: string, content: Content): Markup {
  return html`<div class="scroll block" role="region" aria-label="${name}" tabindex="0">${content}</div>`;
}

function headings(words: readonly string[], numbers: readonly string[], after: readonly string[] = []): Markup {
  const word = (text: string) => html`<th scope="col">${text}</th>`;
  const number = (text: string) => html`<th scope="col" class="number">${text}</th>`;
  return html`<thead><tr>${words.map(word)}${numbers.map(number)}${after.map(word)}</tr></thead>`;
}

function numbers(values: readonly string[]): Content {
  return values.map((value) => html`<td class="number">${value}</td>`);
}

function ratesTable(result: LoadResult): Markup {
  const rows = orderedOperations(result).map(({ name, started, completed, failed, completedPerSecond }) => {
    const counts = [started, completed, failed].map(formatCount);
    const values = [...counts, formatShare(failed, completed + failed), formatRate(completedPerSecond)];
    return html`<tr><th scope="row">${name}</th>${numbers(values)}</tr>\n`;
  });
  const columns = ['Started', 'Completed', 'Failed', 'Failed, share', 'Completed per second'];
  return scrolling(
    'Counts and rates',
    html`<table><caption>Counts and rates of the measured time</caption>${headings(['Operation'], columns)}<tbody>
${rows}</tbody></table>`,
  );
}

function latencyTable(result: LoadResult): Markup {
  const rows = orderedOperations(result).flatMap(({ name, latencyMs }) =>
    latencyMs === undefined
      ? []
      : [html`<tr><th scope="row">${name}</th>${numbers(PERCENTILES.map((key) => formatMs(latencyMs[key])))}</tr>\n`],
  );
  if (rows.length === 0) return html`<p>Nothing was completed, so there are no latencies.</p>`;
  const from = result.plan.loop.kind === 'open' ? ', from the intended time of sending' : '';
  return html`${scrolling(
    'Latency',
    html`<table><caption>Latency in milliseconds${from}</caption>${headings(['Operation'], PERCENTILES)}<tbody>
${rows}</tbody></table>`,
  )}${sampleNotes(result).map((note) => html`<p class="note">${note}</p>`)}`;
}

function errorsTable(result: LoadResult): Markup {
  const rows = orderedOperations(result).flatMap(errorRows);
  if (rows.length === 0) return html`<p>No operation failed.</p>`;
  return scrolling(
    'Errors',
    html`<table><caption>Errors by kind, with one example of each</caption>${headings(['Operation', 'Code'], ['Count', 'Share of all'], ['Example'])}<tbody>
${rows}</tbody></table>`,
  );
}

function errorRows({ name, completed, failed, errors }: OperationResult): readonly Markup[] {
  const sorted = errors.toSorted((a, b) => b.count - a.count);
  const rest = sorted.slice(LISTED_ERRORS);
  const row = (code: string, count: number, example: string) =>
    html`<tr><th scope="row">${name}</th><td class="code">${code}</td>${numbers([formatCount(count), formatShare(count, completed + failed)])}<td class="words"><bdi>${example}</bdi></td></tr>\n`;
  const total = rest.reduce((count, error) => count + error.count, 0);
  return [
    ...sorted
      .slice(0, LISTED_ERRORS)
      .map(({ code, count, example }) => row(code, count, plain(example, EXAMPLE_LENGTH))),
    ...(rest.length === 0 ? [] : [row(`${formatCount(rest.length)} more kinds`, total, '')]),
  ];
}
