/** The fuzzer's pure parts: mutations, minimising, what counts as new coverage, shares of time, tapes, the command line. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { CORPUS_LIMITS, corpusSize, keepInputs, readCorpus, writeInput } from '../../scripts/fuzz/corpus.ts';
import { type ScriptCoverage, Seen } from '../../scripts/fuzz/coverage.ts';
import { faultKey } from '../../scripts/fuzz/finding.ts';
import { minimise } from '../../scripts/fuzz/minimise.ts';
import { mutate } from '../../scripts/fuzz/mutate.ts';
import { parseOptions, shareMs } from '../../scripts/fuzz/options.ts';
import { describe, table } from '../../scripts/fuzz/report.ts';
import { Tape } from '../../scripts/fuzz/tape.ts';
import { chooseTargets, findTargets } from '../../scripts/fuzz/targets.ts';
import { Prng } from '../support/prng.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);

test('mutations stay within their bound, leave the parent alone and follow the generator', (t) => {
  const parent = bytes(...Array.from({ length: 40 }, (_, i) => i));
  const pool = [bytes(9, 9, 9, 9), parent, new Uint8Array(0)];
  const dictionary = [bytes(0xaa, 0xbb, 0xcc)];
  const draw = (seed: number) => {
    const prng = new Prng(seed);
    return Array.from({ length: 400 }, () => mutate(parent, { prng, pool, dictionary, maxLength: 50 }));
  };
  const outputs = draw(1);
  t.true(outputs.every((output) => output.length <= 50));
  t.deepEqual([...parent], [...Array(40).keys()]);
  t.deepEqual(draw(1), outputs);
  t.notDeepEqual(draw(2), outputs);
  t.true(
    outputs.some((output) => Buffer.from(output).includes('aabbcc', 0, 'hex')),
    'constants come in',
  );
  t.true(outputs.some((output) => output.length < 20) && outputs.some((output) => output.length > 40));
  t.notThrows(() => mutate(new Uint8Array(0), { prng: new Prng(3), pool: [], dictionary: [], maxLength: 8 }));
});

test('minimising leaves what the fault needs, and stops at its number of tries', async (t) => {
  const input = bytes(5, 6, 0x4c, 7, 8, 0x57, 9, 9, 9, 9);
  const needs = (candidate: Uint8Array) => candidate.includes(0x4c) && candidate.includes(0x57);
  t.deepEqual([...(await minimise(input, needs, 1_000))], [0x4c, 0x57]);
  let tries = 0;
  const counted = (candidate: Uint8Array) => ++tries > 0 && needs(candidate);
  t.true(needs(await minimise(input, counted, 3)));
  t.is(tries, 3);
  t.deepEqual([...(await minimise(bytes(1, 2, 3), (candidate) => candidate.length === 3, 100))], [0, 0, 0]);
});

function script(...ranges: [number, number, number][]): ScriptCoverage {
  const list = ranges.map(([startOffset, endOffset, count]) => ({ startOffset, endOffset, count }));
  return { url: 'file:///src/a.ts', functions: [{ functionName: 'f', ranges: list }] };
}

test('coverage is new once, by characters, however V8 cuts its ranges', (t) => {
  const seen = new Seen();
  const half = [script([0, 100, 1], [40, 100, 0])];
  t.deepEqual(seen.gain(half), { blocks: 1, functions: 1 });
  t.deepEqual(seen.gain(half), { blocks: 1, functions: 1 }, 'asking changes nothing');
  t.deepEqual(seen.commit(half), { blocks: 1, functions: 1 });
  t.deepEqual(seen.gain(half), { blocks: 0, functions: 0 });
  t.deepEqual(seen.gain([script([0, 40, 3])]), { blocks: 0, functions: 0 }, 'counts and cuts do not matter');
  t.deepEqual(seen.commit([script([0, 100, 1], [50, 60, 0])]), { blocks: 2, functions: 0 });
  t.deepEqual(seen.total, { blocks: 3, functions: 1 });
  t.deepEqual(seen.gain([script([0, 100, 0])]), { blocks: 0, functions: 0 }, 'what did not run');
});

test('two inputs with one fault have one key, two faults have two', (t) => {
  const at = (line: number) => `Error\n    at f (file:///x/src/lp/a.ts:${line}:3)\n    at g (file:///x/src/b.ts:9:1)`;
  const fault = (message: string, line: number) => Object.assign(new Error(message), { stack: at(line) });
  t.is(faultKey(fault('offset 17 of 0123456789abcdef', 5)), faultKey(fault('offset 9 of fedcba9876543210', 5)));
  t.not(faultKey(fault('offset 17', 5)), faultKey(fault('offset 17', 6)));
  t.true(faultKey(fault('x', 5)).endsWith('a.ts:5'));
  t.is(faultKey('thrown'), 'Thrown: thrown');
});

test('a tape steers small draws by its bytes, and is a generator when it ends', (t) => {
  const tape = new Tape(bytes(7, 1, 2, 0, 255, 4));
  t.deepEqual([tape.below(5), tape.below(1_000), tape.chance(0.1), tape.chance(0.9)], [2, 258, true, false]);
  t.deepEqual([...tape.take(9)], [4]);
  t.true(tape.ended);
  const draws = (values: Tape) => Array.from({ length: 6 }, () => values.below(1_000));
  t.deepEqual(draws(new Tape(bytes())), draws(new Tape(bytes())));
  const keys = [new Tape(bytes(1, 2)), new Tape(bytes(3, 4))].map((other) => [...other.bytes(8)]);
  t.deepEqual(keys[0], keys[1], 'long random bytes are not taken from the tape');
});

test('the corpus keeps what brought most, within its bounds, and gives it back', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'lewes-corpus-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const kept = [3, 9, 1, 5, 7].map((blocks) => ({ input: bytes(blocks), gain: { blocks, functions: 0 } }));
  const large = { input: new Uint8Array(CORPUS_LIMITS.fileBytes + 1), gain: { blocks: 99, functions: 0 } };
  t.is(keepInputs('a', [...kept, large], root), CORPUS_LIMITS.filesOfTarget);
  t.deepEqual(
    readCorpus('a', root)
      .map(([first]) => first)
      .sort(),
    [3, 5, 7, 9],
  );
  t.deepEqual(corpusSize(root), { files: 4, bytes: 4 });
  t.is(keepInputs('a', kept, root), 0);
  t.is(writeInput(join(root, 'b'), bytes(1)), writeInput(join(root, 'b'), bytes(1)), 'named by its hash');
  t.deepEqual(readCorpus('nothing', root), []);
});

test('the kept corpus of the repository is small and belongs to targets', async (t) => {
  const { files, bytes: size } = corpusSize();
  t.true(files <= CORPUS_LIMITS.files && size <= CORPUS_LIMITS.bytes, `${files} files, ${size} bytes`);
  const found = await findTargets();
  t.is(
    found.reduce((sum, { target }) => sum + readCorpus(target.name).length, 0),
    files,
  );
});

test('every target has seeds, the same ones each time, and names choose targets', async (t) => {
  const found = await findTargets();
  t.true(found.length >= 30);
  for (const { target } of found) {
    const [first, second] = [[...target.seeds()], [...target.seeds()]];
    t.true(first.length > 0, target.name);
    t.deepEqual(first, second, target.name);
  }
  const chosen = chooseTargets(found, ['core-*', 'config']);
  t.true(!('unknown' in chosen) && chosen.length > 4 && chosen.some(({ target }) => target.name === 'config'));
  t.deepEqual(chooseTargets(found, ['config', 'nope']), { unknown: 'nope' });
  t.is(chooseTargets(found, []), found);
});

test('the command line says what is wrong with it', (t) => {
  const good = parseOptions(['--minutes', '0.5', '--target', 'a,b', '--target', 'c*', '--seed', '4'], 1);
  t.true(typeof good !== 'string');
  if (typeof good === 'string') return;
  t.deepEqual([good.minutes, good.targets, good.seed, good.keep], [0.5, ['a', 'b', 'c*'], 4, false]);
  for (const bad of [
    ['--minutes', '0'],
    ['--minutes', 'soon'],
    ['--seed', '-1'],
    ['--replay', 'x'],
    ['--replay', 'x', '--target', 'a,b'],
    ['--replay', 'x', '--target', 'a*'],
    ['--nonsense'],
  ]) {
    t.is(typeof parseOptions(bad, 1), 'string', bad.join(' '));
  }
});

test('time is shared out by weight, and what one leaves is for those that follow', (t) => {
  t.is(shareMs(60_000, [1, 2, 3]), 10_000);
  t.is(shareMs(55_000, [2, 3]), 22_000);
  t.is(shareMs(60_000, [1, 1], 5_000), 25_000, 'loading takes time of its own');
  t.is(shareMs(-5, [1]), 0);
});

test('the table has a line per target, and a finding the command that replays it', (t) => {
  const gain = { blocks: 3, functions: 1 };
  const input = bytes(1, 2, 3, 4);
  const finding = { kind: 'hang', key: 'hang', message: 'too long', stack: '', input, minimised: bytes(1, 2) } as const;
  const report = { target: 'a', executions: 1_234, pool: 7, gain, kept: [], findings: [finding], slow: 0 };
  const lines = table([report, { ...report, target: 'longer', findings: [] }]).split('\n');
  t.is(lines.length, 4);
  t.regex(lines[2] ?? '', /^a +\| +1,234 \| +7 \| +3\/1 \| +1$/);
  const text = describe('a', finding, 'dir/file.bin');
  t.true(text.includes('npm run fuzz -- --replay dir/file.bin --target a'));
  t.true(text.includes('from 4 to 2 bytes: 0102'));
});
