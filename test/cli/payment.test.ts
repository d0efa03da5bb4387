/** `lewes probe --register` at gateways that ask for a token: where it comes from, what it costs, what is kept. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startIssuer } from '../../src/issuer/http.ts';
import { IssuerKeys } from '../../src/issuer/issuer-keys.ts';
import { newAccessKey, Quota, quotaEntry } from '../../src/issuer/quota.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { pooledKeys } from '../issuer/fixture.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { startGateway, type TestGateway } from '../support/test-gateway.ts';
import { lewes, outline, type ReportedStep } from './child.ts';

interface Report {
  readonly steps: readonly ReportedStep[];
  readonly wgQuick?: readonly string[];
}

const parse = (out: string) => JSON.parse(out) as Report;
const addressOf = ({ target }: TestGateway) => `127.0.0.1:${target.port}`;
const identityOf = ({ target }: TestGateway) => encodeBase58(target.ed25519);
const later = (out: string) => outline(parse(out).steps).slice(4);

/** An issuer with a quota of so many tokens, and a gateway that takes them. */
async function priced(
  t: ExecutionContext,
  { tokens, issuerName }: { tokens?: number; issuerName?: string } = {},
  more: readonly string[] = [],
) {
  const directory = tempDir(t);
  const now = () => Math.floor(Date.now() / 1_000);
  const keys = await IssuerKeys.open({ directory, generate: pooledKeys() }, now());
  const accessKey = newAccessKey();
  const files = { quota: join(directory, 'quota.toml'), accessKey: join(directory, 'access.key') };
  writeFileSync(files.quota, quotaEntry(accessKey, tokens ?? 1));
  writeFileSync(files.accessKey, accessKey, { mode: 0o600 });
  const report = (error: Error) => t.fail(error.message);
  const quota = new Quota({ file: files.quota, usedFile: join(directory, 'used.json'), report });
  const access = tokens === undefined ? ({ kind: 'open' } as const) : ({ kind: 'quota', quota } as const);
  const issuer = await startIssuer({ host: '127.0.0.1', port: 0 }, { keys, access, now });
  t.teardown(() => issuer.close());
  const set = ['credentials.kind=privacy-pass', `credentials.issuer=${issuer.url}`, ...more];
  if (issuerName !== undefined) set.push(`credentials.issuer_name=${issuerName}`);
  const gateway = await startGateway(t, { entry: 'in-thread', set });
  gateway.gateway.setIssuerKeys(keys.verifierKeys());
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--register', '--json'];
  return { directory, files, issuer, gateway, args };
}

test.serial('an issuer on this machine is asked without any option, and the token is a step', async (t) => {
  const { args, gateway } = await priced(t);
  const { code, out, err } = await lewes(t, args);
  t.is(code, 0, out + err);
  t.deepEqual(later(out), ['direct token', 'direct registration', 'direct release']);
  t.is(gateway.gateway.registrar.status().registrations.dvpn.active, 0);
});

test.serial('an issuer elsewhere has to be named: the advice says how, and its tokens pay', async (t) => {
  const { args, directory, files, issuer, gateway } = await priced(t, { tokens: 2, issuerName: 'issuer.example' });
  const bare = await lewes(t, args);
  t.is(bare.code, 1);
  t.deepEqual(later(bare.out), ['direct token !no_tokens']);
  t.regex(
    parse(bare.out).steps.at(-1)?.error?.message ?? '',
    /issuer issuer\.example.*--issuer URL.*--token-file FILE/,
  );

  const named = ['--issuer', issuer.url, '--access-key-file', files.accessKey];
  const paid = await lewes(t, [...args, ...named]);
  t.is(paid.code, 0, paid.out + paid.err);
  t.false((paid.out + paid.err).includes(readFileSync(files.accessKey, 'utf8')));

  const tokens = join(directory, 'tokens');
  const fetched = await lewes(t, [
    ...['token', '--gateway', identityOf(gateway), '--out', tokens, '--issuer-name', 'issuer.example', ...named],
  ]);
  t.is(fetched.code, 0, fetched.err);
  const fromFile = await lewes(t, [...args, '--token-file', tokens]);
  t.is(fromFile.code, 0, fromFile.out + fromFile.err);
  t.is(readFileSync(tokens, 'utf8'), '');

  const [empty, spent] = await Promise.all([
    lewes(t, [...args, '--token-file', tokens]),
    lewes(t, [...args, ...named]),
  ]);
  t.deepEqual(later(empty.out), ['direct token !no_tokens']);
  t.deepEqual(later(spent.out), ['direct token !quota_exhausted']);
});

