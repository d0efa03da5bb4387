/** Waits for what other processes bring about: nothing tells of it, so it is looked for. */
import { setTimeout as wait } from 'node:timers/promises';

const LOOK_EVERY_MS = 50;

/** The first value of `look` that is not undefined, and after how many milliseconds. */
export async function until<T>(
  what: string,
  withinMs: number,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<{ readonly value: T; readonly ms: number }> {
  const started = performance.now();
  for (;;) {
    const value = await look();
    const ms = Math.round(performance.now() - started);
    if (value !== undefined) return { value, ms };
    if (ms > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await wait(LOOK_EVERY_MS);
  }
}
