/**
 * The gate of timing for LP1 (lp1.md §1.5, §5.3, §7.5): packets of equal shape that are dropped take the same steps and look
 * the same from outside; a path that ends earlier is the beginning of the longer one. What LP2's tests say holds here as well.
 */
import test from 'ava';
import { concat } from '../../src/lp/wire/bytes.ts';
import { contentOf, counterOf, encodeUnsealed, receiverIndex, TYPE, VERSION_1 } from '../../src/lp/wire/packet.ts';
import { native } from '../lp/crypto/providers.ts';
import { CLIENT, LOW_ORDER_POINTS, STRANGER, spoiled } from '../lp/v1/people.ts';
import { HostileClient, type HostileOptions, type PsqForgery, sealV1, splicedH1 } from '../support/lp1-hostile.ts';
import {
  answerForward,
  type ConnectedV1,
  connectV1,
  dataPacket,
  familyOf,
  forwardPayload,
  type Ground as Lp1Ground,
  lp1Gateway,
  onlyReply,
  onlyRequest,
  rekeyV1,
} from '../support/lp1-shard.ts';
import { StepRecord } from '../support/step-record.ts';
import {
  allAlike,
  beginsLike,
  type Cases,
  flippedFrom,
  type Run,
  runOf,
  type StepGround,
} from '../support/step-tables.ts';

type Ground = Lp1Ground & StepGround;

function newGround(): Ground {
  const record = new StepRecord(native);
  return { ...lp1Gateway({ crypto: record.crypto }), record };
}

/** Of a Handshake 1: the PSQ message behind its length, and the Noise message behind that (lp1.md §7.2). */
const PSQ_AT = 20;
const CIPHERTEXT_AT = PSQ_AT + 1;
const SEALED_AT = CIPHERTEXT_AT + 32 + 32;
const LENGTH_AT = SEALED_AT + 16;
const SEALED_END = LENGTH_AT + 2 + 124;
const KK1_INTERVAL_MS = 10_000;

function withPart(packet: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy.set(part, at);
  return copy;
}

function smallOrder(packet: Uint8Array, at: number): [string, Uint8Array][] {
  return LOW_ORDER_POINTS.map((point, i) => [`small order ${i}`, withPart(packet, at, point)]);
}

/** A client whose hello and key transfer were answered. */
function introduced(ground: Ground, options: HostileOptions = {}): HostileClient {
  const client = new HostileClient(ground, options);
  for (const packet of [client.hello(), client.kkt()]) onlyReply(ground.harness.packet(packet));
  return client;
}

/** Keys and counters of the client's side of its newest session. */
function insideOf({ session }: ConnectedV1) {
  return familyOf(session).current.transport as unknown as {
    readonly outerKey: Uint8Array;
    readonly counter: { readonly next: number };
  };
}

/** A packet of the client's next counter, sealed by the outer key; the session does not know of it. */
function outerSealed(connected: ConnectedV1, type: number, content: Uint8Array): Uint8Array {
  const { outerKey, counter } = insideOf(connected);
  const header = { index: connected.session.index, counter: counter.next, version: VERSION_1, type };
  return sealV1(native, outerKey, header, content);
}

test('a packet that the outer key does not open costs one opening, on a current session and on a demoted one', (t) => {
  const ground = newGround();
  const connected = connectV1(ground);
  const first = connected.session.index;
  const packet = dataPacket(connected.session, forwardPayload());
  const cases: Cases = [
    ...flippedFrom(packet, 12),
    ['noise', withPart(packet, 12, ground.prng.bytes(packet.length - 12))],
  ];
  const run = allAlike(t, ground, cases, ['tag']);
  t.deepEqual(run.steps, [`open(${packet.length - 12}, 12) fails`]);
  rekeyV1(ground, connected.session);
  const late = dataPacket(connected.session, forwardPayload(), first);
  t.deepEqual(allAlike(t, ground, flippedFrom(late, 12), ['tag']), run);
});

test('data that the inner key does not open costs the same tries wherever it is wrong, a reflected packet as well', (t) => {
  const ground = newGround();
  const connected = connectV1(ground);
  const payload = ground.prng.bytes(48);
  const answered = () => {
    const { key } = onlyRequest(ground.harness.packet(dataPacket(connected.session, forwardPayload())));
    return onlyReply(answerForward(ground.harness, key, payload));
  };
  // A packet of the client's that is lost leaves its counter free for one of the gateway's.
  dataPacket(connected.session, forwardPayload());
  answered();
  const reply = answered();
  const inner = ground.prng.bytes(payload.length + 16);
  const wrong = (content: Uint8Array) => outerSealed(connected, TYPE.encryptedData, content);
  const cases: [string, Uint8Array][] = [['noise', wrong(inner)]];
  for (const at of [0, 20, 47, 48, 63]) cases.push([`byte ${at}`, wrong(spoiled(inner, at, 1))]);
  const run = allAlike(t, ground, cases, ['inner_tag']);
  t.is(run.steps[0], `open(${34 + inner.length - 12}, 12)`);
  // Its counter is another, hence the number of tries; each of them is the same.
  t.is(counterOf(reply), 3);
  const reflected = runOf(ground, reply);
  t.deepEqual(new Set(reflected.steps), new Set(run.steps));
});

