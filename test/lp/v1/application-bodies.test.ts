/** LP1's bodies (lp1.md §2.4, §2.6, §2.8): round trips, both forms of the gateway's key, every cut and every wrong tag. */
import test from 'ava';
import fc from 'fast-check';
import {
  decodeForwardData,
  decodeRegistrationRequest,
  decodeRegistrationResponse,
  decodeTransportPayload,
  encodeForwardData,
  encodeRegistrationRequest,
  encodeRegistrationResponse,
  type LpRegistrationRequest,
  type LpRegistrationResponse,
  type TicketType,
} from '../../../src/lp/v1/application-bodies.ts';
import { keyToBase58 } from '../../../src/lp/wire/key-text.ts';
import { mockCredential } from '../../support/lp1-credential.ts';
import { runs, SEED } from '../../support/property.ts';
import { bytes as bytesAt, loadVectors, text, toHex } from '../../support/vectors.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(200, 20_000) };
const VECTORS = loadVectors('lp1.json');
const key = (fill: number) => new Uint8Array(32).fill(fill);
const le64 = (value: number | bigint) => [...new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)];

/** Plain objects, so that views and copies compare alike. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner) =>
      inner instanceof Uint8Array ? toHex(inner) : typeof inner === 'bigint' ? `${inner}n` : inner,
    ),
  );
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}

const DVPN: LpRegistrationRequest = {
  wgPublicKey: key(0xe7),
  credential: mockCredential(),
  ticketType: 2,
  mode: { kind: 'dvpn' },
  clientIp: { family: 4, ip: Uint8Array.of(203, 0, 113, 9) },
  timestamp: 1_764_583_200n,
};
const MIXNET: LpRegistrationRequest = {
  ...DVPN,
  ticketType: 0,
  mode: { kind: 'mixnet', clientId: key(3) },
  clientIp: { family: 6, ip: key(1).subarray(0, 16) },
};
const COMPLETED: LpRegistrationResponse = {
  success: true,
  gatewayData: {
    publicKey: key(0x42),
    endpoint: { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 51_822 },
    ipv4: Uint8Array.of(10, 1, 0, 9),
    ipv6: key(0xfd).subarray(0, 16),
  },
  allocatedBandwidth: 1_073_741_824n,
};
const PLAIN_COMPLETED: LpRegistrationResponse = { success: true, allocatedBandwidth: 5n };
const REFUSED: LpRegistrationResponse = { success: false, error: 'Invalid timestamp' };
const IDENTITY = key(0x81);
const PACKET = new Uint8Array(134).fill(6);
const TARGET = { identity: IDENTITY, family: 4, ip: Uint8Array.of(1, 2, 3, 4), port: 41_264 } as const;

/** The successful dVPN response of a tip gateway, whose key is 32 raw bytes. */
const RAW_RESPONSE = Uint8Array.from([
  ...[1, 0, 1],
  ...key(0x42),
  ...[0, 0, 0, 0, 192, 0, 2, 7, 0x6e, 0xca],
  ...[10, 1, 0, 9],
  ...key(0xfd).subarray(0, 16),
  ...le64(1_073_741_824),
]);

test('a request is the fields of §2.6 in order', (t) => {
  const bytes = encodeRegistrationRequest(DVPN);
  const credential = mockCredential();
  const text = Buffer.from(key(0xe7)).toString('base64');
  t.deepEqual(
    bytes,
    Uint8Array.from([
      ...le64(44),
      ...Buffer.from(text),
      ...credential,
      ...[2, 0, 0, 0],
      ...[0, 0, 0, 0],
      ...[0, 0, 0, 0, 203, 0, 113, 9],
      ...le64(1_764_583_200),
    ]),
  );
  t.deepEqual(plain(decodeRegistrationRequest(bytes)), plain(DVPN));
});

test('a dVPN response with a raw key and an IPv4 endpoint has 73 bytes and decodes', (t) => {
  t.is(RAW_RESPONSE.length, 73);
  t.deepEqual(plain(decodeRegistrationResponse(RAW_RESPONSE)), plain(COMPLETED));
});

