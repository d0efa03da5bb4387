/**
 * Bodies of Nym's protocol (nym.md §4.3, §7–§9): bincode, registrations, bandwidth claims, forwards, frames, KKT contexts.
 * Decoding uses every byte and changes none; what decodes encodes to the same bytes, so that no value has two encodings,
 * and nothing decodes with a byte less or more.
 */
import fc from 'fast-check';
import {
  type BandwidthClaim,
  decodeClaim,
  encodeClaim,
  MAX_CLAIM_LENGTH,
  worthlessZkNym,
} from '../../../src/lp/nym/bandwidth-claim.ts';
import { VarBincodeReader, VarBincodeWriter } from '../../../src/lp/nym/bincode.ts';
import { decodeNymForward, encodeNymForward, maxForwardedBytes } from '../../../src/lp/nym/forward.ts';
import {
  decodeNymFrame,
  decodeStreamAttributes,
  encodeStreamAttributes,
  FRAME_HEADER_LENGTH,
  writeFrameHeader,
} from '../../../src/lp/nym/frame.ts';
import { decodeKktContext, encodeKktContext, KKT_CONTEXT_LENGTH } from '../../../src/lp/nym/kkt-context.ts';
import { isPeerConfig } from '../../../src/lp/nym/peer-config.ts';
import {
  decodeNymRequest,
  decodeNymResponse,
  encodeNymRequest,
  encodeNymResponse,
  isTimely,
  MAX_REGISTRATION_BODY,
} from '../../../src/lp/nym/registration.ts';
import { bytes, samples, text, u8, u16, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, sameValue, untouched } from '../target.ts';

const NOW_S = 1_780_000_000;
const TOLERANCE_S = 30n;
const MAX_TEXT = 40;

type Step = (reader: VarBincodeReader) => (writer: VarBincodeWriter) => unknown;

/** Reads a value, and says how to write it. */
function step<T>(read: (reader: VarBincodeReader) => T, write: (writer: VarBincodeWriter, value: T) => unknown): Step {
  return (reader) => {
    const value = read(reader);
    return (writer) => write(writer, value);
  };
}

const STEPS: readonly Step[] = [
  step(
    (r) => r.u8(),
    (w, v) => w.u8(v),
  ),
  step(
    (r) => r.bool(),
    (w, v) => w.bool(v),
  ),
  step(
    (r) => r.u64(),
    (w, v) => w.u64(v),
  ),
  step(
    (r) => r.integer(70_000),
    (w, v) => w.u64(v),
  ),
  step(
    (r) => r.variant(3),
    (w, v) => w.u8(v),
  ),
  step(
    (r) => r.fixed(5),
    (w, v) => w.fixed(v),
  ),
  step(
    (r) => r.byteString(MAX_TEXT),
    (w, v) => w.byteString(v),
  ),
  step(
    (r) => r.text(MAX_TEXT),
    (w, v) => w.text(v),
  ),
];

/** Input: number of steps, the steps, what they read. */
function bincode(input: Uint8Array): void {
  const count = (input[0] ?? 0) % 16;
  const data = input.subarray(1 + count);
  const reader = new VarBincodeReader(data);
  const writer = new VarBincodeWriter();
  for (const op of input.subarray(1, 1 + count)) {
    const write = STEPS[op % STEPS.length]?.(reader);
    oracle(reader.offset <= data.length, 'nothing is read beyond the end');
    if (write !== undefined && !reader.failed) write(writer);
  }
  const { offset, failed } = reader;
  oracle(reader.finish() === (!failed && offset === data.length), 'whole: no fault, no byte left');
  if (!failed) sameBytes(writer.finish(), data.subarray(0, offset), 'what was read is written again');
}

/** Neither with a byte less nor with one more. */
function onlyWhole(input: Uint8Array, decode: (bytes: Uint8Array) => unknown): void {
  oracle(decode(input.subarray(0, -1)) === undefined, 'nothing decodes without its last byte');
  oracle(decode(Uint8Array.from([...input, 0])) === undefined, 'nothing decodes with a byte more');
}

function request(input: Uint8Array): void {
  const decoded = untouched(input, decodeNymRequest);
  if (decoded === undefined) return;
  oracle(input.length <= MAX_REGISTRATION_BODY, 'a request has its bound');
  sameBytes(encodeNymRequest(decoded), input, 'a request comes back');
  onlyWhole(input, decodeNymRequest);
  const distance = decoded.time - BigInt(NOW_S);
  const near = distance <= TOLERANCE_S && -distance <= TOLERANCE_S;
  oracle(isTimely(decoded.time, NOW_S * 1_000 + 999) === near, 'a time is near, or it is not');
  if (decoded.kind === 'finalise') checkClaim(decoded.claim);
}

function claim(input: Uint8Array): void {
  const decoded = untouched(input, decodeClaim);
  if (decoded === undefined) return;
  sameBytes(decoded.bytes, input, 'a claim is all of its bytes');
  onlyWhole(input, decodeClaim);
  checkClaim(decoded);
}

