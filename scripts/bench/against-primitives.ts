/**
 * A responder's time per handshake against the sum of the primitives that its handshake needs: each is timed alone, in
 * the same run and the same rounds. The list is the protocol's, not a count of calls: what the responder does twice, it
 * pays for.
 */
import { type Figure, formatValue, ratioFigure, series } from './figures.ts';
import { timed } from './own-time.ts';

export interface Primitive {
  readonly name: string;
  /** In one handshake. */
  readonly count: number;
  readonly run: () => unknown;
}

/** Handshakes of one batch at most. */
const MAX_BULK = 16;

/** Microseconds of them all, one handshake's worth. */
export function sumOf(primitives: readonly Primitive[], n: number): number {
  return primitives.reduce((total, { count, run }) => total + count * timed(n, run), 0);
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
  const bulk = Math.min(MAX_BULK, perRound);
  // The round before the first is warm-up.
  for (let round = -1; round < rounds; round++) {
    let spent = 0;
    for (let i = 0; i < perRound; i += bulk) spent += handshakes(bulk);
    const sum = sumOf(primitives, perRound);
    if (round < 0) continue;
    own.push(spent / (bulk * Math.ceil(perRound / bulk)));
    floor.push(sum);
  }
  if (process.env.LEWES_BENCH_PARTS) {
    for (const { name: part, count, run } of primitives)
      console.error(`${part.padEnd(64)} ${count} × ${formatValue(timed(perRound, run), 'us')}`);
  }
  return ratioFigure(name, series('responder', 'us', own), series('sum of primitives', 'us', floor));
}
