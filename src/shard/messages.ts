/**
 * What crosses the seam between the main thread and a shard: one batch of records each way, each batch one byte string
 * (design: one transferred `Uint8Array`). Times stand at the head of an inbound batch, so a shard is a function of its
 * mailbox. All integers are little-endian; both sides are this program, so a malformed batch is an assertion.
 */
import type { Now } from '../lp/time.ts';
import { readBe16, readLe16, readLe32, writeBe16, writeLe16, writeLe32 } from '../lp/wire/bytes.ts';
import { BatchWriter } from './batch-writer.ts';
import {
  INBOUND_STREAM,
  type InboundStreams,
  type OutboundStreams,
  readInboundStream,
  readOutboundStream,
} from './stream-messages.ts';

/** Head of a batch: LE32 length in use (the buffer may be larger), 4 unused, then for inbound two float64 times. */
const OUTBOUND_HEAD = 8;
const INBOUND_HEAD = 24;

const INBOUND = { packet: 1, tick: 2, answer: 3, kemKey: 4, reserve: 5, unreserve: 6 } as const;
const OUTBOUND = {
  reply: 1,
  valid: 2,
  request: 3,
  indexTaken: 4,
  indexFree: 5,
  release: 6,
  familyEnded: 7,
  stats: 8,
  noAnswer: 9,
} as const;

/**
 * Flags of an inbound packet: what admission reserved for it; `late`: to be given back, for nobody waits for it any more;
 * `stream`: it is a message of a Nym connection (stream-messages.ts).
 */
export const ADMIT = { token: 1, session: 2, record: 4, late: 8, stream: 16 } as const;
/** What a release gives back to admission. */
export const RELEASE = { token: 1, session: 2, record: 3 } as const;
export type ReleaseKind = (typeof RELEASE)[keyof typeof RELEASE];

export const ANSWER = { registration: 0, forward: 1, failure: 2, index: 3 } as const;
export const REQUEST = { registration: 0, forward: 1, index: 2, forwardAlone: 3 } as const;

export interface PacketEnvelope {
  readonly connection: number;
  readonly source: number;
  readonly flags: number;
  readonly retryAfterSeconds: number;
}

const PACKET_HEAD = 14;
const ANSWER_HEAD = 10;
const KEM_KEY_HEAD = 5;

/** The main thread's side of an inbound batch. */
export class InboundWriter extends BatchWriter {
  /** How many of the records are packets. */
  packets = 0;

  constructor(capacity = 0) {
    super(INBOUND_HEAD, capacity);
  }

  packet(envelope: PacketEnvelope, packet: Uint8Array): void {
    this.packets++;
    if ((envelope.flags & ADMIT.stream) !== 0) {
      this.stream(INBOUND_STREAM.message, envelope.flags, envelope.connection, envelope.source, packet);
      return;
    }
    const at = this.begin(PACKET_HEAD + packet.length);
    const { bytes } = this;
    bytes[at] = INBOUND.packet;
    bytes[at + 1] = envelope.flags;
    writeLe16(bytes, at + 2, packet.length);
    writeLe32(bytes, at + 4, envelope.connection);
    writeLe32(bytes, at + 8, envelope.source);
    writeLe16(bytes, at + 12, Math.min(0xffff, Math.ceil(envelope.retryAfterSeconds)));
    bytes.set(packet, at + PACKET_HEAD);
  }

  tick(): void {
    const at = this.begin(1);
    this.bytes[at] = INBOUND.tick;
  }

  /** `body` as the kind says: the frame body of a RegistrationResponse, ForwardResponse or Failure; one byte for an index. */
  answer(key: number, kind: number, body: Uint8Array): void {
    const at = this.begin(ANSWER_HEAD + body.length);
    this.bytes[at] = INBOUND.answer;
    this.bytes[at + 1] = kind;
    writeLe32(this.bytes, at + 2, key);
    writeLe32(this.bytes, at + 6, body.length);
    this.bytes.set(body, at + ANSWER_HEAD);
  }

  /** `material` is a packed KEM key; it holds a secret, so the receiver wipes it. */
  kemKey(material: Uint8Array): void {
    const at = this.begin(KEM_KEY_HEAD + material.length);
    this.secret = true;
    this.bytes[at] = INBOUND.kemKey;
    writeLe32(this.bytes, at + 1, material.length);
    this.bytes.set(material, at + KEM_KEY_HEAD);
  }

