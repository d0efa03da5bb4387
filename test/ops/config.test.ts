import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fc, testProp } from '@fast-check/ava';
import test, { type ExecutionContext } from 'ava';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { allKeys } from '../../src/ops/config/describe.ts';
import { exampleConfig, formatConfigError, type LoadedConfig, loadConfig } from '../../src/ops/config/index.ts';
import { tempDir } from './temp-dir.ts';

const KEY = encodeBase58(new Uint8Array(32).fill(7));
const load = (set: readonly string[] = [], listen: readonly string[] = []) => loadConfig({ set, listen });

function loadText(t: ExecutionContext, toml: string | Uint8Array, set: readonly string[] = []): LoadedConfig {
  const file = join(tempDir(t), 'lewes.toml');
  writeFileSync(file, toml);
  return loadConfig({ file, set, listen: [] });
}

function configOf(t: ExecutionContext, loaded: LoadedConfig) {
  if (loaded.ok) return loaded.config;
  return t.fail(loaded.errors.map(formatConfigError).join('\n')) as never;
}

const paths = (loaded: LoadedConfig) => (loaded.ok ? [] : loaded.errors.map(({ path }) => path));

test('without a file the defaults of lp2.md hold', (t) => {
  const { gateway, limits, lifetimes, registration, admin } = configOf(t, load());
  t.deepEqual(gateway.listen, [{ host: '127.0.0.1', port: 41264 }]);
  t.deepEqual(gateway.kem, ['x-wing', 'ml-kem-768']);
  t.is(gateway.min_protocol_version, 2);
  t.is(gateway.identity, undefined);
  t.is(limits.records_per_address, 470);
  t.is(limits.sessions, 1_000_000);
  t.is(lifetimes.handshake_ttl, 90);
  t.is(lifetimes.lp1_session_idle, 86_400);
  t.is(registration.ipv4_gateway, '10.64.0.1');
  t.is(registration.ipv6_gateway, 'fd6c:6577:6573::1');
  t.deepEqual(registration.endpoints, ['127.0.0.1:51820']);
  t.deepEqual(admin.listen, { host: '127.0.0.1', port: 9464 });
});

test('the documented example reads back as the defaults and names every key', (t) => {
  const example = exampleConfig();
  t.deepEqual(configOf(t, loadText(t, example)), configOf(t, load()));
  for (const key of allKeys())
    t.regex(example, new RegExp(`^(# )?(\\[\\[)?([a-z]+\\.)?${key.split('.')[1]}(\\]\\]| =)`, 'm'));
});

