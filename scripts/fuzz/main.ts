/**
 * `npm run fuzz -- --minutes N [--target a,b*] [--seed S]`: every target gets its share of the time; prints a table and each
 * finding. `--replay FILE --target X` runs one input. `--keep` adds what brought new coverage to the corpus. Ends with 1 on
 * a finding, with 2 on wrong use. Coverage is V8's own, by a loop of our own: jazzer.js has no binaries for this platform.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { keepInputs, readCorpus, writeInput } from './corpus.ts';
import { nowMs } from './flight-recorder.ts';
import { type FuzzOptions, parseOptions, shareMs, USAGE } from './options.ts';
import { describe, table } from './report.ts';
import { fuzzTarget, type TargetReport } from './run-target.ts';
import { chooseTargets, type FoundTarget, findTargets } from './targets.ts';

const REPLAY_MS = 60_000;
/** Even the last target of a short run on a busy machine gets through its seeds and some hundreds of mutations. */
const LEAST_MS = 300;

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), Date.now() % 2 ** 31);
  if (typeof options === 'string') return wrongUse(options);
  const found = await findTargets();
  const chosen = chooseTargets(found, options.targets);
  if ('unknown' in chosen) {
    return wrongUse(
      `no target called ${chosen.unknown}; there are ${found.map(({ target }) => target.name).join(', ')}`,
    );
  }
  if (options.list) {
    for (const { target } of chosen) console.log(target.name);
    return 0;
  }
  const [first] = chosen;
  if (options.replay.length > 0 && first !== undefined) return replay(first, options);
  return fuzz(chosen, options);
}

async function fuzz(chosen: readonly FoundTarget[], options: FuzzOptions): Promise<number> {
  const endMs = nowMs() + options.minutes * 60_000;
  const reports: TargetReport[] = [];
  let loadMs = 0;
  console.log(`fuzz: ${chosen.length} targets, ${options.minutes} min, --seed ${options.seed}`);
  for (const [i, { module, target }] of chosen.entries()) {
    const weights = chosen.slice(i).map((later) => later.target.weight ?? 1);
    const startMs = nowMs();
    const budgetMs = Math.max(LEAST_MS, shareMs(endMs - startMs, weights, loadMs / Math.max(1, i)));
    const corpus = readCorpus(target.name);
    const report = await fuzzTarget({ module, target: target.name, seed: options.seed, corpus, budgetMs });
    loadMs += Math.max(0, nowMs() - startMs - budgetMs);
    reports.push(report);
    tell(report, options);
  }
  console.log(`\n${table(reports)}`);
  const findings = reports.reduce((sum, report) => sum + report.findings.length, 0);
  const executions = reports.reduce((sum, report) => sum + report.executions, 0);
  console.log(`\n${executions.toLocaleString('en')} executions, ${findings} findings`);
  return findings > 0 ? 1 : 0;
}

function tell({ target, findings, kept, slow }: TargetReport, options: FuzzOptions): void {
  for (const finding of findings) {
    writeInput(`${options.findings}/${target}/unminimised`, finding.input);
    const path = writeInput(`${options.findings}/${target}`, finding.minimised);
    console.log(`\n${describe(target, finding, path)}`);
  }
  if (slow > 0) console.log(`${target}: ${slow} inputs took more than a second, once and not again`);
  if (!options.keep) return;
  const added = keepInputs(target, kept);
  if (added > 0) console.log(`${target}: ${added} inputs kept`);
}

async function replay({ module, target }: FoundTarget, { replay: files }: FuzzOptions): Promise<number> {
  let failed = 0;
  for (const file of files) {
    const input = Uint8Array.from(readFileSync(file));
    const once = { module, target: target.name, seed: 1, corpus: [input], budgetMs: REPLAY_MS, only: true };
    const { findings } = await fuzzTarget(once);
    for (const { kind, message, stack } of findings) console.log(`${file}: ${kind}: ${message}\n${stack}`);
    if (findings.length === 0) console.log(`${file}: nothing found (${input.length} bytes)`);
    failed += findings.length;
  }
  return failed > 0 ? 1 : 0;
}

function wrongUse(what: string): number {
  console.error(`fuzz: ${what}\n${USAGE}`);
  return 2;
}

process.exitCode = await main();
