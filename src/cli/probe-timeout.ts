/** `--timeout` of probes, in seconds. Throws UsageError. */
import { UsageError } from './exit.ts';

const MAX_TIMEOUT_S = 3_600;

/** Milliseconds. */
export function timeoutOf(text: string): number {
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds > 0 && seconds <= MAX_TIMEOUT_S) return Math.max(1, Math.round(seconds * 1_000));
  throw new UsageError(
    `--timeout ${JSON.stringify(text)} is no number of seconds`,
    `give more than 0 and at most ${MAX_TIMEOUT_S}`,
  );
}