test('control packets that a session does not take cost one opening', (t) => {
  const ground = newGround();
  const connected = connectV1(ground);
  const types = [
    TYPE.busy,
    TYPE.handshake,
    TYPE.clientHello,
    TYPE.kktRequest,
    TYPE.collision,
    TYPE.ack,
    0x000e,
    0xffff,
  ];
  const cases = types.map((type): [string, Uint8Array] => [
    `type ${type}`,
    outerSealed(connected, type, payloadOf(56)),
  ]);
  const misshapen = [TYPE.subsessionKk1, TYPE.subsessionReady, TYPE.subsessionAbort].map(
    (type): [string, Uint8Array] => [`form of ${type}`, outerSealed(connected, type, payloadOf(56))],
  );
  t.is(allAlike(t, ground, [...cases, ...misshapen], ['type', 'content']).steps.length, 1);
});

function payloadOf(length: number): Uint8Array {
  return new Uint8Array(length).fill(0x5a);
}

test('a key transfer with a bad signature costs the same wherever it is bad', (t) => {
  const ground = newGround();
  const client = new HostileClient(ground);
  onlyReply(ground.harness.packet(client.hello()));
  const request = client.kkt();
  // Behind the context: session id and signature.
  const cases: Cases = [
    ...flippedFrom(request, 18 + 7, -16),
    ['of a stranger', new HostileClient(ground, { index: client.index, signer: STRANGER.seed }).kkt()],
  ];
  t.deepEqual(allAlike(t, ground, cases, ['handshake_failed']).steps, ['blake3(87)', 'verify(23) fails']);
});

test('a Handshake 1 costs the same wherever its PSQ part is wrong, by what it is wrong in', (t) => {
  const ground = newGround();
  const client = introduced(ground);
  const h1 = client.h1();
  const forged = (forgery: PsqForgery) => client.h1(forgery);
  const unconfirmed = allAlike(
    t,
    ground,
    [
      ...flippedFrom(h1, CIPHERTEXT_AT, SEALED_AT),
      ['another ciphertext', withPart(h1, CIPHERTEXT_AT, STRANGER.x25519)],
    ],
    ['handshake_failed'],
  );
  t.is(unconfirmed.steps.at(-1), 'equal(32, 32) fails');
  const unopened = allAlike(
    t,
    ground,
    [...flippedFrom(h1, SEALED_AT, LENGTH_AT), ...flippedFrom(h1, LENGTH_AT + 2, SEALED_END)],
    ['handshake_failed'],
  );
  const plaintexts: Cases = [
    ['another’s key', forged({ credential: STRANGER.ed25519 })],
    ['too old', forged({ seconds: 0n })],
    ['ahead', forged({ seconds: 2n ** 63n })],
    ['no TTL', forged({ ttlMs: 0n })],
    ['noise', forged({ plaintext: ground.prng.bytes(124) })],
  ];
  const untimely = allAlike(t, ground, plaintexts, ['handshake_failed']);
  const signatures = [0, 31, 32, 63].map((at): [string, Uint8Array] => [
    `signature, byte ${at}`,
    forged({ plaintext: plaintextSignedWrong(ground, at) }),
  ]);
  const unsigned = allAlike(t, ground, signatures, ['handshake_failed']);
  t.is(unsigned.steps.at(-1)?.slice(0, 6), 'verify');
  const smallest = allAlike(t, ground, smallOrder(h1, CIPHERTEXT_AT), ['handshake_failed']);
  const accepted = runOf(ground, h1);
  const paths = [smallest, unconfirmed, unopened, unsigned, accepted];
  for (let i = 1; i < paths.length; i++) beginsLike(t, paths[i - 1]!, paths[i]!);
  // What opens and is not looked at further ends with the opening.
  t.deepEqual(untimely.steps.slice(0, -1), unopened.steps.slice(0, -1));
});

/** Timely, with the hello's key, and a signature that is noise but for its encoding. */
function plaintextSignedWrong({ harness, prng }: Ground, at: number): Uint8Array {
  const time = Buffer.alloc(28);
  time.writeBigUInt64BE(BigInt(Math.floor(harness.unixMs / 1_000)), 0);
  time.writeUInt32BE(3_600_000, 24);
  const signature = native.ed25519Sign(CLIENT.seed, prng.bytes(65));
  return concat(time, spoiled(signature, at, 1), CLIENT.ed25519);
}

test('a Handshake 1 whose Noise message does not read costs the same wherever it is wrong', (t) => {
  const ground = newGround();
  const h1 = introduced(ground).h1();
  const refused = allAlike(t, ground, flippedFrom(h1, SEALED_END, -16), ['handshake_failed']);
  t.is(refused.steps.at(-1), 'open(16, 32) fails');
  beginsLike(t, allAlike(t, ground, smallOrder(h1, SEALED_END), ['handshake_failed']), refused);
  beginsLike(t, refused, runOf(ground, h1));
});

