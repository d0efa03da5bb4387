/** LP1's Noise handshake: exact lengths, reads on a copy, and an order that cannot be got wrong (lp1.md §6.1). */
import test from 'ava';
import { split, wipeKeys } from '../../../src/lp/noise/split.ts';
import {
  XK_EPHEMERAL_MESSAGE_LENGTH,
  XK_STATIC_MESSAGE_LENGTH,
  XkInitiatorV1,
  XkResponderV1,
} from '../../../src/lp/v1/noise-xk.ts';
import { toHex } from '../../support/vectors.ts';
import { CLIENT, flipped, GATEWAY, LOW_ORDER_POINTS, otherLengths, PROVIDERS, STRANGER, spoiled } from './people.ts';

const [native, portable] = PROVIDERS;
const PSK = new Uint8Array(32).fill(0x99);
const OTHER_PSK = new Uint8Array(32).fill(0x98);
const ephemeral = (fill: number) => new Uint8Array(32).fill(fill);

function pair(initiating = native, responding = native, secret = CLIENT.secret) {
  const initiator = new XkInitiatorV1(initiating, secret, GATEWAY.x25519, ephemeral(5));
  const responder = new XkResponderV1(responding, GATEWAY.x25519);
  return { initiator, responder };
}

/** Up to message 2, which is written and not read. */
function answered(initiating = native, responding = native, secret = CLIENT.secret) {
  const { initiator, responder } = pair(initiating, responding, secret);
  const message1 = initiator.writeMessage1()!;
  if (!responder.readMessage1(message1, GATEWAY.secret)) throw new Error('message 1 does not read');
  return { initiator, responder, message1, message2: responder.writeMessage2(ephemeral(6))! };
}

for (const [initiating, responding] of [
  [native, portable],
  [portable, native],
] as const) {
  test(`both sides end with the same keys and hash (${initiating.name} initiates)`, (t) => {
    const { initiator, responder, message1, message2 } = answered(initiating, responding);
    t.true(initiator.readMessage2(message2));
    const written = initiator.writeMessage3(PSK)!;
    const { initiatorStatic, ...read } = responder.readMessage3(written.message, PSK)!;
    const { message, ...own } = written;
    t.deepEqual(own, read);
    t.is(toHex(initiatorStatic), toHex(CLIENT.x25519));
    t.notDeepEqual(own.keys.initiatorToResponder, own.keys.responderToInitiator);
    t.deepEqual([message1.length, message2.length], [XK_EPHEMERAL_MESSAGE_LENGTH, XK_EPHEMERAL_MESSAGE_LENGTH]);
    t.is(message.length, XK_STATIC_MESSAGE_LENGTH);
  });
}

test('the lengths are 48, 48 and 64', (t) => {
  t.deepEqual([XK_EPHEMERAL_MESSAGE_LENGTH, XK_STATIC_MESSAGE_LENGTH], [48, 64]);
});

test('a message 1 that is cut, prolonged or changed in any byte does not read', (t) => {
  const message = pair().initiator.writeMessage1()!;
  for (const [what, bytes] of [...otherLengths(message), ...flipped(message)]) {
    const { responder } = pair();
    t.false(responder.readMessage1(bytes, GATEWAY.secret), what);
    t.is(responder.writeMessage2(ephemeral(6)), undefined, what);
  }
});

test('after every message 2 that is cut, prolonged or changed, the true one still reads', (t) => {
  const { initiator, responder, message2 } = answered();
  for (const [what, bytes] of [...otherLengths(message2), ...flipped(message2)])
    t.false(initiator.readMessage2(bytes), what);
  t.true(initiator.readMessage2(message2));
  t.not(responder.readMessage3(initiator.writeMessage3(PSK)!.message, PSK), undefined);
});

test('after every message 3 that is cut, prolonged or changed, the true one still reads', (t) => {
  const { initiator, responder, message2 } = answered();
  initiator.readMessage2(message2);
  const { message } = initiator.writeMessage3(PSK)!;
  for (const [what, bytes] of [...otherLengths(message), ...flipped(message)])
    t.is(responder.readMessage3(bytes, PSK), undefined, what);
  t.not(responder.readMessage3(message, PSK), undefined);
});

test('a message 3 does not read under another PSK, and then does under its own', (t) => {
  const { initiator, responder, message2 } = answered();
  initiator.readMessage2(message2);
  const { message } = initiator.writeMessage3(PSK)!;
  t.is(responder.readMessage3(message, OTHER_PSK), undefined);
  t.not(responder.readMessage3(message, PSK), undefined);
});

test('messages out of order give nothing', (t) => {
  const early = pair();
  t.is(early.initiator.writeMessage3(PSK), undefined);
  const secret = ephemeral(6);
  t.is(early.responder.writeMessage2(secret), undefined);
  t.deepEqual(secret, new Uint8Array(32), 'the ephemeral secret that was taken over is wiped');
  t.is(early.responder.readMessage3(new Uint8Array(XK_STATIC_MESSAGE_LENGTH), PSK), undefined);

  const { initiator, responder, message1, message2 } = answered();
  t.false(responder.readMessage1(message1, GATEWAY.secret));
  t.is(responder.writeMessage2(ephemeral(7)), undefined);
  t.true(initiator.readMessage2(message2));
  t.false(initiator.readMessage2(message2));
  t.not(initiator.writeMessage3(PSK), undefined);
  t.is(initiator.writeMessage3(PSK), undefined);
});

test('points of small order are refused wherever they come from', (t) => {
  for (const point of LOW_ORDER_POINTS) {
    t.is(new XkInitiatorV1(native, CLIENT.secret, point, ephemeral(5)).writeMessage1(), undefined);
    const message = new Uint8Array(XK_EPHEMERAL_MESSAGE_LENGTH);
    message.set(point);
    t.false(pair().responder.readMessage1(message, GATEWAY.secret));
    t.false(answered().initiator.readMessage2(message));
  }
});

test('fault 14: message 3 tells which static key it proves, for the caller to compare', (t) => {
  const { initiator, responder, message2 } = answered(native, native, STRANGER.secret);
  initiator.readMessage2(message2);
  const read = responder.readMessage3(initiator.writeMessage3(PSK)!.message, PSK)!;
  t.is(toHex(read.initiatorStatic), toHex(STRANGER.x25519));
});

test('a responder with another static key does not read message 1', (t) => {
  const responder = new XkResponderV1(native, STRANGER.x25519);
  t.false(responder.readMessage1(pair().initiator.writeMessage1()!, STRANGER.secret));
});

test('wiping overwrites the ephemeral secrets that were taken over, and no other', (t) => {
  const own = ephemeral(5);
  const initiator = new XkInitiatorV1(native, CLIENT.secret, GATEWAY.x25519, own);
  const { responder } = pair();
  responder.readMessage1(initiator.writeMessage1()!, GATEWAY.secret);
  const other = ephemeral(6);
  responder.writeMessage2(other);
  initiator.wipe();
  responder.wipe();
  t.deepEqual([own, other], [new Uint8Array(32), new Uint8Array(32)]);
  t.notDeepEqual(CLIENT.secret, new Uint8Array(32));
});

test('Split gives each direction a key of its own, and wiping overwrites both', (t) => {
  const keys = split(native, PSK);
  t.deepEqual(split(portable, PSK), keys);
  t.notDeepEqual(keys.initiatorToResponder, keys.responderToInitiator);
  t.notDeepEqual(split(native, spoiled(PSK, 31, 1)), keys);
  wipeKeys(keys);
  t.deepEqual([...keys.initiatorToResponder, ...keys.responderToInitiator], [...new Uint8Array(64)]);
});
