import test from 'ava';
import fc from 'fast-check';
import { endsTheWait, ReplyReader } from '../../../src/gateway/forward/reply-reader.ts';
import {
  decodeForwardResponse,
  encodeFrame,
  KIND,
  MAX_FRAME_BODY_LENGTH,
} from '../../../src/lp/wire/application-frame.ts';
import { MAX_CONTENT_LENGTH } from '../../../src/lp/wire/packet.ts';
import { frames, HANDSHAKE_INDEX, packet, SESSION_INDEX, unsealed } from './fake-exit.ts';

const packetsOf = (reader: ReplyReader) => decodeForwardResponse(reader.response(0))?.packets.map(Buffer.from);

const ENDS: [title: string, packet: Uint8Array, ends: boolean][] = [
  ['an Error under a handshake index', unsealed(HANDSHAKE_INDEX, 0x000e, 2, 46), true],
  ['an Error under index 0', unsealed(0, 0x000e), true],
  ['a Busy', unsealed(HANDSHAKE_INDEX, 0x0000), true],
  ['a Collision', unsealed(HANDSHAKE_INDEX, 0x0007), true],
  ['a Collision of version 1', unsealed(HANDSHAKE_INDEX, 0x0007, 1), true],
  ['an Ack', unsealed(HANDSHAKE_INDEX, 0x0008), false],
  ['a handshake message', unsealed(HANDSHAKE_INDEX, 0x0001), false],
  ['a type that only begins like an Error', unsealed(HANDSHAKE_INDEX, 0x010e), false],
  ['another version', unsealed(HANDSHAKE_INDEX, 0x000e, 3), false],
  ['ciphertext that reads as an Error', unsealed(SESSION_INDEX, 0x000e), false],
  ['ciphertext that reads as a Busy', unsealed(0xffff_ffff, 0x0000), false],
];

for (const [title, bytes, ends] of ENDS) {
  test(`${title} ${ends ? 'ends' : 'does not end'} the wait`, (t) => t.is(endsTheWait(bytes), ends));
}

test('replies that fill a ForwardResponse to the last byte are taken, one byte more is too large', (t) => {
  const first = packet(SESSION_INDEX, 1, 1000);
  const rest = MAX_FRAME_BODY_LENGTH - 1 - 1002 - 2;
  const fits = new ReplyReader(2);
  t.is(fits.push(frames(first, packet(SESSION_INDEX, 2, rest))), 'complete');
  const content = encodeFrame(KIND.forwardResponse, 1, fits.response(0));
  t.is(content.length, MAX_CONTENT_LENGTH);
  t.is(new ReplyReader(2).push(frames(first, packet(SESSION_INDEX, 2, rest + 1))), 'tooLarge');
});

test('a frame that would not fit is refused by its header, before its bytes come', (t) => {
  t.is(new ReplyReader(1).push(frames(packet(SESSION_INDEX, 2, 65_535)).subarray(0, 16)), 'tooLarge');
});

test('packets do not change when the memory of the read is used again', (t) => {
  const chunk = frames(packet(SESSION_INDEX, 5));
  const reader = new ReplyReader(1);
  reader.push(chunk);
  chunk.fill(0);
  t.deepEqual(packetsOf(reader), [packet(SESSION_INDEX, 5)]);
});

test('readers that wait at the same time keep their replies apart', (t) => {
  const readers = Array.from({ length: 200 }, () => new ReplyReader(2));
  const reply = (i: number, which: number) => packet(SESSION_INDEX, (2 * i + which) & 0xff, 34 + 10 * (i % 30));
  for (const which of [0, 1]) for (const [i, reader] of readers.entries()) reader.push(frames(reply(i, which)));
  for (const [i, reader] of readers.entries()) t.deepEqual(packetsOf(reader), [reply(i, 0), reply(i, 1)]);
});

test('a slice of a told response is a copy', (t) => {
  const reader = new ReplyReader(1);
  reader.push(frames(packet(SESSION_INDEX, 5)));
  const copy = reader.response(0).slice();
  reader.response(6);
  t.is(copy[0], 0);
});

test('a stopped reading is not exact even when nothing follows', (t) => {
  const reader = new ReplyReader(2);
  t.is(reader.push(frames(unsealed(HANDSHAKE_INDEX, 0x000e))), 'stopped');
  t.false(reader.exact);
});

test('an Error as the last asked packet is exact', (t) => {
  const reader = new ReplyReader(2);
  t.is(reader.push(frames(unsealed(HANDSHAKE_INDEX, 0x0008), unsealed(HANDSHAKE_INDEX, 0x000e))), 'complete');
  t.true(reader.exact);
});

test('however a stream is split, the same packets come out, and what is behind them is noticed', (t) => {
  const lengths = fc.array(fc.integer({ min: 34, max: 300 }), { minLength: 1, maxLength: 6 });
  const cuts = fc.array(fc.nat({ max: 2000 }), { maxLength: 12 });
  const behind = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(lengths, cuts, behind, (all, at, extra) => {
      const packets = all.map((length, i) => packet(SESSION_INDEX, i + 1, length));
      const stream = Buffer.concat([frames(...packets), extra]);
      const ends = [...at.filter((cut) => cut < stream.length), stream.length].sort((a, b) => a - b);
      const reader = new ReplyReader(all.length);
      let verdict = 'open';
      let start = 0;
      for (const end of ends) {
        verdict = reader.push(stream.subarray(start, end));
        start = end;
      }
      t.is(verdict, 'complete');
      t.deepEqual(packetsOf(reader), packets);
      t.is(reader.count, packets.length);
      t.is(reader.exact, extra.length === 0);
    }),
    { numRuns: 200 },
  );
});

test('whatever an exit sends, no more than a ForwardResponse holds is kept', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
      fc.integer({ min: 1, max: 255 }),
      (chunks, n) => {
        const reader = new ReplyReader(n);
        for (const chunk of chunks) reader.push(chunk);
        t.true(reader.response(0).length <= MAX_FRAME_BODY_LENGTH);
        t.is(packetsOf(reader)?.length, reader.count);
        t.true(reader.count <= n);
      },
    ),
    { numRuns: 200 },
  );
});
