/** LP1's key transfer: what a gateway answers, and what a careful client believes (lp1.md §4.5, §10-B 11, 12). */
import test from 'ava';
import { answerKktRequest, checkKktResponse, encodeKktRequest } from '../../../src/lp/v1/kkt.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { CLIENT, flipped, GATEWAY, otherLengths, PROVIDERS, STRANGER } from './people.ts';

const [native, portable] = PROVIDERS;
const SESSION_ID: Uint8Array = new Uint8Array(16).fill(0x33);
const NO_BODY: Uint8Array = new Uint8Array(0);
const KEYS = { clientEd25519: CLIENT.ed25519, gatewaySeed: GATEWAY.seed, gatewayX25519: GATEWAY.x25519 };
const EXPECTED = { sessionId: SESSION_ID, gatewayEd25519: GATEWAY.ed25519, gatewayX25519: GATEWAY.x25519 };

const answer = (content: Uint8Array) => answerKktRequest(native, content, KEYS);
const believes = (content: Uint8Array) => checkKktResponse(native, content, EXPECTED);

/** A frame with any context, well signed. */
function signed(seed: Uint8Array, context: readonly number[], body = NO_BODY, sessionId = SESSION_ID): Uint8Array {
  const message = concat(Uint8Array.from(context), body, sessionId);
  return concat(message, native.ed25519Sign(seed, message));
}

const request = (...context: number[]) => signed(CLIENT.seed, context);
const response = (context: readonly number[], body = GATEWAY.x25519, sessionId = SESSION_ID) =>
  signed(GATEWAY.seed, context, body, sessionId);
const RESPONSE_CONTEXT = [0x11, 0x01, 0xff, 0, 0, 0, 0];

for (const [asking, answering] of [
  [native, portable],
  [portable, native],
] as const) {
  test(`signed and anonymous requests are answered, and the answer is believed (${asking.name} asks)`, (t) => {
    for (const [seed, length] of [[CLIENT.seed, 87] as const, [undefined, 23] as const]) {
      const content = encodeKktRequest(asking, SESSION_ID, seed);
      t.is(content.length, length);
      const answered = answerKktRequest(answering, content, KEYS)!;
      t.is(answered.length, 119);
      t.true(checkKktResponse(asking, answered, EXPECTED));
    }
  });
}

test('a request that is cut, prolonged or changed in any byte gets no answer', (t) => {
  const content = encodeKktRequest(native, SESSION_ID, CLIENT.seed);
  for (const [what, bytes] of [...otherLengths(content), ...flipped(content)]) t.is(answer(bytes), undefined, what);
});

test('a request that somebody else signed gets no answer', (t) => {
  t.is(answer(encodeKktRequest(native, SESSION_ID, STRANGER.seed)), undefined);
});

test('an anonymous request that is cut or prolonged gets no answer', (t) => {
  const content = encodeKktRequest(native, SESSION_ID, undefined);
  for (const [what, bytes] of otherLengths(content)) t.is(answer(bytes), undefined, what);
});

test('whatever one byte of an anonymous context is, the answer has a consistent context or there is none', (t) => {
  const content = encodeKktRequest(native, SESSION_ID, undefined);
  let answers = 0;
  for (let at = 0; at < 7; at++) {
    for (let value = 0; value < 256; value++) {
      const bytes = content.slice();
      bytes[at] = value;
      const answered = answer(bytes);
      if (answered === undefined) continue;
      answers++;
      t.is(answered.length, 119);
      t.deepEqual([answered[0]! >> 4, answered[1], answered[2], answered[5], answered[6]], [1, 1, 0xff, 0, 0]);
    }
  }
  // Sequences 0–14 of versions 0 and 1, one role and mode, one KEM, 4 hashes, lengths 0 and 16–255, Ed25519, 256 reserved.
  t.is(answers, 30 + 1 + 1 + 4 + 241 + 1 + 256);
});

test('the answer has version 1, the next sequence, the suite in its shortest form and reserved zero', (t) => {
  for (const [asked, answered] of [
    [[0x00, 0, 0xff, 0, 0, 0, 0], RESPONSE_CONTEXT],
    [
      [0x15, 0, 0xff, 0, 0, 0, 0],
      [0x16, 1, 0xff, 0, 0, 0, 0],
    ],
    [
      [0x1e, 0, 0xff, 0, 0, 0, 0],
      [0x1f, 1, 0xff, 0, 0, 0, 0],
    ],
    [[0x10, 0, 0xff, 0, 32, 0, 0xaa], RESPONSE_CONTEXT],
    [
      [0x10, 0, 0xff, 3, 16, 0, 0],
      [0x11, 1, 0xff, 3, 16, 0, 0],
    ],
    [
      [0x10, 0, 0xff, 2, 255, 0, 0],
      [0x11, 1, 0xff, 2, 255, 0, 0],
    ],
  ] as const) {
    t.deepEqual([...answer(request(...asked))!.subarray(0, 7)], [...answered]);
  }
});

