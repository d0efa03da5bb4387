import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { openLogDestination } from '../../src/ops/log-destination.ts';
import { tempDir } from './temp-dir.ts';

const MODULE = new URL('../../src/ops/log-destination.ts', import.meta.url).href;

/** A process whose script has `log`, the destination on its standard output. */
function run(script: string) {
  const source = `import { openLogDestination } from ${JSON.stringify(MODULE)}; const log = openLogDestination(1); ${script}`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
}

const LINES = "for (let i = 0; i < 5000; i++) log.write(i + ' ' + 'é'.repeat(50) + '\\n');";

for (const [end, script] of [
  ['runs out', ''],
  ['exits at once', 'process.exit(0);'],
]) {
  test(`all lines come whole and in order when the process ${end}`, async (t) => {
    const child = run(LINES + script);
    const [out] = await Promise.all([text(child.stdout), once(child, 'close')]);
    const numbers = out
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.split(' ')[0]));
    t.deepEqual(numbers, [...Array(5000).keys()]);
  });
}

test('a process whose reader is gone still ends, also when lines wait at its exit', async (t) => {
  const child = run(
    `process.on('SIGTERM', () => { ${LINES} process.exit(0); }); log.write('up\\n'); setInterval(() => {}, 1e6);`,
  );
  await once(child.stdout, 'data');
  child.stdout.destroy();
  child.kill('SIGTERM');
  const [code] = await once(child, 'close');
  t.is(code, 0);
});

test('lines beyond the bound are dropped and counted', async (t) => {
  const file = join(tempDir(t), 'log');
  const fd = openSync(file, 'w');
  t.teardown(() => closeSync(fd));
  const log = openLogDestination(fd, 10);
  log.write('first\n');
  for (let i = 0; i < 4; i++) log.write('12345\n');
  await new Promise<void>((resolve) => log.flush(resolve));
  t.is(log.dropped, 3);
  t.is(readFileSync(file, 'utf8'), 'first\n12345\n');
});
