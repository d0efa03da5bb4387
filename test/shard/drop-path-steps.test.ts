/**
 * The gate of timing (lp2.md §2): packets of equal shape that are dropped take the same steps, primitive by primitive, and
 * look the same from outside. Where a path ends earlier than another, what ends it is known to whoever sent the packet; that
 * path is then the beginning of the longer one, so that no failure has steps of its own.
 */
import test, { type ExecutionContext } from 'ava';
import { concat, writeLe32 } from '../../src/lp/wire/bytes.ts';
import { contentOf, encodeUnsealed, isSessionIndex, receiverIndex, TYPE } from '../../src/lp/wire/packet.ts';
import { native } from '../lp/crypto/providers.ts';
import { LOW_ORDER_POINTS, STRANGER, spoiled } from '../lp/v1/people.ts';
import { type Established, establish, opaque, rekeys, sealedFrame } from '../support/handshake.ts';
import { sealAny, transportOf } from '../support/hostile.ts';
import { type AttemptV2, type GroundV2, groundV2, HostileClientV2, kk1Packet } from '../support/lp2-hostile.ts';
import { indicesOf, sessionsOf } from '../support/shard-state.ts';
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

type Ground = GroundV2 & StepGround;

function newGround(): Ground {
  const record = new StepRecord(native);
  return { ...groundV2(native, record), record };
}

const CLIENT_SEED = new Uint8Array(32).fill(0x11);
const BODY = new Uint8Array(64).fill(7);
const KK1_INTERVAL_MS = 10_000;
const RECORD_TTL_MS = 90_000;
/** Where the Noise message begins: behind header and prefix, KEM id and key id. */
const NOISE_1_AT = 18 + 9;
const X25519_SHARE = 1_088;
const NOISE_3_AT = 18;
const STATIC_END = NOISE_3_AT + 48;

function connected({ harness, prng }: Ground, clientSeed = CLIENT_SEED): Established {
  return establish(harness, { crypto: native, random: prng.source(), clientSeed, kem: 'x-wing' });
}

function frameOf({ family }: Established, id: number): Uint8Array {
  return sealedFrame(family, opaque(id, BODY))!;
}

/** A record whose ClientHello was answered. */
function greeted(ground: Ground): HostileClientV2 {
  const client = new HostileClientV2(ground);
  ground.harness.packet(client.hello);
  return client;
}

function h2Of(ground: Ground, attempt: AttemptV2): Uint8Array {
  const [h2] = ground.harness.replies(attempt.h1.slice());
  if (h2 === undefined) throw new Error('this H1 reads');
  return h2;
}

function withPart(packet: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy.set(part, at);
  return copy;
}

test('a sealed packet that does not open costs one opening, wherever it is wrong and whatever it was sealed with', (t) => {
  const ground = newGround();
  const [mine, other] = [connected(ground), connected(ground, STRANGER.seed)];
  const packet = frameOf(mine, 1);
  const own = receiverIndex(packet);
  const foreign = frameOf(other, 1);
  writeLe32(foreign, 0, own);
  const [reflected] = ground.harness.replies(frameOf(mine, 2));
  const cases: Cases = [
    ['counter', spoiled(packet, 4, 0x10)],
    ...flippedFrom(packet, 12),
    ['under another session’s key', foreign],
    ['the gateway’s own reply', withPart(reflected!, 4, packet.subarray(4, 12))],
    ['noise', withPart(packet, 12, ground.prng.bytes(packet.length - 12))],
    ['zeros', packet.map((byte, at) => (at < 12 ? byte : 0))],
  ];
  const run = allAlike(t, ground, cases, ['tag']);
  t.deepEqual(run.steps, [`open(${packet.length - 12}, 12) fails`]);
  t.deepEqual(run.effects, []);
});

test('a packet that does not open costs the same on a session that is unused, idle, used, pending or demoted', (t) => {
  const ground = newGround();
  const packets: [string, Uint8Array][] = [];
  const add = (name: string, index: number) => {
    const packet = frameOf(unused, 0);
    writeLe32(packet, 0, index);
    packets.push([name, packet]);
  };
  const idle = connected(ground, STRANGER.seed);
  ground.harness.packet(frameOf(idle, 1));
  ground.harness.later(RECORD_TTL_MS);
  for (let sweep = 0; sweep < 2; sweep++) ground.harness.tick();
  const unused = connected(ground);
  const used = connected(ground, STRANGER.seed);
  ground.harness.packet(frameOf(used, 1));
  const rekeyed = connected(ground, STRANGER.seed);
  const parent = rekeyed.family.index;
  t.true(rekeys(ground.harness, rekeyed.family));
  const asking = connected(ground, STRANGER.seed);
  ground.harness.packet(kk1Packet(ground, asking.family, STRANGER.seed, { n: 1, payload: Uint8Array.of(0) }));
  const pending = sessionsOf(ground.harness.shard).find(({ place }) => place.kind === 'pending')!;
  add('another unused', connected(ground, STRANGER.seed).family.index);
  add('idle for long', idle.family.index);
  add('used', used.family.index);
  add('demoted', parent);
  add('its successor', rekeyed.family.index);
  add('has a child that is pending', asking.family.index);
  add('pending', pending.index);
  t.is(allAlike(t, ground, packets, ['tag']).steps.length, 1);
});

