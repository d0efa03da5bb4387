/**
 * The client's LP1 session (lp1.md §7.6–7.9, §9.3) against a whole shard: one exchange at a time, what an answer that does
 * not come means, and rekeying without an acknowledgement.
 */
import test from 'ava';
import { FORWARD_UNANSWERED } from '../../../src/lp/client-session.ts';
import type { ClientSessionV1 } from '../../../src/lp/v1/client-session.ts';
import {
  decodeFailure,
  decodeForwardResponse,
  decodeFrame,
  encodeForward,
  encodeFrame,
  FAILURE_CODE,
  KIND,
} from '../../../src/lp/wire/application-frame.ts';
import { receiverIndex, TYPE } from '../../../src/lp/wire/packet.ts';
import { decodeAnswer, encodeAnswer, encodeRequest } from '../../../src/lp/wire/registration-body.ts';
import { ANSWER } from '../../../src/shard/messages.ts';
import { mockCredential } from '../../support/lp1-credential.ts';
import { sealAnyV1 } from '../../support/lp1-hostile.ts';
import {
  answerForward,
  answerIndex,
  connectV1,
  EXIT,
  type familyOf,
  forwards,
  type Ground,
  lp1Gateway,
  onlyReply,
  onlyRequest,
  rekeyV1,
  startRekey,
} from '../../support/lp1-shard.ts';

const HOUR_MS = 3_600_000;

function connected() {
  const ground = lp1Gateway();
  return { ground, ...ground, ...connectV1(ground) };
}

function forwardFrame(
  requestId: number,
  packets: readonly Uint8Array[] = [new Uint8Array(40)],
  replies = 1,
): Uint8Array {
  return encodeFrame(KIND.forward, requestId, encodeForward({ target: EXIT, replies, packets }));
}

function registrationFrame(requestId: number): Uint8Array {
  const body = encodeRequest({
    op: 'register',
    enrolment: { mode: 'mixnet', clientId: new Uint8Array(32).fill(3) },
    owner: new Uint8Array(32).fill(4),
    credential: { kind: 'zk-nym', token: mockCredential() },
  });
  return encodeFrame(KIND.registrationRequest, requestId, body);
}

function packetsOf(session: ClientSessionV1, frame: Uint8Array, { harness }: Ground): readonly Uint8Array[] {
  const sealed = session.sealFrame(frame, harness.now);
  if (sealed.kind !== 'packets') throw new Error(sealed.kind);
  return sealed.packets;
}

/** The gateway's reply to a forward's packet. */
function forwarded({ harness }: Ground, packet: Uint8Array, answer: Uint8Array): Uint8Array {
  return onlyReply(answerForward(harness, onlyRequest(harness.packet(packet)).key, answer));
}

/** Status and packets of a ForwardResponse with this request id. */
function forwardAnswer(frame: Uint8Array | undefined, requestId: number) {
  const decoded = decodeFrame(frame ?? new Uint8Array(0));
  if (decoded?.kind !== KIND.forwardResponse || decoded.requestId !== requestId) return undefined;
  const { status, packets } = decodeForwardResponse(decoded.body)!;
  return { status, packets: packets.map((packet) => packet.slice()) };
}

test('a forward is one exchange, its answer has the request’s id', (t) => {
  const { ground, session, harness } = connected();
  const [packet] = packetsOf(session, forwardFrame(77), ground);
  const answer = ground.prng.bytes(60);
  const received = session.receive(forwarded(ground, packet!, answer), harness.now);
  t.is(received.kind, 'frame');
  t.deepEqual(forwardAnswer(received.kind === 'frame' ? received.bytes : undefined, 77), {
    status: 0,
    packets: [answer],
  });
});

test('a forward of two packets is two exchanges, one after the other, and one answer', (t) => {
  const { ground, session, harness } = connected();
  const two = [ground.prng.bytes(40), ground.prng.bytes(50)];
  const answers = [ground.prng.bytes(60), ground.prng.bytes(70)];
  const packets = packetsOf(session, forwardFrame(5, two, 2), ground);
  t.is(packets.length, 1);
  const second = session.receive(forwarded(ground, packets[0]!, answers[0]!), harness.now);
  t.true(second.kind === 'send' && second.requestId === 5 && second.replies === 1 && second.packets.length === 1);
  const next = second.kind === 'send' ? second.packets[0]! : new Uint8Array(34);
  const received = session.receive(forwarded(ground, next, answers[1]!), harness.now);
  t.deepEqual(forwardAnswer(received.kind === 'frame' ? received.bytes : undefined, 5), {
    status: 0,
    packets: answers,
  });
});

