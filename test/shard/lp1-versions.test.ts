/**
 * Two protocols in one shard (lp2.md §3, §4; the version byte of the ClientHello decides): what a gateway without LP1 says,
 * what it tells with it, and indices of both beside each other.
 */
import test from 'ava';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { Initiator } from '../../src/lp/v2/initiator.ts';
import { decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { writeLe32 } from '../../src/lp/wire/bytes.ts';
import { decodeError, ERROR_CODE } from '../../src/lp/wire/message.ts';
import { contentOf, isSessionIndex, receiverIndex, TYPE, typeOf, versionOf } from '../../src/lp/wire/packet.ts';
import { ADMIT, RELEASE } from '../../src/shard/messages.ts';
import { GATEWAY } from '../lp/v1/people.ts';
import { HostileClient } from '../support/lp1-hostile.ts';
import {
  connectV1,
  crypto,
  finish,
  forwards,
  type Ground,
  lp1Gateway,
  onlyReply,
  refusal,
  rekeyV1,
  replyPackets,
  upTo,
} from '../support/lp1-shard.ts';

interface ClientV2 {
  readonly initiator: Initiator;
  readonly first: readonly Uint8Array[];
}

/** Hello and KKTRequest of a client that speaks LP2. */
function clientV2(ground: Ground): ClientV2 {
  const { harness, prng } = ground;
  harness.createKemKey('ml-kem-768', prng.bytes(64));
  const options = {
    crypto,
    random: prng.source(),
    clientSeed: prng.bytes(32),
    kem: 'ml-kem-768',
    kemKey: undefined,
  } as const;
  const { ed25519: gatewayEd25519, x25519: gatewayX25519 } = GATEWAY;
  const rest = { gatewayEd25519, gatewayX25519, pinnedHashes: [], clockOffsetMs: 0, earlyFrame: new Uint8Array(0) };
  const initiator = new Initiator({ ...options, ...rest }, harness.now);
  const step = initiator.start(harness.now);
  return { initiator, first: step.kind === 'send' ? step.packets : [] };
}

function connectV2({ harness }: Ground, { initiator, first }: ClientV2): ClientFamily {
  const queue = [...first];
  for (let packet = queue.shift(); packet !== undefined; packet = queue.shift()) {
    for (const reply of harness.replies(packet.slice())) {
      const step = initiator.receive(reply, harness.now);
      if (step.kind === 'established') return step.session;
      if (step.kind === 'send') queue.push(...step.packets);
    }
  }
  throw new Error('the handshake came to no end');
}

function echoes({ harness }: Ground, family: ClientFamily): boolean {
  const sealed = family.sealFrame(encodeFrame(KIND.opaque, 5, Uint8Array.of(1)));
  if (sealed.kind !== 'packets') return false;
  const received = harness.replies(sealed.packets[0]!).map((reply) => family.receive(reply, harness.now));
  return received.some((each) => each.kind === 'frame' && decodeFrame(each.bytes)?.requestId === 5);
}

test('a gateway without LP1 answers its ClientHello with Error 1, whose least and greatest version are 2', (t) => {
  const ground = lp1Gateway({ lp1: false });
  for (const index of [5, 0xf000_0001]) {
    const client = new HostileClient(ground, { index });
    const effects = ground.harness.packet(client.hello(), { flags: ADMIT.record });
    const error = onlyReply(effects);
    t.deepEqual([receiverIndex(error), versionOf(error), typeOf(error)], [index, 2, TYPE.error]);
    const { code, minVersion, maxVersion } = decodeError(contentOf(error))!;
    t.deepEqual([code, minVersion, maxVersion], [ERROR_CODE.version, 2, 2]);
    t.deepEqual(
      effects.filter(({ kind }) => kind !== 'reply'),
      [
        { kind: 'release', release: RELEASE.record, source: 1 },
        { kind: 'indexFree', index },
      ],
    );
  }
  t.is(ground.harness.stats.gauges.records, 0);
});

test('a gateway with LP1 tells 1 and 2 to a version it does not know', (t) => {
  const ground = lp1Gateway();
  for (const version of [0, 3, 255]) {
    const hello = new HostileClient(ground).hello();
    hello[12] = version;
    const { code, minVersion, maxVersion } = decodeError(contentOf(onlyReply(ground.harness.packet(hello))))!;
    t.deepEqual([code, minVersion, maxVersion], [ERROR_CODE.version, 1, 2]);
  }
});

test('an Error 2 to LP2 tells the least version, and LP1 gets none', (t) => {
  for (const lp1 of [true, false]) {
    const ground = lp1Gateway({ lp1 });
    const { first } = clientV2(ground);
    ground.harness.unixMs += 31_000;
    const { code, minVersion } = decodeError(contentOf(onlyReply(ground.harness.packet(first[0]!.slice()))))!;
    t.deepEqual([code, minVersion], [ERROR_CODE.clock, lp1 ? 1 : 2]);
  }
});

test('Handshake 2 of LP2 tells the least version, authenticated', (t) => {
  for (const lp1 of [true, false]) {
    const ground = lp1Gateway({ lp1 });
    const client = clientV2(ground);
    // A client that speaks nothing higher ignores it, so the plaintext is looked at where it is made.
    const seen: Uint8Array[] = [];
    const watched = watchPlaintexts(ground, seen);
    t.true(echoes(watched, connectV2(watched, client)));
    const payloads = seen.filter((plaintext) => plaintext.length === 14);
    t.true(payloads.some((payload) => payload[12] === (lp1 ? 1 : 2) && payload[13] === 2));
  }
});

/** The gateway again, with a provider that shows what it seals. */
function watchPlaintexts(ground: Ground, seen: Uint8Array[]): Ground {
  const shard = ground.harness.shard as unknown as { context: { crypto: typeof crypto } };
  const { context } = shard;
  context.crypto = {
    ...crypto,
    aeadSeal(out, plaintext, aad, nonce, key) {
      seen.push(plaintext.slice());
      crypto.aeadSeal(out, plaintext, aad, nonce, key);
    },
  };
  return ground;
}

test('sessions of both versions live beside each other, with handshakes in between', (t) => {
  const ground = lp1Gateway();
  const waitingV1 = upTo(ground, 'h3');
  const waitingV2 = clientV2(ground);
  const v2 = connectV2(ground, clientV2(ground));
  const v1 = connectV1(ground).session;
  t.true(isSessionIndex(v2.index));
  for (let i = 0; i < 3; i++) t.true(forwards(ground, v1) && echoes(ground, v2));
  rekeyV1(ground, v1);
  const lateV2 = connectV2(ground, waitingV2);
  const lateV1 = finish(ground, waitingV1).session;
  for (const session of [v1, lateV1]) t.true(forwards(ground, session));
  for (const family of [v2, lateV2]) t.true(echoes(ground, family));
  ground.harness.tick();
  const { sessions, families, records } = ground.harness.stats.gauges;
  t.deepEqual([sessions, families, records], [5, 4, 4]);
});

test('an LP2 ClientHello whose index is an LP1 session’s or record’s gets Collision of version 2', (t) => {
  const ground = lp1Gateway();
  const index = 0x0bad_cafe;
  const opening = upTo(ground, 'hello');
  writeLe32(opening.next, 18, index);
  const hello = clientV2(ground).first[0]!.slice();
  writeLe32(hello, 18, index);
  ground.harness.packet(opening.next.slice());
  const collision = onlyReply(ground.harness.packet(hello.slice()));
  t.deepEqual([receiverIndex(collision), versionOf(collision), typeOf(collision)], [index, 2, TYPE.collision]);

  let connected = connectV1(ground);
  while (isSessionIndex(connected.session.index)) connected = connectV1(ground);
  ground.harness.later(20_000);
  writeLe32(hello, 18, connected.session.index);
  const effects = ground.harness.packet(hello, { flags: ADMIT.record });
  t.deepEqual(replyPackets(effects).map(typeOf), [TYPE.collision]);
  t.false(
    effects.some(({ kind }) => kind === 'indexFree'),
    'the session stays routed',
  );
  t.true(forwards(ground, connected.session));
});

test('an LP1 ClientHello whose index is an LP2 record’s gets Collision, a session’s of LP2 silence', (t) => {
  const ground = lp1Gateway();
  const client = clientV2(ground);
  ground.harness.packet(client.first[0]!.slice());
  const { index } = client.initiator;
  const collision = onlyReply(ground.harness.packet(new HostileClient(ground, { index }).hello()));
  t.deepEqual([versionOf(collision), typeOf(collision)], [1, TYPE.collision]);
  const family = connectV2(ground, client);
  const effects = ground.harness.packet(new HostileClient(ground, { index: family.index }).hello());
  t.deepEqual(replyPackets(effects), []);
  t.is(ground.harness.drops.index_taken, 1);
  t.true(echoes(ground, family));
});

test('a ClientHello of one version with the content of the other’s is another hello: Collision, not its Ack', (t) => {
  const ground = lp1Gateway();
  const v2 = clientV2(ground).first[0]!.slice();
  const v1 = new HostileClient(ground).hello();
  for (const [hello, other] of [
    [v2, 1],
    [v1, 2],
  ] as const) {
    const ack = onlyReply(ground.harness.packet(hello.slice()));
    const again = hello.slice();
    again[12] = other;
    const reply = onlyReply(ground.harness.packet(again));
    t.deepEqual([versionOf(reply), typeOf(reply)], [other, TYPE.collision]);
    t.deepEqual(onlyReply(ground.harness.packet(hello.slice())), ack);
  }
});

test('packets of one version on an index of the other’s are dropped, and the handshakes finish', (t) => {
  const ground = lp1Gateway();
  const v1 = upTo(ground, 'kkt');
  const v2 = clientV2(ground);
  ground.harness.packet(v2.first[0]!.slice());
  const toV1 = v2.first[1]!.slice();
  writeLe32(toV1, 0, v1.initiator.index);
  t.is(refusal(ground.harness, toV1), 'version, noAnswer false');
  const toV2 = v1.next.slice();
  writeLe32(toV2, 0, v2.initiator.index);
  t.is(refusal(ground.harness, toV2), 'version');
  t.true(forwards(ground, finish(ground, v1).session));
  t.true(echoes(ground, connectV2(ground, v2)));
});
