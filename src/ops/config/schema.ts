/**
 * Every configuration key of this release: types, defaults, bounds and documentation (lp2.md §4.5, §5, §7;
 * lp1.md §8.1; registration.md). Unknown keys are errors. Durations are seconds, sizes bytes. What concerns several keys at once is in
 * `cross-check.ts`; defaults that follow from other keys are filled in by `resolve.ts`.
 */
import { z } from 'zod';
import {
  count,
  countOptional,
  countRequired,
  filePath,
  groupDocs,
  keyDocs,
  numberRequired,
  oneOf,
  parsed,
  parsedOptional,
  parsedRequired,
  pathList,
  rate,
  seconds,
  someOf,
  tables,
  wholeSeconds,
} from './keys.ts';
import * as values from './values.ts';

const CONFIG_KEM_NAMES = ['x-wing', 'ml-kem-768'] as const;
/** lp2.md §4.1: not_after − not_before = 2 × rotation + 1 h must not pass 8 days, or clients refuse the key. */
const MAX_KEM_ROTATION = (8 * 86_400 - 3_600) / 2;
/** The registrar numbers registrations and addresses in tables of this size at most. */
const MAX_REGISTRATIONS = 2 ** 24;
/** A verifier holds 256 keys, and an issuer tells some itself. */
const MAX_KEY_FILES = 64;
const EXAMPLE_KEY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';

const gateway = z.strictObject({
  listen: parsed(
    'Where clients connect: one "address:port" or a list; IPv6 as "[::1]:41264"; port 0 takes a free one.',
    'one "ADDRESS:PORT" or a list of 1 to 16 of them',
    '127.0.0.1:41264',
    values.listenAddresses,
  ),
  identity: filePath(
    'Identity key, PKCS#8 PEM with mode 0600; relative to this file. Without it one is made in the data directory.',
    { expects: 'the path of a file', example: '/etc/lewes/identity.pem' },
  ),
  shards: parsed(
    'Worker threads that hold the sessions: "auto" (one less than cores) or 1 to 64.',
    '"auto" or a whole number from 1 to 64',
    'auto',
    values.shardCount,
  ),
  min_protocol_version: parsed(
    'Lowest protocol version that is spoken: 2, or 1 for LP1 beside LP2. LP1 has classical cryptography only; see the README.',
    '1 or 2',
    2,
    values.protocolVersion,
  ),
  kem: someOf('Offered KEM suites, the preferred one first.', CONFIG_KEM_NAMES, CONFIG_KEM_NAMES),
  crypto: oneOf(
    'Cryptography: "native" (sodium and OpenSSL), "portable" (JavaScript), or "auto" (native where it loads).',
    ['auto', 'native', 'portable'],
    'auto',
  ),
});

const listed = z.strictObject({
  cidr: parsedRequired('Addresses it holds for.', 'a network like "203.0.113.0/24"', '203.0.113.7/32', values.network),
  handshakes_per_second: numberRequired('Handshakes per second.', 500, { min: 0.001, max: 1_000_000 }),
  burst: countRequired('Handshakes at once.', 2_000),
  sessions: countRequired('Sessions.', 100_000),
  quotes: countRequired('Quotes that hold addresses at once.', 1_000),
  records: countOptional(
    'Handshake records; default: handshakes_per_second × lifetimes.handshake_ttl + burst.',
    47_000,
  ),
  connections: countOptional('Open connections; default: limits.connections.', 8_192),
});

