/** Application frames as LP1's payloads, and a gateway's replies as answers: what a client's user gets to see of LP1. */
import test from 'ava';
import { FORWARD_UNANSWERED } from '../../../src/lp/client-session.ts';
import {
  decodeForwardData,
  decodeRegistrationRequest,
  encodeRegistrationResponse,
  type LpRegistrationResponse,
} from '../../../src/lp/v1/application-bodies.ts';
import {
  EXPIRY_NOT_TOLD,
  type PendingTranslation,
  payloadToAnswer,
  requestToPayload,
  unansweredToAnswer,
} from '../../../src/lp/v1/client-translation.ts';
import { emptyCredential } from '../../../src/lp/v1/credential.ts';
import { MAX_PAYLOAD_LENGTH } from '../../../src/lp/v1/transport.ts';
import {
  decodeFailure,
  decodeForwardResponse,
  decodeFrame,
  encodeForward,
  encodeFrame,
  FAILURE_CODE,
  FORWARD_STATUS,
  type ForwardTarget,
  KIND,
} from '../../../src/lp/wire/application-frame.ts';
import { decodeAnswer, encodeRequest, type RequestBody } from '../../../src/lp/wire/registration-body.ts';
import { mockCredential } from '../../support/lp1-credential.ts';
import { toHex } from '../../support/vectors.ts';

const key = (fill: number) => new Uint8Array(32).fill(fill);
const SECONDS = 1_764_583_200;
const NOW = { monotonicMs: 5, unixMs: SECONDS * 1000 + 700 };

const REGISTER_DVPN: RequestBody = {
  op: 'register',
  enrolment: { mode: 'dvpn', wgPublicKey: key(0xe7), presharedKey: key(8) },
  owner: key(0x77),
};
const REGISTER_MIXNET: RequestBody = {
  op: 'register',
  enrolment: { mode: 'mixnet', clientId: key(7) },
  owner: key(0x77),
};
const PENDING_DVPN: PendingTranslation = { kind: 'registration', requestId: 9, mode: 'dvpn' };
const PENDING_MIXNET: PendingTranslation = { kind: 'registration', requestId: 9, mode: 'mixnet' };
const PENDING_FORWARD: PendingTranslation = { kind: 'forward', requestId: 9, replies: 3 };

const registrationFrame = (request: RequestBody, id = 9) =>
  encodeFrame(KIND.registrationRequest, id, encodeRequest(request));

function payloadsOf(frame: Uint8Array) {
  const translated = requestToPayload(frame, NOW);
  if (translated.kind !== 'payloads') throw new Error('it was answered');
  return translated;
}

/** The frame that answers at once, with the id of the request. */
function answeredWith(frame: Uint8Array) {
  const translated = requestToPayload(frame, NOW);
  if (translated.kind !== 'answered') throw new Error('it would be sent');
  const answer = decodeFrame(translated.frame);
  if (answer === undefined) throw new Error('no frame');
  return answer;
}

function failureCode(frame: Uint8Array): number | undefined {
  const answer = answeredWith(frame);
  return answer.kind === KIND.failure ? decodeFailure(answer.body)?.code : undefined;
}

function answerOf(
  pending: PendingTranslation,
  response: LpRegistrationResponse,
  gatewayIp?: { family: 4; ip: Uint8Array },
) {
  const frame = payloadToAnswer(pending, [encodeRegistrationResponse(response)], gatewayIp);
  if (frame === undefined) return undefined;
  const answer = decodeFrame(frame);
  if (answer?.kind !== KIND.registrationResponse || answer.requestId !== 9) throw new Error('not the answer');
  return decodeAnswer(answer.body);
}

test('a dVPN registration without a credential is sent with one that is worth nothing', (t) => {
  const { payloads, pending } = payloadsOf(registrationFrame(REGISTER_DVPN));
  t.is(payloads.length, 1);
  t.deepEqual(pending, PENDING_DVPN);
  t.deepEqual(decodeRegistrationRequest(payloads[0]!), {
    wgPublicKey: key(0xe7),
    credential: emptyCredential(),
    ticketType: 2,
    mode: { kind: 'dvpn' },
    clientIp: { family: 4, ip: new Uint8Array(4) },
    timestamp: BigInt(SECONDS),
  });
});

test('neither the owner nor the preshared key leaves the client', (t) => {
  const [payload] = payloadsOf(registrationFrame(REGISTER_DVPN)).payloads;
  t.false(toHex(payload!).includes(toHex(key(0x77)).slice(0, 32)));
  t.false(toHex(payload!).includes(toHex(key(8)).slice(0, 32)));
});

test('a mixnet registration carries its client id and a mixnet ticket', (t) => {
  const { payloads, pending } = payloadsOf(registrationFrame(REGISTER_MIXNET));
  t.deepEqual(pending, PENDING_MIXNET);
  t.like(decodeRegistrationRequest(payloads[0]!), { ticketType: 0, mode: { kind: 'mixnet', clientId: key(7) } });
});

