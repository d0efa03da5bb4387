import test from 'ava';
import fc from 'fast-check';
import { decodeVarBincode, VarBincodeReader, VarBincodeWriter } from '../../../src/lp/nym/bincode.ts';
import { hex, toHex } from '../../support/vectors.ts';

test('integers are big-endian and have their shortest form', (t) => {
  const cases: [bigint, string][] = [
    [0n, '00'],
    [250n, 'fa'],
    [251n, 'fb00fb'],
    [65_535n, 'fbffff'],
    [65_536n, 'fc00010000'],
    [2n ** 32n - 1n, 'fcffffffff'],
    [2n ** 32n, 'fd0000000100000000'],
    [2n ** 64n - 1n, 'fdffffffffffffffff'],
  ];
  for (const [value, text] of cases) {
    t.is(toHex(new VarBincodeWriter().u64(value).finish()), text);
    t.is(
      decodeVarBincode(hex(text), (reader) => reader.u64()),
      value,
    );
  }
});

test('wider forms, u128, cut and trailing bytes are refused', (t) => {
  for (const text of [
    'fb00fa',
    'fc0000ffff',
    'fd00000000ffffffff',
    'fe',
    `fe${'00'.repeat(16)}`,
    'ff',
    'fb',
    'fc000100',
    '',
    '0000',
  ])
    t.is(
      decodeVarBincode(hex(text), (reader) => reader.u64()),
      undefined,
      text,
    );
});

test('our own integers out of range are assertions', (t) => {
  t.throws(() => new VarBincodeWriter().u64(-1n));
  t.throws(() => new VarBincodeWriter().u64(2n ** 64n));
});

test('bools, enums, bounded integers and texts take nothing beyond their range', (t) => {
  const read = (text: string, take: (reader: VarBincodeReader) => unknown) => decodeVarBincode(hex(text), take);
  t.is(
    read('01', (r) => r.bool()),
    true,
  );
  t.is(
    read('02', (r) => r.bool()),
    undefined,
  );
  t.is(
    read('02', (r) => r.variant(3)),
    2,
  );
  t.is(
    read('03', (r) => r.variant(3)),
    undefined,
  );
  t.is(
    read('fd7fffffffffffffff', (r) => r.integer(65_535)),
    undefined,
  );
  t.is(
    read('03616263', (r) => r.text(3)),
    'abc',
  );
  t.is(
    read('03616263', (r) => r.text(2)),
    undefined,
  );
  t.is(
    read('02fffe', (r) => r.text(9)),
    undefined,
  );
  t.is(
    read('03efbbbf', (r) => r.text(9)),
    '\ufeff',
  );
});

test('a length is compared with what is left before anything is taken', (t) => {
  const reader = new VarBincodeReader(hex('fdffffffffffffffff00'));
  t.is(reader.byteString(Number.MAX_SAFE_INTEGER).length, 0);
  t.true(reader.failed);
});

test('values come back as they were written, and a cut anywhere is refused', (t) => {
  const values = fc.tuple(fc.bigInt(0n, 2n ** 64n - 1n), fc.string({ maxLength: 40 }), fc.boolean(), fc.uint8Array());
  fc.assert(
    fc.property(values, fc.nat(), ([number, text, flag, bytes], cut) => {
      const encoded = new VarBincodeWriter().u64(number).text(text).bool(flag).byteString(bytes).finish();
      const read = (r: VarBincodeReader) => [r.u64(), r.text(1_000), r.bool(), r.byteString(1_000)];
      t.deepEqual(decodeVarBincode(encoded, read), [number, text, flag, bytes]);
      t.is(decodeVarBincode(encoded.subarray(0, cut % encoded.length), read), undefined);
    }),
    { numRuns: 60 },
  );
});
