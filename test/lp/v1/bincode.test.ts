/** The reader and writer of bincode (lp1.md §2.2): bounds, faults, round trips. */
import test from 'ava';
import fc from 'fast-check';
import { type BincodeFault, BincodeReader, BincodeWriter, decodeBincode } from '../../../src/lp/v1/bincode.ts';
import { runs, SEED } from '../../support/property.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(300, 20_000) };
const le64 = (value: bigint) => [...new Uint8Array(BigUint64Array.of(value).buffer)];
const of = (...bytes: number[]) => new BincodeReader(Uint8Array.from(bytes));

test('integers are little-endian and of fixed width', (t) => {
  const reader = of(1, 2, 1, 4, 3, 2, 1, ...le64(2n ** 53n - 1n), ...le64(2n ** 64n - 1n), ...le64(2n ** 64n - 1n));
  t.is(reader.u8(), 1);
  t.is(reader.u16(), 0x0102);
  t.is(reader.u32(), 0x01020304);
  t.is(reader.u64(), Number.MAX_SAFE_INTEGER);
  t.is(reader.wideU64(), 2n ** 64n - 1n);
  t.is(reader.i64(), -1n);
  t.true(reader.finish());
});

const FAULTS: readonly (readonly [
  name: string,
  bytes: readonly number[],
  read: (r: BincodeReader) => unknown,
  BincodeFault,
])[] = [
  ['an empty input', [], (r) => r.u8(), 'truncated'],
  ['three bytes of a u32', [1, 2, 3], (r) => r.u32(), 'truncated'],
  ['seven bytes of a u64', [1, 2, 3, 4, 5, 6, 7], (r) => r.u64(), 'truncated'],
  ['a u64 of 2^53', le64(2n ** 53n), (r) => r.u64(), 'integer_out_of_range'],
  ['a bool of 2', [2], (r) => r.bool(), 'unknown_tag'],
  ['an option tag of 2', [2, 0], (r) => r.option(() => r.u8()), 'unknown_tag'],
  ['an option without its value', [1], (r) => r.option(() => r.u8()), 'truncated'],
  ['a variant that the enum has not', [2, 0, 0, 0], (r) => r.variant(2), 'unknown_tag'],
  ['a length above the bound', [...le64(3n), 1, 2, 3], (r) => r.byteString(2), 'too_long'],
  ['a length above what is left', [...le64(3n), 1, 2], (r) => r.byteString(9), 'truncated'],
  ['a length of 2^64 - 1', le64(2n ** 64n - 1n), (r) => r.byteString(1e15), 'integer_out_of_range'],
  ['a length of 2^53 - 1', le64(2n ** 53n - 1n), (r) => r.byteString(Number.MAX_SAFE_INTEGER), 'truncated'],
  ['text that is no UTF-8', [...le64(1n), 0xff], (r) => r.text(9), 'not_utf8'],
  ['a surrogate in a text', [...le64(3n), 0xed, 0xa0, 0x80], (r) => r.text(9), 'not_utf8'],
  ['fault 30: a trailing byte', [1, 0], (r) => r.u8(), 'trailing_bytes'],
];

for (const [name, bytes, read, fault] of FAULTS) {
  test(`a reader refuses ${name}`, (t) => {
    const reader = of(...bytes);
    read(reader);
    t.false(reader.finish());
    t.is(reader.fault, fault);
  });
}

test('the first fault stays, and every later value is empty', (t) => {
  const reader = of(7, 1, 1, 1, 1, 1, 1, 1, 1);
  t.false(reader.bool());
  t.is(reader.fault, 'unknown_tag');
  t.is(reader.u8(), 0);
  t.is(reader.u64(), 0);
  t.is(reader.i64(), 0n);
  t.is(reader.text(9), '');
  t.is(reader.byteString(9).length, 0);
  t.is(
    reader.option(() => 1),
    undefined,
  );
  t.is(reader.variant(1), 0);
  reader.fail('value');
  t.is(reader.fault, 'unknown_tag');
  t.is(reader.offset, 1);
});

test('a byte order mark is a character of a text', (t) => {
  const bytes = new BincodeWriter().text('\ufeffa').finish();
  t.is(
    decodeBincode(bytes, (r) => r.text(9)),
    '\ufeffa',
  );
});

test('what is written reads back, and no prefix of it does', (t) => {
  const value = fc.record({
    byte: fc.integer({ min: 0, max: 255 }),
    flag: fc.boolean(),
    short: fc.integer({ min: 0, max: 0xffff }),
    word: fc.integer({ min: 0, max: 0xffff_ffff }),
    number: fc.maxSafeNat(),
    wide: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    signed: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    text: fc.string({ unit: 'grapheme', maxLength: 20 }),
    maybe: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
    raw: fc.uint8Array({ minLength: 3, maxLength: 3 }),
  });
  const read = (r: BincodeReader) => ({
    byte: r.u8(),
    flag: r.bool(),
    short: r.u16(),
    word: r.u32(),
    number: r.u64(),
    wide: r.wideU64(),
    signed: r.i64(),
    text: r.text(1000),
    maybe: r.option(() => r.u8()),
    raw: r.fixed(3),
  });
  fc.assert(
    fc.property(value, (v) => {
      fc.pre(v.text.isWellFormed());
      const writer = new BincodeWriter().u8(v.byte).bool(v.flag).u16(v.short).u32(v.word).u64(v.number);
      writer.u64(v.wide).i64(v.signed).text(v.text);
      const bytes = writer
        .option(v.maybe, (b) => writer.u8(b))
        .fixed(v.raw)
        .finish();
      t.deepEqual(decodeBincode(bytes, read), v);
      for (let end = 0; end < bytes.length; end++) t.is(decodeBincode(bytes.subarray(0, end), read), undefined);
    }),
    { ...PARAMETERS, numRuns: runs(60, 5000) },
  );
});

test('no bytes and no order of calls make a reader throw or read beyond the end', (t) => {
  const CALLS: readonly ((r: BincodeReader) => unknown)[] = [
    (r) => r.u8(),
    (r) => r.bool(),
    (r) => r.u16(),
    (r) => r.u32(),
    (r) => r.u64(),
    (r) => r.wideU64(),
    (r) => r.i64(),
    (r) => r.fixed(5),
    (r) => r.byteString(20),
    (r) => r.text(20),
    (r) => r.length(64),
    (r) => r.option(() => r.u16()),
    (r) => r.variant(3),
    (r) => r.since(0),
  ];
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(fc.nat(CALLS.length - 1), { maxLength: 20 }),
      (bytes, order) => {
        const reader = new BincodeReader(bytes);
        for (const at of order) CALLS[at]!(reader);
        reader.finish();
        t.true(reader.offset <= bytes.length);
      },
    ),
    PARAMETERS,
  );
});

test('the writer refuses integers that do not fit', (t) => {
  for (const value of [-1n, 2n ** 64n]) t.throws(() => new BincodeWriter().u64(value), { message: /^assertion/ });
  for (const value of [-(2n ** 63n) - 1n, 2n ** 63n]) {
    t.throws(() => new BincodeWriter().i64(value), { message: /^assertion/ });
  }
});
