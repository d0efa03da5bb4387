import test from 'ava';
import fc from 'fast-check';
import { NymStreamCutter } from '../../../src/lp/nym/stream-cutter.ts';
import { concat, le32 } from '../../../src/lp/wire/bytes.ts';
import { toHex } from '../../support/vectors.ts';

type Got = [kind: string, bytes: string];

function cutterFrom(from: 'client' | 'node'): { cutter: NymStreamCutter; got: Got[] } {
  const got: Got[] = [];
  return { got, cutter: new NymStreamCutter(from, (kind, bytes) => void got.push([kind, toHex(bytes)])) };
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const framed = (packet: Uint8Array) => concat(le32(packet.length), packet);

test('a stream gives its two handshake messages and then packets, however it is cut', (t) => {
  for (const [from, kkt, psq] of [
    ['client', 91, 1247],
    ['node', 1207, 70],
  ] as const) {
    const packets = [filled(12, 3), filled(65_536, 4), filled(700, 5)];
    const stream = concat(filled(kkt, 1), filled(psq, 2), ...packets.map(framed));
    const expected: Got[] = [
      ['kkt', toHex(filled(kkt, 1))],
      ['psq', toHex(filled(psq, 2))],
      ...packets.map((packet): Got => ['packet', toHex(packet)]),
    ];
    for (const step of [stream.length, 1, 7, 1000]) {
      const { cutter, got } = cutterFrom(from);
      for (let at = 0; at < stream.length; at += step) t.true(cutter.push(stream.slice(at, at + step)));
      t.deepEqual(got, expected);
      t.false(cutter.midMessage);
      t.is(cutter.expects, 'packet');
    }
  }
});

test('a length below a header or above a packet breaks the stream before anything of it is kept', (t) => {
  for (const length of [0, 11, 65_537, 2 ** 31, 2 ** 32 - 1]) {
    const { cutter, got } = cutterFrom('node');
    t.true(cutter.push(filled(1207 + 70, 0)));
    t.false(cutter.push(concat(le32(length), filled(100, 0))));
    t.true(cutter.broken);
    t.false(cutter.push(framed(filled(20, 1))));
    t.is(got.length, 2);
  }
});

test('a stopped cutter holds what follows, and goes on where it stood', (t) => {
  const got: string[] = [];
  const cutter = new NymStreamCutter('client', (kind) => {
    got.push(kind);
    cutter.stop();
  });
  t.true(cutter.push(concat(filled(91, 1), filled(1247, 2), framed(filled(12, 3)), le32(12))));
  t.deepEqual(got, ['kkt']);
  t.true(cutter.isStopped);
  t.true(cutter.resume());
  t.deepEqual(got, ['kkt', 'psq']);
  t.true(cutter.resume());
  t.deepEqual(got, ['kkt', 'psq', 'packet']);
  t.true(cutter.resume());
  t.true(cutter.midMessage);
  cutter.push(filled(12, 4));
  t.is(got.length, 4);
});

test('a message that has begun is known to be under way', (t) => {
  const { cutter } = cutterFrom('client');
  t.false(cutter.midMessage);
  cutter.push(filled(1, 0));
  t.true(cutter.midMessage);
  cutter.push(filled(90, 0));
  t.false(cutter.midMessage);
});

test('any bytes in any pieces give packets of allowed lengths, or a broken stream', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 900 }), { maxLength: 12 }), (chunks) => {
      const { cutter, got } = cutterFrom('client');
      t.true(cutter.push(filled(91 + 1247, 0)));
      for (const chunk of chunks) cutter.push(chunk);
      for (const [kind, bytes] of got.slice(2)) {
        t.is(kind, 'packet');
        t.true(bytes.length / 2 >= 12 && bytes.length / 2 <= 65_536);
      }
    }),
  );
});
