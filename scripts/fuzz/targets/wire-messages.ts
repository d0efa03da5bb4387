/**
 * Header, packet and contents of the unsealed messages (lp2.md §2, §4): no exception, the input untouched, and what a decoder
 * takes encodes to the same content again, but for the bytes that the specification leaves unread.
 */
import fc from 'fast-check';
import { decodeHelloV1, encodeHelloV1 } from '../../../src/lp/v1/hello.ts';
import { wellFormed } from '../../../src/lp/v2/gateway-session.ts';
import { readLe32 } from '../../../src/lp/wire/bytes.ts';
import { headerFault } from '../../../src/lp/wire/header.ts';
import {
  decodeBusy,
  decodeClientHello,
  decodeError,
  decodeH1,
  decodeKktRequest,
  decodeKktResponse,
  encodeBusyPacket,
  encodeClientHello,
  encodeErrorPacket,
  encodeKktNotOffered,
  encodeKktRequest,
  encodeKktResponse,
  encodeSalt,
  saltSeconds,
} from '../../../src/lp/wire/message.ts';
import {
  COUNTER_LIMIT,
  contentOf,
  counterOf,
  encodeUnsealed,
  receiverIndex,
  TYPE,
  typeOf,
  versionOf,
} from '../../../src/lp/wire/packet.ts';
import { bytes, samples, u8, u16, u32, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, sameValue, untouched } from '../target.ts';

const UNREAD_KKT_BYTE = 6;
const KKT_REQUEST_LENGTH = 23;
const SIGNATURE_LENGTH = 64;

function contents(content: Uint8Array): void {
  untouched(content, () => {
    hello(content);
    kkt(content);
    const h1 = decodeH1(content);
    if (h1 !== undefined) {
      sameBytes(Buffer.concat([Uint8Array.of(h1.kemId), h1.keyId, h1.noiseMessage]), content, 'the parts of an H1');
    }
    hints(content);
  });
}

function hello(content: Uint8Array): void {
  const v1 = decodeHelloV1(content);
  const v2 = decodeClientHello(content);
  oracle((v1 === undefined) === (v2 === undefined), 'hellos of both versions have one length');
  if (v1 === undefined || v2 === undefined) return;
  sameBytes(encodeHelloV1(v1), content, 'an LP1 hello');
  sameValue(decodeClientHello(encodeClientHello(v2)), v2, 'a hello decodes again');
  oracle(v1.receiverIndex === v2.handshakeIndex, 'the index has one place');
  oracle(saltSeconds(v2.salt) >= 0, 'time is not negative');
}

function kkt(content: Uint8Array): void {
  const request = decodeKktRequest(content);
  if (request !== undefined) {
    sameBytes(encodeKktRequest(request), readKkt(content.slice(0, KKT_REQUEST_LENGTH)), 'a KKT request');
  }
  const bodyLength = Math.max(0, content.length - KKT_REQUEST_LENGTH - SIGNATURE_LENGTH);
  const kemId = content[2] ?? 0;
  const response = decodeKktResponse(content, kemId, bodyLength);
  if (response?.kind === 'key') {
    const { body, sessionId, signature } = response;
    sameBytes(encodeKktResponse(kemId, body, sessionId, signature), readKkt(content.slice()), 'a KKT response');
  } else if (response !== undefined) {
    const { sessionId } = response;
    sameBytes(encodeKktNotOffered({ kemId, sessionId }), readKkt(content.slice()), 'a KKT refusal');
  }
  oracle(decodeKktResponse(content, kemId, bodyLength + 1)?.kind !== 'key', 'a key of another length');
}

/** The reserved byte is not read. */
function readKkt(content: Uint8Array): Uint8Array {
  content[UNREAD_KKT_BYTE] = 0;
  return content;
}

function hints(content: Uint8Array): void {
  const error = decodeError(content);
  if (error !== undefined && error.gatewayUnixMs <= Number.MAX_SAFE_INTEGER) {
    const again = encodeErrorPacket(1, { ...error, code: error.code as 1 });
    sameBytes(contentOf(again), content, 'an Error');
  }
  const busy = decodeBusy(content);
  if (busy !== undefined) oracle(decodeBusy(contentOf(encodeBusyPacket(1, busy))) === Math.max(1, busy), 'a Busy');
}

function packet(input: Uint8Array): void {
  untouched(input, () => {
    const fault = headerFault(input, 0, input.length);
    const shifted = Uint8Array.from([7, 7, 7, ...input]);
    oracle(headerFault(shifted, 3, input.length) === fault, 'a header means the same wherever it lies');
    const live = readLe32(input, 0) >= 0x8000_0000;
    oracle(headerFault(input, 0, input.length, live) === fault, 'bit 31 says what is live');
    wellFormed(typeOf(input), input.length - 34);
    if (input.length < 34) return;
    const counter = counterOf(input);
    oracle(counter >= 0 && counter <= COUNTER_LIMIT && Number.isInteger(counter), 'a counter is below its limit');
    if (counter === COUNTER_LIMIT) return;
    const again = encodeUnsealed(receiverIndex(input), counter, typeOf(input), contentOf(input), versionOf(input));
    const read = input
      .slice()
      .fill(0, 13, 16)
      .fill(0, input.length - 16);
    sameBytes(again, read, 'a packet encodes to what it was');
  });
}

const salt = fc.tuple(fc.nat(2 ** 40), bytes(24)).map(([seconds, random]) => encodeSalt(seconds, random));
const kktRequest = fc.tuple(u8, bytes(16)).map(([kemId, sessionId]) => encodeKktRequest({ kemId, sessionId }));
const content = fc.oneof(
  fc.tuple(u32, salt).map(([handshakeIndex, s]) => encodeClientHello({ handshakeIndex, salt: s })),
  kktRequest,
  kktRequest.map((request) => encodeKktNotOffered({ kemId: request[2] ?? 0, sessionId: request.slice(7) })),
  fc
    .tuple(u8, bytes(0, 60), bytes(16), bytes(64))
    .map(([kemId, body, sessionId, signature]) => encodeKktResponse(kemId, body, sessionId, signature)),
  fc
    .tuple(u16, fc.nat(2 ** 45), u8, u8)
    .map(([code, gatewayUnixMs, minVersion, maxVersion]) =>
      contentOf(encodeErrorPacket(1, { code: code as 1, gatewayUnixMs, minVersion, maxVersion })),
    ),
  u16.map((seconds) => contentOf(encodeBusyPacket(1, seconds))),
  bytes(0, 120),
);
const whole = fc
  .tuple(u32, fc.nat(COUNTER_LIMIT - 1), fc.constantFrom(...Object.values(TYPE)), content)
  .map(([index, counter, type, c]) => encodeUnsealed(index, counter, type, c));
const dictionary = words(
  [0x10, 0x02],
  [0x11, 0x01],
  [0x11, 0x81],
  [0, 0, 0, 0x80],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
);

export const targets: readonly FuzzTarget[] = [
  { name: 'wire-contents', run: contents, fresh: content, seeds: () => samples(content, 24), dictionary },
  { name: 'wire-packet', run: packet, fresh: whole, seeds: () => samples(whole), dictionary },
];
