import { fc, testProp } from '@fast-check/ava';
import test from 'ava';
import { decodeBase58, encodeBase58, MAX_TEXT_LENGTH, parseKey } from '../../src/ops/base58.ts';

const hex = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('hex'));

// From the test vectors of draft-msporny-base58 and of Bitcoin Core.
const VECTORS: readonly (readonly [string, string])[] = [
  ['', ''],
  ['00', '1'],
  ['61', '2g'],
  ['626262', 'a3gV'],
  ['516b6fcd0f', 'ABnLTmg'],
  ['572e4794', '3EFU7m'],
  ['00000000000000000000', '1111111111'],
  ['0000287fb4cd', '11233QC4'],
  ['00eb15231dfceb60925886b67d065299925915aeb172c06647', '1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L'],
  [Buffer.from('Hello World!').toString('hex'), '2NEpo7TZRRrLZSi2U'],
];

for (const [bytes, text] of VECTORS) {
  test(`base58 of ${bytes || 'nothing'} is ${text || 'empty'}, in both directions`, (t) => {
    t.is(encodeBase58(Buffer.from(bytes, 'hex')), text);
    t.is(hex(decodeBase58(text)), bytes);
  });
}

testProp('base58 gives back what was encoded', [fc.uint8Array({ maxLength: 64 })], (t, bytes) => {
  t.is(hex(decodeBase58(encodeBase58(bytes))), hex(bytes));
});

testProp(
  'any text gives bytes or undefined, and what decodes encodes to itself',
  [fc.string({ maxLength: 140 })],
  (t, text) => {
    const bytes = decodeBase58(text);
    if (bytes === undefined) t.pass();
    else t.is(encodeBase58(bytes), text);
  },
);

test('a text beyond the bound is refused before any work', (t) => {
  t.not(decodeBase58('z'.repeat(MAX_TEXT_LENGTH)), undefined);
  t.is(decodeBase58('z'.repeat(MAX_TEXT_LENGTH + 1)), undefined);
});

testProp(
  'a key is read from base58 and from hex in either case',
  [fc.uint8Array({ minLength: 32, maxLength: 32 })],
  (t, key) => {
    for (const text of [encodeBase58(key), hex(key)!, hex(key)!.toUpperCase()]) {
      const parsed = parseKey(text);
      t.is(parsed.ok ? hex(parsed.key) : parsed.reason, hex(key));
    }
  },
);

const BAD_KEYS: readonly (readonly [string, RegExp])[] = [
  ['', /is empty/],
  ['2g', /has 1 bytes instead of 32/],
  ['1'.repeat(33), /has 33 bytes instead of 32/],
  ['0OIl', /has the character "0"/],
  ['ab'.repeat(65), /130 characters/],
  [`${'ab'.repeat(31)}a`, /has \d+ bytes|has the character/],
];

for (const [text, reason] of BAD_KEYS) {
  test(`"${text.slice(0, 20)}" (${text.length} characters) is no key, and why is said`, (t) => {
    const parsed = parseKey(text);
    t.false(parsed.ok);
    if (!parsed.ok) t.regex(parsed.reason, reason);
  });
}
