/** What a gateway's registrar gets to see of LP1's registrations, and LP1 clients of its answers; and the way there and back. */
import test from 'ava';
import { portableProvider as crypto } from '../../../src/lp/crypto/portable.ts';
import {
  decodeRegistrationRequest,
  decodeRegistrationResponse,
  type LpRegistrationRequest,
  type LpRegistrationResponse,
} from '../../../src/lp/v1/application-bodies.ts';
import { payloadToAnswer, requestToPayload } from '../../../src/lp/v1/client-translation.ts';
import { MAX_CREDENTIAL_LENGTH } from '../../../src/lp/v1/credential.ts';
import { answerToPayload, registrationToNeutral } from '../../../src/lp/v1/gateway-translation.ts';
import { decodeFrame, encodeFrame, KIND } from '../../../src/lp/wire/application-frame.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import {
  type AnswerBody,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  REGISTRATION_CODES,
  type RequestBody,
} from '../../../src/lp/wire/registration-body.ts';
import { mockCredential } from '../../support/lp1-credential.ts';
import { toHex } from '../../support/vectors.ts';

const key = (fill: number) => new Uint8Array(32).fill(fill);
const SECONDS = 1_764_583_200;
const NOW = { monotonicMs: 5, unixMs: SECONDS * 1000 + 700 };
const KEYS = { clientEd25519: key(0xc1), gatewayEd25519: key(0x9a), ownerSecret: key(0x55) };
const REQUEST: LpRegistrationRequest = {
  wgPublicKey: key(0xe7),
  credential: mockCredential(),
  ticketType: 2,
  mode: { kind: 'dvpn' },
  clientIp: { family: 4, ip: new Uint8Array(4) },
  timestamp: BigInt(SECONDS),
};
const COMPLETED: AnswerBody = {
  status: 'completed',
  mode: 'dvpn',
  wgPublicKey: key(0x42),
  endpoints: ['[2001:db8::7]:51820', '192.0.2.7:51821', '192.0.2.8:51822'],
  addresses: { ipv4: Uint8Array.of(10, 1, 0, 9), ipv6: key(0xfd).slice(0, 16) },
  keepalive: 25,
  bandwidth: Number.MAX_SAFE_INTEGER,
  expires: SECONDS + 3600,
};

function submitted(request: LpRegistrationRequest, keys = KEYS): RequestBody {
  const neutral = registrationToNeutral(crypto, request, keys, NOW.unixMs);
  if (neutral.kind !== 'submit') throw new Error('it was answered');
  const decoded = decodeRequest(neutral.body);
  if (decoded.kind !== 'value') throw new Error(decoded.reason);
  return decoded.value;
}

function responseOf(answer: AnswerBody): LpRegistrationResponse {
  const decoded = decodeRegistrationResponse(answerToPayload({ kind: 'registration', body: encodeAnswer(answer) }));
  if (decoded === undefined) throw new Error('no response');
  return decoded;
}

test('a dVPN request is submitted as op register, with the preshared key that LP1 clients configure', (t) => {
  const owner = crypto.kdf('lp1 owner', concat(KEYS.clientEd25519, KEYS.ownerSecret));
  t.deepEqual(submitted(REQUEST), {
    op: 'register',
    enrolment: { mode: 'dvpn', wgPublicKey: key(0xe7), presharedKey: KEYS.gatewayEd25519 },
    owner,
    credential: { kind: 'zk-nym', token: mockCredential() },
  });
});

test('a mixnet request is submitted under its client id', (t) => {
  const request = submitted({ ...REQUEST, ticketType: 0, mode: { kind: 'mixnet', clientId: key(7) } });
  t.like(request, { op: 'register', enrolment: { mode: 'mixnet', clientId: key(7) } });
});

test('the longest credential fits into a registration body', (t) => {
  const credential = new Uint8Array(MAX_CREDENTIAL_LENGTH);
  t.notThrows(() => submitted({ ...REQUEST, credential }));
});

test('the owner is the same for a client and a gateway, and nobody can tell it from the client key', (t) => {
  const ownerOf = (keys: typeof KEYS) => toHex(submitted(REQUEST, keys).owner);
  t.is(ownerOf(KEYS), ownerOf({ ...KEYS }));
  t.not(ownerOf(KEYS), ownerOf({ ...KEYS, ownerSecret: key(0x56) }));
  t.not(ownerOf(KEYS), ownerOf({ ...KEYS, clientEd25519: key(0xc2) }));
  t.not(ownerOf(KEYS), toHex(crypto.kdf('lp1 owner', KEYS.clientEd25519)));
});