  reserve(index: number): void {
    this.word(INBOUND.reserve, index);
  }

  unreserve(index: number): void {
    this.word(INBOUND.unreserve, index);
  }

  override reset(): void {
    super.reset();
    this.packets = 0;
  }

  seal(now: Now): Uint8Array<ArrayBuffer> {
    const view = new DataView(this.bytes.buffer);
    // Whole milliseconds: as small integers they cost a session no heap number.
    view.setFloat64(8, Math.floor(now.monotonicMs), true);
    view.setFloat64(16, now.unixMs, true);
    return this.finish();
  }
}

export interface InboundHandler {
  packet(envelope: PacketEnvelope, packet: Uint8Array): void;
  tick(): void;
  answer(key: number, kind: number, body: Uint8Array): void;
  kemKey(material: Uint8Array): void;
  /** An index of this shard's slots is a session's of another shard: it is not to be assigned here. */
  reserve(index: number): void;
  unreserve(index: number): void;
  /** Where Nym is spoken. */
  readonly streams?: InboundStreams | undefined;
}

export function inboundTime(batch: Uint8Array): Now {
  const view = new DataView(batch.buffer, batch.byteOffset);
  return { monotonicMs: view.getFloat64(8, true), unixMs: view.getFloat64(16, true) };
}

export function readInbound(batch: Uint8Array, handler: InboundHandler): void {
  const end = readLe32(batch, 0);
  let at = INBOUND_HEAD;
  while (at < end) at = readInboundRecord(batch, at, handler);
}

function readInboundRecord(batch: Uint8Array, at: number, handler: InboundHandler): number {
  switch (batch[at]) {
    case INBOUND.packet: {
      const end = at + PACKET_HEAD + readLe16(batch, at + 2);
      const envelope = {
        flags: batch[at + 1] ?? 0,
        connection: readLe32(batch, at + 4),
        source: readLe32(batch, at + 8),
        retryAfterSeconds: readLe16(batch, at + 12),
      };
      handler.packet(envelope, batch.subarray(at + PACKET_HEAD, end));
      return end;
    }
    case INBOUND.tick:
      handler.tick();
      return at + 1;
    case INBOUND.answer: {
      const end = at + ANSWER_HEAD + readLe32(batch, at + 6);
      handler.answer(readLe32(batch, at + 2), batch[at + 1] ?? 0, batch.subarray(at + ANSWER_HEAD, end));
      return end;
    }
    case INBOUND.kemKey: {
      const end = at + KEM_KEY_HEAD + readLe32(batch, at + 1);
      handler.kemKey(batch.subarray(at + KEM_KEY_HEAD, end));
      return end;
    }
    case INBOUND.reserve:
      handler.reserve(readLe32(batch, at + 1));
      return at + 5;
    case INBOUND.unreserve:
      handler.unreserve(readLe32(batch, at + 1));
      return at + 5;
    default:
      return readInboundStream(batch, at, handler.streams);
  }
}

const FRAME_AT = 6;
const REPLY_HEAD = 8;
const REQUEST_HEAD = 18;
/** The shard's side of an outbound batch. */
export class OutboundWriter extends BatchWriter {
  constructor(capacity = 0) {
    super(OUTBOUND_HEAD, capacity);
  }

  reply(connection: number, valid: boolean, packet: Uint8Array): void {
    const at = this.begin(REPLY_HEAD + packet.length);
    const { bytes } = this;
    bytes[at] = OUTBOUND.reply;
    bytes[at + 1] = valid ? 1 : 0;
    writeLe32(bytes, at + 2, connection);
    // The length stands as a BE16 frame has it, so that frame can be written out of the batch as it lies there.
    writeBe16(bytes, at + 6, packet.length);
    bytes.set(packet, at + REPLY_HEAD);
  }

  /** A valid packet came on the connection and brought no reply. */
  valid(connection: number): void {
    this.word(OUTBOUND.valid, connection);
  }

  /** The packet that came on the connection gets no answer, see `Effects.noAnswer`. */
  noAnswer(connection: number, failed: boolean): void {
    const at = this.begin(6);
    this.bytes[at] = OUTBOUND.noAnswer;
    writeLe32(this.bytes, at + 1, connection);
    this.bytes[at + 5] = failed ? 1 : 0;
  }

