/** Where a gateway gets the keys of its tokens from: its own issuer on the admin port, or a remote one. */
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type GatewayIssuer, openIssuer } from '../../src/cli/own-issuer.ts';
import { httpTokenSource } from '../../src/client/token-source.ts';
import { newAccessKey, quotaEntry } from '../../src/issuer/quota.ts';
import { DIRECTORY_PATH, MEDIA_TYPE } from '../../src/lp/wire/issuer-directory.ts';
import { encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import { startAdmin } from '../../src/ops/admin.ts';
import { type Config, loadConfig } from '../../src/ops/config/index.ts';
import { createLogger } from '../../src/ops/log.ts';
import { createRegistry } from '../../src/ops/metrics.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { createPrivacyPass, type IssuerPublicKey } from '../../src/registration/credentials/privacy-pass.ts';
import { startFixture } from '../issuer/fixture.ts';
import { tempDir } from '../ops/temp-dir.ts';

const GATEWAY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';
const PRICE = { tokens: 1, bandwidth: 5, lifetime: 5 } as const;

function configOf(...set: readonly string[]): Config {
  const loaded = loadConfig({ set, listen: [], file: undefined });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  return loaded.config;
}

function setUp(t: ExecutionContext) {
  const lines: { level: string; msg: string }[] = [];
  const log = createLogger({ level: 'info', destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const open = async (config: Config, dataDir: string) => {
    const issuer = await openIssuer(config, dataDir, log);
    t.teardown(() => issuer.close());
    return issuer;
  };
  return { lines, open };
}

function keysOf(issuer: GatewayIssuer): readonly IssuerPublicKey[] {
  let taken: readonly IssuerPublicKey[] = [];
  issuer.supply({
    setIssuerKeys: (keys) => {
      taken = keys;
    },
  });
  return taken;
}

async function adminWith(t: ExecutionContext, { routes }: GatewayIssuer) {
  const sources = {
    registry: createRegistry(),
    ready: () => ({ ready: true, reasons: [] }),
    status: () => ({}),
    routes,
  };
  const admin = await startAdmin({ host: '127.0.0.1', port: 0 }, sources);
  t.teardown(() => admin.close());
  return admin;
}

test.serial('a gateway issues its own tokens on the admin port, and takes them', async (t) => {
  const { open, lines } = setUp(t);
  const dataDir = tempDir(t);
  const config = configOf('admin.listen=127.0.0.1:0');
  const issuer = await open(config, dataDir);
  const admin = await adminWith(t, issuer);
  const { issuer_name: issuerName } = issuer.configFor(admin.address).credentials;
  t.is(issuerName, new URL(admin.url).host);
  t.is((await fetch(`${admin.url}/livez`)).status, 200);

  const challenge = encodeTokenChallenge({ issuerName, originInfo: GATEWAY });
  const token = await httpTokenSource({ issuerUrl: admin.url, issuerName }).token(challenge);
  const keys = keysOf(issuer);
  const verifier = createPrivacyPass({ issuerName, originInfo: GATEWAY, keys, price: PRICE });
  const now = Math.floor(Date.now() / 1_000);
  t.like(await verifier.verify({ kind: 'privacy-pass', token }, now), { kind: 'accepted' });
  t.true(lines.some(({ level, msg }) => level === 'warn' && msg.startsWith('tokens are free')));

  const again = await open(config, dataDir);
  t.deepEqual(keysOf(again), keys);
  const named = await open(configOf('admin.listen=127.0.0.1:0', 'credentials.issuer_name=mine'), dataDir);
  t.is(named.configFor(admin.address).credentials.issuer_name, 'mine');
});

test.serial('beyond loopback tokens need a quota', async (t) => {
  const { open } = setUp(t);
  const dataDir = tempDir(t);
  const wide = ['admin.listen=0.0.0.0:9464'];
  await t.throwsAsync(open(configOf(...wide), dataDir), { instanceOf: OperatorError, code: 'ERR_ISSUER_OPEN' });
  t.deepEqual(readdirSync(dataDir), []);

  const accessKey = newAccessKey();
  const quota = join(dataDir, 'quota.toml');
  writeFileSync(quota, quotaEntry(accessKey, 1));
  const issuer = await open(configOf(...wide, `credentials.quota=${quota}`), dataDir);
  const { url } = await adminWith(t, issuer);
  const challenge = encodeTokenChallenge({ issuerName: 'i', originInfo: GATEWAY });
  await t.throwsAsync(httpTokenSource({ issuerUrl: url }).token(challenge), { code: 'access_denied' });
  const source = httpTokenSource({ issuerUrl: url, accessKey });
  t.is((await source.token(challenge)).length, 354);
  await t.throwsAsync(source.token(challenge), { code: 'quota_exhausted' });
});

test.serial('the keys of a remote issuer survive a restart while it cannot be reached', async (t) => {
  const { open, lines } = setUp(t);
  const dataDir = tempDir(t);
  const remote = await startFixture(t);
  const config = configOf(`credentials.issuer=${remote.server.url}`);
  const online = await open(config, dataDir);
  t.is(online.routes, undefined);
  const told = keysOf(online).map(({ spki }) => Buffer.from(spki).toString('hex'));
  t.deepEqual(
    told,
    remote.keys.announced(remote.now).map(({ spki }) => Buffer.from(spki).toString('hex')),
  );

  await remote.server.close();
  const offline = await open(config, dataDir);
  t.deepEqual(keysOf(offline), keysOf(online));
  t.true(lines.some(({ level, msg }) => level === 'error' && /known keys stay in force/.test(msg)));
  await t.throwsAsync(open(config, tempDir(t)), { instanceOf: OperatorError, code: 'ERR_ISSUER_UNREACHABLE' });
});

test('a directory without a key that can be used is no directory', async (t) => {
  const { open } = setUp(t);
  const server = createServer((request, response) => {
    t.is(request.url, DIRECTORY_PATH);
    response.setHeader('content-type', MEDIA_TYPE.directory);
    const listed = { 'token-type': 2, 'token-key': Buffer.alloc(342, 1).toString('base64url') };
    response.end(JSON.stringify({ 'issuer-request-uri': '/t', 'token-keys': [listed] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const opened = open(configOf(`credentials.issuer=http://127.0.0.1:${port}`), tempDir(t));
  await t.throwsAsync(opened, { instanceOf: OperatorError, message: /no key of token type 2/ });
});

test('without a price there is no issuer', async (t) => {
  const { open } = setUp(t);
  const dataDir = tempDir(t);
  const issuer = await open(configOf('credentials.kind=none'), dataDir);
  t.is(issuer.routes, undefined);
  t.deepEqual(keysOf(issuer), []);
  t.deepEqual(readdirSync(dataDir), []);
});
