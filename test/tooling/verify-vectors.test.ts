// The comparison of the vectors with their originals: scripts/verify-vectors.mjs.

import { join } from 'node:path';
import test from 'ava';
import { makeTree, PROJECT, runNode } from './fixture-clone.ts';

const SCRIPT = join(PROJECT, 'scripts/verify-vectors.mjs');

test('equal vectors pass; a changed, an additional and an absent one are each named', async (t) => {
  const root = makeTree(t, {
    'same/a.json': '{}',
    'changed/a.json': '{ }',
    'more/a.json': '{}',
    'more/b.json': '{}',
    'originals/a.json': '{}',
  });
  const compare = (copies: string, originals: string) => runNode(SCRIPT, [join(root, copies), join(root, originals)]);
  t.is((await compare('same', 'originals')).code, 0);
  const [changed, more, less] = await Promise.all([
    compare('changed', 'originals'),
    compare('more', 'originals'),
    compare('same', 'more'),
  ]);
  t.deepEqual([changed.code, more.code, less.code], [1, 1, 1]);
  t.regex(changed.stderr, /a\.json differs/);
  t.regex(more.stderr, /b\.json differs/);
  t.regex(less.stderr, /b\.json has no copy/);
});

test('absent originals are said and are no failure', async (t) => {
  const root = makeTree(t, { 'copies/a.json': '{}' });
  const { code, stdout } = await runNode(SCRIPT, [join(root, 'copies'), join(root, 'none')]);
  t.is(code, 0);
  t.regex(stdout, /absent here.*1 files not compared/);
});