test('what the example comments out is valid as well', (t) => {
  const toml = exampleConfig().replaceAll(/^# (\[\[.*\]\]|[a-z0-9_]+ = .*)$/gm, '$1');
  const { limits, forward } = configOf(t, loadText(t, toml));
  t.is(limits.listed.length, 1);
  t.is(forward.allow[0]!.identity.length, 32);
});

// Each key with a value that it refuses, and words that the message must have.
const WRONG: readonly (readonly [string, string, RegExp])[] = [
  ['gateway.listen', 'localhost:1', /"localhost:1".*127\.0\.0\.1/],
  ['gateway.listen', '::1', /write it like "\[::1\]:41264"/i],
  ['gateway.listen', '127.0.0.1:70000', /port 70000/],
  ['gateway.listen', '[]', /1 to 16/],
  ['gateway.listen', '["127.0.0.1:1", "127.0.0.1:1"]', /twice/],
  ['gateway.identity', '3', /path of a file/],
  ['gateway.shards', '65', /"auto" or a whole number from 1 to 64/],
  ['gateway.shards', 'many', /"many"/],
  ['gateway.min_protocol_version', '0', /0 is not 1 or 2/],
  ['gateway.min_protocol_version', '3', /3 is not 1 or 2/],
  ['gateway.min_protocol_version', '"1"', /"1" is not 1 or 2/],
  ['gateway.kem', '[]', /at least one/],
  ['gateway.kem', '["x-wing", "x-wing"]', /each once/],
  ['gateway.crypto', 'fast', /"auto", "native", "portable"/],
  ['limits.handshakes_per_address', '0', /from 0\.001/],
  ['limits.handshake_burst', '1.5', /whole number/],
  ['limits.records_per_address', '-1', /from 1/],
  ['limits.records', '"x"', /"x" is not a whole number/],
  ['limits.sessions', 'true', /true is not/],
  ['limits.sessions_per_address', '0', /from 1/],
  ['limits.connections', '2000000000', /to 1000000000/],
  ['limits.connections_per_address', '[1]', /\[1\] is not/],
  ['limits.queued_handshakes', '0', /from 1/],
  ['limits.queued_packets', '0', /from 1/],
  ['limits.queued_bytes', '1000', /from 131072/],
  ['limits.forwards', '0', /from 1/],
  ['limits.forwards_per_session', '0', /from 1/],
  ['limits.forward_connections', '0', /from 1/],
  ['limits.quotes_per_address', '0', /from 1/],
  ['limits.listed', '3', /a list of at most 1024 tables/],
  ['lifetimes.handshake_ttl', '60', /twice lifetimes\.clock_tolerance/],
  ['lifetimes.clock_tolerance', '0.5', /whole number of seconds/],
  ['lifetimes.session_idle', '90000', /session_max/],
  ['lifetimes.lp1_session_idle', '0', /number of seconds/],
  ['lifetimes.session_max', '0', /number of seconds/],
  ['lifetimes.unused_session', '-5', /number of seconds/],
  ['lifetimes.demoted_session_ttl', 'nan', /number of seconds/],
  ['lifetimes.rekey_after', 'inf', /number of seconds/],
  ['lifetimes.sweep_interval', '0', /number of seconds/],
  ['lifetimes.kem_rotation', '343801', /to 343800/],
  ['lifetimes.frame_timeout', '0', /number of seconds/],
  ['lifetimes.connection_unproven', '0', /number of seconds/],
  ['lifetimes.connection_idle', '0', /number of seconds/],
  ['lifetimes.drain', '-1', /from 0/],
  ['forward.allow', 'any', /a list of at most 4096 tables/],
  ['forward.connect_timeout', '11', /more than forward\.timeout/],
  ['forward.timeout', '0', /number of seconds/],
  ['registration.modes', '[]', /at least one/],
  ['registration.ipv4_pool', '10.64.1.0/16', /write "10\.64\.0\.0\/16"/i],
  ['registration.ipv4_pool', '10.64.0.0/31', /\/12 to \/30/],
  ['registration.ipv4_pool', '127.0.0.0/16', /loopback/],
  ['registration.ipv4_pool', 'fd00::/112', /no IPv4 address/],
  ['registration.ipv6_pool', 'fd00::', /NETWORK\/PREFIX/],
  ['registration.ipv4_gateway', '10.65.0.1', /not a host address of registration\.ipv4_pool/],
  ['registration.ipv4_gateway', '10.64.0.0', /not a host address/],
  ['registration.ipv4_gateway', '10.64.255.255', /not a host address/],
  ['registration.ipv6_gateway', '10.64.0.1', /no IPv6 address/],
  ['registration.endpoints', '["0.0.0.0:51820"]', /no client can send/],
  ['registration.endpoints', '["[::]:51820"]', /no client can send/],
  ['registration.endpoints', '["192.0.2.1:0"]', /WireGuard port/],
  ['registration.keepalive', '65536', /to 65535/],
  ['registration.bandwidth', '0', /from 1/],
  ['registration.lifetime', '0', /from 1/],
  ['registration.quote_hold', '0', /from 1/],
  ['registration.grace', '-1', /from 0/],
  ['registration.registrations', '0', /from 1/],
  ['registration.registrations', '16777217', /to 16777216/],
  ['store.kind', 'postgres', /"postgres" is not in this release\. Set it to "lmdb" or "memory"/],
  ['store.kind', 'floppy', /"floppy" is not "lmdb" or "memory"/],
  ['store.path', '3', /path of a directory/],
  ['wireguard.kind', 'kernel', /"kernel" is not "memory" or "uapi"/],
  ['wireguard.interface', 'a-name-of-16-let', /1 to 15 letters/],
  ['wireguard.interface', '../wg0', /1 to 15 letters/],
  ['wireguard.interface', '..', /1 to 15 letters/],
  ['wireguard.socket', '""', /path of a socket/],
  ['wireguard.private_key', 'true', /path of a file/],
  ['wireguard.port', '0', /from 1/],
  ['metering.interval', '0', /from 1 to 3600/],
  ['credentials.kind', 'coins', /"coins" is not "privacy-pass" or "none"/],
  ['credentials.issuer', 'issuer.example', /a URL like/],
  ['credentials.issuer', 'ftp://issuer.example', /a URL like/],
  ['credentials.issuer', 'http://issuer.example', /plain HTTP to another machine\. Give an https: address/],
  ['credentials.issuer', 'https://user@issuer.example/', /more than a host and a path/],
  ['credentials.issuer_name', 'two words', /without spaces/],
  ['credentials.quota', '""', /path of a file/],
  ['credentials.zk_nym', 'on', /"off"/],
  ['credentials.keys', 'issuer.pem', /a list of at most 64 paths/],
  ['credentials.keys', '[""]', /path of a file/],
  ['admin.listen', '9464', /"ADDRESS:PORT" or "off"/],
  ['admin.listen', '127.0.0.1:41264', /collides with gateway\.listen/],
  ['log.level', 'loud', /"trace", "debug"/],
  ['log.format', 'pretty', /"json"/],
  ['nym.listen', '41264', /"ADDRESS:PORT" or "off"/],
  ['nym.listen', '127.0.0.1:9464', /collides with admin\.listen/],
  ...['lp_key', 'kem_key'].map((key) => [`nym.${key}`, '""', /path of a file/] as const),
  ...['announced_port', 'data_port'].map((key) => [`nym.${key}`, '65536', /from 1 to 65535/] as const),
  ['nym.credentials', 'on', /"off"/],
  ...['connections', 'forward_connections'].map((key) => [`nym.${key}`, '0', /a whole number from 1/] as const),
  ...['forward_timeout', 'handshake_timeout', 'unused_session', 'session_idle', 'session_max'].map(
    (key) => [`nym.${key}`, '0', /a number of seconds/] as const,
  ),
];

for (const [path, value, words] of WRONG) {
  test(`${path} = ${value} is refused by its path, with what to do`, (t) => {
    const loaded = load([`${path}=${value}`]);
    t.deepEqual(
      paths(loaded).map((found) => found.replace(/\[\d\]$/, '')),
      [path],
    );
    if (!loaded.ok) t.regex(formatConfigError(loaded.errors[0]!), words);
  });
}

test('every key has a value that it refuses in the table above', (t) => {
  const covered = new Set(WRONG.map(([path]) => path));
  t.deepEqual(
    allKeys().filter((key) => !covered.has(key)),
    [],
  );
});

test('all errors of a file and of the command line come at once, each with its path', (t) => {
  const loaded = loadText(
    t,
    `
[gatway]
[cluster]
[limits]
records = "x"
recrods = 4
[[limits.listed]]
cidr = "203.0.113.1/24"
handshakes_per_second = 0
burst = 1
sessions = 1
[lifetimes]
clock_tolerance = 45
[[forward.allow]]
identity = "abc"
address = "exit.example"
portt = 4
`,
    ['log.level=loud', 'log.lvl=info'],
  );
  t.deepEqual(paths(loaded).toSorted(), [
    'cluster',
    'forward.allow[0].address',
    'forward.allow[0].identity',
    'forward.allow[0].port',
    'forward.allow[0].portt',
    'gatway',
    'lifetimes.handshake_ttl',
    'limits.listed[0].cidr',
    'limits.listed[0].handshakes_per_second',
    'limits.listed[0].quotes',
    'limits.records',
    'limits.recrods',
    'log.level',
    'log.lvl',
  ]);
  if (!loaded.ok) for (const error of loaded.errors) t.true(error.problem !== '' && error.remedy !== '');
});

test('one slip gives one message: what depends on a broken key is not reported', (t) => {
  t.deepEqual(paths(loadText(t, 'lifetimes.clock_tolerance = "x"\nlifetimes.handshake_ttl = 20')), [
    'lifetimes.clock_tolerance',
  ]);
  t.deepEqual(paths(loadText(t, 'registration = 3')), ['registration']);
});

test('an unknown key names its near misses', (t) => {
  const near = (toml: string) => {
    const loaded = loadText(t, toml);
    return loaded.ok ? '' : loaded.errors[0]!.remedy;
  };
  t.is(near('[limits]\nhandshake_per_address = 5'), 'did you mean limits.handshakes_per_address?');
  t.is(near('[limits]\nsession_idle = 5'), 'did you mean lifetimes.session_idle or nym.session_idle?');
  t.is(near('[gatway]'), 'did you mean gateway?');
  t.regex(near('[limits]\nzebra = 5'), /--example/);
});

test('a syntax error says line and column', (t) => {
  const loaded = loadText(t, '[gateway]\nlisten = "127.0.0.1:1"\nshards = auto\n');
  t.false(loaded.ok);
  if (!loaded.ok) t.like(loaded.errors[0], { path: '(syntax)', line: 3, column: 10 });
});

const BAD_FILES: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
  ['a key twice', 'log.level = "info"\nlog.level = "warn"', /redefine/],
  ['__proto__ as a key', '__proto__ = 1', /unsafe/],
  ['no UTF-8', Uint8Array.of(0x23, 0xff, 0xfe), /UTF-8/],
  ['an integer that JavaScript cannot hold', '[limits]\nrecords = 99999999999999999999', /losslessly/],
];