test('a dVPN response is written with the key as text', (t) => {
  const bytes = encodeRegistrationResponse(COMPLETED);
  const text = keyToBase58(key(0x42));
  t.is(bytes.length, 73 - 32 + 8 + text.length);
  t.deepEqual([...bytes.subarray(0, 11)], [1, 0, 1, ...le64(text.length)]);
  t.deepEqual(plain(decodeRegistrationResponse(bytes)), plain(COMPLETED));
});

test('a raw key that begins like the length of a text is still a raw key', (t) => {
  const begins = Uint8Array.from([...le64(44), ...new Uint8Array(24).fill(0x31)]);
  const raw = Uint8Array.from(RAW_RESPONSE);
  raw.set(begins, 3);
  const decoded = decodeRegistrationResponse(raw);
  t.true(decoded?.success);
  if (decoded?.success) t.deepEqual(decoded.gatewayData?.publicKey, begins);
});

test('keys with leading zeros have shorter texts and decode, whatever the endpoint', (t) => {
  for (const zeros of [0, 1, 8, 31, 32]) {
    for (const family of [4, 6] as const) {
      const publicKey = key(9).fill(0, 0, zeros);
      const endpoint = { family, ip: key(1).subarray(0, family === 4 ? 4 : 16), port: 1 } as const;
      const response = { ...COMPLETED, gatewayData: { ...COMPLETED.gatewayData!, publicKey, endpoint } } as const;
      t.deepEqual(plain(decodeRegistrationResponse(encodeRegistrationResponse(response))), plain(response));
    }
  }
});

const BODIES: Readonly<Record<string, { bytes: Uint8Array; decode: (bytes: Uint8Array) => unknown }>> = {
  'dVPN request': { bytes: encodeRegistrationRequest(DVPN), decode: decodeRegistrationRequest },
  'mixnet request': { bytes: encodeRegistrationRequest(MIXNET), decode: decodeRegistrationRequest },
  'dVPN response': { bytes: encodeRegistrationResponse(COMPLETED), decode: decodeRegistrationResponse },
  'dVPN response with a raw key': { bytes: RAW_RESPONSE, decode: decodeRegistrationResponse },
  'mixnet response': { bytes: encodeRegistrationResponse(PLAIN_COMPLETED), decode: decodeRegistrationResponse },
  refusal: { bytes: encodeRegistrationResponse(REFUSED), decode: decodeRegistrationResponse },
  forward: { bytes: encodeForwardData(TARGET, PACKET), decode: decodeForwardData },
};

for (const [name, { bytes, decode }] of Object.entries(BODIES)) {
  test(`a ${name} is refused cut at any byte`, (t) => {
    t.not(decode(bytes), undefined);
    for (let end = 0; end < bytes.length; end++) t.is(decode(bytes.subarray(0, end)), undefined, String(end));
  });

  test(`fault 30: a ${name} with trailing bytes is refused`, (t) => {
    t.is(decode(Uint8Array.of(...bytes, 0)), undefined);
    t.is(decode(Uint8Array.of(...bytes, ...bytes)), undefined);
  });
}

