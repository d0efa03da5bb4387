/** Tables for the decoders of src/lp/wire (but registration bodies): every truncation, and each field made wrong. */
import test from 'ava';
import { wellFormed } from '../../../src/lp/v2/gateway-session.ts';
import {
  decodeFailure,
  decodeForward,
  decodeForwardResponse,
  decodeFrame,
  encodeFailure,
  encodeForward,
  encodeForwardResponse,
  encodeFrame,
} from '../../../src/lp/wire/application-frame.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { decodeFrames, encodeFrames } from '../../../src/lp/wire/framing.ts';
import { headerFault } from '../../../src/lp/wire/header.ts';
import {
  decodeBusy,
  decodeClientHello,
  decodeError,
  decodeH1,
  decodeKktRequest,
  decodeKktResponse,
  encodeKktNotOffered,
  encodeKktRequest,
  encodeKktResponse,
} from '../../../src/lp/wire/message.ts';
import { COUNTER_LIMIT, counterOf, encodeUnsealed, isSessionIndex, TYPE } from '../../../src/lp/wire/packet.ts';

const SESSION_ID = new Uint8Array(16).fill(0x33);
const BODY = new Uint8Array(40).fill(0x44);
const SIGNATURE = new Uint8Array(64).fill(0x55);
const PACKET = encodeUnsealed(0x8000_0001, 3, TYPE.encryptedData, Uint8Array.of(1, 2, 3));

/** A copy with one byte set. */
function set(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[offset] = value;
  return copy;
}

interface Decoder {
  readonly name: string;
  readonly valid: Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
  /** Lengths of the valid bytes' beginnings that decode, but for the whole. */
  readonly prefixes?: (length: number) => boolean;
  readonly refused: readonly (readonly [what: string, bytes: Uint8Array])[];
  readonly taken: readonly (readonly [what: string, bytes: Uint8Array])[];
}

const IDENTITY = new Uint8Array(32).fill(7);
const target4 = { identity: IDENTITY, family: 4 as const, ip: Uint8Array.of(203, 0, 113, 7), port: 41_264 };
const target0 = { identity: IDENTITY, family: 0 as const, ip: new Uint8Array(0), port: 0 };
const forward4 = encodeForward({ target: target4, replies: 2, packets: [PACKET, PACKET] });
const forward0 = encodeForward({ target: target0, replies: 0, packets: [PACKET] });
const frames = encodeFrames('be16', [PACKET, PACKET]);
const kktRequest = encodeKktRequest({ kemId: 1, sessionId: SESSION_ID });
const kktResponse = encodeKktResponse(1, BODY, SESSION_ID, SIGNATURE);
const notOffered = encodeKktNotOffered({ kemId: 1, sessionId: SESSION_ID });
const FRAME_LENGTH = 2 + PACKET.length;

