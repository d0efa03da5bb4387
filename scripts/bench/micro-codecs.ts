/**
 * The codecs of the packet's path, in bulk: 64 packets of an echo per operation where a gateway has them together, and then the
 * figure is for one packet.
 */
import { decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { headerFault } from '../../src/lp/wire/header.ts';
import { encodeUnsealed, receiverIndex, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../src/lp/wire/registration-body.ts';
import { checkCounter, markCounter, WINDOW_BYTES } from '../../src/lp/wire/replay-window.ts';
import { InboundWriter, OutboundWriter, readInbound, readOutbound } from '../../src/shard/messages.ts';
import { ENVELOPE, ignoredEffects } from './in-process.ts';
import type { Micro } from './micro-operation.ts';

const BULK = 64;
const SESSION_INDEX = 0x8000_0001;
const NOW = { monotonicMs: 1_000, unixMs: 1_764_583_200_000 };
const content = encodeFrame(KIND.opaque, 2, new Uint8Array(256));
const packets = Array.from({ length: BULK }, (_, i) => encodeUnsealed(SESSION_INDEX, i, TYPE.encryptedData, content));

function ns(name: string, run: () => unknown): Micro {
  return { name, unit: 'ns', per: 1, run };
}

function perPacket(name: string, run: () => unknown): Micro {
  return { name, unit: 'ns', per: BULK, run };
}

function framing(): Micro[] {
  const read = encodeFrames('be16', packets);
  let cut = 0;
  const cutter = new FrameCutter({ admit: () => true, packet: () => cut++ }, 'be16');
  return [
    perPacket('codec-framing-encode', () => encodeFrames('be16', packets)),
    perPacket('codec-framing-cut', () => cutter.push(read)),
    perPacket('codec-framing-cut-in-pieces', () => {
      // Reads as a kernel cuts them: in the midst of a frame.
      for (let at = 0; at < read.length; at += 1_460) cutter.push(read.subarray(at, at + 1_460));
    }),
  ];
}

function packetForm(): Micro[] {
  let sum = 0;
  return [
    perPacket('codec-packet-header', () => {
      for (const packet of packets) {
        if (headerFault(packet, 0, packet.length) === undefined) sum += receiverIndex(packet) + typeOf(packet);
      }
      return sum;
    }),
    ns('codec-packet-encode', () => encodeUnsealed(SESSION_INDEX, 1, TYPE.encryptedData, content)),
    ns('codec-frame-encode', () => encodeFrame(KIND.opaque, 2, content)),
    ns('codec-frame-decode', () => decodeFrame(content)),
  ];
}

function registration(): Micro[] {
  const key = (byte: number) => new Uint8Array(32).fill(byte);
  const request = encodeRequest({
    op: 'register',
    enrolment: { mode: 'dvpn', wgPublicKey: key(1), presharedKey: key(2) },
    owner: key(3),
    credential: { kind: 'privacy-pass', token: new Uint8Array(354) },
  });
  const answer = {
    status: 'completed',
    mode: 'dvpn',
    wgPublicKey: key(4),
    endpoints: ['192.0.2.1:51820'],
    addresses: { ipv4: new Uint8Array(4), ipv6: new Uint8Array(16) },
    keepalive: 25,
    bandwidth: 1e9,
    expires: 1_764_583_200,
  } as const;
  const encoded = encodeAnswer(answer);
  return [
    ns('codec-registration-decode-request', () => decodeRequest(request)),
    ns('codec-registration-encode-answer', () => encodeAnswer(answer)),
    ns('codec-registration-decode-answer', () => decodeAnswer(encoded)),
  ];
}

function batches(): Micro[] {
  const fill = () => {
    const batch = new InboundWriter(BULK * 400);
    for (const packet of packets) batch.packet(ENVELOPE, packet);
    return batch.seal(NOW);
  };
  const inbound = fill();
  const replies = () => {
    const batch = new OutboundWriter(BULK * 400);
    for (const packet of packets) batch.reply(1, true, packet);
    return batch.seal();
  };
  const outbound = replies();
  const ignored = () => undefined;
  const inboundHandler = {
    packet: ignored,
    tick: ignored,
    answer: ignored,
    kemKey: ignored,
    reserve: ignored,
    unreserve: ignored,
  };
  return [
    perPacket('codec-batch-inbound-write', fill),
    perPacket('codec-batch-inbound-read', () => readInbound(inbound, inboundHandler)),
    perPacket('codec-batch-outbound-write', replies),
    perPacket('codec-batch-outbound-read', () => readOutbound(outbound, ignoredEffects)),
  ];
}

function replayWindow(): Micro[] {
  const memory = new Uint8Array(WINDOW_BYTES);
  let next = 0;
  const take = (counter: number) => {
    if (checkCounter(memory, 0, next, counter) === 'fresh') next = markCounter(memory, 0, next, counter);
  };
  return [
    perPacket('codec-window-in-order', () => {
      const first = next;
      for (let i = 0; i < BULK; i++) take(first + i);
    }),
    perPacket('codec-window-shuffled', () => {
      // Odd, so that it goes through all of a power of two.
      const first = next;
      for (let i = 0; i < BULK; i++) take(first + ((i * 37) % BULK));
    }),
    perPacket('codec-window-duplicates', () => {
      for (let i = 1; i <= BULK; i++) take(next - i);
    }),
  ];
}

export function codecs(): Micro[] {
  return [...framing(), ...packetForm(), ...registration(), ...batches(), ...replayWindow()];
}
