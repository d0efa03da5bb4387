import { createContext, runInContext } from 'node:vm';
import test from 'ava';
import { chartsOf, phasesOf } from '../../../src/load/report/charts.ts';
import { formatMoment } from '../../../src/load/report/format.ts';
import {
  clock,
  isLong,
  lonePoints,
  PAGE_PROGRAM,
  type PageElement,
  quantileAxis,
  shownRange,
  valueAxis,
} from '../../../src/load/report/page-program.ts';
import type { LoadResult } from '../../../src/load/result.ts';
import { long, mixed, overloaded, result } from './sample-results.ts';

class FakeElement implements PageElement {
  readonly listeners = new Map<string, () => void>();
  readonly attributes = new Map<string, string>();
  readonly children = new Map<string, FakeElement>();
  readonly values: FakeElement[] = [];
  clientWidth = 900;
  textContent: string | null = '';
  hidden = true;
  href = '';
  download = '';
  clicks = 0;

  querySelector(selector: string): FakeElement | null {
    return this.children.get(selector) ?? null;
  }
  querySelectorAll(): Iterable<FakeElement> {
    return this.values;
  }
  addEventListener(type: string, listener: () => void): void {
    this.listeners.set(type, listener);
  }
  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }
  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
  click(): void {
    this.clicks += 1;
  }
}

interface Options {
  readonly width: number;
  readonly height: number;
  readonly scales: Readonly<
    Record<'x' | 'y', { readonly range: (plot: unknown, from: number, to: number) => number[] }>
  >;
  readonly axes: readonly {
    readonly values: (plot: unknown, ticks: number[]) => unknown[];
    readonly stroke: () => string;
  }[];
  readonly series: readonly {
    readonly stroke?: () => string;
    readonly fill?: () => string;
    readonly points?: { readonly filter: () => number[] };
  }[];
  readonly hooks: Readonly<Record<'drawClear' | 'setCursor', ((plot: FakePlot) => void)[]>>;
}

class FakePlot {
  static readonly pxRatio = 1;
  readonly drawn: string[] = [];
  readonly sizes: { width: number; height: number }[] = [];
  readonly bbox = { left: 60, top: 20, width: 800, height: 200 };
  readonly cursor: { idx: number | null } = { idx: null };
  redraws = 0;
  readonly ctx = {
    ...{ font: '', fillStyle: '', textBaseline: '', textAlign: '' },
    save: () => {},
    restore: () => {},
    fillRect: (x: number, _y: number, width: number) => this.drawn.push(`rect ${x} ${width}`),
    fillText: (text: string) => this.drawn.push(text),
    measureText: (text: string) => ({ width: text.length * 6 }),
  };
  readonly options: Options;
  readonly columns: readonly (readonly (number | null)[])[];

  constructor(options: Options, columns: readonly (readonly (number | null)[])[]) {
    this.options = options;
    this.columns = columns;
  }
  setSize(size: { width: number; height: number }): void {
    this.sizes.push(size);
  }
  redraw(): void {
    this.redraws += 1;
  }
  valToPos(value: number): number {
    return 60 + value * 10;
  }
}

/** Runs the program as a page would, knowing nothing of this module. */
function openPage(from: LoadResult) {
  const charts = chartsOf(from);
  const made: FakePlot[] = [];
  const document = new FakeElement();
  const root = new FakeElement();
  const place = (selector: string, element = new FakeElement()) => {
    document.children.set(selector, element);
    return element;
  };
  place('#charts').textContent = JSON.stringify({ charts, phases: phasesOf(from.intervals) });
  place('#result').textContent = '{"schema":"lewes-load/1"}';
  const save = place('#save');
  const legends = charts.map(({ id, series }) => {
    place(`#plot-${id} .canvas`);
    const legend = place(`#plot-${id} .legend`);
    legend.children.set('.at', new FakeElement());
    legend.values.push(...series.map(() => new FakeElement()));
    return legend;
  });
  const links: FakeElement[] = [];
  const window = new FakeElement();
  const scheme = new FakeElement();
  const page = Object.assign(window, {
    uPlot: class extends FakePlot {
      constructor(options: Options, columns: readonly (readonly (number | null)[])[]) {
        super(options, columns);
        made.push(this);
      }
    },
    document: Object.assign(document, {
      documentElement: root,
      createElement: () => {
        const link = new FakeElement();
        links.push(link);
        return link;
      },
    }),
    URL: { createObjectURL: () => 'blob:1', revokeObjectURL: () => {} },
    Blob: class {},
    getComputedStyle: () => ({ getPropertyValue: (name: string) => ` ${name} ` }),
    matchMedia: () => scheme,
  });
  runInContext(PAGE_PROGRAM, createContext({ window: page }));
  return { charts, made, root, save, legends, links, window, scheme };
}

