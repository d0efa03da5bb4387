/** What a run prints: a line per fault, and at the end a table of the kinds. */
import type { FaultKind } from './kinds.ts';

export interface FaultResult {
  readonly faults: readonly FaultKind[];
  /** What was done. */
  readonly note: string;
  /** Clients that saw an error or lost a session. */
  readonly affected: number;
  /** From the end of the fault, of all clients, in milliseconds. */
  readonly recoveries: readonly number[];
  readonly slowest: string;
  /** Of the entry, afterwards. */
  readonly memoryMiB: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

export function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

export function faultLine(secondsSoFar: number, result: FaultResult): string {
  const { faults, note, affected, recoveries, slowest, memoryMiB } = result;
  const at = `${secondsSoFar.toFixed(1).padStart(6)} s`;
  const recovered = `p50 ${inMs(median(recoveries))}, max ${inMs(largest(recoveries))} (${slowest})`;
  return `${at}  ${faults.join(' + ').padEnd(30)} ${note}; ${affected} of ${recoveries.length} clients affected; recovered ${recovered}; ${memoryMiB} MiB`;
}

/** Recoveries are of all clients, also of those that noticed nothing. */
export function summaryTable(results: readonly FaultResult[]): string {
  const kinds = new Map<string, FaultResult[]>();
  for (const result of results) {
    for (const fault of result.faults) kinds.set(fault, [...(kinds.get(fault) ?? []), result]);
  }
  const rows = [...kinds]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([kind, of]) => {
      const recoveries = of.flatMap((result) => result.recoveries);
      const affected = of.reduce((sum, result) => sum + result.affected, 0);
      return [kind, of.length, affected, inMs(median(recoveries)), inMs(largest(recoveries))].map(String);
    });
  return table([['fault', 'count', 'clients affected', 'recovery p50', 'recovery max'], ...rows]);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => largest(rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join('  ');
  return rows.map(line).join('\n');
}

function inMs(ms: number): string {
  return `${Math.round(ms)} ms`;
}