test('a zk-nym is sent as it is', (t) => {
  const credential = { kind: 'zk-nym', token: mockCredential() };
  const [payload] = payloadsOf(registrationFrame({ ...REGISTER_DVPN, credential })).payloads;
  t.deepEqual(decodeRegistrationRequest(payload!)?.credential, credential.token);
});

test('credentials that LP1 cannot carry are refused by their code', (t) => {
  for (const [kind, token, code] of [
    ['privacy-pass', mockCredential(), 'credential_kind'],
    ['zk-nym', new Uint8Array(100), 'credential_invalid'],
    ['zk-nym', Uint8Array.of(...mockCredential(), 0), 'credential_invalid'],
  ] as const) {
    const answer = answeredWith(registrationFrame({ ...REGISTER_DVPN, credential: { kind, token } }));
    t.is(answer.kind, KIND.registrationResponse);
    t.is(answer.requestId, 9);
    t.like(decodeAnswer(answer.body), { value: { status: 'failed', code } });
  }
});

test('what LP1 cannot say is answered as not offered, under the same id', (t) => {
  const name = { mode: 'dvpn', wgPublicKey: key(1) } as const;
  const owner = key(2);
  const { enrolment } = REGISTER_MIXNET;
  const frames = [
    registrationFrame({ op: 'quote', enrolment, owner }),
    registrationFrame({ op: 'finalise', name, owner }),
    registrationFrame({ op: 'topup', name, owner }),
    registrationFrame({ op: 'balance', name, owner }),
    registrationFrame({ op: 'release', name, owner }),
    ...[KIND.opaque, KIND.registrationResponse, KIND.forwardResponse, KIND.failure, 6, 255].map((kind) =>
      encodeFrame(kind, 9, Uint8Array.of(1)),
    ),
  ];
  for (const frame of frames) {
    t.is(failureCode(frame), FAILURE_CODE.notOffered);
    t.is(answeredWith(frame).requestId, 9);
  }
});

test('a malformed request of the own side is answered as malformed', (t) => {
  t.is(failureCode(encodeFrame(KIND.registrationRequest, 9, Uint8Array.of(0xc1))), FAILURE_CODE.malformed);
  t.is(failureCode(encodeFrame(KIND.forward, 9, Uint8Array.of(0xc1))), FAILURE_CODE.malformed);
  t.throws(() => requestToPayload(new Uint8Array(4), NOW), { message: /^assertion/ });
});

const TARGET: ForwardTarget = { identity: key(4), family: 6, ip: key(0x20).slice(0, 16), port: 41_264 };
const forwardFrame = (target: ForwardTarget, packets: readonly Uint8Array[]) =>
  encodeFrame(KIND.forward, 9, encodeForward({ target, replies: packets.length, packets }));

test('a forward of several packets is an exchange for each', (t) => {
  const packets = [34, 90, 300].map((length) => new Uint8Array(length).fill(length & 0xff));
  const { payloads, pending } = payloadsOf(forwardFrame(TARGET, packets));
  t.deepEqual(pending, PENDING_FORWARD);
  t.deepEqual(
    payloads.map(decodeForwardData),
    packets.map((packet) => ({ target: TARGET, packet })),
  );
});

test('a forward without an address, or with a packet that is too long, is not offered', (t) => {
  const nowhere: ForwardTarget = { identity: key(4), family: 0, ip: new Uint8Array(0), port: 0 };
  t.is(failureCode(forwardFrame(nowhere, [new Uint8Array(34)])), FAILURE_CODE.notOffered);
  const overhead = payloadsOf(forwardFrame(TARGET, [new Uint8Array(34)])).payloads[0]!.length - 34;
  const longest = MAX_PAYLOAD_LENGTH - overhead;
  t.is(payloadsOf(forwardFrame(TARGET, [new Uint8Array(longest)])).payloads[0]!.length, MAX_PAYLOAD_LENGTH);
  t.is(failureCode(forwardFrame(TARGET, [new Uint8Array(longest + 1)])), FAILURE_CODE.notOffered);
});

test('replies to a forward are the packets of its answer', (t) => {
  const packets = [new Uint8Array(34), new Uint8Array(90).fill(1)];
  const frame = payloadToAnswer(PENDING_FORWARD, packets);
  const answer = frame && decodeFrame(frame);
  t.like(answer, { kind: KIND.forwardResponse, requestId: 9 });
  t.deepEqual(answer && decodeForwardResponse(answer.body), { status: FORWARD_STATUS.ok, packets });
  for (const length of [0, 33, 65_536]) {
    t.is(payloadToAnswer(PENDING_FORWARD, [new Uint8Array(length)]), undefined, String(length));
  }
});

test('an exchange that ends without a reply says something of a forward, and nothing of a registration', (t) => {
  const packets = [new Uint8Array(34)];
  const endOf = (replies: number, came: readonly Uint8Array[]) => {
    const frame = unansweredToAnswer({ kind: 'forward', requestId: 9, replies }, came);
    const answer = frame && decodeFrame(frame);
    return answer && decodeForwardResponse(answer.body);
  };
  t.deepEqual(endOf(2, packets), { status: FORWARD_UNANSWERED, packets });
  t.deepEqual(endOf(0, []), { status: FORWARD_STATUS.ok, packets: [] });
  t.is(unansweredToAnswer(PENDING_DVPN, []), undefined);
  t.is(unansweredToAnswer(PENDING_MIXNET, []), undefined);
});