const limits = z.strictObject({
  handshakes_per_address: rate('New handshakes per second and source address (an IPv4 address or an IPv6 /64).', 5),
  handshake_burst: count('Handshakes that a source address may start at once.', 20),
  records_per_address: countOptional(
    'Handshake records per source address; default: handshakes_per_address × lifetimes.handshake_ttl + handshake_burst.',
    470,
  ),
  records: count(
    'Handshake records of the whole gateway; beyond it the oldest that cost no work are dropped.',
    400_000,
  ),
  sessions: count('Sessions of the whole gateway; a session and those that it was rekeyed to count once.', 1_000_000),
  sessions_per_address: count('Sessions per source address.', 10_000),
  connections: count('Open connections of the whole gateway.', 20_000),
  connections_per_address: count('Open connections per source address.', 1_000),
  queued_handshakes: count(
    'Handshake messages that wait for a shard: beyond it who has more than his share is told to come back, at twice as many everybody.',
    512,
  ),
  queued_packets: count(
    "Live sessions' packets that wait for a shard; beyond it connections are not read further.",
    8_192,
  ),
  queued_bytes: count('Bytes of all packets that wait for a shard.', 16_777_216, { min: 131_072, max: 2 ** 32 }),
  forwards: count('Forwards under way in the whole gateway.', 1_024),
  forwards_per_session: count('Forwards under way per session.', 4),
  forward_connections: count('Connections to exit gateways, in use or kept.', 4_096),
  quotes_per_address: count('Quotes per source address that hold leased addresses at once.', 16),
  listed: tables('Own limits of known gateways, which bring many clients from one address.', listed, 1_024),
});

const lifetimes = z.strictObject({
  handshake_ttl: seconds('Handshake record, from its first message; more than twice clock_tolerance.', 90, {
    max: 3_600,
  }),
  clock_tolerance: wholeSeconds("How far a client's clock may be off.", 30, { max: 1_800 }),
  session_idle: seconds('Session without a valid packet.', 21_600),
  lp1_session_idle: seconds(
    'LP1 session without traffic; session_idle, session_max, unused_session and rekey_after are for LP2.',
    86_400,
  ),
  session_max: seconds('Session from its making, whatever happens; rekeying makes a new one.', 86_400),
  unused_session: seconds('Session that never opened a packet of its own.', 300),
  demoted_session_ttl: seconds('How long a session still opens packets after its successor took over.', 60),
  rekey_after: seconds('Age at which the gateway asks the client to rekey.', 3_600),
  sweep_interval: seconds(
    'Time between two sweeps that free what has expired (expiry itself does not wait for it).',
    300,
  ),
  kem_rotation: wholeSeconds('Age at which a KEM key pair is replaced; keys are valid for twice this.', 86_400, {
    min: 60,
    max: MAX_KEM_ROTATION,
  }),
  frame_timeout: seconds('Time for a frame to be complete after its first byte.', 10, { max: 3_600 }),
  connection_unproven: seconds('Connection without a valid packet.', 30),
  connection_idle: seconds('Silent connection.', 300),
  drain: seconds('Time for what is under way to finish when the gateway stops.', 10, { min: 0, max: 3_600 }),
});

const exit = z.strictObject({
  identity: parsedRequired("The exit's identity.", 'a key of 32 bytes in base58 or hex', EXAMPLE_KEY, values.publicKey),
  address: parsedRequired('Its IP address; no names.', 'an IP address', '203.0.113.7', values.hostAddress),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .register(keyDocs, { doc: 'Its port.', expects: 'a port from 1 to 65535', default: undefined, example: 41_264 }),
});

const forward = z.strictObject({
  allow: tables(
    'Exit gateways that clients may reach through this one; none by default, and no wildcards.',
    exit,
    4_096,
  ),
  connect_timeout: seconds('Time to connect to an exit.', 5, { max: 60 }),
  timeout: seconds('Time for a whole exchange with an exit.', 10, { max: 600 }),
});

const registration = z.strictObject({
  modes: someOf('Offered kinds of registration.', ['dvpn', 'mixnet'], ['dvpn', 'mixnet']),
  ipv4_pool: parsed(
    'Network whose addresses are leased to clients, /12 to /30.',
    'an IPv4 network',
    '10.64.0.0/16',
    values.pool(4, 12, 30),
  ),
  ipv6_pool: parsed(
    'Network whose addresses are leased to clients, /32 to /126.',
    'an IPv6 network',
    'fd6c:6577:6573::/112',
    values.pool(6, 32, 126),
  ),
  ipv4_gateway: parsedOptional(
    "The gateway's own address in ipv4_pool; default: its first host.",
    'an IPv4 address',
    '10.64.0.1',
    values.addressOf(4),
  ),
  ipv6_gateway: parsedOptional(
    "The gateway's own address in ipv6_pool; default: its first host.",
    'an IPv6 address',
    'fd6c:6577:6573::1',
    values.addressOf(6),
  ),
  endpoints: parsed(
    'WireGuard "address:port" that clients are told. If empty: the listen addresses with wireguard.port.',
    'a list of at most 16 "ADDRESS:PORT"',
    [],
    values.announcedAddresses,
  ),
  keepalive: count('WireGuard keepalive that clients are told, in seconds; 0 for none.', 25, { min: 0, max: 65_535 }),
  bandwidth: count('Bytes that a registration may use: what one token buys.', 1_073_741_824, {
    max: Number.MAX_SAFE_INTEGER,
  }),
  lifetime: wholeSeconds('Life of a registration in seconds: what one token buys.', 86_400),
  quote_hold: wholeSeconds('How long a quote holds its addresses, in seconds.', 120),
  grace: wholeSeconds('How long a registration that ran out can be revived, in seconds.', 3_600, { min: 0 }),
  registrations: count('Registrations at once.', 65_000, { max: MAX_REGISTRATIONS }),
});

