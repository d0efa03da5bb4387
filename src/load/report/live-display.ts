/**
 * The live display of a load run on a terminal: the current second in one line, redrawn in place, of which about forty
 * stay standing over the run, so that its course can be read back. A line that stays tells the mean rates and the worst
 * latencies of the seconds since the one before. Never wider than the terminal; silent where there is none.
 */
import type { LoadInterval, LoadPlanFacts, Scenario } from '../result.ts';
import { greatest, mainOperations, sum } from './figures.ts';
import { ABSENT, formatCount, formatDecimal, formatMs } from './format.ts';
import { fitted } from './text-table.ts';

export interface LiveStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface LiveDisplay {
  update(interval: LoadInterval): void;
  /** Leaves the cursor at the beginning of a line. Can be called twice. */
  close(): void;
}

/** Lines that stay; more would push the beginning of the run out of sight. */
const KEPT_LINES = 40;
const KEPT_EVERY_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800] as const;
/** Of a terminal that does not tell. */
const DEFAULT_COLUMNS = 80;
const REDRAW = '\r\u001b[K';

/** What a line tells of one or more seconds. */
interface Row {
  readonly second: number;
  readonly phase: string;
  readonly offered: number | undefined;
  readonly completed: number;
  readonly failed: number;
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  readonly max: number | undefined;
  readonly sessions: number;
  readonly cores: number;
}

interface Column {
  readonly title: string;
  readonly width: number;
  /** Narrow terminals lose the greatest first. */
  readonly rank: number;
  readonly cell: (row: Row) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'time', width: 7, rank: 0, cell: ({ second }) => `${formatCount(second)} s` },
  { title: 'phase', width: 9, rank: 5, cell: ({ phase }) => phase },
  { title: 'offered/s', width: 10, rank: 6, cell: ({ offered }) => shownRate(offered) },
  { title: 'done/s', width: 8, rank: 1, cell: ({ completed }) => shownRate(completed) },
  { title: 'failed', width: 8, rank: 2, cell: ({ failed }) => formatCount(failed) },
  { title: 'p50 ms', width: 7, rank: 7, cell: ({ p50 }) => formatMs(p50) },
  { title: 'p99 ms', width: 7, rank: 3, cell: ({ p99 }) => formatMs(p99) },
  { title: 'max ms', width: 7, rank: 4, cell: ({ max }) => formatMs(max) },
  { title: 'sessions', width: 10, rank: 8, cell: ({ sessions }) => formatCount(sessions) },
  { title: 'cores', width: 6, rank: 9, cell: ({ cores }) => formatDecimal(cores) },
];

export function createLiveDisplay(stream: LiveStream, plan: LoadPlanFacts): LiveDisplay {
  if (stream.isTTY !== true) return { update: () => {}, close: () => {} };
  const keptEvery = keptEverySeconds(plan);
  const possible = plan.loop.kind === 'open' ? COLUMNS : COLUMNS.filter(({ title }) => title !== 'offered/s');
  /** Seconds since the last line that stays, of one phase. */
  let gathered: LoadInterval[] = [];
  let heading = '';
  let closed = false;

  const draw = (intervals: readonly LoadInterval[], end: string) => {
    const columns = fittingColumns(possible, (stream.columns ?? DEFAULT_COLUMNS) - 1);
    const titles = columns.map(({ title, width }) => fitted(title, width, 'right')).join('');
    const row = rowOf(plan.scenario, intervals);
    const line = columns.map(({ width, cell }) => fitted(cell(row), width, 'right')).join('');
    stream.write(`${REDRAW}${titles === heading ? '' : `${titles}\n`}${line}${end}`);
    heading = titles;
  };
  const keep = () => {
    if (gathered.length > 0) draw(gathered, '\n');
    gathered = [];
  };
  return {
    update(interval) {
      if (closed) return;
      if (gathered.at(-1)?.phase !== interval.phase) keep();
      gathered.push(interval);
      if (gathered.length >= keptEvery) keep();
      else draw([interval], '');
    },
    close() {
      if (!closed) keep();
      closed = true;
    },
  };
}

function keptEverySeconds({ rampSeconds, warmUpSeconds, durationSeconds }: LoadPlanFacts): number {
  const least = (rampSeconds + warmUpSeconds + durationSeconds) / KEPT_LINES;
  return KEPT_EVERY_SECONDS.find((seconds) => seconds >= least) ?? 3_600;
}

/** Those that fit together, by rank; the time is always there. */
function fittingColumns(columns: readonly Column[], room: number): readonly Column[] {
  const chosen = new Set<Column>();
  let used = 0;
  for (const column of columns.toSorted((a, b) => a.rank - b.rank)) {
    if (chosen.size > 0 && used + column.width > room) break;
    used += column.width;
    chosen.add(column);
  }
  return columns.filter((column) => chosen.has(column));
}

function rowOf(scenario: Scenario, intervals: readonly LoadInterval[]): Row {
  const last = intervals.at(-1);
  const main = intervals.flatMap(({ operations }) => mainOperations(scenario, operations));
  const withLatency = main.filter(({ completed }) => completed > 0);
  const worst = (name: 'p50' | 'p99' | 'max') =>
    withLatency.length === 0 ? undefined : greatest(withLatency.map((operation) => operation[name]));
  const offered = intervals.flatMap(({ offered: asked }) => (asked === undefined ? [] : [asked]));
  return {
    second: last?.second ?? 0,
    phase: last?.phase ?? '',
    offered: offered.length === 0 ? undefined : sum(offered) / offered.length,
    completed: sum(main.map(({ completed }) => completed)) / intervals.length,
    failed: sum(intervals.flatMap(({ operations }) => operations.map(({ failed }) => failed))),
    p50: worst('p50'),
    p99: worst('p99'),
    max: worst('max'),
    sessions: last?.sessions ?? 0,
    cores: sum(intervals.map(({ generatorCores }) => generatorCores)) / intervals.length,
  };
}

function shownRate(perSecond: number | undefined): string {
  return perSecond === undefined ? ABSENT : formatCount(perSecond);
}
