/**
 * What runs inside the report's page: draws the charts with uPlot, in the colours of the style, and keeps them in step
 * with width, colour scheme and printing. The functions are written into the page as their source text, so they use
 * nothing but their arguments, each other and what every browser has; `PAGE_PROGRAM` lists them all.
 */
import type { Chart, Phase } from './charts.ts';

export interface PageData {
  readonly charts: readonly Chart[];
  readonly phases: readonly Phase[];
}

/** The parts of the browser's interfaces that the page uses. */
export interface PageElement {
  readonly clientWidth: number;
  textContent: string | null;
  hidden: boolean;
  href: string;
  download: string;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
  addEventListener(type: string, listener: () => void): void;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  click(): void;
}

export interface PageContext {
  font: string;
  fillStyle: string;
  textBaseline: string;
  textAlign: string;
  save(): void;
  restore(): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): { readonly width: number };
}

export interface Plot {
  readonly ctx: PageContext;
  readonly bbox: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  readonly cursor: { readonly idx?: number | null };
  setSize(size: { readonly width: number; readonly height: number }): void;
  redraw(): void;
  valToPos(value: number, scale: string, canvasPixels: boolean): number;
}

export interface PageWindow {
  readonly uPlot: (new (options: object, columns: object, place: PageElement) => Plot) & { readonly pxRatio: number };
  readonly document: {
    readonly documentElement: PageElement;
    querySelector(selector: string): PageElement | null;
    createElement(name: string): PageElement;
  };
  readonly URL: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void };
  readonly Blob: new (parts: readonly string[], options: { readonly type: string }) => object;
  getComputedStyle(element: PageElement): { getPropertyValue(name: string): string };
  matchMedia(query: string): { addEventListener(type: string, listener: () => void): void };
  addEventListener(type: string, listener: () => void): void;
}

/** A drawn chart and the element that holds it. */
export interface Placed {
  readonly plot: Plot;
  readonly place: PageElement;
}

function startPage(page: PageWindow): void {
  const { document } = page;
  const data: PageData = JSON.parse(document.querySelector('#charts')?.textContent ?? '{"charts":[],"phases":[]}');
  const placed: Placed[] = [];
  for (const chart of data.charts) {
    const place = document.querySelector(`#plot-${chart.id} .canvas`);
    if (place === null) continue;
    const plot = new page.uPlot(plotOptions(page, chart, data.phases, place.clientWidth), plotColumns(chart), place);
    placed.push({ plot, place });
  }
  keepInStep(page, placed);
  offerJson(page);
}

/** uPlot's columns: x, then every series. */
function plotColumns(chart: Chart): readonly (readonly (number | null)[])[] {
  return [chart.xValues, ...chart.series.map(({ values }) => values)];
}

/** Printing is always light, and as wide as the style makes the page for paper. */
function keepInStep(page: PageWindow, placed: readonly Placed[]): void {
  const root = page.document.documentElement;
  const resize = (isPaper: boolean) => {
    for (const { plot, place } of placed) plot.setSize({ width: place.clientWidth, height: plotHeight(isPaper) });
  };
  page.addEventListener('resize', () => resize(false));
  page.addEventListener('beforeprint', () => {
    root.setAttribute('data-paper', '');
    resize(true);
  });
  page.addEventListener('afterprint', () => {
    root.removeAttribute('data-paper');
    resize(false);
  });
  page.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const { plot } of placed) plot.redraw();
  });
}

/** In pixels; three plots fit on a sheet. */
function plotHeight(isPaper: boolean): number {
  return isPaper ? 215 : 280;
}

/** The button saves the result that the page carries. */
function offerJson(page: PageWindow): void {
  const { document } = page;
  const button = document.querySelector('#save');
  const text = document.querySelector('#result')?.textContent;
  if (button === null || typeof text !== 'string') return;
  button.hidden = false;
  button.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = page.URL.createObjectURL(new page.Blob([text], { type: 'application/json' }));
    link.download = 'lewes-load.json';
    link.click();
    page.URL.revokeObjectURL(link.href);
  });
}