/** The first is the default. */
function kindKey<const T extends string>(doc: string, here: readonly [T, ...T[]], later: readonly string[] = []) {
  const expects = here.map((kind) => `"${kind}"`).join(' or ');
  return parsed(doc, expects, here[0], values.kindOf(here, later));
}

const store = z.strictObject({
  kind: kindKey(
    '"lmdb": on disk, and there again after a restart; "memory": gone with the process.',
    ['lmdb', 'memory'],
    ['postgres'],
  ),
  path: filePath('Directory of the store; relative to this file. Without it one is made in the data directory.', {
    expects: 'the path of a directory',
    example: '/var/lib/lewes/store',
  }),
});

const wireguard = z.strictObject({
  kind: kindKey(
    '"uapi": a real interface, driven over its socket; "memory": a list of peers that carries no traffic, for trials.',
    ['memory', 'uapi'],
  ),
  interface: parsed(
    'Name of the interface, as wireguard-go was given it.',
    'a name of 1 to 15 letters, digits and "_.=+-"',
    'lewes0',
    values.interfaceName,
  ),
  socket: filePath('Its UAPI socket; relative to this file. Default: /var/run/wireguard/INTERFACE.sock.', {
    expects: 'the path of a socket',
    example: '/var/run/wireguard/lewes0.sock',
  }),
  private_key: filePath(
    'File with the gateway\'s WireGuard key, as "wg genkey" writes it, mode 0600; relative to this file. Without it one is made in the data directory.',
    { expects: 'the path of a file', example: '/etc/lewes/wireguard.key' },
  ),
  port: count("WireGuard's UDP port, also for the endpoints that clients are told.", 51_820, { max: 65_535 }),
});

const metering = z.strictObject({
  interval: wholeSeconds("Seconds between two readings of the tunnels' counters.", 30, { max: 3_600 }),
});

const credentials = z.strictObject({
  kind: kindKey(
    '"privacy-pass": a registration costs one token; "none": registrations are free for whoever reaches this gateway.',
    ['privacy-pass', 'none'],
  ),
  issuer: parsed(
    'URL of the issuer of the tokens. If empty, this gateway issues them itself, on the admin port.',
    'a URL like "https://issuer.example" (http: on loopback only) or ""',
    '',
    values.issuerUrl,
  ),
  issuer_name: parsedOptional(
    "The issuer's name in the challenge. A change makes tokens worthless that clients have already. Default: host (and port) of the issuer's URL; if that is empty, those of admin.listen.",
    'a name of 1 to 256 ASCII characters without spaces',
    'issuer.example',
    values.issuerName,
  ),
  zk_nym: oneOf(
    'LP1\'s credentials beside tokens: "off" refuses them, "mock" takes every one unchecked, for trials only.',
    ['off', 'mock'],
    'off',
  ),
  keys: pathList(
    'Files with public keys of the issuer (PEM), besides those that the issuer itself tells; relative to this file.',
    MAX_KEY_FILES,
  ),
  quota: filePath(
    'Who may have how many tokens of this gateway\'s own issuer: a quota file (see "lewes issuer --help"); relative to this file. Without it, whoever reaches the admin port gets them, which has to be a loopback address then.',
    { expects: 'the path of a file', example: '/etc/lewes/quota.toml' },
  ),
});

