/**
 * The results as people read them: the targets, each met or not, then every figure with what it was measured against. On a
 * terminal, and as Markdown for RESULTS.md.
 */
import { type Figure, formatSeries, formatValue, medianOf } from './figures.ts';
import type { Run } from './results.ts';
import { quantile } from './statistics.ts';
import { byName, type Condition, EARLIER_TARGETS, formatBound, TARGETS, type Target, verdict } from './targets.ts';

type Row = readonly string[];

/** What was measured for a target: one alternative after the other. */
function measured(target: Target, figures: ReadonlyMap<string, Figure>): string {
  const of = (condition: Condition) => {
    const figure = figures.get(condition.figure);
    if (figure === undefined) return '–';
    if (condition.kind !== 'holdsZero') return formatValue(medianOf(figure), figure.unit);
    const ends = [Math.min(...figure.rounds), Math.max(...figure.rounds)];
    return ends.map((end) => formatValue(end, figure.unit)).join(' … ');
  };
  return target.alternatives.map((all) => all.map(of).join(', ')).join(' | ');
}

function bounds(target: Target): string {
  return target.alternatives.map((all) => all.map(formatBound).join(', ')).join(' | ');
}

export function targetRows(targets: readonly Target[], figures: ReadonlyMap<string, Figure>): Row[] {
  return targets.map((target) => [
    target.row,
    target.text,
    measured(target, figures),
    bounds(target),
    verdict(target, figures),
  ]);
}

const TARGET_HEAD: Row = ['what', 'reach', 'measured', 'bound', ''];
const FIGURE_HEAD: Row = ['figure', 'median', 'rounds', 'of'];

function figureRows(figures: readonly Figure[]): Row[] {
  return figures.map((figure) => [
    figure.name,
    formatValue(medianOf(figure), figure.unit),
    spread(figure),
    [...figure.parts.map(formatSeries), ...(figure.note === undefined ? [] : [figure.note])].join('; '),
  ]);
}

/** Lowest and highest round: how far the median is to be trusted. */
function spread({ rounds, unit }: Figure): string {
  if (rounds.length < 2) return `${rounds.length}`;
  return `${rounds.length}: ${formatValue(quantile(rounds, 0), unit)} … ${formatValue(quantile(rounds, 1), unit)}`;
}

function machineLine({ machine, loadBefore, loadAfter, quick, seconds }: Run): string {
  const { commit, changed } = machine;
  const tree = commit === undefined ? [] : [`commit ${commit}${changed ? ' with changes' : ''}`];
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryMiB.toLocaleString('en')} MiB`,
    machine.platform,
    `Node ${machine.node}`,
    `crypto ${machine.crypto}`,
    machine.date,
    ...tree,
    `load average ${loadBefore.toFixed(2)} before, ${loadAfter.toFixed(2)} after`,
    `${quick ? 'quick run' : 'full run'} of ${seconds.toFixed(0)} s`,
  ].join(', ');
}

/** Benches that were not asked for leave their targets out. */
function asked(targets: readonly Target[], figures: ReadonlyMap<string, Figure>): Target[] {
  return targets.filter((target) => verdict(target, figures) !== 'not measured');
}

/** `all`: also the targets that were not measured. */
export function terminalTable(run: Run, all: boolean): string {
  const figures = byName(run.figures);
  const shown = [...TARGETS, ...EARLIER_TARGETS];
  const rows = targetRows(all ? shown : asked(shown, figures), figures);
  const targets = rows.length === 0 ? [] : [...columns(TARGET_HEAD, rows), ''];
  const lines = [...columns(FIGURE_HEAD, figureRows(run.figures)), '', ...targets, machineLine(run)];
  for (const failure of run.failures) lines.push(`FAILED: ${failure}`);
  for (const warning of run.warnings) lines.push(`NOTE: ${warning}`);
  return lines.join('\n');
}

export function columns(head: Row, rows: readonly Row[]): string[] {
  const table = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...table.map((row) => (row[i] ?? '').length)));
  return table.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

export function markdownTable(run: Run): string {
  const figures = byName(run.figures);
  const notes = [...run.failures.map((failure) => `Failed: ${failure}`), ...run.warnings];
  return `${[
    '# Results',
    '',
    '<!-- Written by `npm run bench -- --table FILE`; edit targets.ts instead. -->',
    '',
    `${machineLine(run)}.`,
    ...notes.flatMap((note) => ['', `**${note}**`]),
    '',
    '## Targets',
    '',
    ...markdown(TARGET_HEAD, targetRows(TARGETS, figures)),
    '',
    '## Earlier bounds',
    '',
    ...markdown(TARGET_HEAD, targetRows(EARLIER_TARGETS, figures)),
    '',
    '## Figures',
    '',
    'Medians; then how many rounds, the lowest and the highest; then what they were made of.',
    '',
    ...markdown(FIGURE_HEAD, figureRows(run.figures)),
  ].join('\n')}\n`;
}

function markdown(head: Row, rows: readonly Row[]): string[] {
  const line = (row: Row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}
