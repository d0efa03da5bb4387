/**
 * Bodies of registration.md in both directions: what is refused and why, field by field; totality and round trip as
 * properties. Hostile bodies are written by hand, because no encoder would write them.
 */
import test from 'ava';
import fc from 'fast-check';
import { unpack } from 'msgpackr';
import {
  type AnswerBody,
  type BodyFault,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  isAnnouncedEndpoint,
  REGISTRATION_CODES,
  type RequestBody,
} from '../../../src/lp/wire/registration-body.ts';

type Entry = readonly [key: string, value: readonly number[]];

const bytesOf = (length: number, value: number) => new Uint8Array(length).fill(value);
const str = (text: string) => [0xd9, Buffer.byteLength(text), ...Buffer.from(text)];
const bin = (length: number, value = 7) => [0xc5, length >> 8, length & 0xff, ...bytesOf(length, value)];
const map = (entries: readonly Entry[]) => [
  0xde,
  entries.length >> 8,
  entries.length & 0xff,
  ...entries.flatMap(([key, value]) => [...str(key), ...value]),
];
const body = (entries: readonly Entry[]) => Uint8Array.from(map(entries));
const reasonOf = (decoded: ReturnType<typeof decodeRequest | typeof decodeAnswer>): BodyFault | 'value' =>
  decoded.kind === 'malformed' ? decoded.reason : 'value';

const V: Entry = ['v', [1]];
const WG: Entry = ['wg_public_key', bin(32)];
const PSK: Entry = ['preshared_key', bin(32)];
const OWNER: Entry = ['owner', bin(32)];
const CLIENT: Entry = ['client_id', bin(32)];
const CREDENTIAL: Entry = [
  'credential',
  map([
    ['kind', str('privacy-pass')],
    ['token', bin(354)],
  ]),
];
const DVPN: Entry = ['mode', str('dvpn')];
const MIXNET: Entry = ['mode', str('mixnet')];
const op = (name: string): Entry => ['op', str(name)];

const REQUESTS: Readonly<Record<string, readonly Entry[]>> = {
  'quote dvpn': [V, op('quote'), DVPN, WG, PSK, OWNER],
  'quote mixnet': [V, op('quote'), MIXNET, CLIENT, OWNER],
  'register dvpn': [V, op('register'), DVPN, WG, PSK, OWNER, CREDENTIAL],
  'register mixnet': [V, op('register'), MIXNET, CLIENT, OWNER, CREDENTIAL],
  'finalise dvpn': [V, op('finalise'), WG, OWNER, CREDENTIAL],
  'finalise mixnet': [V, op('finalise'), CLIENT, OWNER, CREDENTIAL],
  'topup dvpn': [V, op('topup'), WG, OWNER, CREDENTIAL],
  'balance dvpn': [V, op('balance'), WG, OWNER],
  'balance mixnet': [V, op('balance'), CLIENT, OWNER],
  'release dvpn': [V, op('release'), WG, OWNER],
};
const KEY_FIELDS = ['wg_public_key', 'preshared_key', 'client_id', 'owner'];
const WRONG_TYPES: readonly (readonly number[])[] = [[0xc0], [0xc3], [0xca, 0, 0, 0, 0], [0xff], [0x90], [0xd4, 1, 1]];

for (const [name, entries] of Object.entries(REQUESTS)) {
  test(`request ${name} is read as the table has it`, (t) => {
    const decoded = decodeRequest(body(entries));
    t.is(decoded.kind, 'value');
    t.like(decoded, { value: { op: name.split(' ')[0] } });
  });

  test(`request ${name} is refused with any key missing, twice, of another type or length`, (t) => {
    for (const [at, [key, value]] of entries.entries()) {
      const without = entries.filter((_, i) => i !== at);
      const changed = (other: readonly number[]) =>
        reasonOf(decodeRequest(body(entries.map((e, i) => (i === at ? [key, other] : e)))));
      if (key !== 'credential') t.is(reasonOf(decodeRequest(body(without))), 'missing_key', key);
      t.is(reasonOf(decodeRequest(body([...entries, [key, value]]))), 'duplicate_key', key);
      for (const wrong of WRONG_TYPES) t.not(changed(wrong), 'value', key);
      t.not(changed([5]), 'value', key);
      t.not(changed(str('x')), 'value', key);
      if (KEY_FIELDS.includes(key)) {
        for (const length of [0, 31, 33]) t.is(changed(bin(length)), 'wrong_length', key);
        t.is(changed(str('a'.repeat(32))), 'wrong_type', key);
      }
    }
  });

  test(`request ${name} is refused with any other key of the table, or a strange one`, (t) => {
    for (const extra of [WG, PSK, CLIENT, CREDENTIAL, DVPN, MIXNET, ['x', [1]] as const, ['__proto__', [1]] as const]) {
      if (entries.some(([key]) => key === extra[0])) continue;
      // A missing name beside a foreign one is missing first.
      t.true(['superfluous_key', 'missing_key'].includes(reasonOf(decodeRequest(body([...entries, extra])))), extra[0]);
    }
  });

  test(`request ${name} is refused cut at any byte, or with a byte too many`, (t) => {
    const whole = body(entries);
    for (let end = 0; end < whole.length; end += 1) t.is(reasonOf(decodeRequest(whole.subarray(0, end))), 'truncated');
    t.is(reasonOf(decodeRequest(Uint8Array.of(...whole, 0))), 'trailing_bytes');
  });
}

