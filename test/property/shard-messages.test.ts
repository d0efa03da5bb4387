/** The batches between the main thread and a shard: any records in, the same records out. */
import test from 'ava';
import fc from 'fast-check';
import {
  ADMIT,
  InboundWriter,
  inboundTime,
  OutboundWriter,
  readInbound,
  readOutbound,
} from '../../src/shard/messages.ts';
import { STREAM_END_REASONS, type StreamEndReason } from '../../src/shard/stream-end.ts';
import { outboundStreams, writeStreamAnswer, writeStreamClosed } from '../../src/shard/stream-messages.ts';
import { runs, SEED } from '../support/property.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(300, 10_000) };
const bytes = fc.uint8Array({ maxLength: 3_000, size: 'medium' });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u8 = fc.integer({ min: 0, max: 255 });
const time = fc.double({ min: 0, max: 2 ** 50, noNaN: true });

type Record = readonly unknown[];
const hexOf = (value: Uint8Array) => Buffer.from(value).toString('hex');

const inbound = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('packet'), u32, u32, fc.integer({ min: 0, max: ADMIT.stream - 1 }), u16, bytes),
    fc.tuple(
      fc.constant('stream message'),
      u32,
      u32,
      fc.integer({ min: ADMIT.stream, max: 2 * ADMIT.stream - 1 }),
      bytes,
    ),
    fc.tuple(fc.constant('stream closed'), u32),
    fc.tuple(fc.constant('stream answer'), u32, u8, bytes),
    fc.tuple(fc.constant('tick')),
    fc.tuple(fc.constant('answer'), u32, u8, bytes),
    fc.tuple(fc.constant('kemKey'), bytes),
    fc.tuple(fc.constantFrom('reserve', 'unreserve'), u32),
  ),
  { maxLength: 30 },
);

function writeInbound(record: Record, out: InboundWriter): void {
  const [kind, a, b, c, d, e] = record as [string, number, number, number, number, Uint8Array];
  if (kind === 'packet') out.packet({ connection: a, source: b, flags: c, retryAfterSeconds: d }, e);
  else if (kind === 'stream message')
    out.packet({ connection: a, source: b, flags: c, retryAfterSeconds: 0 }, record[4] as Uint8Array);
  else if (kind === 'stream closed') writeStreamClosed(out, a);
  else if (kind === 'stream answer') writeStreamAnswer(out, a, b, record[3] as Uint8Array);
  else if (kind === 'tick') out.tick();
  else if (kind === 'answer') out.answer(a, b, record[3] as Uint8Array);
  else if (kind === 'kemKey') out.kemKey(record[1] as Uint8Array);
  else out[kind as 'reserve' | 'unreserve'](a);
}

const flat = (records: readonly Record[]) =>
  records.map((record) => record.map((value) => (value instanceof Uint8Array ? hexOf(value) : value)));

test('an inbound batch brings its records and times to the shard as they were written', (t) => {
  fc.assert(
    fc.property(inbound, time, time, fc.nat(4_096), (records, monotonicMs, unixMs, capacity) => {
      const out = new InboundWriter(capacity);
      t.true(out.empty);
      for (const record of records) writeInbound(record, out);
      t.is(out.records, records.length);
      t.is(out.empty, records.length === 0);
      const batch = out.seal({ monotonicMs, unixMs });
      t.deepEqual(inboundTime(batch), { monotonicMs: Math.floor(monotonicMs), unixMs }, 'whole monotonic milliseconds');
      const read: Record[] = [];
      readInbound(batch, {
        packet: (e, packet) =>
          read.push(['packet', e.connection, e.source, e.flags, e.retryAfterSeconds, packet.slice()]),
        tick: () => read.push(['tick']),
        answer: (key, kind, body) => read.push(['answer', key, kind, body.slice()]),
        kemKey: (material) => read.push(['kemKey', material.slice()]),
        reserve: (index) => read.push(['reserve', index]),
        unreserve: (index) => read.push(['unreserve', index]),
        streams: {
          message: (e, message) => read.push(['stream message', e.connection, e.source, e.flags, message.slice()]),
          closed: (connection) => read.push(['stream closed', connection]),
          answer: (connection, answerKind, body) => read.push(['stream answer', connection, answerKind, body.slice()]),
        },
      });
      t.deepEqual(flat(read), flat(records));
    }),
    PARAMETERS,
  );
});