test('the program needs nothing but the page, and draws every chart with its columns', (t) => {
  const { charts, made } = openPage(mixed());
  t.is(made.length, charts.length);
  for (const [index, { options, columns }] of made.entries()) {
    const { series, xValues, x, y } = charts[index]!;
    t.is(options.width, 900);
    t.is(options.series.length, series.length + 1);
    t.deepEqual(
      columns.map(({ length }) => length),
      [xValues, ...series].map(() => xValues.length),
    );
    t.deepEqual([...options.scales.x.range(null, xValues[0]!, xValues.at(-1)!)], [x.min, x.max]);
    t.deepEqual([...options.scales.y.range(null, 0, 0)], [y.min, y.max]);
    for (const axis of options.axes)
      t.true(axis.values(made[index], [1, 10, 100]).length === 3 && axis.stroke() === '--quiet');
    t.deepEqual(
      options.series.slice(1).map((one) => one.stroke?.()),
      series.map(({ colour }) => `--series-${colour}`),
    );
    for (const one of options.series.slice(1)) t.deepEqual([...(one.points?.filter() ?? [])], []);
  }
});

test('what is not measured is shaded, and phases with room are named', (t) => {
  const [plot] = openPage(overloaded()).made;
  plot!.options.hooks.drawClear[0]!(plot!);
  t.deepEqual(plot!.drawn, ['rect 60 100', 'ramp', 'rect 160 50', 'measured']);
});

test('the legend tells the values under the cursor, and forgets them', (t) => {
  const { made, legends, charts } = openPage(overloaded());
  const [plot] = made;
  const told = () => [
    legends[0]!.children.get('.at')?.textContent,
    ...legends[0]!.values.map((one) => one.textContent),
  ];
  plot!.cursor.idx = 44;
  plot!.options.hooks.setCursor[0]!(plot!);
  const [offered, completed] = charts[0]!.series.map(({ values }) => values[44]!.toLocaleString('en'));
  t.deepEqual(told(), ['at 44 s', offered, completed]);
  plot!.cursor.idx = null;
  plot!.options.hooks.setCursor[0]!(plot!);
  t.deepEqual(told(), ['', '', '']);
});

test('printing is light and lower, and undone afterwards', (t) => {
  const { made, root, window } = openPage(result());
  window.listeners.get('beforeprint')?.();
  t.true(root.attributes.has('data-paper'));
  window.listeners.get('afterprint')?.();
  t.false(root.attributes.has('data-paper'));
  t.deepEqual(
    made[0]!.sizes.map(({ height }) => height),
    [215, 280],
  );
});

test('plots follow the width of the window and the colour scheme', (t) => {
  const { made, window, scheme } = openPage(result());
  window.listeners.get('resize')?.();
  scheme.listeners.get('change')?.();
  for (const plot of made) {
    t.deepEqual(plot.sizes, [{ width: 900, height: 280 }]);
    t.is(plot.redraws, 1);
  }
});

test('the button appears with the script and saves the result', (t) => {
  const { save, links } = openPage(result());
  t.false(save.hidden);
  save.listeners.get('click')?.();
  t.deepEqual(
    links.map(({ href, download, clicks }) => [href, download, clicks]),
    [['blob:1', 'lewes-load.json', 1]],
  );
});

test('a value that no line reaches is drawn as a point', (t) => {
  t.deepEqual(lonePoints([1, null, 2, 3, null, 4], false), [0, 5]);
  t.deepEqual(lonePoints([null, 1, null], true), [1]);
  t.deepEqual(lonePoints([1, null, 2], true), []);
});

test('a chosen part of the x axis is shown as chosen, an empty one is not', (t) => {
  const [chart] = chartsOf(overloaded());
  t.deepEqual(shownRange(chart!, 10, 20), [10, 20]);
  t.deepEqual(shownRange(chart!, 10, 10), [0, 74]);
});

test('moments are told alike beside a plot and on its axis', (t) => {
  const [chart] = chartsOf(long());
  t.true(isLong(chart!));
  t.is(clock(3_485), formatMoment(3_485, 3_599));
});

test('axes name shares, thousands and millions, and thin out where there is no room', (t) => {
  const { charts, made, window } = openPage(overloaded());
  const distribution = charts.find(({ id }) => id === 'distribution')!;
  const page = window as unknown as Parameters<typeof quantileAxis>[0];
  const plot = made[0]!;
  const axis = quantileAxis(page, distribution) as Options['axes'][number];
  t.deepEqual(axis.values(plot, [1, 10, 100, 1_000, 10_000]), ['0 %', '90 %', '99 %', '99.9 %', '99.99 %']);
  t.deepEqual(axis.values({ bbox: { width: 120 } }, [1, 10, 100]), ['0 %', null, '99 %']);
  const values = (valueAxis(page, distribution) as Options['axes'][number]).values(
    plot,
    [0.1, 1_000, 250_000, 2_000_000],
  );
  t.deepEqual(values, ['0.1', '1,000', '250 k', '2 M']);
});