test('what is refused after the opening costs one opening: version, type, form', (t) => {
  const ground = newGround();
  const { family } = connected(ground);
  const transport = transportOf(family);
  const seal = (version: number, type: number) => sealAny(native, transport, version, type, BODY);
  const allowed = new Set<number>([0x0002, 0x0008, 0x0009, 0x000a, 0x000b, 0x000c, 0x000d, 0x000f]);
  const cases: [string, Uint8Array][] = [];
  for (const version of [0, 1, 3, 255]) cases.push([`version ${version}`, seal(version, TYPE.encryptedData)]);
  for (let type = 0; type < 34; type++) if (!allowed.has(type)) cases.push([`type ${type}`, seal(2, type)]);
  for (const type of [0x0100, 0x0102, 0xffff]) cases.push([`type ${type}`, seal(2, type)]);
  // Types that are allowed, none with 64 bytes of content.
  for (const type of allowed) if (type !== TYPE.encryptedData) cases.push([`form of ${type}`, seal(2, type)]);
  const run = allAlike(t, ground, cases, ['version', 'type', 'content']);
  t.deepEqual(run.steps, [`open(${34 + BODY.length - 12}, 12)`]);
  t.deepEqual(run.effects, []);
});

test('a counter that was received, is too old or too high costs nothing, whether the tag is right or wrong', (t) => {
  const ground = newGround();
  const client = connected(ground);
  const old = frameOf(client, 0);
  const received = frameOf(client, 1);
  for (let id = 2; id < 1_100; id++) ground.harness.packet(frameOf(client, id));
  const last = frameOf(client, 1_100);
  ground.harness.packet(last.slice());
  const cases: Cases = [
    ['received', last],
    ['received, tag wrong', spoiled(last, last.length - 1, 1)],
    ['too old', old],
    ['too old, tag wrong', spoiled(received, received.length - 1, 1)],
    ['beyond the limit', withPart(last, 10, Uint8Array.of(1))],
  ];
  const reasons = ['duplicate', 'out_of_window', 'counter_limit'];
  t.deepEqual(allAlike(t, ground, cases, reasons).steps, []);
});

test('what names nothing costs nothing: never assigned, promised, expired, ended', (t) => {
  const ground = newGround();
  const expired = connected(ground);
  const closed = connected(ground);
  const packet = frameOf(expired, 1);
  ground.harness.packet(closed.family.close()!);
  ground.harness.later(300_000);
  const client = greeted(ground);
  h2Of(ground, client.attempt());
  const named = (index: number) => {
    const copy = packet.slice();
    writeLe32(copy, 0, index);
    return copy;
  };
  // The first packet that meets an expired session tells of its end; from then on it is like the others.
  t.deepEqual(runOf(ground, packet).steps, []);
  const promised = [...indicesOf(ground.harness.shard)].filter(isSessionIndex);
  t.is(promised.length, 1);
  const cases: Cases = [
    ['expired', packet],
    ['promised by an H2', named(promised[0]!)],
    ['never assigned', named(0x8123_4567)],
    ['ended', named(closed.family.index)],
  ];
  t.deepEqual(allAlike(t, ground, cases, ['unknown_index']), { steps: [], effects: [], reasons: ['unknown_index'] });
  const handshakes = [1, 2].map((counter): [string, Uint8Array] => [
    `counter ${counter}`,
    encodeUnsealed(client.index ^ 1, counter, TYPE.handshake, BODY),
  ]);
  t.deepEqual(allAlike(t, ground, handshakes, ['unknown_index']).steps, []);
});

