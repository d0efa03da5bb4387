/**
 * What the gateway replies, row by row of lp1.md §8.3 and §8.4: index, counter, sealed or not. For the rest there is no
 * reply, and where the reference closes the connection its end is asked for.
 */
import test from 'ava';
import { openOuter } from '../../src/lp/v1/outer.ts';
import { encodeFailure, encodeForwardResponse } from '../../src/lp/wire/application-frame.ts';
import { readLe32 } from '../../src/lp/wire/bytes.ts';
import { counterOf, encodeUnsealed, receiverIndex, TYPE, typeOf, versionOf } from '../../src/lp/wire/packet.ts';
import { encodeAnswer } from '../../src/lp/wire/registration-body.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { CLIENT, PROVIDERS, spoiled } from '../lp/v1/people.ts';
import { HostileClient, sealAnyV1 } from '../support/lp1-hostile.ts';
import {
  answerForward,
  answerIndex,
  connectV1,
  crypto,
  dataPacket,
  familyOf,
  finish,
  forwardPayload,
  forwards,
  lp1Gateway,
  onlyReply,
  onlyRequest,
  openedBy,
  refusal,
  registrationPayload,
  rekeyV1,
  replyPackets,
  startRekey,
  unansweredOf,
  upTo,
} from '../support/lp1-shard.ts';

const EMPTY = new Uint8Array(0);
const TAKEN = 0x1234_5678;

/** Index, counter, version, type and length of a reply in cleartext. */
function cleartext(packet: Uint8Array): number[] {
  return [receiverIndex(packet), counterOf(packet), versionOf(packet), typeOf(packet), packet.length];
}

function sealedHeader(packet: Uint8Array): number[] {
  return [receiverIndex(packet), counterOf(packet), packet.length];
}

/** Type of a packet sealed under this session's outer key. */
function sealedType(
  session: ReturnType<typeof connectV1>['session'],
  packet: Uint8Array,
  index = session.index,
): number {
  const transport = familyOf(session).find(index)!.transport as unknown as { outerKey: Uint8Array };
  const copy = packet.slice();
  return openOuter(crypto, transport.outerKey, copy) && versionOf(copy) === 1 ? typeOf(copy) : -1;
}