/** A colour of the style sheet, as it is now. */
function styled(page: PageWindow, name: string): string {
  return page.getComputedStyle(page.document.documentElement).getPropertyValue(name).trim();
}

function plotOptions(page: PageWindow, chart: Chart, phases: readonly Phase[], width: number): object {
  const { x, y } = chart;
  const isTime = chart.along === 'seconds';
  return {
    width,
    height: plotHeight(false),
    legend: { show: false },
    // Room for the phases' names above, and for half of the last tick's name.
    padding: [isTime ? 20 : 10, 38, 0, 0],
    cursor: { y: false, ...(isTime && { sync: { key: 'time' } }) },
    scales: {
      x: {
        time: false,
        distr: x.kind === 'log' ? 3 : 1,
        range: (_: Plot, from: number, to: number) => shownRange(chart, from, to),
      },
      y: { distr: y.kind === 'log' ? 3 : 1, range: () => [y.min, y.max] },
    },
    axes: [isTime ? secondsAxis(page, chart) : quantileAxis(page, chart), valueAxis(page, chart)],
    series: [{}, ...chart.series.map((series) => seriesOptions(page, series, chart))],
    hooks: {
      drawClear: isTime ? [(plot: Plot) => shadePhases(page, plot, phases)] : [],
      setCursor: [(plot: Plot) => tellValues(page, chart, plot.cursor.idx ?? null)],
    },
  };
}

function seriesOptions(page: PageWindow, series: Chart['series'][number], chart: Chart): object {
  return {
    label: series.label,
    stroke: () => styled(page, `--series-${series.colour}`),
    ...(series.filled && { fill: () => styled(page, `--fill-${series.colour}`) }),
    width: chart.xValues.length > 600 ? 1 : 2,
    dash: series.dash,
    // Curves of other operations have points where this one has none.
    spanGaps: chart.along === 'quantile',
    points: { show: true, filter: () => lonePoints(series.values, chart.along === 'quantile') },
  };
}

/** All of a chart where its data would fill it, otherwise the part that the reader has chosen. */
export function shownRange({ x, xValues }: Chart, from: number, to: number): readonly [number, number] {
  const isAll = from <= (xValues[0] ?? from) && to >= (xValues.at(-1) ?? to);
  return isAll || !(from < to) ? [x.min, x.max] : [from, to];
}

/** Indices of values that no line reaches, which are drawn as points. */
export function lonePoints(values: readonly (number | null)[], areGapsSpanned: boolean): readonly number[] {
  const present = [...values.keys()].filter((index) => (values[index] ?? null) !== null);
  if (areGapsSpanned) return present.length === 1 ? present : [];
  return present.filter((index) => (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null);
}

function axisOptions(page: PageWindow): object {
  const grid = { stroke: () => styled(page, '--grid'), width: 1 };
  return {
    stroke: () => styled(page, '--quiet'),
    grid,
    ticks: { ...grid, size: 5 },
    font: '12px system-ui, sans-serif',
  };
}

/** As in the words beside the plot: `formatMoment`. */
export function isLong({ x }: Chart): boolean {
  return x.max - x.min > 180;
}

export function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function secondsAxis(page: PageWindow, chart: Chart): object {
  return {
    ...axisOptions(page),
    label: `${chart.x.label} (${isLong(chart) ? 'min:s' : 's'})`,
    labelFont: '12px system-ui, sans-serif',
    labelSize: 18,
    size: 28,
    incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200],
    values: (_: Plot, ticks: readonly number[]) => ticks.map((tick) => (isLong(chart) ? clock(tick) : String(tick))),
  };
}

