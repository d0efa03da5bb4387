/** Faults of the reference's sessions (lp1.md §10), by their numbers there, against a whole shard: indices, ages, demotion. */
import test from 'ava';
import { readLe32 } from '../../src/lp/wire/bytes.ts';
import { encodeUnsealed, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { encodeAnswer } from '../../src/lp/wire/registration-body.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { spoiled } from '../lp/v1/people.ts';
import { HostileClient, sealAnyV1 } from '../support/lp1-hostile.ts';
import {
  answerForward,
  answerIndex,
  chosenIndices,
  connectV1,
  dataPacket,
  familyOf,
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
  requestsOf,
  startRekey,
  unansweredOf,
  upTo,
} from '../support/lp1-shard.ts';
import { LP1_SESSION_IDLE_MS } from '../support/shard-harness.ts';
import { indicesOf } from '../support/shard-state.ts';

const FIRST = 0x1111;
const SECOND = 0x2222;
const THIRD = 0xf000_3333;

/** A client whose session is FIRST, and whose rekeyings ask for these indices. */
function connected(indices: readonly number[] = [SECOND, THIRD]) {
  const ground = lp1Gateway();
  const random = chosenIndices(ground.prng.source(), [FIRST, ...indices]);
  return { ground, ...ground, ...connectV1(ground, { random }) };
}

/** On the parent, after its KK2, whatever index the client has chosen itself. */
function sealReady(session: ReturnType<typeof connectV1>['session'], parent: number, index: number): Uint8Array {
  const content = new Uint8Array(4);
  new DataView(content.buffer).setUint32(0, index, true);
  return sealAnyV1(familyOf(session).find(parent)!.transport, 1, TYPE.subsessionReady, content);
}

test('fault 24: index 0 in a ClientHello is dropped, and is no record’s', (t) => {
  const ground = lp1Gateway();
  const effects = ground.harness.packet(new HostileClient(ground, { index: 0 }).hello());
  t.deepEqual(replyPackets(effects), []);
  t.deepEqual(unansweredOf(effects), [false]);
  t.is(ground.harness.drops.index_range, 1);
  t.is(indicesOf(ground.harness.shard).size, 0);
});

test('fault 24: a Ready is accepted only with an index, and the parent serves until it is granted', (t) => {
  const { ground, harness, session } = connected();
  const { ready } = startRekey(ground, session);
  const { key, request, body } = onlyRequest(harness.packet(ready.slice()));
  t.deepEqual([request, readLe32(body, 0)], [REQUEST.index, SECOND]);
  t.true(forwards(ground, session, FIRST), 'the claim is under way');
  t.is(refusal(harness, ready), 'duplicate, noAnswer false');
  t.deepEqual(answerIndex(harness, key, false), [{ kind: 'indexFree', index: SECOND }]);
  t.true(forwards(ground, session, FIRST), 'refused: the parent was not demoted');
  t.is(refusal(harness, dataPacket(session, forwardPayload())), 'unknown_index, indexFree');
});

test('fault 24: after a refusal another Ready may name another index', (t) => {
  const { ground, harness, session } = connected();
  const { ready, parent } = startRekey(ground, session);
  answerIndex(harness, onlyRequest(harness.packet(ready)).key, false);
  const { key, body } = onlyRequest(harness.packet(sealReady(session, parent, 0x4444)));
  t.is(readLe32(body, 0), 0x4444);
  t.deepEqual(answerIndex(harness, key, true), [{ kind: 'indexTaken', index: 0x4444, live: true }]);
  t.is(refusal(harness, dataPacket(session, forwardPayload(), parent)), 'read_only, noAnswer true', 'demoted now');
});

test('fault 24: an index that is taken in this shard is refused before anything is asked or demoted', (t) => {
  const { ground, harness, session } = connected();
  const other = connectV1(ground).session;
  const record = upTo(ground, 'h1').initiator.index;
  const { parent } = startRekey(ground, session);
  const cases: [string, number, string][] = [
    ['0', 0, 'index_range'],
    ['its own', FIRST, 'index_taken'],
    ['another session’s', other.index, 'index_taken'],
    ['a record’s', record, 'index_taken'],
  ];
  for (const [what, index, reason] of cases) {
    t.is(refusal(harness, sealReady(session, parent, index)), `${reason}, noAnswer false`, what);
    t.true(forwards(ground, session, parent), what);
  }
  t.true(forwards(ground, other));
  answerIndex(harness, onlyRequest(harness.packet(sealReady(session, parent, SECOND))).key, true);
  t.true(forwards(ground, session));
});

test('fault 24: an index that is being claimed is taken for everybody else', (t) => {
  const { ground, harness, session } = connected();
  startRekey(ground, session);
  const { key } = onlyRequest(harness.packet(sealReady(session, FIRST, SECOND)));
  const hello = harness.packet(new HostileClient(ground, { index: SECOND }).hello());
  t.deepEqual(replyPackets(hello).map(typeOf), [TYPE.collision]);
  const rival = connectV1(ground, { random: chosenIndices(ground.prng.source(), [0x9999, SECOND]) }).session;
  t.is(refusal(harness, startRekey(ground, rival).ready), 'index_taken, noAnswer false');
  t.deepEqual(answerIndex(harness, key, true), [{ kind: 'indexTaken', index: SECOND, live: true }]);
  t.true(forwards(ground, session));
});

test('fault 24: a KK1 overtakes no claim: it is dropped, and read when the claim was refused', (t) => {
  for (const granted of [true, false]) {
    const { ground, harness, session } = connected();
    const first = session.startRekey(undefined, harness.now);
    harness.packet(first.kind === 'packet' ? first.packet : new Uint8Array(34));
    const { key } = onlyRequest(harness.packet(sealReady(session, FIRST, SECOND)));
    harness.later(10_000);
    session.tick(harness.now);
    const second = session.startRekey(undefined, harness.now);
    const kk1 = second.kind === 'packet' ? second.packet : new Uint8Array(34);
    t.is(refusal(harness, kk1), 'in_progress, noAnswer false');
    const settled = answerIndex(harness, key, granted);
    if (granted) {
      t.deepEqual(settled, [{ kind: 'indexTaken', index: SECOND, live: true }]);
      t.is(refusal(harness, kk1), 'read_only, noAnswer false');
      continue;
    }
    t.deepEqual(settled, [{ kind: 'indexFree', index: SECOND }]);
    t.true(forwards(ground, session, FIRST), 'the parent was not demoted');
    const rekeyed = session.receive(onlyReply(harness.packet(kk1.slice())), harness.now);
    const ready = rekeyed.kind === 'rekeyed' ? rekeyed.packets[0]! : new Uint8Array(34);
    answerIndex(harness, onlyRequest(harness.packet(ready)).key, true);
    t.true(forwards(ground, session));
  }
});

test('fault 24: a claim that is answered after its family ended frees its index', (t) => {
  const { ground, harness, session } = connected();
  const { key } = onlyRequest(harness.packet(startRekey(ground, session).ready));
  harness.later(LP1_SESSION_IDLE_MS);
  harness.tick();
  t.deepEqual([...indicesOf(harness.shard)], [SECOND], 'the claim alone');
  t.deepEqual(answerIndex(harness, key, true), [{ kind: 'indexFree', index: SECOND }]);
  t.is(indicesOf(harness.shard).size, 0);
});

test('fault 25: a demoted session starts no registration, no forward and no rekeying', (t) => {
  const { ground, harness, session } = connected();
  const { parent } = rekeyV1(ground, session);
  for (const payload of [registrationPayload(), forwardPayload(), Uint8Array.of(1)]) {
    t.is(refusal(harness, dataPacket(session, payload, parent)), 'read_only, noAnswer true');
  }
  const { transport } = familyOf(session).find(parent)!;
  for (const type of [TYPE.subsessionKk1, TYPE.subsessionKk2, TYPE.subsessionReady, TYPE.subsessionAbort]) {
    t.is(refusal(harness, sealAnyV1(transport, 1, type, new Uint8Array(56))), 'read_only, noAnswer false');
  }
  t.is(harness.stats.counters.registrations, 0);
  t.true(forwards(ground, session));
});

test('fault 25: a request that was accepted before is still answered on the session that brought it', (t) => {
  const { ground, harness, session } = connected();
  const forward = onlyRequest(harness.packet(dataPacket(session, forwardPayload())));
  const registration = onlyRequest(harness.packet(dataPacket(session, registrationPayload())));
  const { parent } = rekeyV1(ground, session);
  const packet = ground.prng.bytes(48);
  const answers = [
    onlyReply(answerForward(harness, forward.key, packet)),
    onlyReply(harness.answer(registration.key, ANSWER.registration, failedBody())),
  ];
  for (const answer of answers) t.is(readLe32(answer, 0), parent);
  t.deepEqual(openedBy(session, answers[0]!, harness), packet);
  t.is(openedBy(session, answers[1]!, harness)[0], 0);
});

test('fault 25: an answer that comes after its demoted session is over is not sent, and harms nothing', (t) => {
  const { ground, harness, session } = connected();
  const { key } = onlyRequest(harness.packet(dataPacket(session, forwardPayload())));
  rekeyV1(ground, session);
  harness.later(60_000);
  harness.tick();
  t.deepEqual(answerForward(harness, key, new Uint8Array(40)), [{ kind: 'noAnswer', connection: 1, failed: true }]);
  t.true(forwards(ground, session));
});

function failedBody(): Uint8Array {
  return encodeAnswer({ status: 'failed', code: 'internal', text: 'no' });
}

test('fault 26: a session lives 24 h from its last accepted packet, at lookup as by the sweep', (t) => {
  for (const how of ['lookup', 'sweep'] as const) {
    const { ground, harness, session } = connected();
    harness.later(LP1_SESSION_IDLE_MS - 1);
    t.true(forwards(ground, session));
    harness.later(LP1_SESSION_IDLE_MS - 1);
    t.true(forwards(ground, session));
    harness.later(LP1_SESSION_IDLE_MS);
    if (how === 'sweep') harness.tick();
    t.deepEqual(requestsOf(harness.packet(dataPacket(session, forwardPayload()))), []);
    harness.tick();
    const { sessions, families } = harness.stats.gauges;
    t.deepEqual([sessions, families, indicesOf(harness.shard).size], [0, 0, 0]);
  }
});

test('fault 26: packets that are dropped keep no session alive', (t) => {
  const { ground, harness, session } = connected();
  const packet = dataPacket(session, forwardPayload());
  harness.packet(packet.slice());
  const { transport } = familyOf(session).current;
  harness.later(LP1_SESSION_IDLE_MS - 1);
  const dropped = [
    packet,
    spoiled(dataPacket(session, forwardPayload()), 50, 1),
    sealAnyV1(transport, 1, TYPE.encryptedData, ground.prng.bytes(80)),
    sealAnyV1(transport, 2, TYPE.encryptedData, ground.prng.bytes(80)),
    sealAnyV1(transport, 1, TYPE.ack, new Uint8Array(0)),
    sealAnyV1(transport, 1, TYPE.subsessionKk1, ground.prng.bytes(56)),
    sealAnyV1(transport, 1, TYPE.subsessionKk2, ground.prng.bytes(56)),
    sealAnyV1(transport, 1, TYPE.subsessionReady, ground.prng.bytes(4)),
    encodeUnsealed(FIRST, 9, TYPE.encryptedData, ground.prng.bytes(40), 1),
  ];
  for (const each of dropped) t.regex(refusal(harness, each), /^[a-z_]+, noAnswer false$/);
  harness.later(1);
  t.deepEqual(requestsOf(harness.packet(dataPacket(session, forwardPayload()))), []);
});

test('fault 26: a demoted session ends after 60 s, whatever still comes on it', (t) => {
  const { ground, harness, session } = connected();
  const { parent } = rekeyV1(ground, session);
  harness.later(59_999);
  t.is(refusal(harness, dataPacket(session, forwardPayload(), parent)), 'read_only, noAnswer true');
  harness.later(1);
  t.is(harness.replies(dataPacket(session, forwardPayload(), parent)).length, 0);
  harness.later(30_000);
  harness.tick();
  t.deepEqual([...indicesOf(harness.shard)], [SECOND]);
  t.true(forwards(ground, session));
});

test('fault 26: a family that rekeys lives on, and ends whole with its newest session', (t) => {
  const { ground, harness, session } = connected([]);
  for (let i = 0; i < 5; i++) {
    harness.later(LP1_SESSION_IDLE_MS / 2);
    harness.tick();
    rekeyV1(ground, session);
    t.true(forwards(ground, session));
  }
  harness.later(LP1_SESSION_IDLE_MS);
  const effects = harness.tick();
  t.deepEqual(effects.map(({ kind }) => kind).sort(), ['familyEnded', 'indexFree', 'indexFree', 'release']);
});

test('fault 26: records and indices are bounded, and what is beyond is Busy', (t) => {
  const ground = lp1Gateway({ records: 4, indices: 100 });
  for (let i = 0; i < 20; i++) ground.harness.packet(new HostileClient(ground).hello());
  ground.harness.tick();
  t.is(ground.harness.stats.gauges.records, 4);
  t.is(indicesOf(ground.harness.shard).size, 4, 'the indices of evicted records are free');
  const full = lp1Gateway({ indices: 3 });
  const types = Array.from({ length: 5 }, () =>
    typeOf(onlyReply(full.harness.packet(new HostileClient(full).hello()))),
  );
  t.deepEqual(types, [TYPE.ack, TYPE.ack, TYPE.ack, TYPE.busy, TYPE.busy]);
});

test('fault 26: a client has 16 requests that wait at most; the next one is told so, and they are answered', (t) => {
  const { ground, harness, session } = connected();
  const keys = Array.from({ length: 16 }, () => onlyRequest(harness.packet(dataPacket(session, forwardPayload()))).key);
  const beyond = harness.packet(dataPacket(session, forwardPayload()));
  t.deepEqual([requestsOf(beyond).length, unansweredOf(beyond)], [0, [true]]);
  const refused = openedBy(session, onlyReply(harness.packet(dataPacket(session, registrationPayload()))), harness);
  t.is(refused[0], 0, 'a registration is answered in words');
  const { ready, parent } = startRekey(ground, session);
  const claim = harness.packet(ready);
  t.deepEqual([requestsOf(claim).length, unansweredOf(claim)], [0, [false]], 'a claim waits as well');
  t.false(indicesOf(harness.shard).has(SECOND));
  for (const key of keys) t.is(replyPackets(answerForward(harness, key, new Uint8Array(40))).length, 1);
  t.true(forwards(ground, session, parent));
});