test('§8.3: a ClientHello that is accepted gets an Ack for the index it proposes, with bit 31 or without', (t) => {
  for (const index of [1, TAKEN, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    const ground = lp1Gateway();
    const effects = ground.harness.packet(new HostileClient(ground, { index }).hello());
    t.deepEqual(cleartext(onlyReply(effects)), [index, 0, 1, TYPE.ack, 34]);
    t.deepEqual(effects[0], { kind: 'indexTaken', index, live: false });
  }
});

test('§8.3.1: at index 0 anything but a ClientHello of LP1 with counter 0 brings nothing', (t) => {
  const ground = lp1Gateway();
  for (const [name, type] of Object.entries(TYPE)) {
    if (type === TYPE.clientHello) continue;
    t.is(
      refusal(ground.harness, encodeUnsealed(0, 0, type, new Uint8Array(100), 1)),
      'type, indexFree, noAnswer false',
      name,
    );
  }
  const hello = new HostileClient(ground).hello();
  hello[4] = 1;
  t.is(refusal(ground.harness, hello), 'counter, indexFree, noAnswer false');
  for (const length of [34, 133, 135, 300]) t.is(refusal(ground.harness, new Uint8Array(length)), 'length');
});

test('§8.3.2: a timestamp within 30 s is accepted, any other dropped without a word about it', (t) => {
  for (const saltOffsetS of [-30, -1, 0, 30]) {
    const ground = lp1Gateway();
    t.is(typeOf(onlyReply(ground.harness.packet(new HostileClient(ground, { saltOffsetS }).hello()))), TYPE.ack);
  }
  for (const saltOffsetS of [-31, 31, 2 ** 40, -1_764_583_200]) {
    const ground = lp1Gateway();
    const client = new HostileClient(ground, { saltOffsetS });
    const { index } = client;
    const effects = ground.harness.packet(client.hello());
    t.deepEqual(replyPackets(effects), []);
    t.deepEqual(unansweredOf(effects), [false]);
    t.true(
      effects.some((effect) => effect.kind === 'indexFree' && effect.index === index),
      'it is unrouted',
    );
    t.is(ground.harness.drops.clock, 1);
  }
  const ground = lp1Gateway();
  const hello = new HostileClient(ground).hello();
  hello.fill(0xff, 18 + 68, 18 + 76);
  t.is(refusal(ground.harness, hello), 'clock, indexFree, noAnswer false');
});

test('§8.3.3: an Ed25519 key that does not decode gets an Ack, for hellos cost no public-key operation, and no further', (t) => {
  const helloEd25519 = crypto.sha256(Uint8Array.of(2));
  t.is(crypto.x25519PublicOfEd25519(helloEd25519), undefined);
  const ground = lp1Gateway();
  const client = new HostileClient(ground, { helloEd25519 });
  t.is(typeOf(onlyReply(ground.harness.packet(client.hello()))), TYPE.ack);
  t.is(refusal(ground.harness, client.kkt()), 'handshake_failed, noAnswer false');
  const anonymous = client.kkt([0x10, 0x02, 0xff, 0, 0, 0, 0]);
  t.is(typeOf(onlyReply(ground.harness.packet(anonymous))), TYPE.kktResponse);
  t.is(refusal(ground.harness, client.h1({ credential: helloEd25519 })), 'handshake_failed, noAnswer false');
});

test('§8.3.4: another ClientHello for a taken index gets Collision below 2³¹, and silence from there on', (t) => {
  for (const [index, expected] of [
    [TAKEN, 'Collision'],
    [TAKEN + 0x8000_0000, 'silence'],
  ] as const) {
    const ground = lp1Gateway();
    const first = new HostileClient(ground, { index });
    const ack = onlyReply(ground.harness.packet(first.hello()));
    const effects = ground.harness.packet(new HostileClient(ground, { index }).hello());
    if (expected === 'Collision') t.deepEqual(cleartext(onlyReply(effects)), [index, 0, 1, TYPE.collision, 34]);
    else t.deepEqual([replyPackets(effects), unansweredOf(effects)], [[], [false]]);
    t.false(
      effects.some(({ kind }) => kind === 'indexFree'),
      'it stays routed',
    );
    t.deepEqual(onlyReply(ground.harness.packet(first.hello())), ack, 'the first one is there');
  }
});

test('§8.3.4: an index is taken by a session too, whatever became of the record', (t) => {
  const ground = lp1Gateway();
  const { session, sent } = connectV1(ground);
  ground.harness.later(90_000);
  const effects = ground.harness.packet(new HostileClient(ground, { index: session.index }).hello());
  t.deepEqual(replyPackets(effects).map(typeOf), session.index >= 0x8000_0000 ? [] : [TYPE.collision]);
  t.is(ground.harness.stats.gauges.records, 0);
  ground.harness.unixMs -= 90_000;
  const replayed = ground.harness.packet(sent[0]!.slice());
  t.false(
    replayed.some((effect) => effect.kind === 'indexTaken'),
    'a replayed hello makes no second record',
  );
  t.true(forwards(ground, session));
});

for (const provider of PROVIDERS) {
  test(`§8.4: registration, forward and rekeying are answered on the index, sealed, counters rising from 2 (${provider.name})`, (t) => {
    const ground = lp1Gateway({ crypto: provider });
    const { harness } = ground;
    const { session } = connectV1(ground, { crypto: provider });
    const { index } = session;

    const asked = onlyRequest(harness.packet(dataPacket(session, registrationPayload())));
    t.is(asked.request, REQUEST.registration);
    const failed = encodeAnswer({ status: 'failed', code: 'pool_exhausted', text: 'no address' });
    const registered = onlyReply(harness.answer(asked.key, ANSWER.registration, failed));
    t.deepEqual(sealedHeader(registered).slice(0, 2), [index, 2]);
    t.is(sealedType(session, registered), TYPE.encryptedData);
    t.is(openedBy(session, registered, harness)[0], 0, 'a rejected registration is an answer');

    const { key } = onlyRequest(harness.packet(dataPacket(session, forwardPayload())));
    const packet = ground.prng.bytes(77);
    const forwarded = onlyReply(answerForward(harness, key, packet));
    t.deepEqual(sealedHeader(forwarded), [index, 3, 50 + 77]);
    t.deepEqual(openedBy(session, forwarded, harness), packet, 'the raw reply packet');

    const { kk2, ready, parent } = startRekey(ground, session);
    t.deepEqual(sealedHeader(kk2), [index, 4, 90]);
    t.is(sealedType(session, kk2, parent), TYPE.subsessionKk2);
    const effects = harness.packet(ready);
    t.deepEqual([replyPackets(effects), unansweredOf(effects)], [[], [false]]);
    const claim = onlyRequest(effects);
    t.is(claim.request, REQUEST.index);
    t.is(readLe32(claim.body, 0), session.index);
    t.deepEqual(answerIndex(harness, claim.key, true), [{ kind: 'indexTaken', index: session.index, live: true }]);
    t.true(forwards(ground, session), 'stored under the new index');
  });
}

test('§8.4: a Ready whose index is in use brings nothing', (t) => {
  const ground = lp1Gateway();
  const { session } = connectV1(ground);
  const { ready } = startRekey(ground, session);
  const { key } = onlyRequest(ground.harness.packet(ready));
  t.deepEqual(
    answerIndex(ground.harness, key, false).filter(({ kind }) => kind !== 'indexFree'),
    [],
  );
  t.is(ground.harness.stats.counters.index_collisions, 1);
});

test('§8.4: AEAD failure, replay, state error, Abort and unknown payloads bring nothing', (t) => {
  const ground = lp1Gateway();
  const { harness } = ground;
  const { session } = connectV1(ground);
  const { transport } = familyOf(session).current;
  const packet = dataPacket(session, forwardPayload());
  t.is(refusal(harness, spoiled(packet, 30, 1)), 'tag, noAnswer false');
  harness.packet(packet.slice());
  t.is(refusal(harness, packet), 'duplicate, noAnswer false');
  const wrongStates = ['busy', 'handshake', 'clientHello', 'kktRequest', 'kktResponse', 'forwardPacket'] as const;
  for (const name of [...wrongStates, 'collision', 'ack', 'subsessionRequest', 'error', 'close'] as const) {
    t.is(refusal(harness, sealAnyV1(transport, 1, TYPE[name], EMPTY)), 'type, noAnswer false', name);
  }
  for (const name of ['subsessionKk1', 'subsessionKk2'] as const) {
    t.regex(refusal(harness, sealAnyV1(transport, 1, TYPE[name], EMPTY)), /^(content|no_kk), noAnswer false$/, name);
  }
  t.is(refusal(harness, sealAnyV1(transport, 1, TYPE.subsessionReady, new Uint8Array(4))), 'no_kk, noAnswer false');
  t.regex(
    refusal(harness, sealAnyV1(transport, 1, TYPE.subsessionAbort, EMPTY)),
    /^(reflected, noAnswer false|noAnswer false, valid)$/,
    'ignored, and never answered',
  );
  t.is(
    refusal(harness, sealAnyV1(transport, 1, TYPE.encryptedData, ground.prng.bytes(60))),
    'inner_tag, noAnswer false',
  );
  t.is(refusal(harness, dataPacket(session, Uint8Array.of(1, 2, 3))), 'unknown_payload, noAnswer true');
  t.true(forwards(ground, session), 'and the session goes on');
});

test('§8.4: a forward that fails ends its connection, whatever the forwarder says', (t) => {
  const ground = lp1Gateway();
  const { harness } = ground;
  const { session } = connectV1(ground);
  const outcomes: [number, Uint8Array][] = [
    ...[1, 2, 3, 4, 5, 6].map((status): [number, Uint8Array] => [
      ANSWER.forward,
      encodeForwardResponse({ status, packets: [] }),
    ]),
    [ANSWER.forward, encodeForwardResponse({ status: 6, packets: [new Uint8Array(40)] })],
    [ANSWER.forward, encodeForwardResponse({ status: 0, packets: [] })],
  ];
  for (const [kind, body] of outcomes) {
    const { key } = onlyRequest(harness.packet(dataPacket(session, forwardPayload())));
    t.deepEqual(harness.answer(key, kind, body), [{ kind: 'noAnswer', connection: 1, failed: true }]);
  }
  t.true(forwards(ground, session));
});

test('a failure of the forwarder itself ends the connection too: it is no answer to a forward', (t) => {
  const ground = lp1Gateway();
  const { session } = connectV1(ground);
  const { key } = onlyRequest(ground.harness.packet(dataPacket(session, forwardPayload())));
  const effects = ground.harness.answer(key, ANSWER.failure, encodeFailure({ code: 4, text: 'try later' }));
  t.deepEqual(effects, [{ kind: 'noAnswer', connection: 1, failed: true }]);
  t.true(forwards(ground, session));
});

test('replies go to the connection that brought the request, also when others came between', (t) => {
  const ground = lp1Gateway();
  const { harness } = ground;
  const { session } = connectV1(ground);
  const keys = [5, 6, 7].map(
    (connection) => onlyRequest(harness.packet(dataPacket(session, forwardPayload()), { connection })).key,
  );
  const connections = [...keys]
    .reverse()
    .flatMap((key) =>
      answerForward(harness, key, new Uint8Array(40)).flatMap((effect) =>
        'connection' in effect ? [effect.connection] : [],
      ),
    );
  t.deepEqual(connections, [7, 6, 5]);
});

test('a client’s request on its rekeyed session is answered there, with counters from 0', (t) => {
  const ground = lp1Gateway();
  const { session } = connectV1(ground, { clientSeed: CLIENT.seed });
  rekeyV1(ground, session);
  const { key } = onlyRequest(ground.harness.packet(dataPacket(session, forwardPayload())));
  t.deepEqual(sealedHeader(onlyReply(answerForward(ground.harness, key, new Uint8Array(40)))), [session.index, 0, 90]);
});

test('a handshake whose client vanished is answered to another one as if it had never been', (t) => {
  const ground = lp1Gateway();
  upTo(ground, 'h3');
  t.true(forwards(ground, finish(ground, upTo(ground, 'hello')).session));
});
