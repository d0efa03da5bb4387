// Where thread entries are found, from the sources and from compiled code: src/system/entry.ts.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { workerEntry } from '../../src/system/entry.ts';
import { makeTree, PROJECT, runNode } from './fixture-clone.ts';

test('from the sources a thread entry is a .ts file of workers/', (t) => {
  t.is(workerEntry('shard').href, pathToFileURL(join(PROJECT, 'workers/shard.ts')).href);
});

test('from dist/ a thread entry is a .js file of dist/workers/', async (t) => {
  const compiled = readFileSync(join(PROJECT, 'src/system/entry.ts'), 'utf8').replace('name: string): URL', 'name)');
  const root = makeTree(t, {
    'package.json': '{"type": "module"}',
    'dist/src/system/entry.js': compiled,
    'main.js': `import { workerEntry } from './dist/src/system/entry.js'; console.log(workerEntry('shard').href);`,
  });
  const { stdout } = await runNode(join(root, 'main.js'), []);
  t.is(stdout.trim(), pathToFileURL(join(root, 'dist/workers/shard.js')).href);
});
