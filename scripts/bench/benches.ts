/**
 * What there is to be measured, by group and name. Each bench gives figures whose names begin with its group. A bench that
 * takes long runs only when it is asked for.
 */
import { coreHandshakeFigures } from './core.ts';
import { coreSessionFigures } from './core-sessions.ts';
import type { Figure } from './figures.ts';
import { floodFigures } from './flood.ts';
import { echoFigures, pipelinedFigures } from './gateway-echo.ts';
import { forwardFigures } from './gateway-forward.ts';
import { handshakeFigures } from './gateway-handshake.ts';
import { scalingFigures } from './gateway-scaling.ts';
import { leaseFigures } from './leases.ts';
import { churnFigures, idleFigures, millionFigures } from './memory.ts';
import { microFigures } from './micro.ts';
import { nymCoreFigures } from './nym.ts';
import { nymGatewayFigures } from './nym-gateway.ts';
import { overloadFigures } from './overload.ts';
import { registrationFigures } from './registration.ts';
import { soakFigures } from './soak.ts';
import { startUpFigures } from './start-up.ts';

export interface BenchOptions {
  readonly quick: boolean;
  /** Of the soak. */
  readonly minutes: number;
}

export interface Bench {
  readonly group: string;
  readonly name: string;
  /** Not part of a run that names nothing. */
  readonly onlyWhenAsked?: boolean;
  readonly run: (options: BenchOptions) => Promise<Figure[]> | Figure[];
}

export const BENCHES: readonly Bench[] = [
  { group: 'micro', name: 'small', run: ({ quick }) => microFigures(quick) },
  { group: 'micro', name: 'leases', run: ({ quick }) => leaseFigures(quick) },
  { group: 'core', name: 'handshakes', run: ({ quick }) => coreHandshakeFigures(quick) },
  { group: 'core', name: 'sessions', run: ({ quick }) => coreSessionFigures(quick) },
  { group: 'core', name: 'nym', run: ({ quick }) => nymCoreFigures(quick) },
  { group: 'gateway', name: 'handshake', run: ({ quick }) => handshakeFigures(quick) },
  { group: 'gateway', name: 'echo', run: ({ quick }) => echoFigures(quick) },
  { group: 'gateway', name: 'pipelined', run: ({ quick }) => pipelinedFigures(quick) },
  { group: 'gateway', name: 'forward', run: ({ quick }) => forwardFigures(quick) },
  { group: 'gateway', name: 'registration', run: ({ quick }) => registrationFigures(quick) },
  { group: 'gateway', name: 'nym-handshake', run: ({ quick }) => nymGatewayFigures(quick) },
  { group: 'gateway', name: 'scaling', run: ({ quick }) => scalingFigures(quick) },
  { group: 'memory', name: 'idle', run: ({ quick }) => idleFigures(quick) },
  { group: 'memory', name: 'million', run: () => millionFigures() },
  { group: 'memory', name: 'churn', run: ({ quick }) => churnFigures(quick) },
  { group: 'start-up', name: 'start', run: ({ quick }) => startUpFigures(quick) },
  { group: 'overload', name: 'goodput', run: ({ quick }) => overloadFigures(quick) },
  { group: 'flood', name: 'floods', onlyWhenAsked: true, run: ({ quick }) => floodFigures(quick) },
  { group: 'soak', name: 'mixed', onlyWhenAsked: true, run: ({ minutes }) => soakFigures(minutes) },
];

/** Those of these groups and names; all that need not be asked for where there are none. Unknown ones are told of. */
export function chooseBenches(
  asked: readonly string[],
  benches: readonly Bench[] = BENCHES,
): { readonly chosen: readonly Bench[]; readonly unknown: readonly string[] } {
  if (asked.length === 0) return { chosen: benches.filter(({ onlyWhenAsked }) => onlyWhenAsked !== true), unknown: [] };
  const fits = (bench: Bench, word: string) => bench.group === word || bench.name === word;
  return {
    chosen: benches.filter((bench) => asked.some((word) => fits(bench, word))),
    unknown: asked.filter((word) => !benches.some((bench) => fits(bench, word))),
  };
}

/** One line for each group. */
export function benchNames(benches: readonly Bench[] = BENCHES): string {
  const groups = new Set(benches.map(({ group }) => group));
  const names = (group: string) =>
    benches
      .filter((bench) => bench.group === group)
      .map(({ name, onlyWhenAsked }) => (onlyWhenAsked ? `${name} (only when asked for)` : name));
  return [...groups].map((group) => `  ${group}: ${names(group).join(', ')}`).join('\n');
}