test('a credential may be absent wherever it may be present, and nowhere else', (t) => {
  for (const [name, entries] of Object.entries(REQUESTS)) {
    const without = entries.filter(([key]) => key !== 'credential');
    t.is(reasonOf(decodeRequest(body(without))), 'value', name);
    const takesOne = /^(register|finalise|topup)/.test(name);
    t.is(reasonOf(decodeRequest(body([...without, CREDENTIAL]))), takesOne ? 'value' : 'superfluous_key', name);
  }
});

test('a credential is a map of exactly kind and token', (t) => {
  const kind: Entry = ['kind', str('k')];
  const token: Entry = ['token', bin(1)];
  const decode = (inner: readonly number[]) =>
    reasonOf(decodeRequest(body([V, op('topup'), WG, OWNER, ['credential', inner]])));
  t.is(decode(map([kind, token])), 'value');
  t.is(decode(map([kind])), 'missing_key');
  t.is(decode(map([kind, token, ['more', [1]]])), 'superfluous_key');
  t.is(decode(map([kind, token, token])), 'duplicate_key');
  t.is(decode(map([kind, ['token', str('text')]])), 'wrong_type');
  t.is(decode(map([['kind', bin(1)], token])), 'wrong_type');
});

const NEST = (depth: number) => [...Array(depth).fill(0x91), 1];
const HOSTILE: readonly (readonly [name: string, bytes: readonly number[], reason: BodyFault])[] = [
  ['nothing', [], 'truncated'],
  ['a number', [1], 'not_a_map'],
  ['an array', [0x91, 1], 'not_a_map'],
  ['an empty map', [0x80], 'missing_key'],
  ['five levels', map([['v', NEST(4)]]), 'too_deep'],
  ['four levels of another type', map([['v', NEST(3)]]), 'wrong_type'],
  ['a thousand levels', Array(1000).fill(0x91), 'too_deep'],
  ['a map of 2^32 - 1 entries', [0xdf, 0xff, 0xff, 0xff, 0xff], 'truncated'],
  ['a map of 65535 entries', [0xde, 0xff, 0xff, 1, 2, 3], 'truncated'],
  ['an array of 2^32 - 1 elements', [0x81, ...str('v'), 0xdd, 0xff, 0xff, 0xff, 0xff], 'truncated'],
  ['a byte string of 2^32 - 1 bytes', [0x81, ...str('v'), 0xc6, 0xff, 0xff, 0xff, 0xff], 'truncated'],
  ['a text of 2^32 - 1 bytes', [0x81, ...str('v'), 0xdb, 0xff, 0xff, 0xff, 0xff], 'text_too_long'],
  ['a text of 257 bytes', [0x81, ...str('op'), 0xda, 1, 1, ...Array(257).fill(0x61)], 'text_too_long'],
  ['a text that is not UTF-8', [0x81, ...str('op'), 0xa2, 0xc0, 0x80], 'text_not_utf8'],
  ['a surrogate half', [0x81, ...str('op'), 0xa3, 0xed, 0xa0, 0x80], 'text_not_utf8'],
  ['a number as key', [0x81, 1, 1], 'key_not_text'],
  ['a byte string as key', [0x81, 0xc4, 1, 0x76, 1], 'key_not_text'],
  ['a map as key', [0x81, 0x80, 1], 'key_not_text'],
  ['nil', [0xc0], 'unsupported_type'],
  ['the unused tag', [0xc1], 'unsupported_type'],
  ['an extension', [0x81, ...str('v'), 0xd4, 0, 0], 'unsupported_type'],
  ['a float64 that is 1', [0x81, ...str('v'), 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], 'unsupported_type'],
  ['minus one', [0x81, ...str('v'), 0xff], 'integer_out_of_range'],
  ['minus one as int8', [0x81, ...str('v'), 0xd0, 0xff], 'integer_out_of_range'],
  ['2^53', [0x81, ...str('v'), 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0], 'integer_out_of_range'],
  ['2^64 - 1', [0x81, ...str('v'), 0xcf, ...Array(8).fill(0xff)], 'integer_out_of_range'],
  ['version 2', map([['v', [2]], op('balance'), WG, OWNER]), 'unknown_value'],
  ['an unknown op', map([V, op('refund'), WG, OWNER]), 'unknown_value'],
  ['an unknown mode', map([V, op('quote'), ['mode', str('vpn')], WG, PSK, OWNER]), 'unknown_value'],
  [
    'a mode with a byte order mark',
    map([V, op('quote'), ['mode', str('\uFEFFdvpn')], WG, PSK, OWNER]),
    'unknown_value',
  ],
];
for (const [name, bytes, reason] of HOSTILE) {
  test(`${name} is refused as ${reason}`, (t) => {
    t.is(reasonOf(decodeRequest(Uint8Array.from(bytes))), reason);
  });
}