test('fault 19c: any timestamp of 64 bits is judged, and none overflows', (t) => {
  const now = BigInt(SECONDS);
  for (const [timestamp, good] of [
    [now, true],
    [now - 30n, true],
    [now + 30n, true],
    [now - 31n, false],
    [now + 31n, false],
    [0n, false],
    [2n ** 53n, false],
    [2n ** 63n - 1n, false],
    [2n ** 63n, false],
    [2n ** 64n - 1n, false],
  ] as const) {
    const neutral = registrationToNeutral(crypto, { ...REQUEST, timestamp }, KEYS, NOW.unixMs);
    t.is(neutral.kind, good ? 'submit' : 'answer', String(timestamp));
    if (neutral.kind !== 'answer') continue;
    t.deepEqual(decodeRegistrationResponse(neutral.payload), { success: false, error: 'Invalid timestamp' });
  }
});

test('a completed dVPN registration announces the first IPv4 endpoint', (t) => {
  t.deepEqual(responseOf(COMPLETED), {
    success: true,
    gatewayData: {
      publicKey: key(0x42),
      endpoint: { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 51_821 },
      ipv4: Uint8Array.of(10, 1, 0, 9),
      ipv6: key(0xfd).slice(0, 16),
    },
    allocatedBandwidth: BigInt(Number.MAX_SAFE_INTEGER),
  });
});

test('without an IPv4 endpoint it is the first one', (t) => {
  const response = responseOf({ ...COMPLETED, endpoints: ['[2001:db8::7]:51820', '[2001:db8::8]:51820'] });
  t.like(response, { gatewayData: { endpoint: { family: 6, port: 51_820 } } });
});

test('a completed mixnet registration has no gateway data', (t) => {
  const response = responseOf({ status: 'completed', mode: 'mixnet', bandwidth: 9, expires: 10 });
  t.deepEqual(response, { success: true, allocatedBandwidth: 9n });
});

test('fault 29/32: a registration that did not complete gives away no address, key or bandwidth', (t) => {
  const required: AnswerBody = {
    status: 'credential_required',
    addresses: { ipv4: Uint8Array.of(10, 1, 0, 9), ipv6: new Uint8Array(16) },
    challenge: new Uint8Array(40),
    issuer: 'issuer.example',
    price: { tokens: 1, bandwidth: 2, lifetime: 3 },
    heldUntil: 4,
  };
  const answers: AnswerBody[] = [required];
  for (const code of REGISTRATION_CODES) answers.push({ status: 'failed', code, text: 'its own text' });
  const payloads = answers.map((answer) => answerToPayload({ kind: 'registration', body: encodeAnswer(answer) }));
  payloads.push(answerToPayload({ kind: 'registration', body: Uint8Array.of(0xc1) }));
  for (const code of [1, 2, 3, 4, 999]) payloads.push(answerToPayload({ kind: 'failure', code, text: 'its own text' }));
  for (const payload of payloads) {
    const response = decodeRegistrationResponse(payload);
    t.false(response?.success ?? true);
    if (response?.success !== false) continue;
    // success, error tag and length, text, no gateway data, bandwidth 0
    t.is(payload.length, 1 + 1 + 8 + response.error.length + 1 + 8);
    t.regex(response.error, /^[a-z].*: /i, 'it says what to do');
    t.notRegex(response.error, /its own text|issuer/);
  }
});

test('fault 32: no endpoint that is unspecified is announced', (t) => {
  // Bodies of the registrar have no such endpoint, and one that has is malformed.
  for (const endpoints of [['0.0.0.0:51820'], ['[::]:51820'], []]) {
    t.false(responseOf({ ...COMPLETED, endpoints }).success);
  }
});

test('a failure that waiting helps says for how long', (t) => {
  const response = responseOf({ status: 'failed', code: 'try_later', text: 'x', retryAfter: 12 });
  t.like(response, { success: false });
  if (!response.success) t.regex(response.error, /\(in 12 s\)$/);
});

test("what a client asks for is what the registrar gets, and the registrar's answer is what the client gets", (t) => {
  const asked: RequestBody = {
    op: 'register',
    enrolment: { mode: 'dvpn', wgPublicKey: key(0xe7), presharedKey: key(8) },
    owner: key(0x77),
  };
  const translated = requestToPayload(encodeFrame(KIND.registrationRequest, 9, encodeRequest(asked)), NOW);
  if (translated.kind !== 'payloads') return t.fail('it was answered');
  const request = decodeRegistrationRequest(translated.payloads[0]!);
  t.like(submitted(request!), { op: 'register', enrolment: { mode: 'dvpn', wgPublicKey: key(0xe7) } });
  const reply = answerToPayload({ kind: 'registration', body: encodeAnswer(COMPLETED) });
  const frame = decodeFrame(payloadToAnswer(translated.pending, [reply])!);
  t.is(frame?.requestId, 9);
  const bandwidth = Number.MAX_SAFE_INTEGER;
  t.like(decodeAnswer(frame!.body), { value: { status: 'completed', endpoints: ['192.0.2.7:51821'], bandwidth } });
});
