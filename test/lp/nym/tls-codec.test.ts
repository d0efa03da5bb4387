import test from 'ava';
import fc from 'fast-check';
import { TlsReader, vector, vectorHeaderLength } from '../../../src/lp/nym/tls-codec.ts';
import { hex, toHex } from '../../support/vectors.ts';

test('lengths have their shortest form: one byte to 63, two to 16,383, four beyond', (t) => {
  const cases: [number, string][] = [
    [0, '00'],
    [63, '3f'],
    [64, '4040'],
    [1171, '4493'],
    [16_383, '7fff'],
    [16_384, '80004000'],
    [524_160, '8007ff80'],
  ];
  for (const [length, header] of cases) {
    const encoded = vector(new Uint8Array(length));
    t.is(toHex(encoded.subarray(0, encoded.length - length)), header);
    t.is<number, number>(vectorHeaderLength(length), header.length / 2);
    const reader = new TlsReader(encoded);
    t.is(reader.vector().length, length);
    t.true(reader.finish());
  }
});

test('a length that is longer than what is left, not the shortest, or of eight bytes is refused', (t) => {
  for (const bytes of [
    '',
    '01',
    '40',
    '4040',
    '4000',
    '403f',
    '80',
    '800000',
    '80000000',
    '80003fff',
    'bfffffff',
    'c000000000000000',
    'ffffffffffffffff',
    '7fff00',
  ]) {
    const reader = new TlsReader(hex(bytes));
    t.is(reader.vector().length, 0, bytes);
    t.true(reader.failed, bytes);
    t.false(reader.finish());
  }
});

test('after the first fault nothing is read any more', (t) => {
  const reader = new TlsReader(hex('05aabb'));
  reader.vector();
  t.is(reader.u8(), 0);
  t.is(reader.fixed(0).length, 0);
  t.true(reader.failed);
});

test('bytes that are left over are a fault', (t) => {
  const reader = new TlsReader(hex('01aabb'));
  t.is(toHex(reader.vector()), 'aa');
  t.false(reader.failed);
  t.false(reader.finish());
});

test('any bytes are read without an exception, within their bounds', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const reader = new TlsReader(bytes);
      while (!reader.failed && reader.offset < bytes.length) t.true(reader.vector().length <= bytes.length);
    }),
  );
});