test('a body of 4096 bytes is read and one of 4097 is not', (t) => {
  const rest = body([
    V,
    op('topup'),
    WG,
    OWNER,
    [
      'credential',
      map([
        ['kind', str('k')],
        ['token', bin(0)],
      ]),
    ],
  ]).length;
  const padded = (length: number) =>
    body([
      V,
      op('topup'),
      WG,
      OWNER,
      [
        'credential',
        map([
          ['kind', str('k')],
          ['token', bin(length - rest)],
        ]),
      ],
    ]);
  t.is(reasonOf(decodeRequest(padded(4096))), 'value');
  t.is(reasonOf(decodeRequest(padded(4097))), 'too_long');
});

test('an integer may be written in any width, signed or not', (t) => {
  const ones = [
    [1],
    [0xcc, 1],
    [0xcd, 0, 1],
    [0xce, 0, 0, 0, 1],
    [0xcf, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xd0, 1],
    [0xd1, 0, 1],
  ];
  for (const one of [...ones, [0xd2, 0, 0, 0, 1], [0xd3, 0, 0, 0, 0, 0, 0, 0, 1]]) {
    t.is(reasonOf(decodeRequest(body([['v', one], op('balance'), WG, OWNER]))), 'value');
  }
});

test('a fault never quotes what the peer wrote', (t) => {
  const decoded = decodeRequest(body([V, op('balance'), WG, OWNER, ['\u001b[31m', [1]]]));
  t.deepEqual(decoded, { kind: 'malformed', reason: 'superfluous_key' });
});

test('any bytes give a value or a reason', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decodeRequest(bytes);
        decodeAnswer(bytes);
      }),
      { numRuns: 2000 },
    ),
  );
});

test('a well-formed body with any byte changed gives a value or a reason', (t) => {
  const whole = body(REQUESTS['register dvpn']!);
  const at = fc.nat({ max: whole.length - 1 });
  t.notThrows(() =>
    fc.assert(
      fc.property(at, fc.nat({ max: 255 }), (index, value) => {
        decodeRequest(whole.with(index, value));
        decodeAnswer(whole.with(index, value));
      }),
      { numRuns: 2000 },
    ),
  );
});

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const dvpnName = fc.record({ mode: fc.constant('dvpn' as const), wgPublicKey: key });
const mixnetName = fc.record({ mode: fc.constant('mixnet' as const), clientId: key });
const enrolment = fc.oneof(
  fc.record({ mode: fc.constant('dvpn' as const), wgPublicKey: key, presharedKey: key }),
  mixnetName,
);
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const credential = fc.record({ kind: text, token: fc.uint8Array({ maxLength: 400 }) });
const integer = fc.maxSafeNat();
const requestBody: fc.Arbitrary<RequestBody> = fc.oneof(
  fc.record({ op: fc.constant('quote' as const), enrolment, owner: key }),
  fc.record({ op: fc.constant('register' as const), enrolment, owner: key, credential }),
  fc.record({ op: fc.constant('register' as const), enrolment, owner: key }),
  fc.record({ op: fc.constantFrom('finalise', 'topup'), name: fc.oneof(dvpnName, mixnetName), owner: key, credential }),
  fc.record({ op: fc.constantFrom('balance', 'release'), name: fc.oneof(dvpnName, mixnetName), owner: key }),
);
const addresses = fc.record({
  ipv4: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  ipv6: fc.uint8Array({ minLength: 16, maxLength: 16 }),
});
const answerBody: fc.Arbitrary<AnswerBody> = fc.oneof(
  fc.record({
    status: fc.constant('completed' as const),
    mode: fc.constant('dvpn' as const),
    wgPublicKey: key,
    endpoints: fc.constantFrom(['192.0.2.1:51820'], ['192.0.2.1:51820', '[2001:db8::1]:51820']),
    addresses,
    keepalive: integer,
    bandwidth: integer,
    expires: integer,
  }),
  fc.record({
    status: fc.constant('completed' as const),
    mode: fc.constant('mixnet' as const),
    bandwidth: integer,
    expires: integer,
  }),
  fc.record(
    {
      status: fc.constant('credential_required' as const),
      addresses,
      challenge: fc.uint8Array({ maxLength: 200 }),
      issuer: text,
      price: fc.record({ tokens: integer, bandwidth: integer, lifetime: integer }),
      heldUntil: integer,
    },
    { requiredKeys: ['status', 'challenge', 'issuer', 'price', 'heldUntil'] },
  ),
  fc.record(
    {
      status: fc.constant('failed' as const),
      code: fc.constantFrom(...REGISTRATION_CODES),
      text,
      retryAfter: integer,
    },
    { requiredKeys: ['status', 'code', 'text'] },
  ),
);
/** Byte strings as hex and keys in one order: the order of keys is no part of a body's meaning. */
const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, plain(inner)]),
  );
};