test('a registration is one exchange too', (t) => {
  const { ground, session, harness } = connected();
  const [packet] = packetsOf(session, registrationFrame(9), ground);
  const { key } = onlyRequest(harness.packet(packet!));
  const answer = encodeAnswer({ status: 'failed', code: 'credential_spent', text: 'spent' });
  const received = session.receive(onlyReply(harness.answer(key, ANSWER.registration, answer)), harness.now);
  const frame = decodeFrame(received.kind === 'frame' ? received.bytes : new Uint8Array(0))!;
  t.deepEqual([frame.kind, frame.requestId], [KIND.registrationResponse, 9]);
  const decoded = decodeAnswer(frame.body);
  t.true(decoded.kind === 'value' && decoded.value.status === 'failed');
});

test('while an exchange is under way another request waits; what LP1 cannot carry is answered at once', (t) => {
  const { ground, session, harness } = connected();
  const [packet] = packetsOf(session, forwardFrame(1), ground);
  t.is(session.sealFrame(forwardFrame(2), harness.now).kind, 'later');
  session.receive(forwarded(ground, packet!, new Uint8Array(40)), harness.now);
  const echo = session.sealFrame(encodeFrame(KIND.opaque, 3, new Uint8Array(1)), harness.now);
  t.is(echo.kind, 'answered');
  const { kind, requestId, body } = decodeFrame(echo.kind === 'answered' ? echo.frame : new Uint8Array(5))!;
  t.deepEqual([kind, requestId, decodeFailure(body)?.code], [KIND.failure, 3, FAILURE_CODE.notOffered]);
  t.is(packetsOf(session, forwardFrame(4), ground).length, 1);
});

test('a forward whose connection ended is answered as such, with what came before; a registration is not', (t) => {
  const { ground, session, harness } = connected();
  harness.packet(packetsOf(session, forwardFrame(1), ground)[0]!);
  t.is(session.unanswered(2), undefined, 'another request’s connection');
  t.deepEqual(forwardAnswer(session.unanswered(1), 1), { status: FORWARD_UNANSWERED, packets: [] });
  t.is(session.unanswered(1), undefined);

  const answer = ground.prng.bytes(60);
  const [first] = packetsOf(session, forwardFrame(3, [new Uint8Array(40), new Uint8Array(40)], 2), ground);
  t.is(session.receive(forwarded(ground, first!, answer), harness.now).kind, 'send');
  t.deepEqual(forwardAnswer(session.unanswered(3), 3), { status: FORWARD_UNANSWERED, packets: [answer] });

  packetsOf(session, registrationFrame(4), ground);
  t.is(session.unanswered(4), undefined);
  t.true(forwards(ground, session), 'the outer session stays usable (§9.4)');
});

test('a forward that asked for no reply is done when its connection has ended', (t) => {
  const { ground, session } = connected();
  packetsOf(session, forwardFrame(6, [new Uint8Array(40)], 0), ground);
  t.deepEqual(forwardAnswer(session.unanswered(6), 6), { status: 0, packets: [] });
});

test('after an answer was given up its connection is not to be used further, and another exchange may begin', (t) => {
  const { ground, session } = connected();
  packetsOf(session, forwardFrame(1), ground);
  t.false(session.abandonRequest(2));
  t.true(session.abandonRequest(1));
  t.false(session.abandonRequest(1));
  t.is(packetsOf(session, forwardFrame(2), ground).length, 1);
});

