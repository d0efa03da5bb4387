/** What the fuzzer prints: a table with a line for each target, and each finding with the command that replays it. */
import type { Finding } from './finding.ts';
import type { TargetReport } from './run-target.ts';

const SHOWN_BYTES = 96;

export function table(reports: readonly TargetReport[]): string {
  const head = ['target', 'executions', 'corpus', 'new coverage (blocks/functions)', 'findings'];
  const lines = reports.map(({ target, executions, pool, gain, findings }) => [
    target,
    executions.toLocaleString('en'),
    String(pool),
    `${gain.blocks}/${gain.functions}`,
    String(findings.length),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]?.length ?? 0)));
  const row = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ');
  return [row(head), widths.map((width) => '-'.repeat(width)).join('-|-'), ...lines.map(row)].join('\n');
}

export function describe(target: string, finding: Finding, path: string): string {
  const { kind, message, stack, input, minimised } = finding;
  const hex = Buffer.from(minimised.subarray(0, SHOWN_BYTES)).toString('hex');
  const more = minimised.length > SHOWN_BYTES ? '…' : '';
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return [
    `FINDING in ${target}: ${kind}: ${message.split('\n', 1)[0]}`,
    ...frames.slice(0, 6),
    `  minimised from ${input.length} to ${minimised.length} bytes: ${hex}${more}`,
    `  replay: npm run fuzz -- --replay ${path} --target ${target}`,
  ].join('\n');
}
