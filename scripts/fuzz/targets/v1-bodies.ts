/**
 * bincode, credentials and application bodies of LP1 (lp1.md §2): every byte is used, what decodes encodes to the same bytes,
 * no payload reads as two kinds, and no other length of a credential is one.
 */
import fc from 'fast-check';
import {
  decodeForwardData,
  decodeRegistrationRequest,
  decodeRegistrationResponse,
  decodeTransportPayload,
  encodeForwardData,
  encodeRegistrationRequest,
  encodeRegistrationResponse,
  TICKET_TYPE,
} from '../../../src/lp/v1/application-bodies.ts';
import { BincodeReader, BincodeWriter } from '../../../src/lp/v1/bincode.ts';
import { emptyCredential, isCredential, MAX_CREDENTIAL_LENGTH } from '../../../src/lp/v1/credential.ts';
import { mockCredential } from '../../../test/support/lp1-credential.ts';
import { bytes, samples, u8, u16, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, sameValue, untouched } from '../target.ts';

const MAX_TEXT = 40;
const MAX_ERROR_LENGTH = 256;

type Step = (reader: BincodeReader) => (writer: BincodeWriter) => unknown;

/** Reads a value, and says how to write it. */
function step<T>(read: (reader: BincodeReader) => T, write: (writer: BincodeWriter, value: T) => unknown): Step {
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
    (r) => r.u16(),
    (w, v) => w.u16(v),
  ),
  step(
    (r) => r.u32(),
    (w, v) => w.u32(v),
  ),
  step(
    (r) => r.u64(),
    (w, v) => w.u64(v),
  ),
  step(
    (r) => r.wideU64(),
    (w, v) => w.u64(v),
  ),
  step(
    (r) => r.i64(),
    (w, v) => w.i64(v),
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
  step(
    (r) => r.option(() => r.u16()),
    (w, v) => w.option(v, (inner) => w.u16(inner)),
  ),
  step(
    (r) => r.variant(3),
    (w, v) => w.u32(v),
  ),
];

/** Input: number of steps, the steps, what they read. */
function bincode(input: Uint8Array): void {
  const count = (input[0] ?? 0) % 16;
  const program = input.subarray(1, 1 + count);
  const data = input.subarray(1 + count);
  const reader = new BincodeReader(data);
  const writes: ((writer: BincodeWriter) => unknown)[] = [];
  for (const op of program) {
    const write = STEPS[op % STEPS.length]?.(reader);
    if (write !== undefined && reader.fault === undefined) writes.push(write);
    oracle(reader.offset <= data.length, 'nothing is read beyond the end');
  }
  const fault = reader.fault;
  const end = reader.offset;
  const whole = reader.finish();
  oracle(whole === (fault === undefined && end === data.length), 'whole: no fault, no byte left');
  if (fault !== undefined) return;
  const writer = new BincodeWriter();
  for (const write of writes) write(writer);
  sameBytes(writer.finish(), data.subarray(0, end), 'what was read is written again');
}

function credential(input: Uint8Array): void {
  if (!untouched(input, isCredential)) return;
  oracle(input.length <= MAX_CREDENTIAL_LENGTH, 'a credential has its bound');
  oracle(!isCredential(input.subarray(0, input.length - 1)), 'not without its last byte');
  oracle(!isCredential(Uint8Array.from([...input, 0])), 'not with a byte more');
}

function payload(input: Uint8Array): void {
  untouched(input, () => {
    const decoded = decodeTransportPayload(input);
    if (decoded.kind === 'registration') {
      sameBytes(encodeRegistrationRequest(decoded.request), input, 'a registration request');
      oracle(decodeForwardData(input) === undefined, 'a payload is one thing');
    } else if (decoded.kind === 'forward') {
      const { target, packet } = decoded.forward;
      sameValue(decodeForwardData(encodeForwardData(target, packet)), decoded.forward, 'a forward comes back');
      oracle(decodeRegistrationRequest(input) === undefined, 'a payload is one thing');
    }
    response(input);
  });
}

function response(input: Uint8Array): void {
  const decoded = decodeRegistrationResponse(input);
  if (decoded === undefined || (!decoded.success && Buffer.byteLength(decoded.error) > MAX_ERROR_LENGTH)) return;
  sameValue(decodeRegistrationResponse(encodeRegistrationResponse(decoded)), decoded, 'a response comes back');
}

const ip = fc.oneof(
  bytes(4).map((address) => ({ family: 4 as const, ip: address })),
  bytes(16).map((address) => ({ family: 6 as const, ip: address })),
);
const key = bytes(32);
const mode = fc.oneof(
  fc.constant({ kind: 'dvpn' as const }),
  key.map((clientId) => ({ kind: 'mixnet' as const, clientId })),
);
const u64 = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const payloads = fc.oneof(
  fc
    .record({
      wgPublicKey: key,
      credential: fc.constantFrom(emptyCredential(), mockCredential()),
      ticketType: fc.constantFrom(...Object.values(TICKET_TYPE)),
      mode,
      clientIp: ip,
      timestamp: u64,
    })
    .map(encodeRegistrationRequest),
  fc
    .tuple(key, ip, u16, bytes(34, 60))
    .map(([identity, address, port, packet]) => encodeForwardData({ identity, ...address, port }, packet)),
  fc
    .record({
      publicKey: key,
      endpoint: fc.tuple(ip, u16).map(([a, port]) => ({ ...a, port })),
      ipv4: bytes(4),
      ipv6: bytes(16),
    })
    .chain((gatewayData) =>
      u64.map((allocatedBandwidth) => encodeRegistrationResponse({ success: true, gatewayData, allocatedBandwidth })),
    ),
  u64.map((allocatedBandwidth) => encodeRegistrationResponse({ success: true, allocatedBandwidth })),
  fc.string({ maxLength: 30 }).map((error) => encodeRegistrationResponse({ success: false, error })),
);
const programs = fc
  .tuple(fc.array(u8, { maxLength: 10 }), bytes(0, 60))
  .map(([program, data]) => Uint8Array.from([program.length, ...program, ...data]));
const credentials = () => [
  emptyCredential(),
  mockCredential(),
  mockCredential({ vectorLength: 0 }),
  mockCredential({ vectorLength: 2, ticketType: 0 }),
];
const dictionary = words(
  ...[
    [48, 0, 0, 0, 0, 0, 0, 0],
    [96, 0, 0, 0, 0, 0, 0, 0],
    [32, 0, 0, 0, 0, 0, 0, 0],
    [72, 0, 0, 0, 0, 0, 0, 0],
  ],
  ...[
    [0, 0, 0, 0, 0, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0, 0],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [44, 0, 0, 0, 0, 0, 0, 0],
  ],
  ...[[1, 0, 0, 0], [3, 0, 0, 0], [0x6e, 1], '1.2.3.4:5', '[::1]:9', [0xef, 0xbb, 0xbf], [0xed, 0xa0, 0x80]],
);

export const targets: readonly FuzzTarget[] = [
  { name: 'v1-bincode', run: bincode, fresh: programs, seeds: () => samples(programs, 24), dictionary, maxLength: 200 },
  { name: 'v1-credential', run: credential, seeds: credentials, dictionary, maxLength: 4_096 },
  {
    name: 'v1-application-bodies',
    run: payload,
    fresh: payloads,
    seeds: () => samples(payloads, 24),
    dictionary,
    maxLength: 3_000,
  },
];
