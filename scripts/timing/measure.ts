/**
 * Takes the times of a pair: the class of every measurement is drawn at random, so that whatever changes meanwhile (clock
 * rate, neighbours, garbage collection) meets both classes alike.
 */
import type { Pair } from './pair.ts';
import { type RoundResult, type Samples, testRound } from './welch.ts';

/** Bounds the memory of a round; at a microsecond each it is half a second. */
const MAX_SAMPLES = 400_000;
/** Fewer say nothing; a pair that is this slow takes longer than it was given. */
const MIN_SAMPLES = 64;
const WARM_UP_MS = 60;
const NS_PER_MS = 1e6;

const times = new Float64Array(MAX_SAMPLES);
const which = new Uint8Array(MAX_SAMPLES);

/** One round of so many milliseconds. */
export async function measureRound(pair: Pair, milliseconds: number): Promise<RoundResult> {
  return testRound(await sample(pair, milliseconds));
}

/** Runs both classes until the code is compiled and caches are warm. */
export async function warmUp(pair: Pair): Promise<void> {
  await sample(pair, WARM_UP_MS);
}

function sample(pair: Pair, milliseconds: number): Samples | Promise<Samples> {
  return pair.runAsync === undefined ? sampleSync(pair, milliseconds) : sampleAsync(pair, pair.runAsync, milliseconds);
}

function drawClass(): 0 | 1 {
  return Math.random() < 0.5 ? 0 : 1;
}

function sampleSync(pair: Pair, milliseconds: number): Samples {
  const repeat = pair.repeat ?? 1;
  const scale = NS_PER_MS / repeat;
  const end = performance.now() + milliseconds;
  let length = 0;
  for (let stopped = 0; length < MAX_SAMPLES && (length < MIN_SAMPLES || stopped < end); length++) {
    const of = drawClass();
    pair.prepare(of);
    const started = performance.now();
    for (let i = 0; i < repeat; i++) pair.run();
    stopped = performance.now();
    times[length] = (stopped - started) * scale;
    which[length] = of;
  }
  return { times, which, length };
}

async function sampleAsync(pair: Pair, run: () => Promise<unknown>, milliseconds: number): Promise<Samples> {
  const end = performance.now() + milliseconds;
  let length = 0;
  for (let stopped = 0; length < MAX_SAMPLES && (length < MIN_SAMPLES || stopped < end); length++) {
    const of = drawClass();
    pair.prepare(of);
    const started = performance.now();
    await run();
    stopped = performance.now();
    times[length] = (stopped - started) * NS_PER_MS;
    which[length] = of;
  }
  return { times, which, length };
}
