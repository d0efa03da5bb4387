// When dependencies count as installed, and what an installation does: scripts/ensure-install.mjs.

import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import test from 'ava';
import { installReason } from '../../scripts/ensure-install.mjs';
import { copyIn, lockFile, makeInstalledClone, makeTree, runNode } from './fixture-clone.ts';

const OLD_NODE = '20.20.2';
const NEW_NODE = '24.7.0';
const STAMP = 'node_modules/.lewes-install';

test('a tree that is what the lock file says needs no installation and gets a stamp', (t) => {
  const root = makeInstalledClone(t);
  t.is(installReason(root, OLD_NODE), undefined);
  t.true(existsSync(join(root, STAMP)));
  t.is(installReason(root, OLD_NODE), undefined);
});

test('a tree without node_modules needs an installation', (t) => {
  const root = makeTree(t, { 'package-lock.json': lockFile({}) });
  t.regex(installReason(root, NEW_NODE) ?? '', /missing/);
});

test('a half-made node_modules needs an installation', (t) => {
  const root = makeInstalledClone(t);
  rmSync(join(root, 'node_modules/.package-lock.json'));
  t.regex(installReason(root, NEW_NODE) ?? '', /incomplete/);
});

test('the own Node binary is needed only by a Node that cannot run the sources', (t) => {
  const root = makeInstalledClone(t);
  rmSync(join(root, 'node_modules/node/bin/node'));
  t.regex(installReason(root, OLD_NODE) ?? '', /Node binary/);
  t.regex(installReason(root, '24.6.0') ?? '', /Node binary/);
  t.is(installReason(root, NEW_NODE), undefined);
});

test('a lock file that changed since the stamp needs an installation', (t) => {
  const root = makeInstalledClone(t);
  t.is(installReason(root, OLD_NODE), undefined);
  const changed = lockFile({ 'node_modules/a': { version: '1.0.1', integrity: 'sha512-b' } });
  writeFileSync(join(root, 'package-lock.json'), changed);
  t.regex(installReason(root, OLD_NODE) ?? '', /not what package-lock.json says/);
});

test('optional packages may be absent and further packages present', (t) => {
  const a = { version: '1.0.0', integrity: 'sha512-a' };
  const root = makeInstalledClone(t, {
    'package-lock.json': lockFile({ 'node_modules/a': a, 'node_modules/b': { ...a, optional: true } }),
    'node_modules/.package-lock.json': lockFile({ 'node_modules/a': a, 'node_modules/c': a }),
  });
  t.is(installReason(root, OLD_NODE), undefined);
});

test('a tree without a lock file is an error that says so', (t) => {
  const root = makeTree(t, { 'package.json': '{}' });
  t.throws(() => installReason(root), { code: 'ERR_INSTALL', message: /no package-lock.json/ });
});

/** A clone without node_modules whose `npm` is this shell script. */
function freshClone(t: Parameters<typeof makeTree>[0], npm: string): { root: string; env: NodeJS.ProcessEnv } {
  const root = makeTree(t, { 'package-lock.json': lockFile({}), 'path/npm': `#!/bin/sh\n${npm}\n` });
  copyIn(root, 'bin/launch.js', 'scripts/ensure-install.mjs');
  const env = { PATH: `${join(root, 'path')}${delimiter}${process.env.PATH}`, npm_execpath: '/x/npx-cli.js' };
  return { root, env };
}

test('a fresh clone is installed with npm ci, its output on standard error, and only once', async (t) => {
  const { root, env } = freshClone(
    t,
    'echo "$@" >> calls; echo progress; mkdir -p node_modules; cp package-lock.json node_modules/.package-lock.json',
  );
  const script = join(root, 'scripts/ensure-install.mjs');
  const first = await runNode(script, [], { env });
  t.is(first.code, 0);
  t.is(first.stdout, '');
  t.regex(first.stderr, /npm ci/);
  t.regex(first.stderr, /progress/);
  const second = await runNode(script, [], { env });
  t.deepEqual({ code: second.code, stderr: second.stderr }, { code: 0, stderr: '' });
  const calls = readFileSync(join(root, 'calls'), 'utf8').trim().split('\n');
  t.is(calls.length, 1);
  t.regex(calls[0] ?? '', /^ci --include=dev --include=optional/);
  t.false(existsSync(join(root, '.install.lock')));
});

test('two commands at once install once', async (t) => {
  const { root, env } = freshClone(
    t,
    'echo call >> calls; mkdir -p node_modules; cp package-lock.json node_modules/.package-lock.json',
  );
  const script = join(root, 'scripts/ensure-install.mjs');
  const both = await Promise.all([runNode(script, [], { env }), runNode(script, [], { env })]);
  t.deepEqual(
    both.map(({ code }) => code),
    [0, 0],
  );
  t.is(readFileSync(join(root, 'calls'), 'utf8'), 'call\n');
});

test('the lock of an installation that died is taken over', async (t) => {
  const { root, env } = freshClone(t, 'mkdir -p node_modules; cp package-lock.json node_modules/.package-lock.json');
  const died = await runNode('-p', ['process.pid']);
  symlinkSync(died.stdout.trim(), join(root, '.install.lock'));
  t.is((await runNode(join(root, 'scripts/ensure-install.mjs'), [], { env })).code, 0);
});

test('a failing npm gives exit code 1 and says what to do, without a stack', async (t) => {
  const { root, env } = freshClone(t, 'echo "npm error EUSAGE" >&2; exit 7');
  const { code, stderr } = await runNode(join(root, 'scripts/ensure-install.mjs'), [], { env });
  t.is(code, 1);
  t.regex(stderr, /npm error EUSAGE/);
  t.regex(stderr, /npm ci failed \(exit code 7\)/);
  t.regex(stderr, /Try by hand/);
  t.notRegex(stderr, /\n\s+at /);
  t.false(existsSync(join(root, '.install.lock')));
});
