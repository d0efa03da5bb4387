/**
 * Each chart as a figure: heading, what it shows in words, a legend that needs no script, the place where the page draws,
 * and the same data as a table of at most sixty rows. The drawing is an image with a text alternative; nothing is told by
 * colour alone, for lines differ in their dashes too.
 */
import type { Chart, Series } from './charts.ts';
import { greatest, sum } from './figures.ts';
import { ABSENT, formatCount, formatDecimal, formatSeconds } from './format.ts';
import { type Content, html, Markup } from './markup.ts';

const TABLE_ROWS = 60;
/** Whole steps that a reader can take in. */
const ROW_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600] as const;
/** These stand beside each other where there is room. */
const PAIRED: ReadonlyMap<string, string> = new Map([
  ['generator', 'resources'],
  ['connections', 'resources'],
]);

export function plotSections(charts: readonly Chart[]): Content {
  if (charts.length === 0) return html`<p>The run ended before its first second: there is nothing to plot.</p>`;
  return html`<noscript><p class="notice">The plots need JavaScript; the tables have the same figures.</p></noscript>
<p class="quiet screen">Drag across a plot to look closer, double-click to see all of it again.</p>
${rowsOf(charts).map((row) => (row.length === 1 ? row.map(plotSection) : html`<div class="pair">${row.map(plotSection)}</div>`))}`;
}

/** Charts in their order; those of one kind that stand beside each other are one row. */
function rowsOf(charts: readonly Chart[]): readonly (readonly Chart[])[] {
  const kindOf = ({ id }: Chart) => (id.startsWith('latency-') ? 'latency' : (PAIRED.get(id) ?? id));
  return [...Map.groupBy(charts, kindOf).values()];
}

function plotSection(chart: Chart): Markup {
  const { id, title, reading, series } = chart;
  return html`<figure class="plot" id="plot-${id}">
<figcaption><h3 id="title-${id}">${title}</h3><p class="reading" id="reading-${id}">${reading}</p></figcaption>
<ul class="legend" aria-label="Lines of the plot">${series.map(legendEntry)}<li><output class="at" aria-live="off"></output></li></ul>
<div class="canvas" role="img" aria-labelledby="title-${id}" aria-describedby="reading-${id}"></div>
${dataTable(chart)}
</figure>
`;
}

function legendEntry({ label, colour, dash }: Series): Markup {
  const dashes = dash.length === 0 ? new Markup('') : html` stroke-dasharray="${dash.join(' ')}"`;
  return html`<li><svg viewBox="0 0 34 10" aria-hidden="true"><line class="s${colour}" x1="0" y1="5" x2="34" y2="5"${dashes}/></svg><span>${label}</span> <span class="value"></span></li>`;
}

/** Of the distribution the table of latencies tells the same. */
function dataTable(chart: Chart): Content {
  if (chart.along !== 'seconds') return '';
  const rows = tableRows(chart);
  const seconds = rows.seconds === 1 ? 'Second by second' : `Every ${formatSeconds(rows.seconds)}`;
  const isLatency = chart.series.some(({ summary }) => summary === 'max');
  const how = rows.seconds === 1 ? '' : isLatency ? ', the greatest value' : ', mean values';
  const title = `${chart.title} (${chart.y.label.replace(', log scale', '')}). ${seconds}${how}`;
  return html`<details><summary>As a table</summary><div class="scroll" role="region" aria-label="${chart.title} as a table" tabindex="0">
<table><caption>${title}</caption><thead><tr><th scope="col" class="number">Second</th>${chart.series.map(
    ({ label }) => html`<th scope="col" class="number">${label}</th>`,
  )}</tr></thead><tbody>
${rows.lines.map(
  ({ from, values }) =>
    html`<tr><th scope="row" class="number">${formatCount(from)}</th>${values.map((value) => html`<td class="number">${value}</td>`)}</tr>\n`,
)}</tbody></table></div></details>`;
}

interface TableRows {
  readonly seconds: number;
  readonly lines: readonly { readonly from: number; readonly values: readonly string[] }[];
}

export function tableRows({ xValues, series }: Chart): TableRows {
  const first = xValues[0] ?? 0;
  const span = (xValues.at(-1) ?? 0) - first + 1;
  const seconds = ROW_SECONDS.find((step) => span / step <= TABLE_ROWS) ?? Math.ceil(span / TABLE_ROWS);
  const buckets = Map.groupBy(xValues.keys(), (index) => Math.floor(((xValues[index] ?? 0) - first) / seconds));
  const lines = [...buckets].map(([bucket, indices]) => ({
    from: first + bucket * seconds,
    values: series.map((one) => summarized(one, indices)),
  }));
  return { seconds, lines };
}

function summarized({ values, summary }: Series, indices: readonly number[]): string {
  const present = indices.map((index) => values[index] ?? null).filter((value) => value !== null);
  if (present.length === 0) return ABSENT;
  return formatDecimal(summary === 'max' ? greatest(present) : sum(present) / present.length);
}