test('replies that were lost cost the session nothing: the next exchange is answered', (t) => {
  const { ground, session, harness } = connected();
  for (let id = 1; id < 20; id++) {
    const [packet] = packetsOf(session, forwardFrame(id), ground);
    if (id % 3 !== 0) forwarded(ground, packet!, new Uint8Array(40));
    session.abandonRequest(id);
  }
  const [packet] = packetsOf(session, forwardFrame(99), ground);
  const received = session.receive(forwarded(ground, packet!, new Uint8Array(40)), harness.now);
  t.is(forwardAnswer(received.kind === 'frame' ? received.bytes : undefined, 99)?.status, 0);
});

test('packets that are forged, replayed, reflected or nobody’s are dropped, and the answer is taken after them', (t) => {
  const { ground, session, harness } = connected();
  const [own] = packetsOf(session, forwardFrame(1), ground);
  const sent = own!.slice();
  const reply = forwarded(ground, own!, new Uint8Array(40));
  const forged = reply.slice();
  forged[40]! ^= 1;
  const elsewhere = reply.slice();
  elsewhere[0]! ^= 1;
  const reasons = [sent, forged, elsewhere, reply.subarray(0, 33)].map((packet) => {
    const received = session.receive(packet.slice(), harness.now);
    return received.kind === 'drop' ? received.reason : received.kind;
  });
  t.deepEqual(reasons, ['inner_tag', 'tag', 'unknown_index', 'length']);
  t.is(session.receive(reply.slice(), harness.now).kind, 'frame');
  t.deepEqual(session.receive(reply.slice(), harness.now), { kind: 'drop', reason: 'duplicate' });
});

test('a reply that cannot be one ends the exchange without an answer', (t) => {
  const { ground, session, harness } = connected();
  const [packet] = packetsOf(session, registrationFrame(1), ground);
  const { key } = onlyRequest(harness.packet(packet!));
  // A gateway of ours never would; a hostile one may.
  const body = encodeAnswer({ status: 'completed', mode: 'mixnet', bandwidth: 5, expires: 0 });
  const reply = onlyReply(harness.answer(key, ANSWER.registration, body));
  t.is(session.receive(reply, harness.now).kind, 'frame');
  packetsOf(session, registrationFrame(2), ground);
  const odd = familyOfGateway(ground, session).sealData(Uint8Array.of(7, 7, 7))!;
  t.deepEqual(session.receive(odd, harness.now), { kind: 'drop', reason: 'unknown_payload' });
  t.is(packetsOf(session, forwardFrame(3), ground).length, 1, 'nothing is under way any more');
});

/** The gateway's transport of this session. */
function familyOfGateway({ harness }: Ground, session: ClientSessionV1) {
  type Face = { index: number; family: { family: ReturnType<typeof familyOf> } };
  const { awake } = (harness.shard as unknown as { sessions: { awake: Face[] } }).sessions;
  return awake.find((face) => face.index === session.index)!.family.family.find(session.index)!.transport;
}

test('rekeying: KK1, KK2, Ready; from then on the client seals on the new index alone', (t) => {
  const { ground, session } = connected();
  const before = session.index;
  const { kk1, ready, parent } = rekeyV1(ground, session);
  t.deepEqual([receiverIndex(kk1), receiverIndex(ready), parent], [before, before, before]);
  t.not(session.index, before);
  t.true(session.owns(before) && session.owns(session.index));
  t.is(receiverIndex(packetsOf(session, forwardFrame(1), ground)[0]!), session.index);
  ground.harness.later(60_000);
  t.true(session.abandonRequest(1));
  t.true(forwards(ground, session));
  session.sealFrame(forwardFrame(2), ground.harness.now);
  t.false(session.owns(before), 'the parent is forgotten after 60 s');
});

test('an answer on the parent is taken after rekeying: the request was sent before', (t) => {
  const { ground, session, harness } = connected();
  const [packet] = packetsOf(session, forwardFrame(8), ground);
  const { key } = onlyRequest(harness.packet(packet!));
  const { parent } = rekeyV1(ground, session);
  const reply = onlyReply(answerForward(harness, key, new Uint8Array(40)));
  t.is(receiverIndex(reply), parent);
  const received = session.receive(reply, harness.now);
  t.is(forwardAnswer(received.kind === 'frame' ? received.bytes : undefined, 8)?.status, 0);
});

