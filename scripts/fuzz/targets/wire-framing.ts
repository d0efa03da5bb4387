/**
 * Framing (lp2.md §2): whatever the chunks, stops and waits, the cutter gives the packets that a plain reading of the whole
 * stream gives, and holds no more than twice what has come of one frame. Input: framing, chunk sizes, stream.
 */
import fc from 'fast-check';
import { readBe16, readBe32 } from '../../../src/lp/wire/bytes.ts';
import { decodeFrames, encodeFrames, FrameCutter, type Framing } from '../../../src/lp/wire/framing.ts';
import { HEADER_LENGTH, MAX_PACKET_LENGTH, MIN_PACKET_LENGTH } from '../../../src/lp/wire/packet.ts';
import { packets, samples, u8, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, untouched } from '../target.ts';

const FRAMINGS: readonly (Framing | undefined)[] = [undefined, 'be16', 'be32'];
const FIRST_BUFFER_BYTES = 512;

interface Cut {
  readonly packets: readonly Uint8Array[];
  readonly broken: boolean;
  readonly midFrame: boolean;
}

/** What becomes of a frame, by its first byte, so that both readings agree. */
const isAdmitted = (packet: Uint8Array, at: number) => (packet[at] ?? 0) % 4 !== 1;
const waits = (packet: Uint8Array, at: number) => (packet[at] ?? 0) % 8 === 2;
const stops = (packet: Uint8Array) => (packet[0] ?? 0) % 16 === 3;

function plainReading(stream: Uint8Array, fixed: Framing | undefined): Cut {
  const cut: Uint8Array[] = [];
  if (fixed === undefined && stream.length < 2) return { packets: cut, broken: false, midFrame: stream.length > 0 };
  const framing = fixed ?? (readBe16(stream, 0) === 0 ? 'be32' : 'be16');
  const width = framing === 'be16' ? 2 : 4;
  let at = 0;
  while (stream.length - at >= width) {
    const length = framing === 'be16' ? readBe16(stream, at) : readBe32(stream, at);
    if (length < MIN_PACKET_LENGTH || length > MAX_PACKET_LENGTH)
      return { packets: cut, broken: true, midFrame: false };
    if (stream.length - at - width < length) break;
    const packet = stream.subarray(at + width, at + width + length);
    if (isAdmitted(packet, 0)) cut.push(packet);
    at += width + length;
  }
  return { packets: cut, broken: false, midFrame: at < stream.length };
}

function cutReading(stream: Uint8Array, fixed: Framing | undefined, sizes: Uint8Array): Cut {
  const cut: Uint8Array[] = [];
  let asked = 0;
  const cutter: FrameCutter = new FrameCutter(
    {
      admit: (bytes, offset, length) => {
        oracle(offset + HEADER_LENGTH <= bytes.length, 'a frame is asked for before its header is there');
        oracle(length >= MIN_PACKET_LENGTH && length <= MAX_PACKET_LENGTH, 'a length out of range is asked for');
        if (waits(bytes, offset) && asked++ === 0) return 'wait';
        asked = 0;
        return isAdmitted(bytes, offset);
      },
      packet: (packet) => {
        cut.push(packet.slice());
        if (stops(packet)) cutter.stop();
      },
    },
    fixed,
  );
  for (let at = 0, turn = 0; at < stream.length && !cutter.broken; turn++) {
    const size = 1 + (sizes[turn % Math.max(1, sizes.length)] ?? 254);
    cutter.push(stream.slice(at, at + size));
    at += size;
    while (cutter.isStopped) cutter.resume();
    checkBuffer(cutter);
  }
  return { packets: cut, broken: cutter.broken, midFrame: cutter.midFrame };
}

function checkBuffer(cutter: FrameCutter): void {
  const { partial, filled } = cutter as unknown as { partial: Uint8Array | undefined; filled: number };
  const most = Math.max(FIRST_BUFFER_BYTES, 2 * filled);
  oracle((partial?.length ?? 0) <= most, () => `${partial?.length} bytes are held for ${filled}`);
}

function run(input: Uint8Array): void {
  const framing = FRAMINGS[(input[0] ?? 0) % FRAMINGS.length];
  const chunks = (input[1] ?? 0) % 32;
  const sizes = input.subarray(2, 2 + chunks);
  const stream = input.subarray(2 + chunks);
  const [plain, cut] = [plainReading(stream, framing), cutReading(stream, framing, sizes)];
  oracle(
    plain.packets.length === cut.packets.length,
    () => `${cut.packets.length} packets, not ${plain.packets.length}`,
  );
  for (const [i, packet] of plain.packets.entries())
    sameBytes(cut.packets[i] ?? packet.subarray(0, 0), packet, 'packet');
  oracle(plain.broken === cut.broken, `broken: ${cut.broken}`);
  if (!plain.broken) oracle(plain.midFrame === cut.midFrame, `mid-frame: ${cut.midFrame}`);
}

function input(framing: number, sizes: readonly number[], stream: Uint8Array): Uint8Array {
  return Uint8Array.from([framing, sizes.length, ...sizes, ...stream]);
}

const fresh = fc
  .tuple(u8, fc.array(u8, { maxLength: 12 }), packets(0))
  .map(([framing, sizes, list]) => input(framing, sizes, encodeFrames(framing % 3 === 2 ? 'be32' : 'be16', list)));

function framesOnly(bytes: Uint8Array): void {
  const frames = untouched(bytes, decodeFrames);
  if (frames !== undefined) sameBytes(encodeFrames('be16', frames), bytes, 'whole frames encode to what they were');
}

const dictionary = words([0, 34], [0, 0, 0, 34], [0, 0], [0xff, 0xff], [0, 33], [0, 1, 0, 0], [0, 0, 0xff, 0xff]);

export const targets: readonly FuzzTarget[] = [
  { name: 'wire-frame-cutter', run, fresh, seeds: () => samples(fresh), dictionary, maxLength: 4_096, weight: 2 },
  {
    name: 'wire-frames',
    run: framesOnly,
    seeds: () => samples(packets(0).map((list) => encodeFrames('be16', list))),
    dictionary,
  },
];
