/** What the proxy of the chaos runner does to a direction of a connection, without sockets. */
import { fc, testProp } from '@fast-check/ava';
import test from 'ava';
import { framesIn, harms, Mangler, type Piece, type Policy } from '../../scripts/chaos/mangle.ts';
import { Prng } from '../support/prng.ts';

const HARMLESS: readonly Policy[] = [
  { kind: 'calm' },
  { kind: 'delay', minMs: 0, maxMs: 30 },
  { kind: 'split', maxBytes: 7, gapMs: 1 },
  { kind: 'merge', everyMs: 20 },
];
const BY_FRAME: readonly Policy[] = [
  { kind: 'duplicate', frames: 0.5, echoBytes: 0 },
  { kind: 'reorder', holdMs: 25 },
];

/** Frames of different lengths, each with bytes of its own. */
function streamOf(prng: Prng, count: number): { frames: Uint8Array[]; stream: Buffer } {
  const frames = Array.from({ length: count }, (_, n) => {
    const length = 34 + prng.below(300);
    return Buffer.concat([Buffer.of(length >> 8, length & 0xff, n >> 8, n & 0xff), prng.bytes(length - 2)]);
  });
  return { frames, stream: Buffer.concat(frames) };
}

/** In the order in which the proxy writes. */
function written(pieces: readonly Piece[]): Buffer {
  const inTime = pieces.map((piece, n) => ({ piece, n }));
  inTime.sort((a, b) => a.piece.dueMs - b.piece.dueMs || a.n - b.n);
  return Buffer.concat(inTime.flatMap(({ piece }) => (piece.kind === 'bytes' ? [piece.bytes] : [])));
}

/** Pushes the stream in reads of random lengths, each under one of the policies. */
function mangled(prng: Prng, stream: Uint8Array, policies: readonly Policy[]): Piece[] {
  const mangler = new Mangler(prng);
  const pieces: Piece[] = [];
  let nowMs = 0;
  for (let at = 0; at < stream.length; nowMs += prng.below(10)) {
    const end = at + 1 + prng.below(500);
    pieces.push(...mangler.push(stream.subarray(at, end), prng.pick(policies), nowMs));
    at = end;
  }
  return [...pieces, ...mangler.finish(nowMs)];
}

function distinct(frames: readonly Uint8Array[]): string[] {
  return [...new Set(frames.map((frame) => Buffer.from(frame).toString('hex')))].sort();
}

const seeds = [fc.nat()] as const;

testProp('delaying, splitting and merging keep the stream, whichever follows which', [...seeds], (t, seed) => {
  const prng = new Prng(seed);
  const { stream } = streamOf(prng, 20);
  const pieces = mangled(prng, stream, HARMLESS);
  t.deepEqual(written(pieces), stream);
  t.deepEqual([pieces.at(-1)?.kind, pieces.at(-1)!.dueMs >= Math.max(...pieces.map((p) => p.dueMs))], ['end', true]);
});

testProp('under any change of policies whole frames come out, none is lost and none is torn', [...seeds], (t, seed) => {
  const prng = new Prng(seed);
  const { frames, stream } = streamOf(prng, 30);
  const out = written(mangled(prng, stream, [...HARMLESS, ...BY_FRAME]));
  t.is(Buffer.concat(framesIn(out)).length, out.length);
  t.deepEqual(distinct(framesIn(out)), distinct(frames));
});

test('duplicating sends a frame twice and keeps the order', (t) => {
  const prng = new Prng(3);
  const { frames, stream } = streamOf(prng, 5);
  const pieces = mangled(prng, stream, [{ kind: 'duplicate', frames: 1, echoBytes: 0 }]);
  t.deepEqual(written(pieces), Buffer.concat(frames.flatMap((frame) => [frame, frame])));
});

test('reordering lets later frames overtake earlier ones', (t) => {
  const prng = new Prng(4);
  const { frames, stream } = streamOf(prng, 40);
  const pieces = new Mangler(prng).push(stream, { kind: 'reorder', holdMs: 20 }, 0);
  const order = framesIn(written(pieces)).map((frame) => frame[2]! * 256 + frame[3]!);
  t.notDeepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
  t.is(new Set(order).size, frames.length);
});

test('bytes that come twice break the framing', (t) => {
  const prng = new Prng(5);
  const { stream } = streamOf(prng, 1);
  const out = written(mangled(prng, stream, [{ kind: 'duplicate', frames: 0, echoBytes: 1 }]));
  t.true(out.length > stream.length && out.length <= stream.length + 64);
});

test('a stream of unknown framing is harmed by reads that come twice or change places, and by nothing else', (t) => {
  const reads = Array.from({ length: 12 }, (_, n) => new Uint8Array(40).fill(n));
  const out = (policy: Policy) => {
    const mangler = new Mangler(new Prng(8), 'stream');
    return written(reads.flatMap((read) => mangler.push(read, policy, 0)));
  };
  t.deepEqual(
    out({ kind: 'duplicate', frames: 1, echoBytes: 0 }),
    Buffer.concat(reads.flatMap((read) => [read, read])),
  );
  const moved = out({ kind: 'reorder', holdMs: 30 });
  t.notDeepEqual(moved, Buffer.concat(reads));
  t.deepEqual([...moved].sort(), [...Buffer.concat(reads)].sort());
  for (const policy of HARMLESS) t.deepEqual(out(policy), Buffer.concat(reads));
  t.deepEqual(
    [...HARMLESS, ...BY_FRAME].filter((policy) => harms(policy, 'stream')),
    BY_FRAME,
  );
  t.false([...HARMLESS, ...BY_FRAME].some((policy) => harms(policy, 'frames')));
});

for (const kind of ['cut', 'halfClose'] as const) {
  test(`after a ${kind} nothing more comes out`, (t) => {
    const mangler = new Mangler(new Prng(6));
    const pieces = mangler.push(new Uint8Array(100), { kind, chance: 1 }, 5);
    t.is(pieces.at(-1)?.kind, kind === 'cut' ? 'cut' : 'end');
    t.true(written(pieces).length < 100);
    t.deepEqual([mangler.push(new Uint8Array(10), { kind: 'calm' }, 6), mangler.finish(7)], [[], []]);
  });
}

test('splitting gives each piece a write and a time of its own', (t) => {
  const pieces = new Mangler(new Prng(7)).push(new Uint8Array(50), { kind: 'split', maxBytes: 5, gapMs: 2 }, 10);
  t.true(pieces.length >= 10 && pieces.every((piece) => piece.kind === 'bytes' && piece.alone));
  t.deepEqual(
    pieces.map(({ dueMs }) => dueMs),
    pieces.map((_, n) => 10 + 2 * n),
  );
});
