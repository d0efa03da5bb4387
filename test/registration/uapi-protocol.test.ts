import test from 'ava';
import fc from 'fast-check';
import {
  type AnswerOutcome,
  AnswerParser,
  type DumpedDevice,
  type DumpedPeer,
} from '../../src/registration/wireguard/uapi-answer.ts';
import { encodeDeviceSet, encodePeersSet, type PeerChange } from '../../src/registration/wireguard/uapi-protocol.ts';
import { runs, SEED } from '../support/property.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(300, 20_000) };
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i * 8 + (i >> 2));
const HEX = Buffer.from(KEY).toString('hex');
const PSK = new Uint8Array(32).fill(0xfe);
const PSK_HEX = 'fe'.repeat(32);
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const bytes = (from: string) => Uint8Array.from(Buffer.from(from, 'latin1'));

const UPSERT: PeerChange = {
  kind: 'upsert',
  publicKey: KEY,
  presharedKey: PSK,
  allowedIps: ['10.0.0.2/32', 'fd00::2/128'],
  keepaliveSeconds: 25,
};
const REMOVE: PeerChange = { kind: 'remove', publicKey: KEY };

test('a set says the whole state of each peer, in the order that was given', (t) => {
  t.is(
    text(encodePeersSet([UPSERT, REMOVE], 'wireguard-go')),
    `set=1\npublic_key=${HEX}\npreshared_key=${PSK_HEX}\nreplace_allowed_ips=true\nallowed_ip=10.0.0.2/32\n` +
      `allowed_ip=fd00::2/128\npersistent_keepalive_interval=25\npublic_key=${HEX}\nupdate_only=true\nremove=true\n\n`,
  );
});

test('boringtun gets one peer in a set, and never update_only', (t) => {
  t.is(text(encodePeersSet([REMOVE], 'boringtun')), `set=1\npublic_key=${HEX}\nremove=true\n\n`);
  t.throws(() => encodePeersSet([UPSERT, REMOVE], 'boringtun'), { message: /at most 1 peers/ });
});

test('a device set holds only what is to be changed', (t) => {
  t.is(text(encodeDeviceSet({ privateKey: PSK })), `set=1\nprivate_key=${PSK_HEX}\n\n`);
  t.is(text(encodeDeviceSet({ listenPort: 1 })), 'set=1\nlisten_port=1\n\n');
  t.is(
    text(encodeDeviceSet({ privateKey: PSK, listenPort: 65_535 })),
    `set=1\nprivate_key=${PSK_HEX}\nlisten_port=65535\n\n`,
  );
});

test('wiping a request wipes all of its memory', (t) => {
  for (const request of [encodePeersSet([UPSERT], 'wireguard-go'), encodeDeviceSet({ privateKey: PSK })]) {
    request.fill(0);
    t.true(new Uint8Array(request.buffer).every((byte) => byte === 0));
  }
});

test('nothing but an address with its prefix gets into a request', (t) => {
  for (const allowedIp of ['10.0.0.2/32\nremove=true', '', '10.0.0.2', '0.0.0.0/0 ', '::/0\n', 'x/1', 'FD00::/8']) {
    t.throws(() => encodePeersSet([{ ...UPSERT, allowedIps: [allowedIp] }], 'wireguard-go'), { message: /allowed IP/ });
  }
  const changes: readonly PeerChange[] = [
    { ...UPSERT, keepaliveSeconds: 65_536 },
    { ...UPSERT, keepaliveSeconds: 1.5 },
    { ...UPSERT, presharedKey: new Uint8Array(31) },
    { ...UPSERT, allowedIps: new Array(17).fill('::/0') },
  ];
  for (const change of changes) t.throws(() => encodePeersSet([change], 'wireguard-go'), { message: /^assertion/ });
});

interface Seen {
  readonly devices: { key: string | undefined; own: string | undefined; port: number }[];
  readonly peers: Record<string, unknown>[];
  readonly borrowed: Uint8Array[];
}

