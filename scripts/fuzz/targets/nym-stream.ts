/**
 * A connection's bytes (nym.md §2): whatever the pieces and stops, the cutter gives the messages that a plain reading of the
 * whole stream gives, and holds no more than twice what has come of one message. Input: whose bytes, the sizes of pieces,
 * the stream, whose handshake messages are counted out by repeating short ones.
 */
import fc from 'fast-check';
import { LENGTH_PREFIX, MAX_PACKET_LENGTH, OUTER_HEADER_LENGTH } from '../../../src/lp/nym/channel.ts';
import { NymStreamCutter, type StreamMessage } from '../../../src/lp/nym/stream-cutter.ts';
import { TlsReader, vector, vectorHeaderLength, vectorLengthAt } from '../../../src/lp/nym/tls-codec.ts';
import { readLe32 } from '../../../src/lp/wire/bytes.ts';
import { bytes, samples, u8, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, untouched } from '../target.ts';

const HANDSHAKE = { client: [91, 1_247], node: [1_207, 70] } as const;
const FIRST_BUFFER_BYTES = 512;

interface Cut {
  readonly messages: readonly (readonly [StreamMessage, Uint8Array])[];
  readonly broken: boolean;
  readonly midMessage: boolean;
}

/** So that both readings agree on it. */
const stops = (message: Uint8Array) => (message[0] ?? 0) % 8 === 3;

function plainReading(stream: Uint8Array, from: 'client' | 'node'): Cut {
  const messages: [StreamMessage, Uint8Array][] = [];
  const [kkt, psq] = HANDSHAKE[from];
  const first = stream.subarray(0, kkt);
  if (first.length < kkt) return { messages, broken: false, midMessage: first.length > 0 };
  messages.push(['kkt', first]);
  const second = stream.subarray(kkt, kkt + psq);
  if (second.length < psq) return { messages, broken: false, midMessage: second.length > 0 };
  messages.push(['psq', second]);
  let at = kkt + psq;
  while (stream.length - at >= LENGTH_PREFIX) {
    const length = readLe32(stream, at);
    if (length < OUTER_HEADER_LENGTH || length > MAX_PACKET_LENGTH)
      return { messages, broken: true, midMessage: false };
    if (stream.length - at - LENGTH_PREFIX < length) break;
    messages.push(['packet', stream.subarray(at + LENGTH_PREFIX, at + LENGTH_PREFIX + length)]);
    at += LENGTH_PREFIX + length;
  }
  return { messages, broken: false, midMessage: at < stream.length };
}

function cutReading(stream: Uint8Array, from: 'client' | 'node', sizes: Uint8Array): Cut {
  const messages: [StreamMessage, Uint8Array][] = [];
  const cutter: NymStreamCutter = new NymStreamCutter(from, (kind, message) => {
    messages.push([kind, message.slice()]);
    if (stops(message)) cutter.stop();
    // It may be overwritten: nothing of it is needed for what follows.
    message.fill(0xaa);
  });
  for (let at = 0, turn = 0; at < stream.length && !cutter.broken; turn++) {
    const size = 1 + (sizes[turn % Math.max(1, sizes.length)] ?? 254);
    const good = cutter.push(stream.slice(at, at + size));
    oracle(good !== cutter.broken || cutter.isStopped, 'push says whether the stream is broken');
    at += size;
    while (cutter.isStopped) cutter.resume();
    checkBuffer(cutter);
  }
  return { messages, broken: cutter.broken, midMessage: cutter.midMessage };
}

function checkBuffer(cutter: NymStreamCutter): void {
  const { partial, filled } = cutter as unknown as { partial: Uint8Array | undefined; filled: number };
  const most = Math.max(FIRST_BUFFER_BYTES, 2 * filled);
  oracle((partial?.length ?? 0) <= most, () => `${partial?.length} bytes are held for ${filled}`);
}