function checkClaim({ kind, credential, ticket, bytes: all }: BandwidthClaim): void {
  oracle(all.length <= MAX_CLAIM_LENGTH, 'a claim has its bound');
  const again = encodeClaim(kind, credential, ticket);
  sameBytes(again ?? new Uint8Array(0), all, 'a claim is made of its credential and its ticket');
}

/** Judged by its content: the status byte before it may say anything that is a status. */
function response(input: Uint8Array): void {
  const decoded = untouched(input, decodeNymResponse);
  if (decoded === undefined) return;
  onlyWhole(input, decodeNymResponse);
  sameBytes(encodeNymResponse(decoded).subarray(1), input.subarray(1), 'a response comes back');
  oracle((input[0] ?? 9) <= 2, 'a status is one of three');
}

function forward(input: Uint8Array): void {
  const decoded = untouched(input, decodeNymForward);
  if (decoded === undefined) return;
  sameBytes(encodeNymForward(decoded), input, 'a forward comes back');
  onlyWhole(input, decodeNymForward);
  const { target, bytes: forwarded } = decoded;
  oracle(target.ip.length === (target.family === 4 ? 4 : 16), 'an address has the length of its family');
  oracle(target.ip.buffer !== input.buffer, 'the target outlives the packet');
  oracle(forwarded.length <= maxForwardedBytes(target.family), 'a forward fits into a packet');
}

/** Input: where the frame begins, and where it ends before the end. */
function frame(input: Uint8Array): void {
  const body = input.subarray(2);
  const start = Math.min((input[0] ?? 0) % 24, body.length);
  const end = Math.max(start, body.length - ((input[1] ?? 0) % 24));
  const decoded = untouched(body, (all) => decodeNymFrame(all, start, end));
  oracle((decoded !== undefined) === isFrame(body.subarray(start, end)), 'a header of a known kind, and nothing else');
  if (decoded === undefined) return;
  const { kind, attributes, content } = decoded;
  sameBytes(content, body.subarray(start + FRAME_HEADER_LENGTH, end), 'the content is the rest');
  const again = new Uint8Array(FRAME_HEADER_LENGTH);
  writeFrameHeader(again, 0, kind, kind === 3 ? attributes : body.subarray(start + 2, start + FRAME_HEADER_LENGTH));
  sameBytes(again, body.subarray(start, start + FRAME_HEADER_LENGTH), 'a header comes back');
  const stream = decodeStreamAttributes(attributes);
  // The last byte means nothing.
  if (stream !== undefined)
    sameBytes(encodeStreamAttributes(stream).subarray(0, 13), attributes.subarray(0, 13), 'attributes come back');
}

function isFrame(bytes: Uint8Array): boolean {
  return bytes.length >= FRAME_HEADER_LENGTH && (bytes[0] ?? 0) <= 3 && bytes[1] === 0;
}

/** Seven bytes of context, twenty of peer config. */
function context(input: Uint8Array): void {
  const first = input.subarray(0, KKT_CONTEXT_LENGTH);
  const decoded = untouched(first, decodeKktContext);
  oracle((decoded !== undefined) === isContext(first), 'a context of known values, and nothing else');
  const again = decoded && encodeKktContext(decoded);
  if (decoded !== undefined && again !== undefined) {
    sameValue(decodeKktContext(again), decoded, 'a context comes back');
    // A length of 32 has two bytes for it, and the last byte means nothing.
    const expected = first.slice();
    if (expected[4] === 32) expected[4] = 0;
    expected[6] = 0;
    sameBytes(again, expected, 'a context has one encoding');
  }
  const config = input.subarray(KKT_CONTEXT_LENGTH);
  const [flags = 0] = config;
  const [hop, exit, node] = [flags % 16, (flags & 16) !== 0, (flags & 32) !== 0];
  const allowed = node ? !exit && hop === 0 : exit ? hop > 0 : hop < 15;
  oracle(isPeerConfig(config) === (config.length === 20 && allowed), 'a peer config of allowed flags');
}

function isContext(bytes: Uint8Array): boolean {
  const [first = 0, flags = 0, kem, hash = 0, length = 0, signature] = bytes;
  const known = (flags & 0x1b) < 2 && (kem === 1 || kem === 2) && hash < 4 && signature === 0;
  return bytes.length === KKT_CONTEXT_LENGTH && first < 0x20 && known && (length === 0 || length >= 16);
}

/** A zk-nym with so many elements in its first vector: it ends near the bound. */
function longClaim(count: number): Uint8Array {
  const credential = worthlessZkNym();
  // Two elements of G2 and four of G1 come before it, each with its length.
  const at = 2 * 97 + 4 * 49;
  const element = Uint8Array.from([96, 0xc0, ...new Uint8Array(95)]);
  const inserted = Array.from({ length: count }, () => [...element]).flat();
  return Uint8Array.from([0, ...credential.subarray(0, at), count, ...inserted, ...credential.subarray(at + 1), 2]);
}

