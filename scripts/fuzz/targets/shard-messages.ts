/**
 * The batches between the main thread and a shard: any records in, the same records out; and a batch of any bytes ends in
 * records or in the assertion that names an unknown one, never in a loop. Counters are read whatever their number.
 */
import fc from 'fast-check';
import {
  ADMIT,
  type InboundHandler,
  InboundWriter,
  inboundTime,
  type OutboundHandler,
  OutboundWriter,
  RELEASE,
  type ReleaseKind,
  readInbound,
  readOutbound,
} from '../../../src/shard/messages.ts';
import { readStats, ShardStats } from '../../../src/shard/stats.ts';
import { bytes, samples, u8 } from '../arbitraries.ts';
import { anyBatch, body, type Log, logged, u32 } from '../shard-batches.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle, sameValue } from '../target.ts';

function inbound(input: Uint8Array): void {
  const tape = new Tape(input);
  const out = new InboundWriter(tape.below(2_048));
  const expected: Log = [];
  const methods = logged<InboundHandler>(expected);
  let packets = 0;
  while (!tape.ended) {
    switch (tape.below(6)) {
      case 0: {
        const envelope = {
          // Messages of streams are records of another kind: shard-streams.ts.
          flags: tape.below(256) & ~ADMIT.stream,
          connection: u32(tape),
          source: u32(tape),
          retryAfterSeconds: tape.below(0x1_0000),
        };
        const packet = body(tape);
        out.packet(envelope, packet);
        methods.packet(envelope, packet);
        packets++;
        break;
      }
      case 1:
        out.tick();
        methods.tick();
        break;
      case 2: {
        const [key, kind, answer] = [u32(tape), tape.below(256), body(tape)];
        out.answer(key, kind, answer);
        methods.answer(key, kind, answer);
        break;
      }
      case 3: {
        const material = body(tape);
        out.kemKey(material);
        methods.kemKey(material);
        break;
      }
      default: {
        const index = u32(tape);
        const method = tape.chance(0.5) ? 'reserve' : 'unreserve';
        out[method](index);
        methods[method](index);
      }
    }
  }
  oracle(out.packets === packets && out.records === expected.length, 'records are counted');
  const now = { monotonicMs: u32(tape), unixMs: 1_764_583_200_000 };
  const batch = out.seal(now);
  sameValue(inboundTime(batch), now, 'time');
  const read: Log = [];
  readInbound(batch, logged<InboundHandler>(read));
  sameValue(read, expected, 'inbound records');
}

function outbound(input: Uint8Array): void {
  const tape = new Tape(input);
  const out = new OutboundWriter(tape.below(2_048));
  const expected: Log = [];
  const write = <M extends keyof OutboundWriter & keyof OutboundHandler>(
    method: M,
    ...values: Parameters<OutboundHandler[M]>
  ) => {
    (out[method] as (...args: unknown[]) => void)(...values);
    expected.push([method, ...values]);
  };
  while (!tape.ended) {
    switch (tape.below(9)) {
      case 0:
        write('reply', u32(tape), tape.chance(0.5), body(tape));
        break;
      case 1:
        write('request', u32(tape), u32(tape), u32(tape), tape.below(256), body(tape));
        break;
      case 2:
        write('noAnswer', u32(tape), tape.chance(0.5));
        break;
      case 3:
        write('indexTaken', u32(tape), tape.chance(0.5));
        break;
      case 4:
        write('release', tape.pick<ReleaseKind>(Object.values(RELEASE)), u32(tape));
        break;
      case 5:
        write(
          'stats',
          Float64Array.from(tape.take(tape.below(20)), (byte) => byte * 1.5),
        );
        break;
      default:
        write(tape.pick(['valid', 'indexFree', 'familyEnded'] as const), u32(tape));
    }
  }
  const read: Log = [];
  readOutbound(out.seal(), logged<OutboundHandler>(read));
  // A reply comes out as the frame that leaves.
  for (const record of read)
    if (record[0] === 'reply' && record[3] instanceof Uint8Array) record[3] = record[3].slice(2);
  sameValue(read, expected, 'outbound records');
}

function stats(input: Uint8Array): void {
  const values = new Float64Array(input.buffer, input.byteOffset, input.length >> 3);
  const { counters, drops, gauges } = readStats(values);
  const names = readStats(new ShardStats().values);
  sameValue(
    [counters, drops, gauges].map(Object.keys),
    [names.counters, names.drops, names.gauges].map(Object.keys),
    'names',
  );
  const known = Object.values({ ...counters, ...drops, ...gauges });
  oracle(
    known.every((value) => typeof value === 'number'),
    'every value is a number',
  );
}

const programs = bytes(0, 300);
const batches = fc.tuple(u8, bytes(8, 80)).map(([length, rest]) => Uint8Array.from([length, 0, 0, 0, ...rest]));

export const targets: readonly FuzzTarget[] = [
  { name: 'shard-inbound', run: inbound, fresh: programs, seeds: () => samples(programs) },
  { name: 'shard-outbound', run: outbound, fresh: programs, seeds: () => samples(programs) },
  { name: 'shard-batch-bytes', run: anyBatch, fresh: batches, seeds: () => samples(batches) },
  {
    name: 'shard-stats',
    run: stats,
    seeds: () => [new Uint8Array(0), new Uint8Array(8), new Uint8Array(800)],
    weight: 0.3,
  },
];