for (const [what, context] of [
  ['version 2', [0x20, 0, 0xff, 0, 0, 0, 0]],
  ['sequence 15', [0x1f, 0, 0xff, 0, 0, 0, 0]],
  ['role 3', [0x10, 3, 0xff, 0, 0, 0, 0]],
  ['mode 2', [0x10, 0x08, 0xff, 0, 0, 0, 0]],
  ['hash 4', [0x10, 0, 0xff, 4, 0, 0, 0]],
  ['hash length 1', [0x10, 0, 0xff, 0, 1, 0, 0]],
  ['hash length 15', [0x10, 0, 0xff, 0, 15, 0, 0]],
  ['signature scheme 1', [0x10, 0, 0xff, 0, 0, 1, 0]],
  ['KEM 3', [0x10, 0, 3, 0, 0, 0, 0]],
] as const) {
  test(`a signed request with ${what} gets no answer`, (t) => t.is(answer(request(...context)), undefined));
}

for (const [kem, name] of [
  [0, 'X-Wing'],
  [1, 'ML-KEM-768'],
  [2, 'Classic McEliece'],
] as const) {
  test(`fault 12: a request for ${name} is not answered with an X25519 key, signed or anonymous`, (t) => {
    t.is(answer(request(0x10, 0, kem, 0, 0, 0, 0)), undefined);
    t.is(answer(concat(Uint8Array.of(0x10, 2, kem, 0, 0, 0, 0), SESSION_ID)), undefined);
  });
}

test('fault 12: a status other than Ok is not echoed, signed or anonymous', (t) => {
  for (let status = 0x20; status <= 0xe0; status += 0x20) {
    t.is(answer(request(0x10, status, 0xff, 0, 0, 0, 0)), undefined);
    t.is(answer(concat(Uint8Array.of(0x10, status | 2, 0xff, 0, 0, 0, 0), SESSION_ID)), undefined);
  }
});

test('fault 12: mode Mutual is not echoed, signed or anonymous', (t) => {
  t.is(answer(signed(CLIENT.seed, [0x10, 0x04, 0xff, 0, 0, 0, 0], CLIENT.x25519)), undefined);
  t.is(answer(concat(Uint8Array.of(0x10, 0x06, 0xff, 0, 0, 0, 0), CLIENT.x25519, SESSION_ID)), undefined);
});

test('fault 12: role Responder is no request, though its signature is right', (t) => {
  t.is(answer(signed(CLIENT.seed, [0x10, 0x01, 0xff, 0, 0, 0, 0], CLIENT.x25519)), undefined);
});

test('a response that is cut, prolonged or changed in any byte is not believed', (t) => {
  const content = answer(encodeKktRequest(native, SESSION_ID, CLIENT.seed))!;
  t.true(believes(content));
  for (const [what, bytes] of [...otherLengths(content), ...flipped(content)]) t.false(believes(bytes), what);
});

test('fault 11: a response to another session id is not believed, though the gateway signed it', (t) => {
  t.true(believes(response(RESPONSE_CONTEXT)));
  t.false(believes(response(RESPONSE_CONTEXT, GATEWAY.x25519, new Uint8Array(16).fill(0x34))));
});

test('fault 11: a Mutual request that the gateway signed is no response', (t) => {
  t.false(believes(response([0x10, 0x04, 0xff, 0, 0, 0, 0])));
  t.false(believes(response([0x11, 0x05, 0xff, 0, 0, 0, 0])));
});

for (const [what, context] of [
  ['version', [0x01, 1, 0xff, 0, 0, 0, 0]],
  ['sequence', [0x12, 1, 0xff, 0, 0, 0, 0]],
  ['status', [0x11, 0x21, 0xff, 0, 0, 0, 0]],
  ['role', [0x11, 0, 0xff, 0, 0, 0, 0]],
  ['KEM', [0x11, 1, 0x01, 0, 0, 0, 0]],
  ['hash', [0x11, 1, 0xff, 1, 0, 0, 0]],
  ['hash length', [0x11, 1, 0xff, 0, 31, 0, 0]],
  ['signature scheme', [0x11, 1, 0xff, 0, 0, 1, 0]],
] as const) {
  test(`fault 11: a response with another ${what} than was asked for is not believed, though the gateway signed it`, (t) => {
    t.false(believes(response(context)));
  });
}

test('fault 11: a key that is not the converted identity is not believed, though the gateway signed it', (t) => {
  t.false(believes(response(RESPONSE_CONTEXT, STRANGER.x25519)));
});

test('fault 11: the signature covers the received bytes, so re-encoding to the signed ones does not help', (t) => {
  const content = response(RESPONSE_CONTEXT);
  for (const [at, alias] of [
    [0, 0x01],
    [4, 32],
    [6, 0xaa],
  ] as const) {
    const bytes = content.slice();
    bytes[at] = alias;
    t.false(believes(bytes), `byte ${at}`);
  }
});

test('a response that somebody else signed is not believed', (t) => {
  t.false(believes(signed(STRANGER.seed, RESPONSE_CONTEXT, GATEWAY.x25519)));
});
