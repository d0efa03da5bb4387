import { execFile } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { startAdmin } from '../../src/ops/admin.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { openDataDir } from '../../src/ops/data-dir.ts';
import { readIdentity } from '../../src/ops/keys.ts';
import { createRegistry } from '../../src/ops/metrics.ts';
import { tempDir } from '../ops/temp-dir.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function lewes(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

test('keygen writes an identity, prints its public key alone, and refuses to overwrite', async (t) => {
  const file = join(tempDir(t), 'keys', 'identity.pem');
  const made = await lewes('keygen', file, '--json');
  t.is(made.code, 0, made.err);
  const identity = encodeBase58(readIdentity(file).publicKey);
  t.deepEqual(JSON.parse(made.out), { identity, file });
  t.is(statSync(file).mode & 0o777, 0o600);

  const before = readFileSync(file, 'utf8');
  const again = await lewes('keygen', '--out', file);
  t.is(again.code, 1);
  t.is(again.out, '');
  t.regex(again.err, /^lewes: .*is there already.*\. Choose another path.*\.\n$/);
  t.is(readFileSync(file, 'utf8'), before);
});

test('wrong use is exit code 2 with what to do, help and version are 0', async (t) => {
  const [none, noFile, unknown, option, help, version] = await Promise.all([
    lewes(),
    lewes('keygen'),
    lewes('frobnicate'),
    lewes('status', '--colour'),
    lewes('check-config', '--help'),
    lewes('--version'),
  ]);
  t.deepEqual([none.code, noFile.code, unknown.code, option.code, help.code, version.code], [2, 2, 2, 2, 0, 0]);
  t.regex(noFile.err, /^lewes: keygen needs one file.*lewes keygen/);
  t.regex(unknown.err, /^lewes: unknown command 'frobnicate'\n.*--help/);
  t.regex(option.err, /^lewes: unknown option '--colour'\n/);
  t.regex(help.out, /Example:\n {2}\$ lewes check-config/);
  t.regex(version.out, /^\d+\.\d+\.\d+\n$/);
});

test('check-config tells all errors at once, and accepts its own example', async (t) => {
  const directory = tempDir(t);
  const [good, bad] = [join(directory, 'good.toml'), join(directory, 'bad.toml')];
  const example = await lewes('check-config', '--example');
  writeFileSync(good, example.out);
  writeFileSync(bad, '[limits]\nrecords = 0\n[gatway]\n');
  const [ok, failed, json] = await Promise.all([
    lewes('check-config', good),
    lewes('check-config', bad, '--set', 'log.level=loud'),
    lewes('check-config', bad, '--json'),
  ]);
  t.deepEqual([example.code, ok.code, failed.code, json.code], [0, 0, 1, 1]);
  t.is(ok.out, `${good}: ok\n`);
  for (const words of [/limits\.records: 0/, /log\.level: "loud"/, /gatway: .*Did you mean gateway\?/, /3 errors/]) {
    t.regex(failed.err, words);
  }
  const report = JSON.parse(json.out) as { ok: boolean; errors: { path: string }[] };
  t.false(report.ok);
  t.deepEqual(
    report.errors.map(({ path }) => path),
    ['limits.records', 'gatway'],
  );
});

test('check-config accepts LP1 with a warning', async (t) => {
  const file = join(tempDir(t), 'lewes.toml');
  writeFileSync(file, '[gateway]\nmin_protocol_version = 1\n[lifetimes]\nlp1_session_idle = 3600\n');
  const [human, json] = await Promise.all([lewes('check-config', file), lewes('check-config', file, '--json')]);
  t.deepEqual([human.code, json.code], [0, 0]);
  t.regex(human.out, /: warning: gateway\.min_protocol_version: is 1: .*classical.*\n.*: ok\n$/);
  t.is(human.err, '');
  const report = JSON.parse(json.out) as { ok: boolean; warnings: { path: string }[] };
  t.true(report.ok);
  t.deepEqual(
    report.warnings.map(({ path }) => path),
    ['gateway.min_protocol_version'],
  );
});

test('status shows what the gateway of the data directory says, and says when none runs', async (t) => {
  const path = tempDir(t);
  const directory = openDataDir(path);
  t.teardown(() => directory.release());
  const none = await lewes('status', '--data-dir', path, '--json');
  t.is(none.code, 1);
  t.is((JSON.parse(none.out) as { error: { code: string } }).error.code, 'ERR_GATEWAY_NOT_RUNNING');

  const ready = () => ({ ready: true, reasons: [] });
  const admin = await startAdmin(
    { host: '127.0.0.1', port: 0 },
    { registry: createRegistry(), ready, status: () => ({ crypto: 'native', sessions: { live: 3 } }) },
  );
  directory.writeAdmin({ url: admin.url, pid: process.pid });
  const [json, human] = await Promise.all([
    lewes('status', '--data-dir', path, '--json'),
    lewes('status', '--data-dir', path),
  ]);
  t.deepEqual(JSON.parse(json.out), { ready: true, reasons: [], crypto: 'native', sessions: { live: 3 } });
  t.regex(human.out, /^sessions\.live +3$/m);

  await admin.close();
  const gone = await lewes('status', '--data-dir', path);
  t.is(gone.code, 1);
  t.regex(gone.err, /^lewes: no gateway runs on .*ECONNREFUSED.*\n$/);
});
