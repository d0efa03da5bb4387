/**
 * `npm run timing -- [--seconds N] [--pair a,b] [--json]`: whether packets and secrets that should not be told apart by time
 * can be, on this machine, in this process (dudect's method: welch.ts). About a minute for all pairs; `--seconds` is for
 * each. Ends with 1 where something shows that should not, or where the run fails its own check (report.ts); 2: wrong use.
 */
import { parseArgs } from 'node:util';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { measureRound, warmUp } from './measure.ts';
import type { Pair } from './pair.ts';
import { controlPairs } from './pairs/controls.ts';
import { handshakePairs } from './pairs/handshake.ts';
import { lp1Pairs } from './pairs/lp1.ts';
import { primitivePairs } from './pairs/primitives.ts';
import { sessionPairs } from './pairs/session.ts';
import { tokenPairs } from './pairs/tokens.ts';
import { judge, printConclusion, printResults, type Result, selfCheck } from './report.ts';
import { combine, type RoundResult } from './welch.ts';

/** Per pair; with some forty pairs a minute in all. */
const DEFAULT_SECONDS = 1.2;
const MAX_SECONDS = 600;
/** Odd, for their median; spread over the whole run, so that what passes disturbs one of them. */
const ROUNDS = 5;

function wrongUse(message: string): never {
  console.error(`timing: ${message}`);
  process.exit(2);
}

function readArguments() {
  try {
    const options = { seconds: { type: 'string' }, pair: { type: 'string' }, json: { type: 'boolean' } } as const;
    const { values } = parseArgs({ options });
    const seconds = values.seconds === undefined ? DEFAULT_SECONDS : Number(values.seconds);
    if (!(seconds > 0 && seconds <= MAX_SECONDS)) wrongUse(`--seconds is a number above 0 and up to ${MAX_SECONDS}`);
    return { seconds, names: values.pair?.split(','), json: values.json === true };
  } catch (error) {
    return wrongUse(error instanceof Error ? error.message : String(error));
  }
}

function chosen(pairs: readonly Pair[], names: readonly string[] | undefined): readonly Pair[] {
  if (names === undefined) return pairs;
  const unknown = names.filter((name) => !pairs.some((pair) => pair.name === name));
  if (unknown.length === 0) return pairs.filter(({ name }) => names.includes(name));
  return wrongUse(`no pair called ${unknown.join(', ')}. There are: ${pairs.map(({ name }) => name).join(', ')}`);
}

async function measureAll(pairs: readonly Pair[], seconds: number): Promise<Result[]> {
  const rounds = new Map<Pair, RoundResult[]>(pairs.map((pair) => [pair, []]));
  for (const pair of pairs) await warmUp(pair);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [pair, results] of rounds) results.push(await measureRound(pair, (seconds * 1_000) / ROUNDS));
  }
  return [...rounds].map(([pair, results]) => judge(pair, combine(results)));
}

const { seconds, names, json } = readArguments();
const crypto = await loadProvider('native');
const all = [
  ...controlPairs(crypto),
  ...sessionPairs(crypto),
  ...handshakePairs(crypto),
  ...lp1Pairs(),
  ...primitivePairs(crypto),
  ...tokenPairs(),
];
const pairs = chosen(all, names);
if (!json) console.error(`timing: ${pairs.length} pairs, ${ROUNDS} rounds, ${seconds} s each …`);
const results = await measureAll(pairs, seconds);
for (const pair of all) pair.close?.();
if (json)
  console.log(JSON.stringify({ node: process.version, rounds: ROUNDS, results, ...selfCheck(results) }, undefined, 2));
else {
  printResults(results);
  printConclusion(results);
}
process.exitCode = results.every(({ asExpected }) => asExpected) ? 0 : 1;
