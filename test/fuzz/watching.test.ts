/** What an input does to its whole thread is seen from outside: it never comes back, or takes the heap. */
import test from 'ava';
import { fuzzTarget, type TargetRun } from '../../scripts/fuzz/run-target.ts';

const PLANTED = new URL('planted.ts', import.meta.url).href;

function run(target: string, options: Partial<TargetRun>) {
  return fuzzTarget({ module: PLANTED, target, seed: 7, corpus: [], budgetMs: 1_000, ...options });
}

test('an input that does not come back is found again by itself, made smaller, and ends with its thread', async (t) => {
  const { findings, slow } = await run('planted-hang', {
    corpus: [Uint8Array.of(0xff, 0xff, 7, 7)],
    maxExecutions: 9,
    hangMs: 150,
  });
  t.deepEqual(
    findings.map(({ kind, key }) => [kind, key]),
    [['hang', 'hang']],
  );
  t.deepEqual([...findings[0]!.minimised.subarray(0, 2)], [0xff, 0xff]);
  t.true(findings[0]!.minimised.length < 4);
  t.is(slow, 0);
});

test('an input that takes the heap is found, and this process goes on', async (t) => {
  const { findings } = await run('planted-memory', { corpus: [Uint8Array.of(0xff, 0xff)], only: true });
  t.deepEqual(
    findings.map(({ kind }) => kind),
    ['memory'],
  );
});

test('a replay of an input without a fault finds nothing', async (t) => {
  const { findings, executions } = await run('planted-magic', { corpus: [Uint8Array.of(1)], only: true });
  t.deepEqual([findings.length, executions], [0, 1]);
});

test('a replay of an input with a fault finds it, through a promise too', async (t) => {
  const magic = Uint8Array.of(0x4c, 0x57, 0x53, 0x21, 9, 0);
  for (const target of ['planted-magic', 'planted-rejection']) {
    const { findings } = await run(target, { corpus: [magic], only: true });
    t.is(findings[0]?.message, 'a body of 9 bytes has 1', target);
  }
});
