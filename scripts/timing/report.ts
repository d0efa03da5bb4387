/**
 * What the findings say: the verdict of each pair by what was to be expected of it, and whether the run itself can be
 * trusted: its controls must show nothing, its planted leaks must show.
 */
import type { Pair, PairKind } from './pair.ts';
import { type Finding, T_THRESHOLD } from './welch.ts';

export interface Result extends Finding {
  readonly name: string;
  readonly kind: PairKind;
  readonly classes: readonly [string, string];
  readonly seen: boolean;
  readonly verdict: string;
  /** What the verdict means for somebody who can measure. */
  readonly meaning: string;
  /** False for a difference that should not be there, and for a self-check that failed. */
  readonly asExpected: boolean;
}

export function judge({ name, kind, classes, learns }: Pair, finding: Finding): Result {
  const seen = Math.abs(finding.t) >= T_THRESHOLD;
  const nothing = `no difference seen at ${finding.samples} samples`;
  const common = { ...finding, name, kind, classes, seen };
  const unseen = `${nothing}; one of ${ns(finding.resolutionNs)} would have been`;
  switch (kind) {
    case 'control':
      return seen
        ? { ...common, verdict: 'IMAGINED', meaning: 'equal inputs differ: this run shows nothing', asExpected: false }
        : { ...common, verdict: 'nothing seen, rightly', meaning: unseen, asExpected: true };
    case 'planted':
      return seen
        ? { ...common, verdict: 'seen, rightly', meaning: 'a known leak is found in this run', asExpected: true }
        : { ...common, verdict: 'MISSED', meaning: `${learns}: this run is too noisy or too short`, asExpected: false };
    case 'secret':
      return seen
        ? { ...common, verdict: 'DIFFERENCE', meaning: learns, asExpected: false }
        : { ...common, verdict: 'no difference seen', meaning: unseen, asExpected: true };
    case 'public':
    case 'portable': {
      const why = kind === 'public' ? 'by design' : 'as documented';
      const caution =
        kind === 'portable' ? '. The portable provider promises nothing: a gateway should run the native one' : '';
      return seen
        ? { ...common, verdict: `differs, ${why}`, meaning: learns + caution, asExpected: true }
        : { ...common, verdict: 'no difference seen', meaning: unseen + caution, asExpected: true };
    }
  }
}

export interface SelfCheck {
  readonly imagined: readonly string[];
  readonly missed: readonly string[];
}

export function selfCheck(results: readonly Result[]): SelfCheck {
  const failed = (kind: PairKind) => results.filter((r) => r.kind === kind && !r.asExpected).map(({ name }) => name);
  return { imagined: failed('control'), missed: failed('planted') };
}

function ns(value: number): string {
  const size = Math.abs(value);
  if (size >= 10_000) return `${(value / 1_000).toFixed(1)} µs`;
  return `${value.toFixed(size < 10 ? 1 : 0)} ns`;
}

export function printResults(results: readonly Result[]): void {
  const rows = results.map((r) => [
    r.name,
    r.kind,
    Math.abs(r.t).toFixed(1),
    String(r.samples),
    `${r.differenceNs > 0 ? '+' : ''}${ns(r.differenceNs)}`,
    r.verdict,
  ]);
  const table = [['pair', 'kind', '|t|', 'samples', 'difference', 'verdict'], ...rows];
  const widths = table[0]?.map((_, i) => Math.max(...table.map((row) => (row[i] ?? '').length))) ?? [];
  for (const row of table) {
    const cells = row.map((cell, i) =>
      i >= 2 && i <= 4 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
    );
    console.log(cells.join('  ').trimEnd());
  }
  console.log('');
  for (const { name, classes, meaning } of results) console.log(`${name}: ${classes.join(' / ')}\n    ${meaning}`);
}

export function printConclusion(results: readonly Result[]): void {
  const { imagined, missed } = selfCheck(results);
  const found = results.filter(({ kind, seen }) => kind === 'secret' && seen).map(({ name }) => name);
  console.log('');
  if (imagined.length > 0)
    console.log(`The run is worth nothing: equal inputs seem to differ (${imagined.join(', ')}).`);
  if (missed.length > 0) console.log(`The run is worth nothing: planted leaks were not seen (${missed.join(', ')}).`);
  const checks = results.filter(({ kind }) => kind === 'control' || kind === 'planted').length;
  if (checks === 0) console.log('Without a control and a planted leak (--pair) a run does not show what it can see.');
  console.log(
    found.length === 0
      ? 'No difference was seen that depends on a secret. That is no proof that there is none: it says what would have shown.'
      : `Differences that depend on a secret: ${found.join(', ')}. Repeat the run before you believe it.`,
  );
}