test('a Ready that was lost goes ahead of the requests, as soon as one went unanswered, until the gateway shows it came', (t) => {
  const { ground, session, harness } = connected();
  const { ready } = startRekey(ground, session);
  const first = packetsOf(session, forwardFrame(1), ground);
  t.is(first.length, 1);
  t.deepEqual(harness.replies(first[0]!.slice()), [], 'the gateway knows no such session');
  session.unanswered(1);
  const again = packetsOf(session, forwardFrame(2), ground);
  t.deepEqual(again[0], ready, 'the same packet');
  answerIndex(harness, onlyRequest(harness.packet(again[0]!.slice())).key, true);
  const received = session.receive(forwarded(ground, again[1]!, new Uint8Array(40)), harness.now);
  t.is(received.kind, 'frame');
  t.is(packetsOf(session, forwardFrame(3), ground).length, 1);
  session.abandonRequest(3);
  t.is(packetsOf(session, forwardFrame(4), ground).length, 1, 'it is known to have come');
});

test('a KK1 that nobody answers is never sent again; the session goes on, and rekeys 10 s later', (t) => {
  const { ground, session, harness } = connected();
  const kk1 = session.startRekey(undefined, harness.now);
  t.is(kk1.kind, 'packet');
  t.true(session.rekeying);
  t.deepEqual(session.startRekey(undefined, harness.now), { kind: 'refused', reason: 'too_soon' });
  t.is(session.nextTickMs(), harness.monotonicMs + 10_000);
  t.true(forwards(ground, session));
  harness.later(10_000);
  t.deepEqual(session.tick(harness.now), []);
  t.false(session.rekeying);
  t.is(session.nextTickMs(), Number.POSITIVE_INFINITY);
  rekeyV1(ground, session);
  t.true(forwards(ground, session));
});

test('the end of the connection of a KK1 ends the rekeying at once', (t) => {
  const { ground, session, harness } = connected();
  session.startRekey(undefined, harness.now);
  t.is(session.unanswered(0), undefined);
  t.false(session.rekeying);
  rekeyV1(ground, session);
  t.true(forwards(ground, session));
});

test('LP1 has no fresh KEM exchange: asking for one is refused, and not asking works', (t) => {
  const { ground, session, harness } = connected();
  t.deepEqual(session.startRekey(true, harness.now), { kind: 'refused', reason: 'kem_not_offered' });
  t.is(session.startRekey(false, harness.now).kind, 'packet');
  t.true(forwards(ground, session));
});

test('many rekeyings in a row, hours apart, carry forwards each', (t) => {
  const { ground, session, harness } = connected();
  for (let i = 0; i < 12; i++) {
    rekeyV1(ground, session);
    t.true(forwards(ground, session));
    harness.later(HOUR_MS);
  }
  t.is(harness.stats.counters.rekeys, 12);
});

test('a session that was wiped seals and opens nothing, and tells its gateway nothing', (t) => {
  const { ground, session, harness } = connected();
  const [packet] = packetsOf(session, forwardFrame(1), ground);
  const reply = forwarded(ground, packet!, new Uint8Array(40));
  t.is(session.close(), undefined);
  t.deepEqual(session.receive(reply, harness.now), { kind: 'drop', reason: 'unknown_index' });
  t.deepEqual(session.sealFrame(forwardFrame(2), harness.now), { kind: 'spent' });
  t.deepEqual(session.startRekey(undefined, harness.now), { kind: 'refused', reason: 'too_soon' });
  t.is(session.nextTickMs(), Number.POSITIVE_INFINITY);
  t.deepEqual(session.tick(harness.now), []);
  session.wipe();
});

test('control packets of the gateway’s key that ask for nothing are dropped: Ack, Busy, Collision, SubsessionRequest', (t) => {
  const { ground, session, harness } = connected();
  const transport = familyOfGateway(ground, session);
  for (const type of [TYPE.ack, TYPE.busy, TYPE.collision, TYPE.subsessionRequest, TYPE.handshake, TYPE.close]) {
    const packet = sealAnyV1(transport, 1, type, new Uint8Array(0));
    t.deepEqual(session.receive(packet, harness.now), { kind: 'drop', reason: 'type' });
  }
  t.true(forwards(ground, session));
});