const REQUEST_LENGTH = encodeRegistrationRequest(DVPN).length;
const TAGS: readonly (readonly [body: string, what: string, at: number, bad: readonly number[]])[] = [
  ['dVPN request', 'length of the key', 0, [0, 43, 45, 88, 255]],
  ['dVPN request', 'high byte of that length', 7, [1, 0x80, 0xff]],
  ['dVPN request', 'character of the key', 8, [0, 0x20, 0x2d, 0x3d, 0x5f, 0xff]],
  ['dVPN request', 'padding of the key', 51, [0x41, 0x2e]],
  ['dVPN request', 'length in the credential', 52, [0, 48, 95, 97, 255]],
  ['dVPN request', 'ticket type', REQUEST_LENGTH - 24, [4, 255]],
  ['dVPN request', 'high byte of the ticket type', REQUEST_LENGTH - 21, [1, 255]],
  ['dVPN request', 'mode', REQUEST_LENGTH - 20, [1, 2, 255]],
  ['dVPN request', 'family of the address', REQUEST_LENGTH - 16, [1, 2, 255]],
  ['dVPN response', 'success', 0, [0, 2, 255]],
  ['dVPN response', 'error', 1, [1, 2, 255]],
  ['dVPN response', 'gateway data', 2, [0, 2, 255]],
  ['dVPN response', 'length of the key', 3, [0, 31, 45, 255]],
  ['dVPN response', 'character of the key', 11, [0, 0x30, 0x4f, 0x6c, 0xff]],
  ['dVPN response with a raw key', 'family of the endpoint', 35, [1, 2, 255]],
  ['dVPN response with a raw key', 'sign of the bandwidth', 72, [0x80, 0xff]],
  ['mixnet response', 'success', 0, [0, 2]],
  ['mixnet response', 'error', 1, [1, 2]],
  ['mixnet response', 'sign of the bandwidth', 10, [0x80, 0xff]],
  ['refusal', 'success', 0, [1, 2]],
  ['refusal', 'error', 1, [0, 2]],
  ['refusal', 'length of the error', 2, [0, 16, 18, 255]],
  ['refusal', 'high byte of that length', 9, [1, 0x80]],
  ['refusal', 'byte of the error', 10, [0x80, 0xff]],
  ['refusal', 'gateway data', 27, [1, 2]],
  ['forward', 'length of the address', 32, [0, 12, 14, 255]],
  ['forward', 'high byte of that length', 39, [1, 0x80]],
  ['forward', 'character of the address', 40, [0, 0x20, 0x2e, 0x5b, 0xff]],
  ['forward', 'length of the packet', 53, [0, 33, 133, 135]],
  ['forward', 'high byte of that length', 60, [1, 0x80]],
];

test('no tag and no length can be another one', (t) => {
  for (const [body, what, at, values] of TAGS) {
    const { bytes, decode } = BODIES[body]!;
    t.not(decode(bytes), undefined, body);
    for (const value of values) {
      t.not(bytes[at], value, `${body}: ${what} is not changed`);
      t.is(decode(changed(bytes, at, value)), undefined, `${body}: ${what} ${value}`);
    }
  }
});

test('an error text may have 1024 bytes, and this side writes 256', (t) => {
  const refusal = (length: number) =>
    Uint8Array.from([0, 1, ...le64(length), ...new Uint8Array(length).fill(0x61), 0, ...le64(0)]);
  t.deepEqual(decodeRegistrationResponse(refusal(1024)), { success: false, error: 'a'.repeat(1024) });
  t.is(decodeRegistrationResponse(refusal(1025)), undefined);
  t.notThrows(() => encodeRegistrationResponse({ success: false, error: 'ä'.repeat(128) }));
  t.throws(() => encodeRegistrationResponse({ success: false, error: 'ä'.repeat(129) }), { message: /^assertion/ });
});

test('the forward of the vectors encodes and decodes', (t) => {
  const example = bytesAt(VECTORS, 'forward_packet_data_example');
  const decoded = decodeForwardData(example);
  if (decoded === undefined) return t.fail('it does not decode');
  t.is(toHex(decoded.target.identity), text(VECTORS, 'gateway_ed25519_pub'));
  t.deepEqual(plain({ ...decoded.target, identity: 0 }), plain({ ...TARGET, identity: 0 }));
  t.is(`00000086${toHex(decoded.packet)}`, text(VECTORS, 'client_hello_framed'));
  t.deepEqual(encodeForwardData(decoded.target, decoded.packet), example);
});

test('a forward carries packets of 34 to 65535 bytes to an address', (t) => {
  for (const [length, good] of [
    [33, false],
    [34, true],
    [65_535, true],
    [65_536, false],
  ] as const) {
    t.is(decodeForwardData(encodeForwardData(TARGET, new Uint8Array(length))) !== undefined, good, String(length));
  }
  const nowhere = { identity: IDENTITY, family: 0, ip: new Uint8Array(0), port: 0 } as const;
  t.throws(() => encodeForwardData(nowhere, PACKET), { message: /^assertion/ });
});

