// How the command `lewes` starts (bin/): from sources or from dist/, in this process, in its place, or as a child.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { plan, runsSources } from '../../bin/launch.js';
import { makeInstalledClone, makeTree, runNode } from './fixture-clone.ts';

const REPORT = 'console.log(JSON.stringify(process.argv.slice(2)), process.pid); process.exitCode = 3;';
const MAIN_TS = `const report: string = 'typed'; void report; ${REPORT}`;
// Says which signal came, and ends by itself with code 5.
const MAIN_WAITING = `
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => { console.log(name); process.exit(5); });
  setInterval(() => {}, 60_000);
  console.log('ready');`;
const MAIN_KILLED = `setInterval(() => {}, 60_000); console.log('ready');`;

/** A script that starts the command of a clone as an old Node would, with or without execve. */
function asOldNode(root: string, execve: boolean): string {
  const script = join(root, 'drive.mjs');
  const lines = [
    `import { launch } from './bin/launch.js';`,
    execve ? '' : 'delete process.execve;',
    'console.log(process.pid);',
    `await launch(process.argv.slice(2), { version: '20.20.2' });`,
  ];
  writeFileSync(script, lines.join('\n'));
  return script;
}

test('Node 24.7 is the oldest that runs the sources', (t) => {
  for (const version of ['24.7.0', '24.10.1', '25.0.0', '26.10.0', '100.0.0']) t.true(runsSources(version), version);
  for (const version of ['9.99.0', '20.20.2', '22.18.0', '24.6.9']) t.false(runsSources(version), version);
});

test('in a clone with a new Node the command runs in its own process', async (t) => {
  const root = makeInstalledClone(t, { 'src/cli/main.ts': MAIN_TS });
  const { code, stdout, stderr } = await runNode(join(root, 'bin/lewes.js'), ['gateway', '--set', 'a=b c']);
  t.is(code, 3);
  t.regex(stdout, /^\["gateway","--set","a=b c"\]/);
  t.is(stderr, '');
});

test('in a clone with an old Node that has execve, the own Node replaces the process', async (t) => {
  const root = makeInstalledClone(t, { 'src/cli/main.ts': MAIN_TS });
  const { code, stdout, stderr } = await runNode(asOldNode(root, true), ['a', '--b']);
  const [pid, report] = stdout.split('\n');
  t.is(report, `["a","--b"] ${pid}`);
  t.is(code, 3);
  t.is(stderr, '');
});

test('in a clone with an old Node without execve, the own Node runs as a child and its exit code counts', async (t) => {
  const root = makeInstalledClone(t, { 'src/cli/main.ts': MAIN_TS });
  const { code, stdout, stderr } = await runNode(asOldNode(root, false), ['a', '--b']);
  t.regex(stdout, /\["a","--b"\]/);
  t.is(code, 3);
  t.is(stderr, '');
});

async function passesSignal(t: ExecutionContext, signal: NodeJS.Signals): Promise<void> {
  const root = makeInstalledClone(t, { 'src/cli/main.ts': MAIN_WAITING });
  const { code, stdout } = await runNode(asOldNode(root, false), [], { signalAt: signal });
  t.is(stdout.trim().split('\n').at(-1), signal);
  t.is(code, 5);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) test(`the child gets ${signal}`, passesSignal, signal);

test('a child that dies of a signal ends the command with the same signal', async (t) => {
  const root = makeInstalledClone(t, { 'src/cli/main.ts': MAIN_KILLED });
  const { code, signal } = await runNode(asOldNode(root, false), [], { signalAt: 'SIGTERM' });
  t.is(code, null);
  t.is(signal, 'SIGTERM');
});

test('a published package runs dist/ without looking for an installation', async (t) => {
  const root = makeInstalledClone(t, { 'dist/src/cli/main.js': REPORT, 'scripts/ensure-install.mjs': 'throw 1' });
  const { code, stdout } = await runNode(join(root, 'bin/lewes.js'), ['keygen']);
  t.regex(stdout, /^\["keygen"\]/);
  t.is(code, 3);
});

test('a published package refuses an old Node with one line and exit code 2', async (t) => {
  const root = makeInstalledClone(t, { 'dist/src/cli/main.js': REPORT });
  const { code, stdout, stderr } = await runNode(asOldNode(root, false), []);
  t.is(code, 2);
  t.regex(stderr, /^lewes: Node 24\.7 or newer is needed, this is 20\.20\.2;[^\n]*\n$/);
  t.is(stdout.trim().split('\n').length, 1);
});

test('a clone is preferred to what was built in it', (t) => {
  const root = makeTree(t, { 'src/cli/main.ts': '', 'dist/src/cli/main.js': '' });
  t.deepEqual(plan(root, '26.10.0'), { kind: 'import', script: join(root, 'src/cli/main.ts'), install: true });
});

test('an incomplete copy is refused', (t) => {
  const plan_ = plan(makeTree(t, {}), '26.10.0');
  t.is(plan_.kind, 'refuse');
});
