/** FrameCutter (lp2.md §2): whatever the chunks, the same packets; a refused frame passes through unbuffered. */
import test from 'ava';
import fc from 'fast-check';
import { encodeFrames, FrameCutter, type Framing } from '../../src/lp/wire/framing.ts';
import { receiverIndex } from '../../src/lp/wire/packet.ts';
import { runs, SEED } from '../support/property.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(300, 10_000) };
const framings = fc.constantFrom<Framing>('be16', 'be32');

/** Mostly small packets, some large; the first byte says whether it is admitted. */
const packet = fc
  .oneof(
    { weight: 8, arbitrary: fc.integer({ min: 34, max: 120 }) },
    { weight: 2, arbitrary: fc.integer({ min: 121, max: 3_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(34, 65_534, 65_535) },
  )
  .chain((length) =>
    fc.record({ fill: fc.integer({ min: 0, max: 255 }), admitted: fc.boolean() }).map(({ fill, admitted }) => {
      const bytes = new Uint8Array(length).fill(fill);
      bytes[0] = admitted ? 1 : 0;
      return bytes;
    }),
  );

/** Lengths of reads, over and over until the stream is through. */
const chunkLengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5_000 })), {
  minLength: 1,
  maxLength: 12,
});

interface Cut {
  readonly packets: string[];
  readonly asked: number[];
  readonly cutter: FrameCutter;
}

function cut(stream: Uint8Array, lengths: readonly number[]): Cut {
  const packets: string[] = [];
  const asked: number[] = [];
  const cutter = new FrameCutter({
    admit: (bytes, offset, packetLength) => {
      asked.push(packetLength);
      return (bytes[offset] ?? 0) === 1;
    },
    packet: (bytes) => packets.push(Buffer.from(bytes).toString('base64')),
  });
  for (let at = 0, i = 0; at < stream.length; i++) {
    const length = lengths[i % lengths.length]!;
    // A read's buffer may be used again: hand out a copy and overwrite it.
    const chunk = stream.slice(at, at + length);
    cutter.push(chunk);
    chunk.fill(0xff);
    at += length;
  }
  return { packets, asked, cutter };
}

test('any chunking gives the admitted packets in their order, each frame asked for once, in both framings', (t) => {
  fc.assert(
    fc.property(framings, fc.array(packet, { minLength: 1, maxLength: 8 }), chunkLengths, (framing, list, lengths) => {
      const { packets, asked, cutter } = cut(encodeFrames(framing, list), lengths);
      const admitted = list.filter((bytes) => bytes[0] === 1);
      t.deepEqual(
        packets,
        admitted.map((bytes) => Buffer.from(bytes).toString('base64')),
      );
      t.deepEqual(
        asked,
        list.map((bytes) => bytes.length),
      );
      t.is(cutter.framing, framing);
      t.false(cutter.broken);
      t.false(cutter.midFrame);
    }),
    PARAMETERS,
  );
});

/** How often each frame in turn is told to wait; the packets themselves may stop the cutter too. */
const waits = fc.array(fc.nat(3), { minLength: 1, maxLength: 6 });
const stops = fc.array(fc.boolean(), { minLength: 1, maxLength: 5 });

interface Pattern {
  readonly lengths: readonly number[];
  readonly waits: readonly number[];
  readonly stops: readonly boolean[];
}

/** Like `cut`, as a connection does it: nothing is pushed before the cutter goes on. */
function cutWaiting(stream: Uint8Array, pattern: Pattern) {
  const packets: string[] = [];
  const asked: string[] = [];
  let frames = 0;
  let left = pattern.waits[0]!;
  const cutter = new FrameCutter({
    admit: (bytes, offset, packetLength) => {
      asked.push(`${packetLength} ${Buffer.from(bytes.subarray(offset, offset + 12)).toString('hex')}`);
      if (left-- > 0) return 'wait';
      frames++;
      left = pattern.waits[frames % pattern.waits.length]!;
      return (bytes[offset] ?? 0) === 1;
    },
    packet: (bytes) => {
      packets.push(Buffer.from(bytes).toString('base64'));
      if (pattern.stops[packets.length % pattern.stops.length]) cutter.stop();
    },
  });
  for (let at = 0, i = 0; at < stream.length; i++) {
    const length = pattern.lengths[i % pattern.lengths.length]!;
    // Fresh memory for each read: a stopped cutter keeps a view of it.
    cutter.push(stream.slice(at, at + length));
    while (cutter.isStopped) cutter.resume();
    at += length;
  }
  return { packets, asked, cutter };
}

