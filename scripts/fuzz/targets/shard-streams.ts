/**
 * Records of Nym's connections between the main thread and a shard: any in, the same out; any bytes end in records or in an
 * assertion that names what is unknown, never in a loop.
 */
import fc from 'fast-check';
import {
  ADMIT,
  type InboundHandler,
  InboundWriter,
  type OutboundHandler,
  OutboundWriter,
  readInbound,
  readOutbound,
} from '../../../src/shard/messages.ts';
import { STREAM_END_REASONS } from '../../../src/shard/stream-end.ts';
import { outboundStreams, writeStreamAnswer, writeStreamClosed } from '../../../src/shard/stream-messages.ts';
import { bytes, samples, u8 } from '../arbitraries.ts';
import { anyBatch, body, type Log, logged, u32 } from '../shard-batches.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, sameValue } from '../target.ts';

function records(input: Uint8Array): void {
  const tape = new Tape(input);
  const [inbound, outbound] = [new InboundWriter(tape.below(2_048)), new OutboundWriter(tape.below(2_048))];
  const streams = outboundStreams(outbound);
  const [into, out]: [Log, Log] = [[], []];
  while (!tape.ended) {
    const [connection, bytesOf] = [u32(tape), body(tape)];
    const kind = tape.below(256);
    switch (tape.below(7)) {
      case 0: {
        const envelope = { connection, source: u32(tape), flags: ADMIT.stream | tape.below(16) };
        inbound.packet({ ...envelope, retryAfterSeconds: 0 }, bytesOf);
        into.push(['message', envelope, bytesOf]);
        break;
      }
      case 1:
        writeStreamClosed(inbound, connection);
        into.push(['closed', connection]);
        break;
      case 2:
        writeStreamAnswer(inbound, connection, kind, bytesOf);
        into.push(['answer', connection, kind, bytesOf]);
        break;
      case 3:
        streams.send(connection, bytesOf);
        out.push(['send', connection, bytesOf]);
        break;
      case 4: {
        const reason = tape.pick(STREAM_END_REASONS);
        streams.ended(connection, reason);
        out.push(['ended', connection, reason]);
        break;
      }
      case 5: {
        const index = u32(tape);
        streams.established(connection, index);
        out.push(['established', connection, index]);
        break;
      }
      default:
        streams.request(connection, kind, bytesOf);
        out.push(['request', connection, kind, bytesOf]);
    }
  }
  const [readIn, readOut]: [Log, Log] = [[], []];
  readInbound(inbound.seal({ monotonicMs: 1, unixMs: 2 }), logged<InboundHandler>(readIn));
  readOutbound(outbound.seal(), logged<OutboundHandler>(readOut));
  sameValue(readIn, into, 'inbound records');
  sameValue(readOut, out, 'outbound records');
}

const programs = bytes(0, 300);
const batches = fc
  .tuple(u8, fc.integer({ min: 31, max: 36 }), bytes(8, 80))
  .map(([length, kind, rest]) => Uint8Array.from([length, 0, 0, 0, kind, ...rest]));
const inboundBatches = fc
  .tuple(bytes(24), fc.integer({ min: 31, max: 36 }), bytes(8, 80))
  .map(([head, kind, rest]) => Uint8Array.from([...head, kind, ...rest]));

export const targets: readonly FuzzTarget[] = [
  { name: 'shard-streams-records', run: records, fresh: programs, seeds: () => samples(programs) },
  {
    name: 'shard-streams-bytes',
    run: anyBatch,
    fresh: fc.oneof(batches, inboundBatches),
    seeds: () => [...samples(batches), ...samples(inboundBatches)],
  },
];
