/**
 * Registration bodies (registration.md) and the MessagePack under them: no exception, msgpackr reads the same values wherever
 * the strict decoder takes them, and what decodes encodes to something that decodes to the same.
 */
import fc from 'fast-check';
import { Unpackr } from 'msgpackr';
import {
  type AnswerBody,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  REGISTRATION_CODES,
  type RequestBody,
} from '../../../src/lp/wire/registration-body.ts';
import { decodeMap } from '../../../src/lp/wire/strict-messagepack.ts';
import { bytes, samples, u8, u53, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, plain, sameValue, untouched } from '../target.ts';

const LIMITS = { bytes: 4_096, depth: 4, textBytes: 256 };
const OTHER = new Unpackr({ useRecords: false, mapsAsObjects: false, int64AsType: 'number' });

/** Views of Node's own kind print otherwise. */
function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (value instanceof Map) return new Map([...value].map(([key, inner]) => [key, normal(inner)]));
  return Array.isArray(value) ? value.map(normal) : value;
}

function messagePack(input: Uint8Array): void {
  const decoded = untouched(input, (bytesOf) => decodeMap(bytesOf, LIMITS));
  if (decoded.kind === 'malformed') return;
  const [tag = 0] = input;
  if (tag >> 4 === 8) oracle(decoded.value.size === (tag & 0x0f), 'every key of a map stands once');
  const other: unknown = OTHER.unpack(input);
  sameValue(normal(other), decoded.value, 'msgpackr reads the same');
}

function request(input: Uint8Array): void {
  const decoded = untouched(input, decodeRequest);
  if (decoded.kind === 'malformed') return;
  sameValue(decodeRequest(encodeRequest(decoded.value)), decoded, 'a request decodes again');
}

function answer(input: Uint8Array): void {
  const decoded = untouched(input, decodeAnswer);
  if (decoded.kind === 'malformed') return;
  const again = decodeAnswer(encodeAnswer(decoded.value));
  oracle(again.kind === 'value', 'an answer decodes again');
  oracle(plain(again.value) === plain(decoded.value), 'an answer is the same again');
}

const key = bytes(32);
const credential = fc.record({ kind: fc.constantFrom('privacy-pass', 'zk-nym', ''), token: bytes(0, 60) });
const name = fc.oneof(
  fc.record({ mode: fc.constant('dvpn' as const), wgPublicKey: key }),
  fc.record({ mode: fc.constant('mixnet' as const), clientId: key }),
);
const enrolment = fc.oneof(
  fc.record({ mode: fc.constant('dvpn' as const), wgPublicKey: key, presharedKey: key }),
  fc.record({ mode: fc.constant('mixnet' as const), clientId: key }),
);
const requests: fc.Arbitrary<RequestBody> = fc.oneof(
  fc.record({ op: fc.constant('quote' as const), enrolment, owner: key }),
  fc.record(
    { op: fc.constant('register' as const), enrolment, owner: key, credential },
    { requiredKeys: ['op', 'enrolment', 'owner'] },
  ),
  fc.record(
    { op: fc.constantFrom('finalise' as const, 'topup' as const), name, owner: key, credential },
    { requiredKeys: ['op', 'name', 'owner'] },
  ),
  fc.record({ op: fc.constantFrom('balance' as const, 'release' as const), name, owner: key }),
);
const addresses = fc.record({ ipv4: bytes(4), ipv6: bytes(16) });
const answers: fc.Arbitrary<AnswerBody> = fc.oneof(
  fc.record({
    status: fc.constant('completed' as const),
    mode: fc.constant('dvpn' as const),
    wgPublicKey: key,
    endpoints: fc.array(fc.constantFrom('192.0.2.1:51820', '[2001:db8::1]:1'), { minLength: 1, maxLength: 3 }),
    addresses,
    keepalive: u8,
    bandwidth: u53,
    expires: u53,
  }),
  fc.record({
    status: fc.constant('completed' as const),
    mode: fc.constant('mixnet' as const),
    bandwidth: u53,
    expires: u53,
  }),
  fc.record(
    {
      status: fc.constant('credential_required' as const),
      addresses,
      challenge: bytes(0, 40),
      issuer: fc.string({ maxLength: 30 }),
      price: fc.record({ tokens: u8, bandwidth: u53, lifetime: u53 }),
      heldUntil: u53,
    },
    { requiredKeys: ['status', 'challenge', 'issuer', 'price', 'heldUntil'] },
  ),
  fc.record(
    {
      status: fc.constant('failed' as const),
      code: fc.constantFrom(...REGISTRATION_CODES),
      text: fc.string({ maxLength: 30 }),
      retryAfter: u8,
    },
    { requiredKeys: ['status', 'code', 'text'] },
  ),
);
const requestBytes = requests.map(encodeRequest);
const answerBytes = answers.map(encodeAnswer);
const KEYS = ['v', 'op', 'mode', 'owner', 'credential', 'kind', 'token', 'wg_public_key', 'preshared_key', 'client_id'];
const dictionary = words(
  ...[...KEYS, 'status', 'ipv4', 'ipv6', 'endpoints', 'retry_after', 'quote', 'dvpn', 'mixnet', '__proto__'],
  ...[[0xc4, 0x20], [0xd9, 0x20], [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0], [0xd3], [0xdf, 0xff, 0xff, 0xff, 0xff], [0xdd]],
  ...[[0x81], [0x91], [0xa0], [0xa3, 0xef, 0xbb, 0xbf], [0xc0], [0xcb], [0xde, 0, 1], [0xdc, 0, 1], [0xcd, 0, 1]],
);
const common = { dictionary, maxLength: 1_024 };

export const targets: readonly FuzzTarget[] = [
  {
    ...common,
    name: 'wire-messagepack',
    run: messagePack,
    seeds: () => [...samples(requestBytes), ...samples(answerBytes)],
  },
  {
    ...common,
    name: 'wire-registration-request',
    run: request,
    fresh: requestBytes,
    seeds: () => samples(requestBytes),
  },
  { ...common, name: 'wire-registration-answer', run: answer, fresh: answerBytes, seeds: () => samples(answerBytes) },
];