test('whichever frames are told to wait, and however often, the same packets come out in their order', (t) => {
  fc.assert(
    fc.property(
      framings,
      fc.array(packet, { minLength: 1, maxLength: 8 }),
      fc.record({ lengths: chunkLengths, waits, stops }),
      (framing, list, pattern) => {
        const { packets, asked, cutter } = cutWaiting(encodeFrames(framing, list), pattern);
        const admitted = list.filter((bytes) => bytes[0] === 1);
        t.deepEqual(
          packets,
          admitted.map((bytes) => Buffer.from(bytes).toString('base64')),
        );
        const header = (bytes: Uint8Array) => `${bytes.length} ${Buffer.from(bytes.subarray(0, 12)).toString('hex')}`;
        t.deepEqual(
          asked,
          list.flatMap((bytes, n) => Array<string>(1 + pattern.waits[n % pattern.waits.length]!).fill(header(bytes))),
        );
        t.false(cutter.broken || cutter.midFrame || cutter.hasMore || cutter.isStopped);
      },
    ),
    PARAMETERS,
  );
});

for (const pieces of [1, 2]) {
  test(`a frame that waits is asked for again without a further byte, in ${pieces === 1 ? 'one read' : 'pieces'}`, (t) => {
    const verdicts: (boolean | 'wait')[] = ['wait', 'wait', true];
    const packets: number[] = [];
    const cutter = new FrameCutter({
      admit: () => verdicts.shift()!,
      packet: (bytes) => packets.push(bytes.length),
    });
    const frame = encodeFrames('be16', [new Uint8Array(40).fill(1)]);
    if (pieces === 2) cutter.push(frame.slice(0, 5));
    cutter.push(frame.slice(pieces === 2 ? 5 : 0));
    t.deepEqual([cutter.isStopped, cutter.midFrame, cutter.hasMore, packets.length], [true, true, true, 0]);
    t.true(cutter.resume());
    t.deepEqual([cutter.isStopped, packets.length], [true, 0]);
    t.true(cutter.resume());
    t.deepEqual([cutter.isStopped, cutter.hasMore, packets], [false, false, [40]]);
  });
}

test('admission sees the 12 header bytes of the frame it is asked for, also when they come one by one', (t) => {
  fc.assert(
    fc.property(framings, fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { maxLength: 6 }), (framing, indices) => {
      const list = indices.map((index) => {
        const bytes = new Uint8Array(40);
        new DataView(bytes.buffer).setUint32(0, index, true);
        bytes[11] = 0xaa;
        return bytes;
      });
      const seen: number[] = [];
      const cutter = new FrameCutter({
        admit: (bytes, offset) => {
          t.is(bytes[offset + 11], 0xaa);
          seen.push(receiverIndex(bytes.subarray(offset)));
          return false;
        },
        packet: () => t.fail('nothing was admitted'),
      });
      for (const byte of encodeFrames(framing, list)) cutter.push(Uint8Array.of(byte));
      t.deepEqual(seen, indices);
    }),
    PARAMETERS,
  );
});

test('a stream of any bytes brings no exception, and once it is broken nothing more', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), (chunks) => {
      let brokenAt: number | undefined;
      let packets = 0;
      const cutter = new FrameCutter({ admit: () => true, packet: () => packets++ });
      for (const chunk of chunks) {
        const whole = cutter.push(chunk);
        t.is(whole, !cutter.broken);
        if (cutter.broken) brokenAt ??= packets;
      }
      if (brokenAt !== undefined) t.is(packets, brokenAt);
    }),
    PARAMETERS,
  );
});
