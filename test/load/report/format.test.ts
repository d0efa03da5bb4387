import { fc, testProp } from '@fast-check/ava';
import test from 'ava';
import {
  formatBytes,
  formatCount,
  formatDecimal,
  formatMoment,
  formatPercent,
  formatRate,
  formatSeconds,
  formatShare,
  plain,
} from '../../../src/load/report/format.ts';
import { alignedLines, wrapped } from '../../../src/load/report/text-table.ts';
import { HOSTILE } from './sample-results.ts';

const CASES: readonly (readonly [shown: string, expected: string])[] = [
  [formatCount(1_234_567), '1,234,567'],
  [formatCount(Number.NaN), '–'],
  [formatDecimal(0), '0'],
  [formatDecimal(0.04211), '0.042'],
  [formatDecimal(1.234), '1.23'],
  [formatDecimal(9.996), '10.0'],
  [formatDecimal(99.96), '100'],
  [formatDecimal(1_240.4), '1,240'],
  [formatDecimal(Number.POSITIVE_INFINITY), '–'],
  [formatRate(60), '60'],
  [formatRate(16.66), '16.7'],
  [formatPercent(0), '0 %'],
  [formatPercent(1), '100 %'],
  [formatPercent(0.000_01), '< 0.1 %'],
  [formatPercent(0.999_9), '> 99.9 %'],
  [formatPercent(0.0123), '1.2 %'],
  [formatPercent(0.5), '50.0 %'],
  [formatShare(0, 0), '0 %'],
  [formatBytes(0), '0 B'],
  [formatBytes(256), '256 B'],
  [formatBytes(8_326_000_640), '7.8 GiB'],
  [formatSeconds(60), '60 s'],
  [formatSeconds(1.5), '1.50 s'],
  [formatSeconds(3_903), '1 h 5 min 3 s'],
  [formatMoment(12, 75), 'second 12'],
  [formatMoment(3_485, 3_600), '58:05'],
];

for (const [index, [shown, expected]] of CASES.entries()) {
  test(`number ${index} is written ${expected}`, (t) => t.is(shown, expected));
}

test('plain text has nothing that a terminal would obey', (t) => {
  for (const text of HOSTILE) t.notRegex(plain(text), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
  t.is(plain('a\u001b[2J'), 'a\\u{1b}[2J');
});

testProp(
  'plain text is bounded, harmless, and stays the same when made plain again',
  [fc.string({ unit: 'binary' })],
  (t, text) => {
    const shown = plain(text, 20);
    t.true(Array.from(shown).length <= 20);
    t.notRegex(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
    t.is(plain(shown, 20), shown);
  },
);

test('columns are as wide as their widest cell, and a row may be short', (t) => {
  t.deepEqual(alignedLines(['left', 'right'], [['name', 'n'], ['a', '1,000'], ['b']]), [
    'name      n',
    'a     1,000',
    'b',
  ]);
});

test('text is broken between words; a longer word stays whole', (t) => {
  t.deepEqual(wrapped('one two unbreakable', 8), ['one two', 'unbreakable']);
});