test('every request comes back from its encoding', (t) => {
  fc.assert(
    fc.property(requestBody, (request) => {
      const decoded = decodeRequest(encodeRequest(request));
      t.deepEqual(plain(decoded.kind === 'value' ? decoded.value : decoded), plain(request));
    }),
  );
});

test('every answer comes back from its encoding', (t) => {
  fc.assert(
    fc.property(answerBody, (answer) => {
      const decoded = decodeAnswer(encodeAnswer(answer));
      t.deepEqual(plain(decoded.kind === 'value' ? decoded.value : decoded), plain(answer));
    }),
  );
});

test('an answer is standard MessagePack: text keys, bin, unsigned integers of any size', (t) => {
  const completed = { status: 'completed', mode: 'mixnet', bandwidth: 2 ** 40, expires: 2 ** 32 } as const;
  const encoded = Buffer.from(encodeAnswer(completed));
  t.is(encoded[0], 0x84);
  t.true(encoded.includes(Buffer.from([0xcf, 0, 0, 1, 0, 0, 0, 0, 0])));
  t.true(encoded.includes(Buffer.from([0xcf, 0, 0, 0, 1, 0, 0, 0, 0])));
  t.like(
    unpack(
      encodeRequest({ op: 'balance', name: { mode: 'dvpn', wgPublicKey: bytesOf(32, 1) }, owner: bytesOf(32, 2) }),
    ),
    {
      v: 1,
      op: 'balance',
      owner: bytesOf(32, 2),
    },
  );
});

test('an encoded body is memory of its own', (t) => {
  const encoded = encodeRequest({
    op: 'balance',
    name: { mode: 'mixnet', clientId: bytesOf(32, 1) },
    owner: bytesOf(32, 2),
  });
  t.is(encoded.byteLength, encoded.buffer.byteLength);
});

test('a client refuses an answer with an endpoint that nothing can be sent to', (t) => {
  const wrong = [
    '0.0.0.0:1',
    '[::]:1',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2.1',
    '192.0.2:1',
    'name:1',
    '[::1]',
    '::1:5',
    '',
  ];
  for (const endpoint of wrong) t.false(isAnnouncedEndpoint(endpoint), endpoint);
  for (const endpoint of ['192.0.2.1:1', '[2001:db8::1]:65535', '127.0.0.1:51820'])
    t.true(isAnnouncedEndpoint(endpoint));
  const answer = (endpoints: readonly string[]) =>
    reasonOf(
      decodeAnswer(
        encodeAnswer({
          status: 'completed',
          mode: 'dvpn',
          wgPublicKey: bytesOf(32, 1),
          endpoints,
          addresses: { ipv4: bytesOf(4, 1), ipv6: bytesOf(16, 1) },
          keepalive: 25,
          bandwidth: 1,
          expires: 1,
        }),
      ),
    );
  t.is(answer(['0.0.0.0:51820']), 'unknown_value');
  t.is(answer([]), 'wrong_length');
  t.is(answer(Array(17).fill('192.0.2.1:1')), 'wrong_length');
});