  request(key: number, family: number, source: number, kind: number, body: Uint8Array): void {
    const at = this.begin(REQUEST_HEAD + body.length);
    const { bytes } = this;
    bytes[at] = OUTBOUND.request;
    bytes[at + 1] = kind;
    writeLe32(bytes, at + 2, key);
    writeLe32(bytes, at + 6, family);
    writeLe32(bytes, at + 10, source);
    writeLe32(bytes, at + 14, body.length);
    bytes.set(body, at + REQUEST_HEAD);
  }

  /** `live`: the index is a session's from now on; otherwise a handshake's. */
  indexTaken(index: number, live: boolean): void {
    const at = this.begin(6);
    this.bytes[at] = OUTBOUND.indexTaken;
    writeLe32(this.bytes, at + 1, index);
    this.bytes[at + 5] = live ? 1 : 0;
  }

  indexFree(index: number): void {
    this.word(OUTBOUND.indexFree, index);
  }

  release(kind: ReleaseKind, source: number): void {
    const at = this.begin(6);
    this.bytes[at] = OUTBOUND.release;
    this.bytes[at + 1] = kind;
    writeLe32(this.bytes, at + 2, source);
  }

  familyEnded(family: number): void {
    this.word(OUTBOUND.familyEnded, family);
  }

  stats(values: Float64Array): void {
    const at = this.begin(5 + 8 * values.length);
    this.bytes[at] = OUTBOUND.stats;
    writeLe32(this.bytes, at + 1, values.length);
    this.bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at + 5);
  }

  /** The batch lies in the writer's memory, until it is reset. */
  seal(): Uint8Array<ArrayBuffer> {
    return this.finish();
  }
}

export interface OutboundHandler {
  /** `frame` is the packet with its BE16 length before it. */
  reply(connection: number, valid: boolean, frame: Uint8Array): void;
  valid(connection: number): void;
  noAnswer(connection: number, failed: boolean): void;
  request(key: number, family: number, source: number, kind: number, body: Uint8Array): void;
  indexTaken(index: number, live: boolean): void;
  indexFree(index: number): void;
  release(kind: ReleaseKind, source: number): void;
  familyEnded(family: number): void;
  stats(values: Float64Array): void;
  /** Where Nym is spoken. */
  readonly streams?: OutboundStreams | undefined;
}

export function readOutbound(batch: Uint8Array, handler: OutboundHandler): void {
  const end = readLe32(batch, 0);
  let at = OUTBOUND_HEAD;
  while (at < end) at = readOutboundRecord(batch, at, handler);
}

function readOutboundRecord(batch: Uint8Array, at: number, handler: OutboundHandler): number {
  const word = readLe32(batch, at + 1);
  switch (batch[at]) {
    case OUTBOUND.reply: {
      const end = at + REPLY_HEAD + readBe16(batch, at + 6);
      handler.reply(readLe32(batch, at + 2), batch[at + 1] === 1, batch.subarray(at + FRAME_AT, end));
      return end;
    }
    case OUTBOUND.valid:
      handler.valid(word);
      return at + 5;
    case OUTBOUND.request: {
      const end = at + REQUEST_HEAD + readLe32(batch, at + 14);
      const body = batch.subarray(at + REQUEST_HEAD, end);
      handler.request(
        readLe32(batch, at + 2),
        readLe32(batch, at + 6),
        readLe32(batch, at + 10),
        batch[at + 1] ?? 0,
        body,
      );
      return end;
    }
    case OUTBOUND.noAnswer:
      handler.noAnswer(word, batch[at + 5] === 1);
      return at + 6;
    case OUTBOUND.indexTaken:
      handler.indexTaken(word, batch[at + 5] === 1);
      return at + 6;
    case OUTBOUND.indexFree:
      handler.indexFree(word);
      return at + 5;
    case OUTBOUND.release:
      handler.release((batch[at + 1] ?? 0) as ReleaseKind, readLe32(batch, at + 2));
      return at + 6;
    case OUTBOUND.familyEnded:
      handler.familyEnded(word);
      return at + 5;
    case OUTBOUND.stats: {
      const end = at + 5 + 8 * word;
      handler.stats(new Float64Array(batch.slice(at + 5, end).buffer));
      return end;
    }
    default:
      return readOutboundStream(batch, at, handler.streams);
  }
}
