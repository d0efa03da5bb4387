/**
 * `npm run bench`: measures, and prints the figures and the targets, each met or not. Ends with 0 also where a target is not
 * met: machines are shared, and the table says so. `--compare` ends with 1 where a bounded figure got worse.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Bench, type BenchOptions, benchNames, chooseBenches } from './benches.ts';
import { stopRunning } from './children.ts';
import { compareRuns, comparisonTable, gotWorse } from './compare.ts';
import type { Figure } from './figures.ts';
import { busyWarning, describeMachine, load } from './machine.ts';
import { pinningFault } from './pinning.ts';
import { decodeRun, encodeRun, ResultsError, type Run } from './results.ts';
import { markdownTable, terminalTable } from './table.ts';

const WRONG_USE = 2;
const SOAK_MINUTES = 20;

const USAGE = `npm run bench -- [NAME…] [--quick] [--json] [--out FILE] [--table FILE] [--minutes N]
npm run bench -- --compare A.json B.json

NAME is a group or a bench:
${benchNames()}
--quick        fewer rounds: below two minutes in all
--json         results as JSON on standard output
--out FILE     … into a file
--table FILE   the tables as Markdown (scripts/bench/RESULTS.md)
--minutes N    of the soak (${SOAK_MINUTES})
--compare      two files of results; ends with 1 where a bounded figure got worse beyond noise
Example: npm run bench -- gateway --quick --out before.json`;

function wrongUse(text: string): never {
  console.error(`bench: ${text}\n\n${USAGE}`);
  process.exit(WRONG_USE);
}

function parse() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        out: { type: 'string' },
        table: { type: 'string' },
        minutes: { type: 'string', default: String(SOAK_MINUTES) },
        compare: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    return wrongUse(error instanceof Error ? error.message : String(error));
  }
}

function compare(files: readonly string[]): number {
  const [a, b] = files;
  if (a === undefined || b === undefined || files.length !== 2) return wrongUse('--compare takes two files');
  const read = (file: string) => decodeRun(readFileSync(file, 'utf8'), file);
  try {
    const [before, after] = [read(a), read(b)];
    console.log(comparisonTable(before, after));
    return gotWorse(compareRuns(before, after)).length > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ResultsError) && !(error instanceof Error && 'code' in error)) throw error;
    return wrongUse(error.message);
  }
}

/** A bench that fails takes nothing else with it. */
async function measure(benches: readonly Bench[], options: BenchOptions): Promise<Run> {
  const machine = await describeMachine();
  const started = performance.now();
  const loadBefore = load();
  const warnings = [pinningFault(), busyWarning(loadBefore, machine.cores)].filter((text) => text !== undefined);
  for (const warning of warnings) console.error(`bench: ${warning}`);
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const bench of benches) {
    const begun = performance.now();
    process.stderr.write(`measuring ${bench.group} ${bench.name} …`);
    try {
      figures.push(...(await bench.run(options)));
    } catch (error) {
      failures.push(`${bench.group} ${bench.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await stopRunning();
    process.stderr.write(` ${((performance.now() - begun) / 1e3).toFixed(1)} s\n`);
  }
  const seconds = (performance.now() - started) / 1e3;
  return { machine, quick: options.quick, loadBefore, loadAfter: load(), seconds, warnings, failures, figures };
}

const { values, positionals } = parse();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
if (values.compare) process.exit(compare(positionals));
const minutes = Number(values.minutes);
if (!(minutes > 0)) wrongUse('--minutes takes a positive number');
const { chosen, unknown } = chooseBenches(positionals);
if (unknown.length > 0) wrongUse(`no group or bench is called ${unknown.join(', ')}`);
const run = await measure(chosen, { quick: values.quick, minutes });
if (values.out !== undefined) writeFileSync(values.out, encodeRun(run));
if (values.table !== undefined) writeFileSync(values.table, markdownTable(run));
process.stdout.write(values.json ? encodeRun(run) : `${terminalTable(run, positionals.length === 0)}\n`);
process.exitCode = run.failures.length > 0 ? 1 : 0;