test('an H1 that its tag refuses costs the same wherever it is wrong, and its KEM ciphertext is not looked at', (t) => {
  const ground = newGround();
  const client = greeted(ground);
  const { h1 } = client.attempt();
  const stranger = new HostileClientV2(ground);
  const ciphertext = client.encapsulate().ciphertext;
  const cases: Cases = [
    ...flippedFrom(h1, NOISE_1_AT, -16),
    ['another ephemeral', withPart(h1, NOISE_1_AT, STRANGER.x25519)],
    ['to another gateway’s static', client.attempt({ gatewayStatic: STRANGER.x25519 }).h1],
    [
      'to another static, ciphertext refused as well',
      client.attempt({ gatewayStatic: STRANGER.x25519, ciphertext: spoiled(ciphertext, 5, 1) }).h1,
    ],
    ['after another hello', client.attempt({ helloContent: contentOf(stranger.hello) }).h1],
    ['noise', withPart(h1, NOISE_1_AT, ground.prng.bytes(h1.length - 16 - NOISE_1_AT))],
  ];
  const refused = allAlike(t, ground, cases, ['handshake_failed']);
  t.is(refused.steps.at(-1), 'open(1136, 32) fails');
  t.false(refused.steps.some((step) => step.startsWith('decapsulate') || step.startsWith('draw')));
  const lowOrder = allAlike(t, ground, smallOrder(h1, NOISE_1_AT), ['handshake_failed']);
  beginsLike(t, lowOrder, refused);
  beginsLike(t, refused, runOf(ground, h1));
});

function smallOrder(packet: Uint8Array, at: number): [string, Uint8Array][] {
  return LOW_ORDER_POINTS.map((point, i) => [`small order ${i}`, withPart(packet, at, point)]);
}

test('a KEM ciphertext that ML-KEM rejects costs what a good one costs, and gets an H2 like it', (t) => {
  const ground = newGround();
  const fresh = (ciphertext: (good: Uint8Array) => Uint8Array) => {
    const client = greeted(ground);
    return client.attempt({ ciphertext: ciphertext(client.encapsulate().ciphertext) }).h1;
  };
  const cases: [string, Uint8Array][] = [['good', fresh((good) => good)]];
  for (const at of [0, 1, 500, 959, 960, 1_087]) cases.push([`byte ${at}`, fresh((good) => spoiled(good, at, 1))]);
  cases.push(['of zeros', fresh((good) => withPart(good, 0, new Uint8Array(X25519_SHARE)))]);
  cases.push(['of ones', fresh((good) => withPart(good, 0, new Uint8Array(X25519_SHARE).fill(0xff)))]);
  cases.push(['for another key', fresh((good) => withPart(good, X25519_SHARE, STRANGER.x25519))]);
  const read = allAlike(t, ground, cases, []);
  t.is(read.steps.filter((step) => step === 'decapsulate(1088)').length, 1);
  const lowOrder = LOW_ORDER_POINTS.map((point): [string, Uint8Array] => [
    'X25519 share of small order',
    fresh((good) => withPart(good, X25519_SHARE, point)),
  ]);
  beginsLike(t, allAlike(t, ground, lowOrder, ['handshake_failed']), read);
});

test('an H3 costs one opening for every state it does not open under, wherever its first part is wrong', (t) => {
  for (const states of [1, 2, 3]) {
    const ground = newGround();
    const client = greeted(ground);
    const attempts = Array.from({ length: states }, () => client.attempt());
    const [h2] = attempts.map((attempt) => h2Of(ground, attempt));
    const h3 = attempts[0]!.h3(h2!, client.ed25519);
    const cases: Cases = [
      ...flippedFrom(h3, NOISE_3_AT, STATIC_END),
      ['noise', withPart(h3, NOISE_3_AT, ground.prng.bytes(h3.length - 16 - NOISE_3_AT))],
    ];
    const run = allAlike(t, ground, cases, ['handshake_failed']);
    t.deepEqual(run.steps, ['blake3(96)', ...Array.from({ length: states }, () => 'open(48, 32) fails')]);
    t.is(run.effects.length, 1);
  }
});

/** H1 and H2 are done: H3 of any payload, each under a record of its own. */
function h3With(ground: Ground, payload: (client: HostileClientV2) => Uint8Array): Uint8Array {
  const client = greeted(ground);
  const attempt = client.attempt();
  return attempt.h3(h2Of(ground, attempt), payload(client));
}

test('an H3 whose payload does not open, or whose key does not convert, costs the same as others of its kind', (t) => {
  const ground = newGround();
  const accepted = h3With(ground, ({ ed25519 }) => ed25519);
  const wrongTag = allAlike(t, ground, flippedFrom(accepted, STATIC_END, -16), ['handshake_failed']);
  const yIsOne = Uint8Array.of(1, ...new Uint8Array(31));
  const keys: [string, Uint8Array][] = [
    ['a stranger’s', STRANGER.ed25519],
    ['the gateway’s', ground.harness.ed25519Public],
    ['no point', new Uint8Array(32).fill(2)],
    ['not canonical', new Uint8Array(32).fill(0xff)],
    ['y = 1', yIsOne],
  ];
  const cases = keys.map(([name, key]): [string, Uint8Array] => [name, h3With(ground, () => key)]);
  const unconverted = allAlike(t, ground, cases, ['handshake_failed']);
  t.is(unconverted.steps.at(-1), 'converts(32) fails');
  beginsLike(t, wrongTag, unconverted);
  beginsLike(t, unconverted, runOf(ground, accepted));
});

