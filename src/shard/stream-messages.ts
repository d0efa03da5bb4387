/**
 * Records of Nym's connections in the batches between the main thread and a shard: a connection stays with one shard, and
 * its id names all there is of it on both sides. They have one layout (kind, flag, connection, word, length, body) and
 * kinds of their own beside those of messages.ts. A malformed batch is an assertion.
 */
import { readLe32 } from '../lp/wire/bytes.ts';
import { type BatchWriter, STREAM_HEAD } from './batch-writer.ts';
import { STREAM_END_CODE, STREAM_END_REASONS, type StreamEndReason } from './stream-end.ts';

export const INBOUND_STREAM = { message: 32, closed: 33, answer: 34 } as const;
const OUTBOUND_STREAM = { send: 32, ended: 33, established: 34, request: 35 } as const;

/** What a session asks the main thread for, and what comes back. */
export const STREAM_REQUEST = { registration: 0, forward: 1 } as const;
export const STREAM_ANSWER = { registration: 0, unavailable: 1, forward: 2, forwardFailed: 3 } as const;

const NOTHING = new Uint8Array(0);

export interface StreamEnvelope {
  readonly connection: number;
  readonly source: number;
  /** Of ADMIT. */
  readonly flags: number;
}

export interface InboundStreams {
  /** A whole message; it may be overwritten. */
  message(envelope: StreamEnvelope, message: Uint8Array): void;
  /** The connection is gone, and with it what the shard has of it. */
  closed(connection: number): void;
  /**
   * What the session asked for. The body: of a registration the frame body of its answer, of a forward the exit's bytes;
   * otherwise empty.
   */
  answer(connection: number, kind: number, body: Uint8Array): void;
}

export interface OutboundStreams {
  /** To the connection, as the bytes are. */
  send(connection: number, bytes: Uint8Array): void;
  /** Nothing is left of the connection here: it is to be closed without a word. */
  ended(connection: number, reason: StreamEndReason): void;
  /** Comes before message 2, which leaves only if no other session has the index. */
  established(connection: number, index: number): void;
  /** One of a connection waits for its answer at most. The body: a registrar's request, or a forward as nym.md §9.1 has it. */
  request(connection: number, kind: number, body: Uint8Array): void;
}

export function writeStreamClosed(writer: BatchWriter, connection: number): void {
  writer.stream(INBOUND_STREAM.closed, 0, connection, 0, NOTHING);
}

export function writeStreamAnswer(writer: BatchWriter, connection: number, kind: number, body: Uint8Array): void {
  writer.stream(INBOUND_STREAM.answer, kind, connection, 0, body);
}

/** The shard's side, as the other side's handler has it. */
export function outboundStreams(writer: BatchWriter): OutboundStreams {
  return {
    send: (connection, bytes) => writer.stream(OUTBOUND_STREAM.send, 0, connection, 0, bytes),
    ended: (connection, reason) =>
      writer.stream(OUTBOUND_STREAM.ended, STREAM_END_CODE[reason], connection, 0, NOTHING),
    established: (connection, index) => writer.stream(OUTBOUND_STREAM.established, 0, connection, index, NOTHING),
    request: (connection, kind, body) => writer.stream(OUTBOUND_STREAM.request, kind, connection, 0, body),
  };
}

export function readInboundStream(batch: Uint8Array, at: number, handler: InboundStreams | undefined): number {
  const record = recordAt(batch, at);
  const { kind, flag, connection, word, body } = record;
  if (handler === undefined) throw new Error(`unknown inbound record ${kind}`);
  switch (kind) {
    case INBOUND_STREAM.message:
      handler.message({ connection, source: word, flags: flag }, body);
      break;
    case INBOUND_STREAM.closed:
      handler.closed(connection);
      break;
    case INBOUND_STREAM.answer:
      handler.answer(connection, flag, body);
      break;
    default:
      throw new Error(`unknown inbound record ${kind}`);
  }
  return record.end;
}

export function readOutboundStream(batch: Uint8Array, at: number, handler: OutboundStreams | undefined): number {
  const record = recordAt(batch, at);
  const { kind, flag, connection, word, body } = record;
  if (handler === undefined) throw new Error(`unknown outbound record ${kind}`);
  switch (kind) {
    case OUTBOUND_STREAM.send:
      handler.send(connection, body);
      break;
    case OUTBOUND_STREAM.ended: {
      const reason = STREAM_END_REASONS[flag];
      if (reason === undefined) throw new Error(`unknown reason ${flag}`);
      handler.ended(connection, reason);
      break;
    }
    case OUTBOUND_STREAM.established:
      handler.established(connection, word);
      break;
    case OUTBOUND_STREAM.request:
      handler.request(connection, flag, body);
      break;
    default:
      throw new Error(`unknown outbound record ${kind}`);
  }
  return record.end;
}

function recordAt(batch: Uint8Array, at: number) {
  const start = at + STREAM_HEAD;
  const end = start + readLe32(batch, at + 10);
  return {
    kind: batch[at] ?? 0,
    flag: batch[at + 1] ?? 0,
    connection: readLe32(batch, at + 2),
    word: readLe32(batch, at + 6),
    body: batch.subarray(start, end),
    end,
  };
}
