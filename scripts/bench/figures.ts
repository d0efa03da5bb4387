/**
 * A figure: what was measured against a floor or a peer of the same run, and what is to be reached.
 */
export interface Figure {
  readonly name: string;
  readonly measured: string;
  readonly against: string;
  /** Of `measured` to `against`, or the bare value where the bound is absolute. */
  readonly value: number;
  readonly bound: number;
  readonly unit: 'ratio' | 'us' | 'bytes';
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export function us(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} µs`;
}

export function printFigures(figures: readonly Figure[]): void {
  const rows = figures.map((f) => [
    f.name,
    f.measured,
    f.against,
    f.unit === 'ratio' ? f.value.toFixed(2) : f.unit === 'us' ? us(f.value) : `${f.value.toFixed(0)} B`,
    `≤ ${f.unit === 'ratio' ? f.bound : f.unit === 'us' ? us(f.bound) : `${f.bound} B`}`,
    f.value <= f.bound ? 'reached' : 'NOT reached',
  ]);
  const table = [['figure', 'measured', 'against', 'result', 'reach', ''], ...rows];
  const widths = table[0]?.map((_, i) => Math.max(...table.map((row) => (row[i] ?? '').length))) ?? [];
  for (const row of table)
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}