/** 1/(1 − q) at the decades: 90 %, 99 %, and so on. */
export function quantileAxis(page: PageWindow, { x }: Chart): object {
  const decades = [1];
  while ((decades.at(-1) ?? x.max) < x.max) decades.push((decades.at(-1) ?? 1) * 10);
  const name = (value: number) => {
    const nines = Math.round(Math.log10(value));
    return nines === 0 ? '0 %' : nines === 1 ? '90 %' : `99${nines > 2 ? '.' : ''}${'9'.repeat(nines - 2)} %`;
  };
  return {
    ...axisOptions(page),
    label: `${x.label} that took at most this long`,
    labelFont: '12px system-ui, sans-serif',
    labelSize: 18,
    size: 28,
    splits: () => decades,
    filter: (_: Plot, ticks: readonly number[]) => ticks,
    values: (plot: Plot, ticks: readonly number[]) => {
      // A name takes up to 58 pixels.
      const step = Math.ceil((58 * page.uPlot.pxRatio * ticks.length) / plot.bbox.width);
      return ticks.map((tick, index) => (index % step === 0 ? name(tick) : null));
    },
  };
}

export function valueAxis(page: PageWindow, { y }: Chart): object {
  const whole = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 3 });
  const short = (value: number) =>
    value >= 1e6 ? `${whole(value / 1e6)} M` : value >= 1e5 ? `${whole(value / 1e3)} k` : whole(value);
  const decades: number[] = [];
  for (let at = Math.round(Math.log10(y.min || 1)); 10 ** at <= y.max * 1.001; at += 1)
    decades.push(Number((10 ** at).toPrecision(1)));
  return {
    ...axisOptions(page),
    size: 58,
    label: y.label,
    labelFont: '12px system-ui, sans-serif',
    labelSize: 20,
    ...(y.kind === 'log' && { splits: () => decades, filter: (_: Plot, ticks: readonly number[]) => ticks }),
    values: (_: Plot, ticks: readonly number[]) => ticks.map(short),
  };
}

/** What is not measured is shaded, and every phase that has the room is named. */
function shadePhases(page: PageWindow, plot: Plot, phases: readonly Phase[]): void {
  const { ctx, bbox } = plot;
  const ratio = page.uPlot.pxRatio;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = 'bottom';
  ctx.textAlign = 'left';
  for (const { name, from, to } of phases) {
    const start = Math.max(bbox.left, plot.valToPos(from, 'x', true));
    const end = Math.min(right, plot.valToPos(to, 'x', true));
    if (end <= start) continue;
    ctx.fillStyle = styled(page, '--phase');
    if (name !== 'measured') ctx.fillRect(start, bbox.top, end - start, bbox.height);
    ctx.fillStyle = styled(page, '--quiet');
    if (ctx.measureText(name).width + 8 * ratio < end - start)
      ctx.fillText(name, start + 4 * ratio, bbox.top - 4 * ratio);
  }
  ctx.restore();
}

/** The values under the cursor, in the legend. */
function tellValues(page: PageWindow, chart: Chart, index: number | null): void {
  const legend = page.document.querySelector(`#plot-${chart.id} .legend`);
  if (legend === null) return;
  const x = index === null ? undefined : chart.xValues[index];
  const at =
    chart.along === 'seconds'
      ? `at ${isLong(chart) ? clock(x ?? 0) : `${x} s`}`
      : `at ${Number(((1 - 1 / (x ?? 1)) * 100).toPrecision(7))} %`;
  const place = legend.querySelector('.at');
  if (place !== null) place.textContent = x === undefined ? '' : at;
  let number = 0;
  for (const output of legend.querySelectorAll('.value')) {
    const value = index === null ? null : (chart.series[number]?.values[index] ?? null);
    output.textContent = value === null ? '' : value.toLocaleString('en', { maximumSignificantDigits: 4 });
    number += 1;
  }
}

/** The program as text: every function above, and the call that starts it. */
export const PAGE_PROGRAM: string = [
  ...[startPage, plotColumns, keepInStep, plotHeight, offerJson, styled, plotOptions, seriesOptions, axisOptions],
  ...[shownRange, lonePoints, isLong, clock, secondsAxis, quantileAxis, valueAxis, shadePhases, tellValues],
]
  .map((part) => part.toString())
  .concat('startPage(window);')
  .join('\n');
