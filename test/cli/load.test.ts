/** `lewes load` as a user calls it: what it prints, what it writes, and with which exit code it ends. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { LoadResult } from '../../src/load/result.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { startGateway, type TestGateway } from '../support/test-gateway.ts';
import { lewes, start } from './child.ts';

const GATEWAY = { entry: 'in-thread' } as const;
const addressOf = ({ target }: TestGateway) => `127.0.0.1:${target.port}`;
const identityOf = ({ target }: TestGateway) => encodeBase58(target.ed25519);
const KEY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';
const QUICK = ['--warm-up', '0', '--duration', '1'];

test.serial('a run against a gateway: JSON on standard output alone, a page with plots, exit code 0', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const directory = mkdtempSync(join(tmpdir(), 'lewes-load-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const html = join(directory, 'report.html');
  const args = ['load', addressOf(gateway), '--identity', identityOf(gateway), '--rate', '60', '--sources', '50'];
  const { code, out, err } = await lewes(t, [...args, ...QUICK, '--threads', '1', '--html', html, '--json']);
  t.deepEqual([code, err], [0, ''], out);
  const result = JSON.parse(out) as LoadResult;
  t.is(result.schema, 'lewes-load/1');
  t.like(result.plan, { target: addressOf(gateway), scenario: 'handshake', sources: 50, durationSeconds: 1 });
  t.deepEqual(
    result.operations.map(({ name, failed }) => [name, failed]),
    [['handshake', 0]],
  );
  t.true((result.operations[0]?.completed ?? 0) > 20);
  t.true(readFileSync(html, 'utf8').startsWith('<!doctype html>'));
});

test.serial('where too much fails the exit code is 1, unless so much was to be expected', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const args = ['load', addressOf(gateway), '--identity', identityOf(gateway), '--rate', '100', ...QUICK];
  const first = await lewes(t, args);
  t.is(first.code, 1, first.err);
  t.regex(first.out, /BUSY/);
  const second = await lewes(t, [...args, '--max-error-share', '1', '--scenario', 'register', '--sources', '50']);
  t.is(second.code, 0, second.err);
  t.regex(second.out, /Registrations: \d+ made, \d+ released\n/);
});

test.serial('SIGINT ends a run with its report', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const args = ['load', addressOf(gateway), '--identity', identityOf(gateway), '--scenario', 'echo', '--clients', '2'];
  const run = start(t, [...args, '--warm-up', '0', '--duration', '600', '--json']);
  const echoed = () => gateway.gateway.admission.sessions === 2;
  while (!echoed()) await new Promise<void>((resolve) => setImmediate(resolve));
  run.child.kill('SIGINT');
  const { code, out, err } = await run.ended;
  t.is(err, '');
  const result = JSON.parse(out) as LoadResult;
  t.true(result.interrupted);
  t.is(code, result.operations.some(({ completed }) => completed > 0) ? 0 : 1);
  t.is(gateway.gateway.admission.sessions, 0);
});

test.serial('wrong use is exit code 2 with what to do', async (t) => {
  const { code, out, err } = await lewes(t, ['load', '192.0.2.1:41264', '--identity', KEY]);
  t.deepEqual([code, out], [2, '']);
  t.regex(err, /attack.*--i-own-this-node/);
});

test.serial('a report that could not be written is told before the run, not after it', async (t) => {
  const { code, err } = await lewes(t, [
    'load',
    '127.0.0.1:41264',
    '--identity',
    KEY,
    '--html',
    '/nowhere/at/all.html',
  ]);
  t.is(code, 1);
  t.regex(err, /nowhere.*--html/);
});

test.serial('help has examples and says how the limits of a gateway relate to source addresses', async (t) => {
  const { code, out } = await lewes(t, ['load', '--help']);
  t.is(code, 0);
  t.regex(out, /5 handshakes\/s/);
  t.regex(out, /Example:\n {2}\$ lewes load/);
});