test('an early frame that is none costs what none costs, up to the length of what is opened', (t) => {
  const ground = newGround();
  const early = (frame: Uint8Array) => h3With(ground, ({ ed25519 }) => concat(ed25519, frame));
  const shapeless = (length: number): Cases => [
    ['zeros', early(new Uint8Array(length))],
    ['ones', early(new Uint8Array(length).fill(0xff))],
    ['noise', early(ground.prng.bytes(length))],
  ];
  for (const length of [1, 4]) t.is(allAlike(t, ground, shapeless(length), []).steps.at(-1), 'seal(6, 12)');
  // A response and an answer to a Forward are nothing that a gateway takes.
  const ignored = [2, 4, 5].map((kind): [string, Uint8Array] => [
    `kind ${kind}`,
    early(withPart(new Uint8Array(69), 0, Uint8Array.of(kind))),
  ]);
  t.is(allAlike(t, ground, ignored, []).steps.at(-1), 'seal(6, 12)');
});

test('a KK1 whose Noise message does not read costs the same wherever it is wrong', (t) => {
  const ground = newGround();
  const payload = Uint8Array.of(0);
  const client = connected(ground);
  const { family } = client;
  const kk1 = (seed: Uint8Array, spoil?: (message: Uint8Array) => Uint8Array, content = payload) =>
    kk1Packet(ground, family, seed, { n: 1, payload: content, ...(spoil && { spoil }) });
  let probes = 0;
  // A KK1 that fails is no valid packet: without others the session would end.
  const later = () => {
    ground.harness.later(KK1_INTERVAL_MS);
    ground.harness.packet(frameOf(client, probes++));
  };
  const cases: [string, Uint8Array][] = [];
  for (let at = 0; at < 49; at++) cases.push([`byte ${at}`, kk1(CLIENT_SEED, (message) => spoiled(message, at, 0x40))]);
  cases.push(['of another client', kk1(STRANGER.seed)], ['noise', kk1(CLIENT_SEED, () => ground.prng.bytes(49))]);
  const refused = allAlike(t, ground, cases, ['handshake_failed'], later);
  t.is(refused.steps.at(-1), 'open(17, 32) fails');
  const points = LOW_ORDER_POINTS.map((point): [string, Uint8Array] => [
    'small order',
    kk1(CLIENT_SEED, (message) => withPart(message, 0, point)),
  ]);
  beginsLike(t, allAlike(t, ground, points, ['handshake_failed'], later), refused);
  const flags = [1, 2, 0xff].map((flag): [string, Uint8Array] => [
    `flags ${flag}`,
    kk1(CLIENT_SEED, undefined, Uint8Array.of(flag)),
  ]);
  const malformed = allAlike(t, ground, flags, ['handshake_failed'], later);
  beginsLike(t, refused, malformed);
  beginsLike(t, malformed, answered(t, ground, kk1(CLIENT_SEED)));
});

function answered(t: ExecutionContext, ground: Ground, packet: Uint8Array): Run {
  const run = runOf(ground, packet);
  t.deepEqual(run.reasons, []);
  return run;
}

test('a KK1 with a KEM key that is none costs what one with a bad tag costs and no more', (t) => {
  const ground = newGround();
  const { family } = connected(ground);
  const withKey = (key: Uint8Array, spoil?: (message: Uint8Array) => Uint8Array) =>
    kk1Packet(ground, family, CLIENT_SEED, {
      n: 1,
      payload: concat(Uint8Array.of(1), key),
      ...(spoil && { spoil }),
    });
  const good = native.kems['ml-kem-768'].secretKeyFromSeed(new Uint8Array(64)).publicKey.bytes;
  const later = () => ground.harness.later(KK1_INTERVAL_MS);
  // Two coefficients of 12 bits each that are at or above q, at the first, a middle and the last place.
  const beyond = [0, 576, 1_149].map((at): [string, Uint8Array] => [
    `modulus at ${at}`,
    withKey(withPart(good, at, Uint8Array.of(0xff, 0xff, 0xff))),
  ]);
  const refused = allAlike(t, ground, beyond, ['handshake_failed'], later);
  const tags = [32, 700, 1_232].map((at): [string, Uint8Array] => [
    `byte ${at}`,
    withKey(good, (message) => spoiled(message, at, 1)),
  ]);
  beginsLike(t, allAlike(t, ground, tags, ['handshake_failed'], later), refused);
  beginsLike(t, refused, answered(t, ground, withKey(good)));
});