const RESPONSE: Extract<LpRegistrationResponse, { readonly success: true }> = {
  success: true,
  gatewayData: {
    publicKey: key(0x42),
    endpoint: { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 51_822 },
    ipv4: Uint8Array.of(10, 1, 0, 9),
    ipv6: key(0xfd).slice(0, 16),
  },
  allocatedBandwidth: 1_073_741_824n,
};
const UNSPECIFIED: LpRegistrationResponse = {
  ...RESPONSE,
  gatewayData: { ...RESPONSE.gatewayData!, endpoint: { family: 4, ip: new Uint8Array(4), port: 51_822 } },
};

test('a successful dVPN response is a completed registration whose end is not told', (t) => {
  t.deepEqual(answerOf(PENDING_DVPN, RESPONSE), {
    kind: 'value',
    value: {
      status: 'completed',
      mode: 'dvpn',
      wgPublicKey: key(0x42),
      endpoints: ['192.0.2.7:51822'],
      addresses: { ipv4: Uint8Array.of(10, 1, 0, 9), ipv6: key(0xfd).slice(0, 16) },
      keepalive: 25,
      bandwidth: 1_073_741_824,
      expires: EXPIRY_NOT_TOLD,
    },
  });
});

test('bandwidth beyond 2^53 is cut to what a body can say', (t) => {
  const response = { ...RESPONSE, allocatedBandwidth: 2n ** 63n - 1n };
  t.like(answerOf(PENDING_DVPN, response), { value: { bandwidth: Number.MAX_SAFE_INTEGER } });
});

test('fault 32: an unspecified endpoint takes the address of the gateway, or is left out', (t) => {
  const gatewayIp = { family: 4, ip: Uint8Array.of(198, 51, 100, 3) } as const;
  t.like(answerOf(PENDING_DVPN, UNSPECIFIED, gatewayIp), { value: { endpoints: ['198.51.100.3:51822'] } });
  t.like(answerOf(PENDING_DVPN, RESPONSE, gatewayIp), { value: { endpoints: ['192.0.2.7:51822'] } });
  const frame = payloadToAnswer(PENDING_DVPN, [encodeRegistrationResponse(UNSPECIFIED)]);
  t.false(Buffer.from(frame!).includes('0.0.0.0'));
});

test('a successful mixnet response is a completed registration', (t) => {
  t.deepEqual(answerOf(PENDING_MIXNET, { success: true, allocatedBandwidth: 7n }), {
    kind: 'value',
    value: { status: 'completed', mode: 'mixnet', bandwidth: 7, expires: EXPIRY_NOT_TOLD },
  });
});

test('a refusal keeps the text of the gateway, cut and without what controls a terminal', (t) => {
  const textOf = (error: string) => {
    const answer = answerOf(PENDING_DVPN, { success: false, error });
    if (answer?.kind !== 'value' || answer.value.status !== 'failed') throw new Error('not failed');
    t.is(answer.value.code, 'internal');
    return answer.value.text;
  };
  t.is(textOf('Invalid timestamp'), 'Invalid timestamp');
  t.is(textOf('\u001b[31mred\u0007\r\n\u202e\u200b'), '?[31mred?????');
  t.is(textOf('schön – 漢字'), 'schön – 漢字');
  t.regex(textOf(''), /no reason/);
  // The encoder stops at 256 bytes, other gateways do not.
  const long = Uint8Array.from([
    0,
    1,
    0,
    3,
    0,
    0,
    0,
    0,
    0,
    0,
    ...Buffer.from(`a${'ä'.repeat(383)}b`),
    0,
    ...key(0).slice(0, 8),
  ]);
  const frame = payloadToAnswer(PENDING_DVPN, [long]);
  const answer = frame && decodeAnswer(decodeFrame(frame)!.body);
  t.like(answer, { value: { status: 'failed', text: `a${'ä'.repeat(127)}` } });
});

test('a reply that does not fit the request is no answer', (t) => {
  const dvpn = encodeRegistrationResponse(RESPONSE);
  const mixnet = encodeRegistrationResponse({ success: true, allocatedBandwidth: 7n });
  t.is(payloadToAnswer(PENDING_DVPN, [mixnet]), undefined);
  t.is(payloadToAnswer(PENDING_MIXNET, [dvpn]), undefined);
  t.is(payloadToAnswer(PENDING_DVPN, []), undefined);
  t.is(payloadToAnswer(PENDING_DVPN, [dvpn, dvpn]), undefined);
  t.is(payloadToAnswer(PENDING_DVPN, [Uint8Array.of(...dvpn, 0)]), undefined, 'fault 30');
  t.is(payloadToAnswer(PENDING_DVPN, [new Uint8Array(40)]), undefined);
});