function parse(pieces: readonly Uint8Array[], maxBytes = 1_000_000): { outcome: AnswerOutcome; seen: Seen } {
  const seen: Seen = { devices: [], peers: [], borrowed: [] };
  const parser = new AnswerParser(maxBytes, {
    device({ privateKey, ownPublicKey, listenPort }: DumpedDevice) {
      const hex = (key: Uint8Array | undefined) => key && Buffer.from(key).toString('hex');
      if (privateKey) seen.borrowed.push(privateKey);
      seen.devices.push({ key: hex(privateKey), own: hex(ownPublicKey), port: listenPort });
    },
    peer({ publicKey, presharedKey, allowedIps, keepaliveSeconds, received, sent }: DumpedPeer) {
      seen.borrowed.push(presharedKey);
      const keys = [publicKey, presharedKey].map((key) => Buffer.from(key).toString('hex'));
      seen.peers.push({ keys, allowedIps: [...allowedIps], keepaliveSeconds, received, sent });
    },
  });
  let outcome: AnswerOutcome | undefined;
  for (const piece of pieces) outcome = parser.push(piece);
  return { outcome: outcome ?? parser.end(), seen };
}

const DUMP =
  `private_key=${PSK_HEX}\nlisten_port=51820\nfwmark=7\npublic_key=${HEX.toUpperCase()}\npreshared_key=${PSK_HEX}\n` +
  'protocol_version=1\nendpoint=[fe80::1%eth0]:1\nlast_handshake_time_sec=9\ntx_bytes=18446744073709551615\n' +
  `rx_bytes=7\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.2/32\nallowed_ip=fd00::2/128\npublic_key=${PSK_HEX}\n` +
  'some_new_key=whatever\nerrno=0\n\n';

test('a dump tells device and peers, and only what was dumped of each', (t) => {
  const { outcome, seen } = parse([bytes(DUMP)]);
  t.deepEqual(outcome, { kind: 'answered', errno: 0, dialect: undefined });
  t.deepEqual(seen.devices, [{ key: PSK_HEX, own: undefined, port: 51_820 }]);
  t.deepEqual(seen.peers, [
    {
      keys: [HEX, PSK_HEX],
      allowedIps: ['10.0.0.2/32', 'fd00::2/128'],
      keepaliveSeconds: 25,
      received: 7,
      sent: Number.MAX_SAFE_INTEGER,
    },
    { keys: [PSK_HEX, '00'.repeat(32)], allowedIps: [], keepaliveSeconds: 0, received: 0, sent: 0 },
  ]);
});

test('secrets of a dump are wiped when the answer is over', (t) => {
  for (const dump of [DUMP, DUMP.slice(0, -2), `${DUMP.slice(0, -10)}x\n`]) {
    const { seen } = parse([bytes(dump)]);
    t.true(seen.borrowed.length >= 2);
    t.true(seen.borrowed.every((secret) => secret.every((byte) => byte === 0)));
  }
});

test('a dump without peers or keys tells an empty device', (t) => {
  t.deepEqual(parse([bytes('errno=0\n\n')]).seen.devices, [{ key: undefined, own: undefined, port: 0 }]);
  t.deepEqual(parse([bytes(`own_public_key=${HEX}\nerrno=0\n\n`)]).seen.devices, [
    { key: undefined, own: HEX, port: 0 },
  ]);
});

test('how an answer is cut into pieces makes no difference', (t) => {
  const whole = parse([bytes(DUMP)]);
  const cuts = fc.array(fc.integer({ min: 0, max: DUMP.length }), { maxLength: 20 });
  fc.assert(
    fc.property(cuts, (at) => {
      const ends = [...at, DUMP.length].sort((a, b) => a - b);
      const pieces = ends.map((end, i) => bytes(DUMP.slice(ends[i - 1] ?? 0, end)));
      const { outcome, seen } = parse(pieces);
      t.deepEqual(outcome, whole.outcome);
      t.deepEqual(seen.peers, whole.seen.peers);
    }),
    PARAMETERS,
  );
});

