/** Keys and addresses as LP1's bodies spell them (lp1.md §2.4, §2.6, §2.8): one text for each, and nothing else is read. */
import test from 'ava';
import fc from 'fast-check';
import { formatSocketAddress, parseSocketAddress } from '../../../src/lp/v1/socket-address.ts';
import { keyFromBase58, keyFromBase64, keyToBase58, keyToBase64 } from '../../../src/lp/wire/key-text.ts';
import { decodeBase58, encodeBase58 } from '../../../src/ops/base58.ts';
import { runs, SEED } from '../../support/property.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(200, 20_000) };

const ADDRESSES: readonly (readonly [text: string, canonical: string | undefined])[] = [
  ['1.2.3.4:41264', '1.2.3.4:41264'],
  ['0.0.0.0:0', '0.0.0.0:0'],
  ['255.255.255.255:65535', '255.255.255.255:65535'],
  ['[2001:db8::1]:41264', '[2001:db8::1]:41264'],
  ['[2001:DB8:0:0:0:0:0:1]:1', '[2001:db8::1]:1'],
  ['[::]:1', '[::]:1'],
  ['[1::]:1', '[1::]:1'],
  ['[1:2:3:4:5:6:7:8]:1', '[1:2:3:4:5:6:7:8]:1'],
  ['[1:2:3:4:5:6:7::]:1', '[1:2:3:4:5:6:7:0]:1'],
  ['[::2:3:4:5:6:7:8]:1', '[0:2:3:4:5:6:7:8]:1'],
  ['[::ffff:1.2.3.4]:1', '[::ffff:102:304]:1'],
  ['[1:2:3:4:5:6:1.2.3.4]:1', '[1:2:3:4:5:6:102:304]:1'],
  ...[
    ...['', ':', '1.2.3.4', '1.2.3.4:', ':1', 'localhost:1', 'example.org:443', '1.2.3:1', '1.2.3.4.5:1', '1.2.3.:1'],
    ...['01.2.3.4:1', '1.2.3.04:1', '1.2.3.00:1', '256.1.1.1:1', '1.2.3.1000:1', '0x1.2.3.4:1', '16909060:1'],
    ...['1.2.3.4:65536', '1.2.3.4:99999', '1.2.3.4:041264', '1.2.3.4:00', '1.2.3.4:-1', '1.2.3.4:+1', '1.2.3.4:1 '],
    ...[' 1.2.3.4:1', '1.2.3.4:1\n', '[1.2.3.4]:1', '2001:db8::1:41264', '[2001:db8::1]', '[fe80::1%eth0]:1'],
    ...['[fe80::1%1]:1', '[]:1', '[:]:1', '[:::]:1', '[1::2::3]:1', '[1:2:3:4:5:6:7]:1', '[1:2:3:4:5:6:7:8:9]:1'],
    ...['[1:2:3:4::5:6:7:8]:1', '[::1:2:3:4:5:6:7:8]:1', '[1:]:1', '[:1]:1', '[12345::]:1', '[g::]:1'],
    ...['[1.2.3.4::]:1', '[::1.2.3.4:1]:1', '[::01.2.3.4]:1', '[::256.2.3.4]:1', '[1:2:3:4:5:6:7:1.2.3.4]:1'],
    ...['1.2.3.4:1:1', '１.2.3.4:1', '[::1]:١', `[${'0:'.repeat(60)}1]:1`],
  ].map((text) => [text, undefined] as const),
];

test('an address is one that Rust reads as a SocketAddr, and has one short form', (t) => {
  for (const [text, canonical] of ADDRESSES) {
    const address = parseSocketAddress(text);
    t.is(address && formatSocketAddress(address), canonical, JSON.stringify(text));
  }
});

test('every address is read back from its text', (t) => {
  const address = fc.constantFrom<4 | 6>(4, 6).chain((family) => {
    const length = family === 4 ? 4 : 16;
    const byte = fc.oneof(fc.constant(0), fc.nat(255));
    const ip = fc.array(byte, { minLength: length, maxLength: length }).map((list) => Uint8Array.from(list));
    return fc.record({ family: fc.constant(family), ip, port: fc.nat(65_535) });
  });
  fc.assert(
    fc.property(address, (value) => {
      t.deepEqual(parseSocketAddress(formatSocketAddress(value)), value);
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789abf:.[]%'), maxLength: 40 }), (text) => {
      t.notThrows(() => parseSocketAddress(text));
    }),
    PARAMETERS,
  );
});

test('a key has one text in base58 and one in base64', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(32), (random, zeros) => {
      const value = Uint8Array.from(random).fill(0, 0, zeros);
      t.is(keyToBase58(value), encodeBase58(value));
      t.deepEqual(keyFromBase58(keyToBase58(value)), value);
      t.is(keyToBase64(value), Buffer.from(value).toString('base64'));
      t.deepEqual(keyFromBase64(keyToBase64(value)), value);
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'1123456zZ0'), minLength: 30, maxLength: 46 }), (text) => {
      const other = decodeBase58(text);
      t.deepEqual(keyFromBase58(text), other?.length === 32 ? other : undefined);
    }),
    PARAMETERS,
  );
  const base64 = keyToBase64(new Uint8Array(32).fill(1));
  // The unused bits of the last digit, other alphabets, no padding, spaces.
  const changes = [
    base64.replace(/E=$/, 'F='),
    base64.slice(0, 43),
    `${base64} `,
    ` ${base64}`,
    base64.replace('Q', '-'),
  ];
  for (const text of changes) t.is(keyFromBase64(text), undefined, text);
});