const DECODERS: readonly Decoder[] = [
  {
    name: 'application frame',
    valid: encodeFrame(0, 9, Uint8Array.of(1, 2)),
    decode: decodeFrame,
    prefixes: (length) => length >= 5,
    refused: [['four bytes', new Uint8Array(4)]],
    taken: [['a kind that nobody knows', encodeFrame(255, 0xffff_ffff, new Uint8Array(0))]],
  },
  {
    name: 'Forward to an IPv4 address',
    valid: forward4,
    decode: decodeForward,
    prefixes: (length) => length === 40 + FRAME_LENGTH,
    refused: [
      ['family 1', set(forward4, 32, 1)],
      ['family 5', set(forward4, 32, 5)],
      ['family 6 reads other bytes as frames', set(forward4, 32, 6)],
      ['family 0 reads the address as frames', set(forward4, 32, 0)],
      ['a packet of 33 bytes', set(forward4, 41, 33)],
      ['a packet that is longer than what is there', set(forward4, 40 + FRAME_LENGTH + 1, PACKET.length + 1)],
      ['a byte behind the frames', concat(forward4, Uint8Array.of(0))],
      ['no packet', forward4.subarray(0, 40)],
    ],
    taken: [
      ['any key', set(forward4, 0, 0)],
      ['port 0', set(set(forward4, 37, 0), 38, 0)],
      ['255 replies', set(forward4, 39, 255)],
    ],
  },
  {
    name: 'Forward by identity alone',
    valid: forward0,
    decode: decodeForward,
    refused: [
      ['no packet', forward0.subarray(0, 34)],
      ['half a length', forward0.subarray(0, 35)],
    ],
    taken: [['one reply', set(forward0, 33, 1)]],
  },
  {
    name: 'ForwardResponse',
    valid: encodeForwardResponse({ status: 0, packets: [PACKET, PACKET] }),
    decode: decodeForwardResponse,
    prefixes: (length) => length === 1 || length === 1 + FRAME_LENGTH,
    refused: [['nothing', new Uint8Array(0)]],
    taken: [['a status alone', Uint8Array.of(4)]],
  },
  {
    name: 'Failure',
    valid: encodeFailure({ code: 2, text: 'zu spät' }),
    decode: decodeFailure,
    // The third last byte ends inside a character.
    prefixes: (length) => length >= 2 && length !== 8,
    refused: [
      ['no UTF-8', concat(Uint8Array.of(1, 0), Uint8Array.of(0xff))],
      ['a surrogate', concat(Uint8Array.of(1, 0), Uint8Array.of(0xed, 0xa0, 0x80))],
      ['257 bytes of text', new Uint8Array(259).fill(0x20)],
    ],
    taken: [
      ['no text', Uint8Array.of(1, 0)],
      ['256 bytes of text', new Uint8Array(258).fill(0x20)],
    ],
  },
  {
    name: 'list of frames',
    valid: frames,
    decode: decodeFrames,
    prefixes: (length) => length === 0 || length === FRAME_LENGTH,
    refused: [['a zero length', concat(frames, Uint8Array.of(0, 0))]],
    taken: [],
  },
  {
    name: 'ClientHello',
    valid: new Uint8Array(100).fill(1),
    decode: decodeClientHello,
    refused: [['a byte too many', new Uint8Array(101)]],
    taken: [['bytes that are not checked', set(new Uint8Array(100), 40, 255)]],
  },
  {
    name: 'KKTRequest',
    valid: kktRequest,
    decode: decodeKktRequest,
    refused: [
      ['version 2', set(kktRequest, 0, 0x20)],
      ['sequence 1', set(kktRequest, 0, 0x11)],
      ['role 0', set(kktRequest, 1, 0)],
      ['mutual mode', set(kktRequest, 1, 0x06)],
      ['a status', set(kktRequest, 1, 0x22)],
      ['hash 1', set(kktRequest, 3, 1)],
      ['hash length 16', set(kktRequest, 4, 16)],
      ['signature 1', set(kktRequest, 5, 1)],
      ['padding that is not zero', concat(kktRequest, Uint8Array.of(0, 1))],
    ],
    taken: [
      ['the reserved byte', set(kktRequest, 6, 9)],
      ['a suite that nobody knows', set(kktRequest, 2, 77)],
      ['zero padding', concat(kktRequest, new Uint8Array(64))],
    ],
  },
  {
    name: 'KKTResponse with a key',
    valid: kktResponse,
    decode: (bytes) => decodeKktResponse(bytes, 1, BODY.length),
    refused: [
      ['sequence 0', set(kktResponse, 0, 0x10)],
      ['role 0', set(kktResponse, 1, 0)],
      ['another status', set(kktResponse, 1, 0x21)],
      ['status 80 with a body', set(kktResponse, 1, 0x81)],
      ['another suite', set(kktResponse, 2, 0)],
      ['hash 1', set(kktResponse, 3, 1)],
      ['hash length 32', set(kktResponse, 4, 32)],
      ['signature 1', set(kktResponse, 5, 1)],
      ['a byte too many', concat(kktResponse, Uint8Array.of(0))],
    ],
    taken: [['the reserved byte', set(kktResponse, 6, 1)]],
  },
  {
    name: 'KKTResponse without one',
    valid: notOffered,
    decode: (bytes) => decodeKktResponse(bytes, 1, BODY.length),
    refused: [
      ['status 0 without a body', set(notOffered, 1, 0x01)],
      ['a byte too many', concat(notOffered, Uint8Array.of(0))],
    ],
    taken: [],
  },
  {
    name: 'H1',
    valid: new Uint8Array(20).fill(5),
    decode: decodeH1,
    prefixes: (length) => length >= 9,
    refused: [['no key_id', new Uint8Array(8)]],
    taken: [['no Noise message', new Uint8Array(9)]],
  },
  {
    name: 'Error',
    valid: new Uint8Array(12).fill(1),
    decode: decodeError,
    refused: [['a byte too many', new Uint8Array(13)]],
    taken: [['a code that nobody knows', new Uint8Array(12).fill(255)]],
  },
  {
    name: 'Busy',
    valid: new Uint8Array(18).fill(1),
    decode: decodeBusy,
    refused: [['a byte too many', new Uint8Array(19)]],
    taken: [['a cookie', set(new Uint8Array(18), 10, 1)]],
  },
];

