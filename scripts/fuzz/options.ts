/** The command line of the fuzzer, and how the time is shared out among its targets. */
import { parseArgs } from 'node:util';

export interface FuzzOptions {
  readonly minutes: number;
  /** Empty: all. */
  readonly targets: readonly string[];
  readonly seed: number;
  /** Files to run once each, instead of fuzzing; then `targets` has one name. */
  readonly replay: readonly string[];
  /** Where inputs of findings are written. */
  readonly findings: string;
  /** Adds what brought new coverage to the corpus in the repository. */
  readonly keep: boolean;
  readonly list: boolean;
}

export const USAGE = `usage: npm run fuzz -- [--minutes N] [--target NAME,NAME*] [--seed S] [--findings DIR] [--keep]
       npm run fuzz -- --replay FILE --target NAME
       npm run fuzz -- --list`;

const DEFAULT_MINUTES = 1;
const DEFAULT_FINDINGS = 'coverage/fuzz-findings';

/** Or what is wrong with them. */
export function parseOptions(args: readonly string[], randomSeed: number): FuzzOptions | string {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(args));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const minutes = Number(values.minutes ?? DEFAULT_MINUTES);
  const seed = Number(values.seed ?? randomSeed);
  const targets = values.target.flatMap((names) => names.split(',')).filter((name) => name !== '');
  if (!(minutes > 0 && minutes <= 10_000)) return '--minutes needs a number above 0';
  if (!Number.isSafeInteger(seed) || seed < 0) return '--seed needs a whole number';
  if (values.replay.length > 0 && (targets.length !== 1 || targets[0]?.endsWith('*') === true))
    return '--replay needs one --target';
  const { replay, findings, keep, list } = values;
  return { minutes, targets, seed, replay, findings, keep, list };
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      target: { type: 'string', multiple: true, default: [] },
      seed: { type: 'string' },
      replay: { type: 'string', multiple: true, default: [] },
      findings: { type: 'string', default: DEFAULT_FINDINGS },
      keep: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  });
}

/**
 * The next target's part of the time that is left, by its weight among those that have not run yet. Loading each of them
 * takes `loadMs` besides, as far as those before it have shown.
 */
export function shareMs(leftMs: number, weights: readonly number[], loadMs = 0): number {
  const [weight = 0] = weights;
  const sum = weights.reduce((total, each) => total + each, 0);
  return sum > 0 ? Math.max(0, (leftMs - loadMs * weights.length) * (weight / sum)) : 0;
}
