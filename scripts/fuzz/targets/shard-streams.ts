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
import { Tape } from '../tape.ts';
import { type FuzzTarget, sameValue } from '../target.ts';

type Log = unknown[][];

/** A handler, and its handler of streams, that write down what they are called with. */
function logged<Handler extends object>(log: Log): Handler {
  const recorder = (inner: Record<string, unknown>): object =>
    new Proxy(inner, {
      get: (target, method) =>
        target[String(method)] ??
        ((...values: unknown[]) => {
          log.push([method, ...values.map((value) => (value instanceof Uint8Array ? value.slice() : value))]);
        }),
    });
  return recorder({ streams: recorder({}) }) as Handler;
}

const u32 = (tape: Tape) => tape.below(0x1_0000) * tape.pick([1, 0x1_0000]) + tape.below(0x100);
const body = (tape: Tape) => tape.take(tape.pick([0, 1, tape.below(64), tape.below(0x400)]));

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

/** Both sides are this program, so bytes of another are an assertion: it has to come, and soon. */
function anyBytes(input: Uint8Array): void {
  const batch = Uint8Array.from(input);
  for (const read of [() => readInbound(batch, logged([])), () => readOutbound(batch, logged([]))]) {
    try {
      read();
    } catch (error) {
      const named = /^unknown (?:(?:in|out)bound record|reason) /;
      if (!(error instanceof RangeError || (error instanceof Error && named.test(error.message)))) throw error;
    }
  }
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
    run: anyBytes,
    fresh: fc.oneof(batches, inboundBatches),
    seeds: () => [...samples(batches), ...samples(inboundBatches)],
  },
];