for (const [what, content, words] of BAD_FILES) {
  test(`a file with ${what} is refused`, (t) => {
    const loaded = loadText(t, content);
    t.false(loaded.ok);
    if (!loaded.ok) t.regex(formatConfigError(loaded.errors[0]!), words);
  });
}

test('a missing file and a directory are errors of the file', (t) => {
  const directory = tempDir(t);
  t.deepEqual(paths(loadConfig({ file: join(directory, 'none.toml'), set: [], listen: [] })), ['(file)']);
  t.deepEqual(paths(loadConfig({ file: directory, set: [], listen: [] })), ['(file)']);
});

testProp('no text of a file throws', [fc.string({ maxLength: 60 })], (t, text) => {
  t.notThrows(() =>
    loadConfig({ set: [text, `gateway.listen=${text}`, `registration.ipv6_pool=${text}`], listen: [text] }),
  );
});

test('a relative identity is relative to the file that names it', (t) => {
  const file = join(tempDir(t), 'lewes.toml');
  writeFileSync(file, '[gateway]\nidentity = "keys/id.pem"\n');
  const loaded = loadConfig({ file, set: [], listen: [] });
  t.is(configOf(t, loaded).gateway.identity, join(file, '..', 'keys', 'id.pem'));
});

test('records follow from rate, burst and handshake_ttl where they are not given', (t) => {
  const listed = 'limits.listed=[{cidr="192.0.2.0/24", handshakes_per_second=100, burst=50, sessions=9, quotes=3}]';
  const { limits } = configOf(t, load(['limits.handshakes_per_address=50', 'lifetimes.handshake_ttl=100', listed]));
  t.is(limits.records_per_address, 5_020);
  t.like(limits.listed[0], {
    records: 10_050,
    connections: 20_000,
    cidr: { family: 4, address: '192.0.2.0', prefix: 24 },
  });
  t.is(configOf(t, load(['limits.records_per_address=7'])).limits.records_per_address, 7);
});

