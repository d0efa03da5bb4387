/**
 * What commands print: results on standard output, for people or as JSON, and progress on standard error. Progress shows
 * only on a terminal and never with --json, so that a script reads results alone.
 */

/** One JSON value, indented, on standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export interface Progress {
  /** Runs one step and tells its name and milliseconds when it is over, also when it fails. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** A line between steps. */
  note(text: string): void;
}

export interface ProgressOptions {
  readonly json: boolean;
  /** For tests; standard error by default. */
  readonly stream?: { readonly isTTY?: boolean; write(text: string): unknown };
  /** Milliseconds of a monotonic clock. */
  readonly nowMs?: () => number;
}

const NAME_WIDTH = 28;

export function createProgress({
  json,
  stream = process.stderr,
  nowMs = () => performance.now(),
}: ProgressOptions): Progress {
  const shown = !json && stream.isTTY === true;
  const line = (text: string) => {
    if (shown) stream.write(`${text}\n`);
  };
  return {
    async step(name, work) {
      const started = nowMs();
      const told = (verdict: string) => line(`  ${name.padEnd(NAME_WIDTH)} ${formatMs(nowMs() - started)}${verdict}`);
      try {
        const result = await work();
        told('');
        return result;
      } catch (error) {
        told('  failed');
        throw error;
      }
    },
    note: line,
  };
}

/** Right-aligned, with one decimal: `    12.3 ms`. */
export function formatMs(ms: number): string {
  return `${ms.toFixed(1).padStart(8)} ms`;
}

/** Deeper values are shown as JSON. */
const MAX_DEPTH = 3;

/** An object as aligned lines `name  value`; nested names are joined with dots. */
export function table(value: object): string {
  const rows = rowsOf('', value, 0);
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`.trimEnd()).join('\n');
}

function rowsOf(prefix: string, value: object, depth: number): readonly (readonly [string, string])[] {
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    if (Array.isArray(item) && item.every((part) => typeof part !== 'object'))
      return [[name, item.join(', ')] as const];
    if (typeof item === 'object' && item !== null && depth < MAX_DEPTH) return rowsOf(name, item, depth + 1);
    return [[name, typeof item === 'string' ? item : JSON.stringify(item)] as const];
  });
}
