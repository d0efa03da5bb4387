// The import directions that scripts/check-imports.ts enforces, on small trees that break or keep them.

import { join } from 'node:path';
import test from 'ava';
import { checkImports, importsOf } from '../../scripts/check-imports.ts';
import { makeTree, PROJECT, runNode } from './fixture-clone.ts';

test('every form of import is found with its line, and nothing in comments, strings or templates', (t) => {
  const source = [
    `import a, { type B } from './a.ts';`,
    `import type { C } from './c.ts';`,
    `import './effect.ts';`,
    `export { d } from './d.ts';`,
    `export * from './e.ts';`,
    `export type { F } from './f.ts';`,
    `type G = typeof import('./g.ts') | import('./h.ts').H;`,
    `const lazy = await import('./i.ts'), old = require('./j.cjs');`,
    `// import './no.ts'`,
    `/* export * from './no.ts' */ const r = /import '.\\/no.ts'/;`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text
    'const text = "import \'./no.ts\'", template = `import "./no.ts" ${await import(\'./k.ts\')}`;',
  ].join('\n');
  const found = importsOf('x.ts', source).map(({ specifier, line }) => `${specifier}:${line}`);
  const wanted = ['a:1', 'c:2', 'effect:3', 'd:4', 'e:5', 'f:6', 'g:7', 'h:7', 'i:8', 'k:11'];
  t.deepEqual(found.sort(), [...wanted.map((name) => `./${name.replace(':', '.ts:')}`), './j.cjs:8'].sort());
});

test('a file that cannot be parsed is an error, not a file without imports', (t) => {
  t.throws(() => importsOf('x.ts', 'import {'), { message: /^x\.ts: / });
});

interface Case {
  readonly file: string;
  readonly source: string;
  readonly allowed: boolean;
}

const use = (specifier: string): string => `import type { X } from '${specifier}';`;
const CASES: readonly Case[] = [
  { file: 'src/lp/a.ts', source: use('./wire/b.ts'), allowed: true },
  { file: 'src/lp/a.ts', source: use('../shard/b.ts'), allowed: false },
  { file: 'src/lp/a.ts', source: use('../system/clock.ts'), allowed: false },
  { file: 'src/lp/a.ts', source: use('node:fs/promises'), allowed: false },
  { file: 'src/lp/a.ts', source: use('net'), allowed: false },
  { file: 'src/lp/a.ts', source: use('node:process'), allowed: false },
  { file: 'src/lp/a.ts', source: use('node:crypto'), allowed: false },
  { file: 'src/lp/a.ts', source: use('node:assert'), allowed: true },
  { file: 'src/lp/crypto/a.ts', source: use('node:crypto'), allowed: true },
  { file: 'src/lp/crypto/a.ts', source: use('node:timers/promises'), allowed: false },
  { file: 'src/lp/crypto/a.ts', source: use('../wire/b.ts'), allowed: true },
  { file: 'src/shard/a.ts', source: use('../lp/b.ts'), allowed: true },
  { file: 'src/shard/a.ts', source: use('../system/clock.ts'), allowed: false },
  { file: 'src/shard/a.ts', source: use('node:timers'), allowed: false },
  { file: 'src/client/a.ts', source: use('../system/clock.ts'), allowed: true },
  { file: 'src/client/a.ts', source: use('../gateway/b.ts'), allowed: false },
  { file: 'src/registration/a.ts', source: use('../lp/drop-reason.ts'), allowed: true },
  { file: 'src/registration/a.ts', source: use('../lp/v2/handshake.ts'), allowed: false },
  { file: 'src/registration/a.ts', source: use('../gateway/b.ts'), allowed: false },
  { file: 'src/gateway/a.ts', source: use('../shard/b.ts'), allowed: true },
  { file: 'src/gateway/a.ts', source: use('../client/b.ts'), allowed: false },
  { file: 'src/ops/a.ts', source: use('../lp/crypto/keys.ts'), allowed: true },
  { file: 'src/ops/a.ts', source: use('../gateway/b.ts'), allowed: false },
  { file: 'src/system/a.ts', source: use('../ops/b.ts'), allowed: false },
  { file: 'src/cli/a.ts', source: use('../gateway/b.ts'), allowed: true },
  { file: 'src/client/a.ts', source: use('../cli/b.ts'), allowed: false },
  { file: 'src/gateway/a.ts', source: use('../cli/b.ts'), allowed: false },
  { file: 'workers/a.ts', source: use('../src/shard/b.ts'), allowed: true },
  { file: 'workers/a.ts', source: use('../src/gateway/b.ts'), allowed: false },
  { file: 'src/gateway/a.ts', source: use('../../workers/b.ts'), allowed: false },
  { file: 'src/gateway/a.ts', source: use('../../test/b.ts'), allowed: false },
  { file: 'src/unheard-of/a.ts', source: use('../lp/b.ts'), allowed: false },
];

for (const { file, source, allowed } of CASES) {
  test(`${file} ${allowed ? 'may' : 'must not'} say: ${source}`, (t) => {
    const { files, faults } = checkImports(makeTree(t, { [file]: source }));
    t.is(files, 1);
    t.is(faults.length, allowed ? 0 : 1, faults.join('\n'));
    if (!allowed) t.true(faults[0]?.startsWith(`${file}:1: `));
  });
}

test('a cycle of type-only imports is reported with the way round', (t) => {
  const root = makeTree(t, {
    'src/lp/a.ts': use('./b.ts'),
    'src/lp/b.ts': use('./c.ts'),
    'src/lp/c.ts': use('./a.ts'),
    'src/lp/d.ts': use('./a.ts'),
  });
  t.deepEqual(checkImports(root).faults, ['cycle: src/lp/a.ts → src/lp/b.ts → src/lp/c.ts → src/lp/a.ts']);
});

test('the command ends with exit code 1 on a broken rule and on an empty tree, else with 0', async (t) => {
  const script = join(PROJECT, 'scripts/check-imports.ts');
  const broken = await runNode(script, [makeTree(t, { 'src/lp/a.ts': use('node:net') })]);
  t.is(broken.code, 1);
  t.regex(broken.stderr, /src\/lp\/a\.ts:1: src\/lp\/ must not import node:net/);
  t.is((await runNode(script, [makeTree(t, { 'src/lp/a.ts': '' })])).code, 0);
  t.is((await runNode(script, [makeTree(t, {})])).code, 1);
});