test('repeated exits and repeated listed networks are refused', (t) => {
  const exit = `{identity="${KEY}", address="192.0.2.1", port=1}`;
  t.deepEqual(paths(load([`forward.allow=[${exit}, ${exit}]`])), ['forward.allow[1]']);
  const entry = '{cidr="192.0.2.0/24", handshakes_per_second=1, burst=1, sessions=1, quotes=1}';
  t.deepEqual(paths(load([`limits.listed=[${entry}, ${entry}]`])), ['limits.listed[1].cidr']);
});

test('an exit keeps its key as bytes and its address in normal form', (t) => {
  const { forward } = configOf(t, load([`forward.allow=[{identity="${KEY}", address="2001:DB8:0::1", port=41264}]`]));
  t.deepEqual(forward.allow, [{ identity: new Uint8Array(32).fill(7), address: '2001:db8::1', port: 41264 }]);
});

test('endpoints default to the listen addresses, and to loopback with a warning for all addresses', (t) => {
  const loaded = load(['wireguard.port=5000'], ['0.0.0.0:41264', '[::]:41264', '192.0.2.1:41264']);
  t.deepEqual(configOf(t, loaded).registration.endpoints, ['127.0.0.1:5000', '[::1]:5000', '192.0.2.1:5000']);
  t.true(loaded.ok && loaded.warnings.some(({ path }) => path === 'registration.endpoints'));
});

