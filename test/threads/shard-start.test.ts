/** A shard that cannot start stops the start, says why, and leaves nothing running. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { ShardStartError } from '../../src/gateway/shard-host.ts';
import { SteppedTimers } from '../gateway/forward/stepped-timers.ts';
import { makeGateway, until } from '../support/test-gateway.ts';

function fixture(name: string): URL {
  return new URL(`./fixtures/${name}.ts`, import.meta.url);
}

test('a worker whose module throws stops the start with its reason', async (t) => {
  const { gateway } = await makeGateway(t, { entry: fixture('import-throws'), set: ['gateway.shards=2'] });
  const error = await t.throwsAsync(gateway.start(), { instanceOf: ShardStartError, code: 'SHARD_START_FAILED' });
  t.regex(error.message, /^shard \d did not start: the fixture throws at import$/);
  t.false(gateway.ready.ready);
});

test('a worker that misses a module stops the start with the name of the module', async (t) => {
  const { gateway } = await makeGateway(t, { entry: fixture('import-missing'), set: ['gateway.shards=2'] });
  const error = await t.throwsAsync(gateway.start(), { code: 'SHARD_START_FAILED' });
  t.regex(error?.message ?? '', /^shard \d did not start: .*not-there\.ts/);
});

test('a worker that is not there stops the start with its path', async (t) => {
  const { gateway } = await makeGateway(t, { entry: fixture('no-such-worker'), set: ['gateway.shards=1'] });
  await t.throwsAsync(gateway.start(), { message: /no-such-worker\.ts/ });
});

test('a worker that never answers stops the start after 30 s', async (t) => {
  const timers = new SteppedTimers();
  const options = { entry: fixture('never-answers'), set: ['gateway.shards=1'], dependencies: { timers } };
  const { gateway } = await makeGateway(t, options);
  const started = gateway.start();
  await until(() => timers.pending === 1, 'the start waits');
  timers.advance(29_999);
  t.is(timers.pending, 1);
  timers.advance(1);
  await t.throwsAsync(started, { message: 'shard 0 did not start: no answer from its thread' });
  t.is(timers.pending, 0);
});

test('a process whose gateway could not start ends by itself', async (t) => {
  const script = fileURLToPath(fixture('start-fails'));
  const { stdout } = await promisify(execFile)(process.execPath, [script, './import-throws.ts'], { timeout: 20_000 });
  t.regex(stdout, /did not start: the fixture throws at import/);
});
