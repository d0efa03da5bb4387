/** The command line of the chaos runner. */
import { parseArgs } from 'node:util';
import { FAULT_KINDS, type FaultKind, isFaultKind, kindOf, type Need } from './kinds.ts';

export const USAGE = `npm run chaos -- [--minutes N] [--seed S] [--faults A,B…] [--no-wireguard] [--no-disk]

Gateways under mixed load of real clients, and faults from a seeded schedule: each kind once, then on until N minutes (default
1) are over. Needs root, and what scripts/e2e/setup installs, for WireGuard and a small file system; without them these faults
are left out.

Exit code 0: nothing was violated; 1: something was; 2: wrong use; 3: nothing was, but kinds were left out for want of what they
need. --no-wireguard and --no-disk leave them out on purpose.

Faults: ${FAULT_KINDS.join(', ')}.`;

/** From here on a run has slow faults, too. */
const LONG_MINUTES = 5;

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  readonly without: readonly Need[];
}

/** A text says what is wrong. */
export function parseOptions(args: readonly string[], nowMs: number): ChaosOptions | string {
  let values: ReturnType<typeof read>;
  try {
    values = read(args);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const minutes = Number(values.minutes ?? 1);
  if (!(minutes > 0 && minutes <= 24 * 60)) return '--minutes is a number above 0';
  const seed = Number(values.seed ?? nowMs % 2 ** 31);
  if (!Number.isSafeInteger(seed) || seed < 0) return '--seed is a whole number from 0';
  const without: Need[] = [];
  if (values['no-wireguard'] === true) without.push('wireguard');
  if (values['no-disk'] === true) without.push('disk');
  const named = values.faults?.split(',').map((name) => name.trim());
  const unknown = named?.find((name) => !isFaultKind(name));
  if (unknown !== undefined) return `"${unknown}" is no fault; there are ${FAULT_KINDS.join(', ')}`;
  const usual = FAULT_KINDS.filter((fault) => minutes >= LONG_MINUTES || kindOf(fault).isSlow === undefined);
  const faults = (named?.filter(isFaultKind) ?? usual).filter((fault) => !needsOneOf(fault, without));
  if (faults.length === 0) return 'no fault is left';
  return { minutes, seed, faults, without };
}

export function needsOneOf(fault: FaultKind, needs: readonly Need[]): boolean {
  const { needs: need } = kindOf(fault);
  return need !== undefined && needs.includes(need);
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      faults: { type: 'string' },
      'no-wireguard': { type: 'boolean' },
      'no-disk': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  }).values;
}