/** The input's body, with as many bytes before it as the handshake has or a few less. */
function streamOf(from: 'client' | 'node', missing: number, body: Uint8Array): Uint8Array {
  const [kkt, psq] = HANDSHAKE[from];
  const before = Math.max(0, kkt + psq - missing);
  const stream = new Uint8Array(before + body.length);
  for (let i = 0; i < before; i++) stream[i] = i;
  stream.set(body, before);
  return stream;
}

function cutter(input: Uint8Array): void {
  const [first = 0, chunks = 0] = input;
  const from = first % 2 === 0 ? 'client' : 'node';
  const sizes = input.subarray(2, 2 + (chunks % 32));
  const stream = streamOf(from, first < 128 ? 0 : 16 * (first - 128), input.subarray(2 + (chunks % 32)));
  const [plain, cut] = [plainReading(stream, from), cutReading(stream, from, sizes)];
  oracle(plain.messages.length === cut.messages.length, () => `${cut.messages.length}, not ${plain.messages.length}`);
  for (const [i, [kind, message]] of plain.messages.entries()) {
    const [otherKind, other] = cut.messages[i] ?? [undefined, new Uint8Array(0)];
    oracle(kind === otherKind, () => `message ${i} is ${otherKind}, not ${kind}`);
    sameBytes(other, message, 'message');
  }
  oracle(plain.broken === cut.broken, `broken: ${cut.broken}`);
  if (!plain.broken) oracle(plain.midMessage === cut.midMessage, `mid-message: ${cut.midMessage}`);
}

/** Vectors of the TLS encoding: what is read is written again, and nothing is read beyond the end. */
function tls(input: Uint8Array): void {
  const reader = untouched(input, (all) => new TlsReader(all));
  const read: Uint8Array[] = [];
  for (let i = 0; i < 8 && !reader.failed && reader.offset < input.length; i++) {
    const header = vectorLengthAt(input, reader.offset);
    const start = reader.offset;
    const content = reader.vector();
    oracle(reader.offset <= input.length, 'nothing is read beyond the end');
    if (reader.failed) {
      const cut = header === undefined || start + vectorHeaderLength(header) + header > input.length;
      oracle(cut && content.length === 0, 'what is refused is longer than what is there, or has no length');
      return;
    }
    oracle(header === content.length, 'a vector has the length of its header');
    read.push(vector(content));
  }
  sameBytes(Uint8Array.from(read.flatMap((each) => [...each])), input.subarray(0, reader.offset), 'vectors come back');
}

const packet = bytes(12, 40).map((content) => [content.length, 0, 0, 0, ...content]);
const fresh = fc
  .tuple(u8, fc.array(u8, { maxLength: 12 }), fc.array(packet, { maxLength: 4 }))
  .map(([first, sizes, packets]) => Uint8Array.from([first, sizes.length, ...sizes, ...packets.flat()]));
const vectors = fc
  .array(bytes(0, 90), { maxLength: 4 })
  .map((all) => Uint8Array.from(all.flatMap((x) => [...vector(x)])));
const dictionary = words(
  [12, 0, 0, 0],
  [11, 0, 0, 0],
  [0, 0, 1, 0],
  [1, 0, 1, 0],
  [0, 0, 0, 12],
  [0xff, 0xff, 0xff, 0xff],
);

export const targets: readonly FuzzTarget[] = [
  { name: 'nym-stream-cutter', run: cutter, fresh, seeds: () => samples(fresh, 16), dictionary, maxLength: 4_096 },
  {
    name: 'nym-tls-vectors',
    run: tls,
    fresh: vectors,
    seeds: () => samples(vectors),
    dictionary: words(
      [0x40, 0x3f],
      [0x40, 0x40],
      [0x80, 0, 0x40, 0],
      [0x80, 0, 0x3f, 0xff],
      [0xc0, 0, 0, 0, 0, 0, 0, 1],
    ),
    maxLength: 400,
  },
];
