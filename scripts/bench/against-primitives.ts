/**
 * A responder's time per handshake against the sum of the primitives that its handshake needs: each is timed alone, in
 * the same run and the same rounds. The list is the protocol's, not a count of calls: what the responder does twice, it
 * pays for.
 */
import { type Figure, median, us } from './figures.ts';

export interface Primitive {
  readonly name: string;
  /** In one handshake. */
  readonly count: number;
  readonly run: () => unknown;
}

/** Handshakes of one batch. */
const BULK = 16;

/** Microseconds of one operation. */
function time(n: number, operation: () => unknown): number {
  const started = performance.now();
  for (let i = 0; i < n; i++) operation();
  return ((performance.now() - started) * 1e3) / n;
}

/** `handshakes`: does so many side by side and gives the responder's microseconds for all of them. */
export function againstPrimitives(
  name: string,
  handshakes: (n: number) => number,
  primitives: readonly Primitive[],
  rounds: number,
  perRound: number,
): Figure {
  const own: number[] = [];
  const floor: number[] = [];
  // The round before the first is warm-up.
  for (let round = -1; round < rounds; round++) {
    let spent = 0;
    for (let i = 0; i < perRound; i += BULK) spent += handshakes(BULK);
    const sum = primitives.reduce((total, { count, run }) => total + count * time(perRound, run), 0);
    if (round < 0) continue;
    own.push(spent / (BULK * Math.ceil(perRound / BULK)));
    floor.push(sum);
  }
  if (process.env.LEWES_BENCH_PARTS) {
    for (const { name: part, count, run } of primitives)
      console.log(`${part.padEnd(64)} ${count} × ${us(time(perRound, run))}`);
  }
  return {
    name,
    measured: us(median(own)),
    against: `${us(median(floor))} (sum of primitives)`,
    value: median(own.map((value, i) => value / (floor[i] ?? 1))),
    bound: 1.35,
    unit: 'ratio',
  };
}
