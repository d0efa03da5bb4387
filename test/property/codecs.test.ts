/** Codecs of src/lp/wire and of the thread seam: what is encoded decodes to the same, and no bytes bring an exception. */
import test from 'ava';
import fc from 'fast-check';
import { wellFormed } from '../../src/lp/v2/gateway-session.ts';
import {
  type AddressFamily,
  decodeFailure,
  decodeForward,
  decodeForwardResponse,
  decodeFrame,
  encodeFailure,
  encodeForward,
  encodeForwardResponse,
  encodeFrame,
} from '../../src/lp/wire/application-frame.ts';
import { readLe32, readLe64, writeLe32, writeLe64 } from '../../src/lp/wire/bytes.ts';
import { decodeFrames, encodeFrames } from '../../src/lp/wire/framing.ts';
import { headerFault } from '../../src/lp/wire/header.ts';
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
} from '../../src/lp/wire/message.ts';
import {
  COUNTER_LIMIT,
  contentOf,
  counterOf,
  encodeUnsealed,
  receiverIndex,
  typeOf,
  versionOf,
} from '../../src/lp/wire/packet.ts';
import { runs, SEED } from '../support/property.ts';

const PARAMETERS = { seed: SEED, numRuns: runs(300, 20_000) };

const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = fc.maxSafeNat();
const u8 = fc.integer({ min: 0, max: 255 });
const packet = bytes(34, 90);
const packets = (min: number) => fc.array(packet, { minLength: min, maxLength: 4 });

const target = fc.constantFrom<AddressFamily>(0, 4, 6).chain((family) =>
  fc.record({
    identity: bytes(32),
    family: fc.constant(family),
    ip: bytes(family === 0 ? 0 : family === 4 ? 4 : 16),
    port: family === 0 ? fc.constant(0) : u16,
  }),
);

/** Plain objects, so that views and copies compare alike. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? Buffer.from(inner).toString('hex') : inner)),
  );
}

function same<T>(t: { deepEqual(a: unknown, b: unknown): boolean }, actual: T, expected: T): void {
  t.deepEqual(plain(actual), plain(expected));
}

test('application frames and their bodies decode to what was encoded', (t) => {
  fc.assert(
    fc.property(u8, u32, bytes(0, 200), (kind, requestId, body) => {
      same(t, decodeFrame(encodeFrame(kind, requestId, body)), { kind, requestId, body });
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(target, u8, packets(1), (to, replies, list) => {
      const forward = { target: to, replies, packets: list };
      same(t, decodeForward(encodeForward(forward)), forward);
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(u8, packets(0), (status, list) => {
      same(t, decodeForwardResponse(encodeForwardResponse({ status, packets: list })), { status, packets: list });
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(u16, fc.string({ unit: 'grapheme', maxLength: 40 }), (code, text) => {
      fc.pre(Buffer.byteLength(text) <= 256 && !text.startsWith('\ufeff'));
      same(t, decodeFailure(encodeFailure({ code, text })), { code, text });
    }),
    PARAMETERS,
  );
});

test('unsealed messages decode to what was encoded', (t) => {
  fc.assert(
    fc.property(u32, fc.nat(2 ** 40), bytes(24), (handshakeIndex, seconds, random24) => {
      const salt = encodeSalt(seconds, random24);
      same(t, decodeClientHello(encodeClientHello({ handshakeIndex, salt })), { handshakeIndex, salt });
      t.is(saltSeconds(salt), seconds);
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(u8, bytes(16), fc.nat(64), bytes(0, 300), bytes(64), (kemId, sessionId, padding, body, signature) => {
      const request = { kemId, sessionId };
      same(t, decodeKktRequest(encodeKktRequest(request)), request);
      same(t, decodeKktRequest(Uint8Array.from([...encodeKktRequest(request), ...new Uint8Array(padding)])), request);
      const response = encodeKktResponse(kemId, body, sessionId, signature);
      same(t, decodeKktResponse(response, kemId, body.length), { kind: 'key', sessionId, body, signature });
      same(t, decodeKktResponse(encodeKktNotOffered(request), kemId, body.length), { kind: 'not_offered', sessionId });
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(u32, u16, fc.nat(2 ** 45), u8, u8, (index, code, gatewayUnixMs, minVersion, maxVersion) => {
      const message = { code, gatewayUnixMs, minVersion, maxVersion };
      // Codes beyond the four that are sent decode too: a later version may have more.
      const error = encodeErrorPacket(index, { ...message, code: code as 1 });
      same(t, decodeError(contentOf(error)), message);
      t.is(decodeBusy(contentOf(encodeBusyPacket(index, code))), Math.max(1, code));
    }),
    PARAMETERS,
  );
});

test('packets have the header they were given', (t) => {
  fc.assert(
    fc.property(u32, fc.nat(COUNTER_LIMIT - 1), u16, bytes(0, 100), (index, counter, type, content) => {
      const encoded = encodeUnsealed(index, counter, type, content);
      t.deepEqual(
        [receiverIndex(encoded), counterOf(encoded), versionOf(encoded), typeOf(encoded)],
        [index, counter, 2, type],
      );
      same(t, contentOf(encoded), content);
    }),
    PARAMETERS,
  );
  fc.assert(
    fc.property(u32, u53, (small, large) => {
      const out = new Uint8Array(12);
      writeLe32(out, 0, small);
      writeLe64(out, 4, large);
      t.deepEqual([readLe32(out, 0), readLe64(out, 4)], [small, large]);
    }),
    PARAMETERS,
  );
});

test('frames of a list of packets are that list again', (t) => {
  fc.assert(
    fc.property(packets(0), (list) => {
      same(t, decodeFrames(encodeFrames('be16', list)), list);
    }),
    PARAMETERS,
  );
});

/** Every decoder that sees what a peer sent. */
const DECODERS: Record<string, (input: Uint8Array) => unknown> = {
  frame: decodeFrame,
  forward: decodeForward,
  forwardResponse: decodeForwardResponse,
  failure: decodeFailure,
  frames: decodeFrames,
  hello: decodeClientHello,
  kktRequest: decodeKktRequest,
  kktResponse: (input) => decodeKktResponse(input, 0, 16),
  h1: decodeH1,
  error: decodeError,
  busy: decodeBusy,
  header: (input) => headerFault(input, 0, input.length),
  type: typeOf,
  counter: counterOf,
  form: (input) => wellFormed(input[0] ?? 0, input.length),
};

test('no bytes make a decoder throw, and no decoder changes its input', (t) => {
  fc.assert(
    fc.property(fc.oneof(bytes(0, 40), bytes(0, 300)), (input) => {
      const before = Buffer.from(input).toString('hex');
      for (const [name, decode] of Object.entries(DECODERS)) {
        t.notThrows(() => decode(input), name);
      }
      t.is(Buffer.from(input).toString('hex'), before);
    }),
    PARAMETERS,
  );
});
