// The sum that continuous integration ends with: scripts/count-tests.mjs.

import { join } from 'node:path';
import test from 'ava';
import { makeTree, PROJECT, runNode } from './fixture-clone.ts';

const SCRIPT = join(PROJECT, 'scripts/count-tests.mjs');

test('the summaries of all runs in all logs are added up, planned and skipped tests not counted', async (t) => {
  const root = makeTree(t, {
    '0.log':
      'ok 1 - a\n\n1..3\n# tests 3\n# pass 3\n# fail 0\n\nmore\n\n1..4\n# tests 4\n# pass 1\n# skip 1\n# fail 2\n\n',
    '1.log': '\n1..3\n# tests 2\n# pass 2\n# fail 1\n\n7 passed, 1 failed\n',
  });
  const { stdout } = await runNode(SCRIPT, [join(root, '0.log'), join(root, '1.log')]);
  t.is(stdout, '13 passed, 3 failed\n');
});

test('what tests print is not counted', async (t) => {
  const root = makeTree(t, { '0.log': '# pass 5\n# fail 5\nok - 3 passed, 2 failed\nnow 3 passed, 2 failed\n' });
  const { stdout } = await runNode(SCRIPT, [join(root, '0.log')]);
  t.is(stdout, '0 passed, 0 failed\n');
});
