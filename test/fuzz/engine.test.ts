/** The fuzzer finds what is planted: behind conditions that only coverage leads to, in time and in memory. */
import test from 'ava';
import { fuzzTarget, type TargetRun } from '../../scripts/fuzz/run-target.ts';

const PLANTED = new URL('planted.ts', import.meta.url).href;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function run(target: string, options: Partial<TargetRun> = {}) {
  return fuzzTarget({ module: PLANTED, target, seed: 7, corpus: [], budgetMs: 20_000, ...options });
}

test('coverage leads to a fault behind four bytes in a row, and the input is minimised', async (t) => {
  const { findings, executions } = await run('planted-magic', { maxExecutions: 400_000, maxFindings: 1 });
  t.is(findings.length, 1);
  const [finding] = findings;
  t.is(finding?.kind, 'exception');
  t.regex(finding?.key ?? '', /RangeError: a body of # bytes has # planted-faults\.ts:\d+/);
  t.regex(hex(finding!.minimised), /^4c575321[0-9a-f]{4}$/);
  t.log(`${executions} executions`);
});

test('the same search without coverage does not find it', async (t) => {
  const { findings, executions, gain } = await run('planted-magic', { maxExecutions: 150_000, guided: false });
  t.deepEqual([findings.length, gain.blocks], [0, 0]);
  t.true(executions >= 150_000);
});

test('the same seed runs the same inputs', async (t) => {
  const once = { maxExecutions: 4_000, seed: 3 };
  const [first, second] = [await run('planted-magic', once), await run('planted-magic', once)];
  t.deepEqual(
    first.kept.map(({ input }) => hex(input)),
    second.kept.map(({ input }) => hex(input)),
  );
  t.true(first.kept.length > 0);
  const other = await run('planted-magic', { ...once, seed: 4 });
  t.notDeepEqual(
    first.kept.map(({ input }) => hex(input)),
    other.kept.map(({ input }) => hex(input)),
  );
});

test('a target without a fault has no finding', async (t) => {
  const { findings, executions } = await run('sound', { maxExecutions: 3_000 });
  t.deepEqual([findings.length, executions >= 3_000], [0, true]);
});