const WORDS = ['valid', 'indexFree', 'familyEnded'] as const;
const FLAGGED_WORDS = ['noAnswer', 'indexTaken'] as const;
const outbound = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('reply'), u32, fc.boolean(), bytes),
    fc.tuple(fc.constantFrom(...WORDS), u32),
    fc.tuple(fc.constantFrom(...FLAGGED_WORDS), u32, fc.boolean()),
    fc.tuple(fc.constant('request'), u32, u32, u32, u8, bytes),
    fc.tuple(fc.constant('release'), fc.constantFrom(1, 2, 3), u32),
    fc.tuple(fc.constant('stream send'), u32, bytes),
    fc.tuple(fc.constant('stream ended'), u32, fc.constantFrom(...STREAM_END_REASONS)),
    fc.tuple(fc.constant('stream established'), u32, u32),
    fc.tuple(fc.constant('stream request'), u32, u8, bytes),
    fc.tuple(fc.constant('stats'), fc.array(fc.double({ noNaN: true }), { maxLength: 20 })),
  ),
  { maxLength: 30 },
);

function writeOutbound(record: Record, out: OutboundWriter): void {
  const [kind, a, b, c, d, e] = record as [string, number, number, number, number, Uint8Array];
  const streams = outboundStreams(out);
  if (kind === 'stream send') streams.send(a, record[2] as Uint8Array);
  else if (kind === 'stream ended') streams.ended(a, record[2] as StreamEndReason);
  else if (kind === 'stream established') streams.established(a, b);
  else if (kind === 'stream request') streams.request(a, b, record[3] as Uint8Array);
  else if (kind === 'reply') out.reply(a, record[2] as boolean, record[3] as Uint8Array);
  else if (kind === 'request') out.request(a, b, c, d, e);
  else if (kind === 'release') out.release(a as 1 | 2 | 3, b);
  else if (kind === 'stats') out.stats(Float64Array.from(record[1] as number[]));
  else if (kind === 'noAnswer' || kind === 'indexTaken') out[kind](a, record[2] as boolean);
  else out[kind as (typeof WORDS)[number]](a);
}

test('an outbound batch brings its records to the main thread as they were written', (t) => {
  fc.assert(
    fc.property(outbound, fc.nat(4_096), (records, capacity) => {
      const out = new OutboundWriter(capacity);
      for (const record of records) writeOutbound(record, out);
      const read: Record[] = [];
      readOutbound(out.seal(), {
        reply: (connection, valid, frame) => {
          // A packet lies in the batch as the frame that leaves.
          t.is(new DataView(frame.buffer, frame.byteOffset).getUint16(0), frame.length - 2);
          read.push(['reply', connection, valid, frame.slice(2)]);
        },
        valid: (connection) => read.push(['valid', connection]),
        request: (key, family, source, kind, body) => read.push(['request', key, family, source, kind, body.slice()]),
        noAnswer: (connection, failed) => read.push(['noAnswer', connection, failed]),
        indexTaken: (index, live) => read.push(['indexTaken', index, live]),
        indexFree: (index) => read.push(['indexFree', index]),
        release: (kind, source) => read.push(['release', kind, source]),
        familyEnded: (family) => read.push(['familyEnded', family]),
        stats: (values) => read.push(['stats', [...values]]),
        streams: {
          send: (connection, sent) => read.push(['stream send', connection, sent.slice()]),
          ended: (connection, reason) => read.push(['stream ended', connection, reason]),
          established: (connection, index) => read.push(['stream established', connection, index]),
          request: (connection, kind, body) => read.push(['stream request', connection, kind, body.slice()]),
        },
      });
      t.deepEqual(flat(read), flat(records));
    }),
    PARAMETERS,
  );
});