for (const { name, valid, decode, prefixes, refused, taken } of DECODERS) {
  test(`${name}: every truncation and every wrong field has its verdict`, (t) => {
    t.not(decode(valid), undefined, 'valid');
    for (let length = 0; length < valid.length; length++) {
      const decodes = prefixes?.(length) ?? false;
      t.is(decode(valid.subarray(0, length)) !== undefined, decodes, `the first ${length} bytes`);
    }
    for (const [what, bytes] of refused) t.is(decode(bytes), undefined, what);
    for (const [what, bytes] of taken) t.not(decode(bytes), undefined, what);
  });
}

test('the header alone refuses what lp2.md §4.5 names, and nothing else', (t) => {
  const header = (index: number, counter: number, high = 0) => {
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, index, true);
    view.setUint32(4, counter, true);
    view.setUint32(8, high, true);
    return bytes;
  };
  const table: [name: string, bytes: Uint8Array, length: number, fault: 'length' | undefined][] = [
    ['a hello', header(0, 0), 134, undefined],
    ['a hello with a counter', header(0, 7), 134, undefined],
    ['a short hello', header(0, 0), 133, 'length'],
    ['a long hello', header(0, 0), 135, 'length'],
    ['a handshake packet', header(1, 2), 2_048, undefined],
    ['a handshake packet too long', header(1, 2), 2_049, 'length'],
    ['counter 3', header(0x7fff_ffff, 3), 100, 'length'],
    ['counter 2³²', header(1, 0, 1), 100, 'length'],
    ['33 bytes', header(0x8000_0000, 0), 33, 'length'],
    ['a session packet', header(0x8000_0000, 0), 34, undefined],
    ['the largest session packet', header(0xffff_ffff, 0xffff_ffff, 0xffff_ffff), 65_535, undefined],
  ];
  for (const [name, bytes, length, fault] of table) {
    t.is(headerFault(bytes, 0, length), fault, name);
    t.is(headerFault(concat(Uint8Array.of(9, 9), bytes), 2, length), fault, `${name}, at an offset`);
  }
});

test('counters at or above 2⁴⁸ read as the limit, and bit 31 makes a session index', (t) => {
  const at = (counter: bigint) => {
    const packet = new Uint8Array(34);
    new DataView(packet.buffer).setBigUint64(4, counter, true);
    return counterOf(packet);
  };
  t.is(at(2n ** 48n - 1n), COUNTER_LIMIT - 1);
  for (const counter of [2n ** 48n, 2n ** 53n, 2n ** 64n - 1n]) t.is(at(counter), COUNTER_LIMIT);
  t.deepEqual([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff].map(isSessionIndex), [false, false, false, true, true]);
});

test('a sealed content has the length of its type', (t) => {
  const lengths: [type: number, good: number[]][] = [
    [TYPE.ack, [0]],
    [TYPE.subsessionRequest, [0]],
    [TYPE.subsessionReady, [0]],
    [TYPE.close, [0]],
    [TYPE.subsessionAbort, [4]],
    [TYPE.subsessionKk1, [53, 1_237]],
    [TYPE.subsessionKk2, [56, 1_144]],
  ];
  for (const [type, good] of lengths) {
    for (let length = 0; length < 1_300; length++) t.is(wellFormed(type, length), good.includes(length));
  }
  for (let length = 0; length < 10; length++) t.is(wellFormed(TYPE.encryptedData, length), length >= 5);
});