test('store, tunnels and payment have kinds; a registration costs a token and outlives a restart by default', (t) => {
  const { store, wireguard, credentials, metering } = configOf(t, load());
  t.deepEqual(store, { kind: 'lmdb' });
  t.deepEqual(wireguard, { kind: 'memory', interface: 'lewes0', port: 51_820 });
  t.deepEqual(credentials, {
    kind: 'privacy-pass',
    issuer: undefined,
    issuer_name: '127.0.0.1:9464',
    keys: [],
    zk_nym: 'off',
  });
  t.is(metering.interval, 30);
});

const ISSUER_NAMES: readonly (readonly [string, readonly string[], string])[] = [
  ['the host of its URL', ['credentials.issuer=https://issuer.example/tokens'], 'issuer.example'],
  ['host and port of its URL', ['credentials.issuer=http://127.0.0.1:8080'], '127.0.0.1:8080'],
  ['what is given', ['credentials.issuer=https://a.example', 'credentials.issuer_name=b.example'], 'b.example'],
  ['the admin address, where the gateway issues itself', ['admin.listen=[::1]:9000'], '[::1]:9000'],
  ['no port that changes with each start', ['admin.listen=127.0.0.1:0'], 'localhost'],
];

for (const [what, set, name] of ISSUER_NAMES) {
  test(`the issuer's name is ${what}`, (t) => {
    t.is(configOf(t, load(set)).credentials.issuer_name, name);
  });
}

test('tokens that nobody issues are refused, by the key that asks for them', (t) => {
  t.deepEqual(paths(load(['admin.listen=off'])), ['credentials.kind']);
  for (const set of ['credentials.kind=none', 'credentials.issuer=https://a.example', 'credentials.keys=["a.pem"]']) {
    t.deepEqual(paths(load(['admin.listen=off', set])), [], set);
  }
});

test('paths of a file are relative to it', (t) => {
  const directory = tempDir(t);
  const file = join(directory, 'lewes.toml');
  writeFileSync(
    file,
    `
[store]
path = "registrations"
[wireguard]
kind = "uapi"
socket = "wg.sock"
private_key = "/etc/wg.key"
[credentials]
keys = ["a.pem", "/etc/b.pem"]
`,
  );
  const { store, wireguard, credentials } = configOf(t, loadConfig({ file, set: [], listen: [] }));
  t.is(store.path, join(directory, 'registrations'));
  t.is(wireguard.socket, join(directory, 'wg.sock'));
  t.is(wireguard.private_key, '/etc/wg.key');
  t.deepEqual(credentials.keys, [join(directory, 'a.pem'), '/etc/b.pem']);
});

const UNUSED: readonly (readonly [string, string])[] = [
  ['store.kind=memory', 'store.path=/tmp/x'],
  ['wireguard.kind=memory', 'wireguard.socket=/tmp/x'],
  ['credentials.kind=none', 'credentials.issuer=https://a.example'],
  ['credentials.kind=none', 'credentials.issuer_name=a'],
  ['credentials.kind=none', 'credentials.keys=["a.pem"]'],
];

for (const [kind, key] of UNUSED) {
  test(`${key} has no effect with ${kind}, and a warning says so`, (t) => {
    const loaded = load([kind, key]);
    t.true(loaded.ok);
    const warned = loaded.ok ? loaded.warnings.map(({ path }) => path) : [];
    t.deepEqual(warned, [key.slice(0, key.indexOf('='))]);
  });
}

test('LP1 needs one key, changes no other, and is worth a warning', (t) => {
  const loaded = load(['gateway.min_protocol_version=1']);
  const { gateway, ...rest } = configOf(t, loaded);
  const { gateway: standard, ...others } = configOf(t, load());
  t.deepEqual(gateway, { ...standard, min_protocol_version: 1 });
  t.deepEqual(rest, others);
  const warnings = (result: LoadedConfig) => (result.ok ? result.warnings.map(({ path }) => path) : []);
  t.deepEqual(warnings(loaded), ['gateway.min_protocol_version']);
  t.deepEqual(warnings(load(['gateway.min_protocol_version=2'])), []);
});

test('with LP1, too, a handshake record outlives both ends of the clock tolerance', (t) => {
  const tolerant = ['gateway.min_protocol_version=1', 'lifetimes.clock_tolerance=45'];
  t.deepEqual(paths(load(tolerant)), ['lifetimes.handshake_ttl']);
  t.deepEqual(paths(load([...tolerant, 'lifetimes.handshake_ttl=91'])), []);
});
