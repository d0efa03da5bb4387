/** `lewes issuer` and `lewes token` as an operator and a user have them. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { tempDir } from '../ops/temp-dir.ts';
import { lewes, start } from './child.ts';

const GATEWAY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';

async function startIssuer(t: ExecutionContext, directory: string, ...args: readonly string[]) {
  const dataDir = join(directory, 'data');
  const running = start(t, ['issuer', '--listen', '127.0.0.1:0', '--data-dir', dataDir, ...args]);
  const log = await running.output(/"msg":"ready"/);
  const ready = log
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .find(({ msg }) => msg === 'ready');
  return { running, url: String(ready.url), log };
}

test.serial('from an access key to tokens in a file, and not one more than granted', async (t) => {
  const directory = tempDir(t);
  const [keyFile, quotaFile, out] = ['alice.key', 'quota.toml', 'tokens'].map((name) => join(directory, name));
  const granted = await lewes(t, ['issuer', '--new-access-key', keyFile!, '--tokens', '2']);
  t.is(granted.code, 0, granted.err);
  const accessKey = readFileSync(keyFile!, 'utf8').trim();
  t.is(statSync(keyFile!).mode & 0o777, 0o600);
  t.false(granted.out.includes(accessKey));
  writeFileSync(quotaFile!, granted.out);

  const { running, url, log } = await startIssuer(t, directory, '--quota', quotaFile!);
  t.false(log.includes(accessKey));
  const common = ['token', '--issuer', url, '--gateway', GATEWAY, '--access-key-file', keyFile!, '--json'];
  const fetched = await lewes(t, [...common, '--count', '3', '--out', out!]);
  t.is(fetched.code, 1);
  t.like(JSON.parse(fetched.out), { ok: false, count: 2, gateway: GATEWAY, issuerName: new URL(url).host });
  t.is(JSON.parse(fetched.out).error.code, 'quota_exhausted');
  t.is(readFileSync(out!, 'utf8').split('\n').filter(Boolean).length, 2);
  t.is(statSync(out!).mode & 0o777, 0o600);
  running.child.kill('SIGTERM');
  t.is((await running.ended).code, 0);
  t.false(existsSync(join(directory, 'data', 'gateway.lock')));
});

test.serial('an open issuer on loopback gives tokens to anybody, on standard output', async (t) => {
  const { running, url } = await startIssuer(t, tempDir(t), '--open');
  const { code, out } = await lewes(t, ['token', '--issuer', url, '--gateway', GATEWAY]);
  t.is(code, 0);
  t.regex(out, /^[A-Za-z0-9+/]{472}\n$/);
  running.child.kill('SIGTERM');
  t.is((await running.ended).code, 0);
});

test.serial('wrong use is told with exit code 2, what fails with 1', async (t) => {
  const directory = tempDir(t);
  const key = join(directory, 'key');
  writeFileSync(key, 'key', { mode: 0o644 });
  const table: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['issuer'], 2, /either --quota FILE or --open/],
    [['issuer', '--open', '--listen', '0.0.0.0:0'], 2, /everybody/],
    [['issuer', '--new-access-key', key], 1, /is there already/],
    [
      ['issuer', '--quota', join(directory, 'none'), '--data-dir', join(directory, 'd')],
      1,
      /quota file .* is not there/,
    ],
    [['token', '--gateway', GATEWAY], 2, /needs an issuer and a gateway/],
    [['token', '--gateway', GATEWAY, '--issuer', 'http://issuer.example'], 2, /https/],
    [['token', '--gateway', GATEWAY, '--issuer', 'https://i.example', '--access-key-file', key], 1, /chmod 600/],
  ];
  const results = await Promise.all(table.map(([args]) => lewes(t, args)));
  for (const [at, [args, code, pattern]] of table.entries()) {
    const { err, code: got } = results[at]!;
    t.is(got, code, args.join(' '));
    t.regex(err, pattern, args.join(' '));
  }
});