test('the sign of an error number tells who answers', (t) => {
  t.deepEqual(parse([bytes('errno=-22\n\n')]).outcome, { kind: 'answered', errno: 22, dialect: 'wireguard-go' });
  t.deepEqual(parse([bytes('errno=22\n\n')]).outcome, { kind: 'answered', errno: 22, dialect: 'boringtun' });
  t.deepEqual(parse([bytes('errno=-98\n')]).outcome, { kind: 'answered', errno: 98, dialect: 'wireguard-go' });
});

const BROKEN: readonly (readonly [string, string])[] = [
  ['', 'ended_early'],
  ['errno=0', 'ended_early'],
  [DUMP.slice(0, -10), 'ended_early'],
  ['\n', 'errno_missing'],
  ['private_key=\n', 'value_malformed'],
  [`private_key=${HEX.slice(1)}g\n`, 'value_malformed'],
  [`private_key=${HEX}00\n`, 'value_malformed'],
  ['listen_port=65536\n', 'value_malformed'],
  ['listen_port=-1\n', 'value_malformed'],
  ['public_key=00\n', 'value_malformed'],
  [`public_key=${HEX}\nrx_bytes=1e3\n`, 'value_malformed'],
  [`public_key=${HEX}\nrx_bytes=\n`, 'value_malformed'],
  [`public_key=${HEX}\npersistent_keepalive_interval=off\n`, 'value_malformed'],
  [`public_key=${HEX}\nallowed_ip=a.example/32\n`, 'value_malformed'],
  ['errno=\n\n', 'value_malformed'],
  ['errno=--1\n\n', 'value_malformed'],
  ['errno=999999\n\n', 'value_malformed'],
  ['no equals sign\n', 'line_malformed'],
  ['=value\n', 'line_malformed'],
  ['errno=0\nerrno=0\n\n', 'line_malformed'],
  ['x'.repeat(257), 'line_too_long'],
  [`a=${'\n'.padStart(300, 'x')}`, 'line_too_long'],
];

for (const [answer, defect] of BROKEN) {
  test(`the answer ${JSON.stringify(answer.slice(0, 60))} (${answer.length} bytes) is broken: ${defect}`, (t) => {
    t.deepEqual(parse([bytes(answer)]).outcome, { kind: 'broken', defect });
    t.deepEqual(parse([...bytes(answer)].map((byte) => Uint8Array.of(byte))).outcome, { kind: 'broken', defect });
  });
}

test('what follows an answer is not looked at', (t) => {
  t.like(parse([bytes('errno=0\n\nmore\n\n')]).outcome, { kind: 'answered', errno: 0 });
});

test('an answer beyond its bound is broken, however it is cut', (t) => {
  t.deepEqual(parse([bytes('a=b\n'.repeat(30))], 100).outcome, { kind: 'broken', defect: 'answer_too_long' });
  const drip = Array.from({ length: 30 }, () => bytes('a=b\n'));
  t.deepEqual(parse(drip, 100).outcome, { kind: 'broken', defect: 'answer_too_long' });
});

test('of more allowed IPs than a peer of ours has, as many are told as show it', (t) => {
  const many = 'allowed_ip=10.0.0.0/8\n'.repeat(1_000);
  const { seen } = parse([bytes(`public_key=${HEX}\n${many}errno=0\n\n`)]);
  t.deepEqual(seen.peers[0]?.allowedIps, new Array(17).fill('10.0.0.0/8'));
});

test('any bytes in any pieces give an outcome', (t) => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'errno=0',
      '',
      `public_key=${HEX}`,
      `private_key=${HEX}`,
      'allowed_ip=::/0',
      'errno=-1',
      'rx_bytes=9',
    ),
  );
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(line).map((lines) => bytes(lines.map((each) => `${each}\n`).join(''))),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      t.regex(parse(pieces, 1_000).outcome.kind, /^(answered|broken)$/);
    }),
    PARAMETERS,
  );
});