test.serial('--wg-quick keeps the registration and writes its tunnel, and shows no secret', async (t) => {
  const { args, directory, gateway } = await priced(t);
  const path = join(directory, 'lewes.conf');
  const { code, out, err } = await lewes(t, [...args, '--wg-quick', path]);
  t.is(code, 0, out + err);
  t.deepEqual(later(out), ['direct token', 'direct registration']);
  t.deepEqual(parse(out).wgQuick, [path]);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(gateway.gateway.registrar.status().registrations.dvpn.active, 1);
  const text = readFileSync(path, 'utf8');
  t.regex(text, /Endpoint = 127\.0\.0\.1:51820/);
  for (const secret of text.match(/(?:PrivateKey =|PresharedKey =|Owner secret.*:) (\S+)/g) ?? []) {
    t.false(out.includes(secret.split(' ').at(-1) ?? ''));
  }
  const sum = createHash('sha256').update(text).digest('hex');
  const again = await lewes(t, [...args, '--wg-quick', path]);
  t.is(again.code, 1);
  t.regex(again.out, /is there already/);
  t.is(createHash('sha256').update(readFileSync(path)).digest('hex'), sum);
});

test.serial("in LP1 the tunnel's preshared key is the gateway's identity, and there is no owner", async (t) => {
  const gateway = await startGateway(t, { entry: 'in-thread', set: ['gateway.min_protocol_version=1'] });
  const path = join(tempDir(t), 'lewes.conf');
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--register', '--json'];
  const { code, out, err } = await lewes(t, [...args, '--protocol', '1', '--wg-quick', path]);
  t.is(code, 0, out + err);
  t.deepEqual(parse(out).wgQuick, [path]);
  const text = readFileSync(path, 'utf8');
  const identity = Buffer.from(gateway.target.ed25519).toString('base64');
  t.true(text.includes(`PresharedKey = ${identity}\n`));
  t.notRegex(text, /owner/i);
  t.is(gateway.gateway.registrar.status().registrations.dvpn.active, 1);
});

test.serial('in LP1 a gateway with a price registers nobody, and says where to', async (t) => {
  const { args, gateway } = await priced(t, {}, ['gateway.min_protocol_version=1']);
  const { code, out } = await lewes(t, [...args, '--protocol', '1']);
  t.is(code, 1);
  const { steps } = parse(out);
  t.deepEqual(outline(steps), ['direct connect', 'direct handshake', 'direct registration !internal']);
  t.regex(steps.at(-1)?.error?.message ?? '', /it says: .*register over LP2/);
  t.is(gateway.gateway.registrar.status().registrations.dvpn.active, 0);
});

test.serial('an issuer that is silent does not hold up a probe beyond its --timeout', async (t) => {
  const { args } = await priced(t);
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const { code, out } = await lewes(t, [...args, '--timeout', '2', '--issuer', `http://127.0.0.1:${port}`]);
  t.is(code, 1);
  t.is(later(out)[0], 'direct registration !deadline');
  t.true((parse(out).steps.at(-1)?.ms ?? Number.POSITIVE_INFINITY) < 9_000);
});

test.serial('a refused registration writes no tunnel', async (t) => {
  const gateway = await startGateway(t, { entry: 'in-thread', set: ['registration.modes=["mixnet"]'] });
  const directory = tempDir(t);
  const path = join(directory, 'a.conf');
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--register', '--wg-quick', path];
  t.is((await lewes(t, args)).code, 1);
  t.false(existsSync(path));
  t.deepEqual(readdirSync(directory), []);
});

test.serial('wrong use of the options is exit code 2', async (t) => {
  const key = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';
  const base = ['probe', '127.0.0.1:1', '--identity', key];
  const register = [...base, '--register'];
  const cases: readonly (readonly [RegExp, readonly string[]])[] = [
    [/--issuer is for registering/, [...base, '--issuer', 'https://issuer.example']],
    [/--wg-quick is for registering/, [...base, '--wg-quick', 'a.conf']],
    [/from --token-file or from --issuer/, [...register, '--token-file', 'a', '--issuer', 'https://issuer.example']],
    [/is for an issuer/, [...register, '--access-key-file', 'a']],
    [/https:\/\/HOST/, [...register, '--issuer', 'http://issuer.example']],
    [/name of an interface/, [...register, '--wg-quick', 'a']],
    [/--token-file does not go with --protocol 1/, [...register, '--token-file', 'a', '--protocol', '1']],
    [/--issuer does not go with/, [...register, '--issuer', 'https://issuer.example', '--protocol', '1']],
  ];
  const ended = await Promise.all(cases.map(([, args]) => lewes(t, args)));
  for (const [at, [pattern, args]] of cases.entries()) {
    t.is(ended[at]?.code, 2, args.join(' '));
    t.regex(ended[at]?.err ?? '', pattern);
  }
});
