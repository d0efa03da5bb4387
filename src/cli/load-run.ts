/**
 * The work of `lewes load`: runs the plan, shows how it goes, and reports. The JSON is a schema that scripts rely on
 * (load/result.ts); the summary goes to standard output, the live display to standard error if that is a terminal.
 */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { renderHtml } from '../load/report/html.ts';
import { createLiveDisplay, formatSummary } from '../load/report/terminal.ts';
import type { LoadResult } from '../load/result.ts';
import { runLoad } from '../load/run.ts';
import { loadProvider } from '../lp/crypto/load.ts';
import { OperatorError, reasonOf } from '../ops/operator-error.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { onInterrupt } from './interrupt.ts';
import { planNymLoad } from './load-nym-plan.ts';
import { planLoad } from './load-plan.ts';
import type { LoadFlags } from './load-shape.ts';
import { printJson, printLine } from './output.ts';
import { walletOf } from './token-options.ts';

export async function load(address: string, flags: LoadFlags): Promise<ExitCode> {
  using interruption = onInterrupt();
  const { signal } = interruption;
  const crypto = await loadProvider('auto');
  const { plan, maxErrorShare } =
    flags.protocol === 'nym' ? await planNymLoad(address, flags, { crypto, signal }) : planLoad(address, flags, crypto);
  if (flags.html !== undefined) checkWritable(flags.html);
  const tokenSource = plan.mix.register ? walletOf(flags, signal)(plan.facts.target) : undefined;
  const shown = flags.json !== true && process.stderr.isTTY === true;
  const display = shown ? createLiveDisplay(process.stderr, plan.facts) : undefined;
  let result: LoadResult;
  try {
    result = await runLoad({
      plan,
      signal,
      ...(tokenSource !== undefined && { tokenSource }),
      ...(display !== undefined && { onInterval: (interval) => display.update(interval) }),
    });
  } finally {
    display?.close();
  }
  if (flags.html !== undefined) writeReport(flags.html, renderHtml(result));
  if (flags.json === true) printJson(result);
  else printReport(result, flags.html);
  return verdict(result, maxErrorShare);
}

/** 1 where the figures say little: nothing was completed, or too much failed. */
function verdict({ operations }: LoadResult, maxErrorShare: number): ExitCode {
  const completed = operations.reduce((sum, operation) => sum + operation.completed, 0);
  const failed = operations.reduce((sum, operation) => sum + operation.failed, 0);
  return completed === 0 || failed / (completed + failed) > maxErrorShare ? EXIT.failed : EXIT.done;
}

function printReport(result: LoadResult, html: string | undefined): void {
  process.stdout.write(formatSummary(result));
  const { registrations } = result;
  if (registrations !== undefined) {
    const { made, released, left } = registrations;
    const rest = left === 0 ? '' : `; ${left} stay with the gateway until they run out`;
    printLine(`\nRegistrations: ${made} made, ${released} released${rest}`);
  }
  if (html !== undefined) printLine(`\nReport with plots: ${html}`);
}

/** Before a long run, not after it. */
function checkWritable(path: string): void {
  try {
    accessSync(dirname(resolve(path)), constants.W_OK);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function writeReport(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): OperatorError {
  const what = `the report cannot be written to ${path} (${reasonOf(cause)})`;
  return new OperatorError('ERR_REPORT_FILE', what, 'give another path with --html', { cause });
}