const key = bytes(32);
const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: 1_779_999_900n, max: 1_780_000_100n }),
);
const claims = fc.tuple(fc.boolean(), fc.string({ maxLength: 60 }), fc.nat(3)).map(([isZkNym, token, ticket]) => {
  const kind = isZkNym ? 'zk_nym' : 'upgrade_mode';
  const made = encodeClaim(kind, isZkNym ? worthlessZkNym() : text(token), ticket as 0);
  return made ?? new Uint8Array(0);
});
const requests = fc.oneof(
  fc
    .record({ kind: fc.constant('initial' as const), wgPublicKey: key, presharedKey: key, time: u64 })
    .map(encodeNymRequest),
  fc.record({ kind: fc.constant('mixnet' as const), clientId: key, time: u64 }).map(encodeNymRequest),
  fc.tuple(claims, u64).map(([made, time]) => encodeNymRequest({ kind: 'finalise', claim: { bytes: made }, time })),
);
const responses = fc.oneof(
  fc.constant(encodeNymResponse({ kind: 'credential_required' })),
  fc
    .record({ wgPublicKey: key, port: u16, ipv4: bytes(4), ipv6: bytes(16), upgradeMode: fc.boolean() })
    .map((tunnel) => encodeNymResponse({ kind: 'completed', tunnel })),
  fc
    .tuple(fc.constantFrom('dvpn' as const, 'mixnet' as const), fc.string({ maxLength: 60 }))
    .map(([mode, words]) => encodeNymResponse({ kind: 'failed', mode, text: words })),
  key.map((each) => encodeNymResponse({ kind: 'completed_mixnet', key: each })),
);
const forwards = fc
  .tuple(
    fc.oneof(
      bytes(4).map((ip) => ({ family: 4 as const, ip })),
      bytes(16).map((ip) => ({ family: 6 as const, ip })),
    ),
    u16,
    fc.constantFrom(0, 70, 1_207, 65_476, 65_477),
    bytes(0, 120),
  )
  .map(([address, port, replyLength, data]) =>
    encodeNymForward({ target: { ...address, port }, replyLength, bytes: data }),
  );
const frames = fc.tuple(u8, u8, fc.nat(4), bytes(14), bytes(0, 40)).map(([start, cut, kind, attributes, content]) => {
  const header = new Uint8Array(FRAME_HEADER_LENGTH);
  writeFrameHeader(header, 0, kind as 0, attributes);
  const [before, after] = [new Uint8Array(start % 24), new Uint8Array(cut % 24)];
  return Uint8Array.from([start, cut, ...before, ...header, ...content, ...after]);
});
const programs = fc
  .tuple(fc.array(u8, { maxLength: 10 }), bytes(0, 60))
  .map(([program, data]) => Uint8Array.from([program.length, ...program, ...data]));
const contexts = fc
  .tuple(fc.constantFrom(0x10, 0x11, 0x00, 0x20), u8, fc.nat(3), fc.nat(4), u8, fc.nat(1), u8, bytes(20))
  .map(([first, flags, kem, hash, length, signature, last, config]) =>
    Uint8Array.from([first, flags, kem, hash, length, signature, last, ...config]),
  );
const dictionary = words(
  ...[
    [0xfb, 0, 250],
    [0xfb, 0, 251],
    [0xfc, 0, 0, 255, 255],
    [0xfc, 0, 1, 0, 0],
  ],
  ...[[0xfd, 0, 0, 0, 0, 255, 255, 255, 255], [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0xfe], [0xff]],
  ...[[48], [96], [32], [72], [0x2c], [0xef, 0xbb, 0xbf], [0xed, 0xa0, 0x80], [0xfb, 0xca, 0x6e]],
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'nym-bincode',
    run: bincode,
    fresh: programs,
    seeds: () => samples(programs, 24),
    dictionary,
    maxLength: 200,
  },
  {
    name: 'nym-request',
    run: request,
    fresh: requests,
    seeds: () => samples(requests, 16),
    dictionary,
    maxLength: 3_700,
  },
  {
    name: 'nym-claim',
    run: claim,
    fresh: claims,
    seeds: () => [...samples(claims, 8), ...[1, 29, 30, 31].map(longClaim)],
    dictionary,
    maxLength: 3_700,
  },
  { name: 'nym-response', run: response, fresh: responses, seeds: () => samples(responses, 16), dictionary },
  { name: 'nym-forward', run: forward, fresh: forwards, seeds: () => samples(forwards), dictionary, maxLength: 400 },
  { name: 'nym-frame', run: frame, fresh: frames, seeds: () => samples(frames), maxLength: 200 },
  { name: 'nym-kkt-context', run: context, fresh: contexts, seeds: () => samples(contexts, 24), maxLength: 30 },
];