const nym = z.strictObject({
  listen: parsed(
    'Where clients of the Nym network connect: "address:port"; IPv6 as "[::1]:41264"; port 0 takes a free one; "off" for nowhere.',
    '"ADDRESS:PORT" or "off"',
    'off',
    values.adminAddress,
  ),
  lp_key: filePath(
    "File with the node's LP X25519 key, in base64 like a WireGuard key, mode 0600; relative to this file. Without it one is made in the data directory.",
    { expects: 'the path of a file', example: '/etc/lewes/nym-lp.key' },
  ),
  kem_key: filePath(
    "File with the seed of the node's ML-KEM-768 key, 64 bytes in base64, mode 0600; relative to this file. Without it one is made in the data directory.",
    { expects: 'the path of a file', example: '/etc/lewes/nym-ml-kem-768.key' },
  ),
  announced_port: z.int().min(1).max(65_535).optional().register(keyDocs, {
    doc: 'Port that the announcement tells clients; default: the one of nym.listen.',
    expects: 'a port from 1 to 65535',
    default: undefined,
    example: 41_264,
  }),
  data_port: count('UDP port that the announcement tells clients. Nothing listens there.', 51_264, { max: 65_535 }),
  credentials: oneOf(
    'Credentials of the Nym network (zk-nyms): "off" refuses them, "mock" takes every one unchecked, for trials only.',
    ['off', 'mock'],
    'off',
  ),
  connections: count('Open connections of all clients; limits.connections_per_address holds for each address.', 10_000),
  forward_connections: count('Connections to exits; each belongs to one client, as long as that is connected.', 4_096),
  forward_timeout: seconds('Time for an exit to answer; forward.connect_timeout is for connecting.', 30, { max: 600 }),
  handshake_timeout: seconds('Time for a whole handshake.', 90, { max: 3_600 }),
  unused_session: seconds('Session without a first packet.', 30),
  session_idle: seconds('Session without a packet.', 600),
  session_max: seconds('Session from its making, whatever happens.', 86_400),
});

const groups = {
  gateway: gateway.prefault({}).register(groupDocs, { doc: 'The listener, its identity and its threads.' }),
  limits: limits.prefault({}).register(groupDocs, { doc: 'What one client and all together may take.' }),
  lifetimes: lifetimes.prefault({}).register(groupDocs, { doc: 'How long things live, in seconds.' }),
  forward: forward.prefault({}).register(groupDocs, { doc: 'Reaching exit gateways through this one.' }),
  registration: registration.prefault({}).register(groupDocs, { doc: 'What clients register for.' }),
  store: store.prefault({}).register(groupDocs, { doc: 'Where registrations and spent tokens are kept.' }),
  wireguard: wireguard.prefault({}).register(groupDocs, { doc: 'The tunnels of mode "dvpn".' }),
  metering: metering.prefault({}).register(groupDocs, { doc: 'Counting what tunnels carry.' }),
  credentials: credentials.prefault({}).register(groupDocs, { doc: 'How clients pay.' }),
  nym: nym.prefault({}).register(groupDocs, { doc: "The Nym network's own protocol, beside the other listener." }),
  admin: z
    .strictObject({
      listen: parsed(
        'Where /metrics, /livez, /readyz and /status are served; "off" for nowhere; port 0 takes a free one.',
        '"ADDRESS:PORT" or "off"',
        '127.0.0.1:9464',
        values.adminAddress,
      ),
    })
    .prefault({})
    .register(groupDocs, { doc: "The operator's HTTP port. It has no access control: keep it private." }),
  log: z
    .strictObject({
      level: oneOf(
        'Least important level that is logged.',
        ['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
        'info',
      ),
      format: oneOf('Form of a line.', ['json'], 'json', '"json"'),
    })
    .prefault({})
    .register(groupDocs, { doc: 'Logging, to standard output.' }),
};

export const configSchema = z.strictObject(groups);
/** The configuration as the schema gives it, before defaults that follow from other keys. */
export type ParsedConfig = z.output<typeof configSchema>;

/** Groups of the design that come with a later release: they get a message of their own. */
export const LATER_GROUPS: readonly string[] = ['cluster'];