test('fault 30: a payload is a registration, a forward or unknown, never two of them', (t) => {
  for (const [name, { bytes, decode }] of Object.entries(BODIES)) {
    const { kind } = decodeTransportPayload(bytes);
    const expected = /request/.test(name) ? 'registration' : name === 'forward' ? 'forward' : 'unknown';
    t.is(kind, expected, name);
    t.is(decodeTransportPayload(Uint8Array.of(...bytes, 0)).kind, 'unknown', name);
    if (kind !== 'registration') t.is(decodeRegistrationRequest(bytes), undefined);
    if (kind !== 'forward') t.is(decodeForwardData(bytes), undefined);
    if (decode !== decodeRegistrationResponse) t.is(decodeRegistrationResponse(bytes), undefined);
  }
  t.is(decodeTransportPayload(new Uint8Array(0)).kind, 'unknown');
});

test('bodies decode to what was encoded', (t) => {
  const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const ip = fc.oneof(
    fc.record({ family: fc.constant<4>(4), ip: fc.uint8Array({ minLength: 4, maxLength: 4 }) }),
    fc.record({ family: fc.constant<6>(6), ip: fc.uint8Array({ minLength: 16, maxLength: 16 }) }),
  );
  const request = fc.record({
    wgPublicKey: key32,
    credential: fc.record({ fill: fc.nat(255), vectorLength: fc.nat(3) }).map(mockCredential),
    ticketType: fc.constantFrom<TicketType>(0, 1, 2, 3),
    mode: fc.oneof(
      fc.constant({ kind: 'dvpn' as const }),
      key32.map((clientId) => ({ kind: 'mixnet' as const, clientId })),
    ),
    clientIp: ip,
    timestamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  });
  const gatewayData = fc.record({
    publicKey: key32,
    endpoint: fc.tuple(ip, fc.nat(65_535)).map(([address, port]) => ({ ...address, port })),
    ipv4: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    ipv6: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  });
  const allocatedBandwidth = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
  const response: fc.Arbitrary<LpRegistrationResponse> = fc.oneof(
    fc.record({ success: fc.constant<true>(true), gatewayData, allocatedBandwidth }),
    fc.record({ success: fc.constant<true>(true), allocatedBandwidth }),
    fc.record({ success: fc.constant<false>(false), error: fc.string({ maxLength: 60 }) }),
  );
  fc.assert(
    fc.property(request, (value) => {
      const bytes = encodeRegistrationRequest(value);
      t.deepEqual(plain(decodeTransportPayload(bytes)), plain({ kind: 'registration', request: value }));
    }),
    { ...PARAMETERS, numRuns: runs(60, 5000) },
  );
  fc.assert(
    fc.property(response, (value) => {
      t.deepEqual(plain(decodeRegistrationResponse(encodeRegistrationResponse(value))), plain(value));
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(
      key32,
      ip,
      fc.nat(65_535),
      fc.uint8Array({ minLength: 34, maxLength: 200 }),
      (identity, at, port, packet) => {
        const forward = { target: { identity, ...at, port }, packet };
        const bytes = encodeForwardData(forward.target, packet);
        t.deepEqual(plain(decodeTransportPayload(bytes)), plain({ kind: 'forward', forward }));
      },
    ),
    PARAMETERS,
  );
});

test('no bytes make a decoder throw, and no decoder changes its input', (t) => {
  const decoders = [decodeTransportPayload, decodeRegistrationResponse];
  const seeds = Object.values(BODIES).map(({ bytes }) => bytes);
  const damaged = fc
    .record({
      base: fc.constantFrom(...seeds),
      changes: fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 8 }),
      end: fc.nat(2000),
    })
    .map(({ base, changes, end }) => {
      const bytes = base.slice(0, Math.max(1, end));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const before = toHex(bytes);
      for (const decode of decoders) t.notThrows(() => decode(bytes));
      t.is(toHex(bytes), before);
    }),
    PARAMETERS,
  );
});