test('a hello whose two keys are not one costs a Handshake 1 one check, whatever follows it', (t) => {
  const ground = newGround();
  const cases = [STRANGER.x25519, new Uint8Array(32), new Uint8Array(32).fill(0xff)].map(
    (helloX25519, i): [string, Uint8Array] => [`key ${i}`, introduced(ground, { helloX25519 }).h1()],
  );
  const run = allAlike(t, ground, cases, ['handshake_failed']);
  t.deepEqual(run.steps, ['blake3(257)', 'converts(32) fails']);
});

test('a Handshake 3 that no state opens costs one opening for each state, wherever it is wrong', (t) => {
  for (const states of [1, 2, 3]) {
    const ground = newGround();
    const client = introduced(ground);
    const h1 = client.h1();
    t.true(client.readH2(onlyReply(ground.harness.packet(h1.slice()))));
    for (let i = 1; i < states; i++) ground.harness.packet(splicedH1(ground, h1));
    const { packet } = client.h3();
    const run = allAlike(t, ground, flippedFrom(packet, 12), ['tag']);
    const openings = Array.from({ length: states }, () => `open(${packet.length - 12}, 12) fails`);
    t.deepEqual(run.steps, [`blake3(${packet.length})`, ...openings]);
    t.is(runOf(ground, packet).reasons.length, 0);
    t.deepEqual(allAlike(t, ground, flippedFrom(packet, 12), ['duplicate']).steps, [`blake3(${packet.length})`]);
  }
});

/** Handshake 3 of a client whose H2 was read, its Noise message changed before the outer key seals it. */
function h3Of(ground: Ground, change: (message: Uint8Array) => Uint8Array, options: HostileOptions = {}): Uint8Array {
  const client = introduced(ground, options);
  if (!client.readH2(onlyReply(ground.harness.packet(client.h1())))) throw new Error('this H2 reads');
  const plain = client.h3().packet;
  // The key stream of one nonce, twice: what it sealed is in the clear again.
  const bare = sealV1(
    native,
    client.outer,
    { index: client.index, counter: counterOf(plain), version: 0, type: 0 },
    contentOf(plain),
  );
  const header = { index: client.index, counter: 2, version: VERSION_1, type: TYPE.handshake };
  return sealV1(native, client.outer, header, change(contentOf(bare).slice()));
}

test('a Handshake 3 whose inside is wrong costs the same wherever that is', (t) => {
  const ground = newGround();
  const spoiledAt = (at: number): [string, Uint8Array] => [`byte ${at}`, h3Of(ground, (m) => spoiled(m, at, 1))];
  const statics = allAlike(t, ground, [0, 1, 31, 32, 47].map(spoiledAt), ['tag']);
  const tags = allAlike(t, ground, [48, 55, 63].map(spoiledAt), ['tag']);
  const foreign = (): [string, Uint8Array] => ['another’s', h3Of(ground, (m) => m, { noiseSecret: STRANGER.secret })];
  const strangers = allAlike(t, ground, [foreign(), foreign()], ['tag']);
  t.is(strangers.steps.at(-1), 'equal(32, 32) fails');
  const paths: Run[] = [
    statics,
    tags,
    strangers,
    runOf(
      ground,
      h3Of(ground, (m) => m),
    ),
  ];
  for (let i = 1; i < paths.length; i++) beginsLike(t, paths[i - 1]!, paths[i]!);
});

test('a KK1 whose Noise message does not read costs the same tries wherever it is wrong', (t) => {
  const ground = newGround();
  const connected = connectV1(ground);
  const started = familyOf(connected.session).startRekey(ground.harness.now)!;
  const { outerKey } = insideOf(connected);
  const bare = sealV1(
    native,
    outerKey,
    { index: receiverIndex(started), counter: counterOf(started), version: 0, type: 0 },
    contentOf(started),
  );
  const content = contentOf(bare).slice();
  const cases: [string, Uint8Array][] = [];
  for (let at = 8; at < 56; at++) {
    cases.push([`byte ${at}`, outerSealed(connected, TYPE.subsessionKk1, spoiled(content, at, 0x40))]);
  }
  const later = () => ground.harness.later(KK1_INTERVAL_MS);
  const refused = allAlike(t, ground, cases, ['handshake_failed'], later);
  t.is(
    refused.steps.filter((step) => step === 'x25519(32)').length,
    2,
    'one of each DH, for all numbers that are tried',
  );
  const points = LOW_ORDER_POINTS.map((point): [string, Uint8Array] => [
    'small order',
    outerSealed(connected, TYPE.subsessionKk1, withPart(content, 8, point)),
  ]);
  const lowOrder = allAlike(t, ground, points, ['handshake_failed'], later);
  t.true(lowOrder.steps.length < refused.steps.length);
});

test('an index that names nothing costs nothing', (t) => {
  const ground = newGround();
  const { session } = connectV1(ground);
  const cases = [1, 2, 3].map((counter): [string, Uint8Array] => [
    `counter ${counter}`,
    encodeUnsealed(session.index ^ 1, counter % 3, TYPE.encryptedData, payloadOf(50), VERSION_1),
  ]);
  t.deepEqual(allAlike(t, ground, cases, ['unknown_index']).steps, []);
});
