/** Application frames at the gateway (lp2.md §5): what is answered, ignored, refused, and which answers are kept. */
import test from 'ava';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { decodeFrame, encodeForward, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { rekeys, sealedFrame, startedRekey } from '../support/handshake.ts';
import { connect, failureOf, replyPackets, requestKeys, shard } from '../support/scenario.ts';
import type { ShardHarness } from '../support/shard-harness.ts';

const BODY = Uint8Array.of(0x81, 0xa1, 0x76, 0x01);

function world() {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  return { harness, prng, family };
}

function frames(harness: ShardHarness, family: ClientFamily, packets: readonly Uint8Array[]): Uint8Array[] {
  return packets.flatMap((packet) => {
    const received = family.receive(packet, harness.now);
    return received.kind === 'frame' ? [received.bytes] : [];
  });
}

/** Sends a frame: what comes back at once, and the requests it made. */
function send(harness: ShardHarness, family: ClientFamily, kind: number, id: number, body: Uint8Array) {
  const effects = harness.packet(sealedFrame(family, encodeFrame(kind, id, body))!);
  return { frames: frames(harness, family, replyPackets(effects)), keys: requestKeys(effects), effects };
}

function register(harness: ShardHarness, family: ClientFamily, id: number, body = BODY) {
  return send(harness, family, KIND.registrationRequest, id, body);
}

function answer(harness: ShardHarness, family: ClientFamily, key: number, body = Uint8Array.of(0x80)) {
  return frames(harness, family, replyPackets(harness.answer(key, ANSWER.registration, body)));
}

test('Opaque is echoed, an unknown kind gets Failure 3, a malformed Forward Failure 1', (t) => {
  const { harness, family } = world();
  const [echo] = send(harness, family, KIND.opaque, 1, BODY).frames;
  t.deepEqual([...echo!], [...encodeFrame(KIND.opaque, 1, BODY)]);
  for (const kind of [6, 7, 255]) t.is(failureOf(send(harness, family, kind, 2, BODY).frames[0]!), 3);
  const identity = new Uint8Array(32);
  for (const body of [
    new Uint8Array(0),
    new Uint8Array(34),
    Uint8Array.of(...identity, 5, 0, 0, 34, ...new Uint8Array(34)),
    Uint8Array.of(...identity, 0, 1, 0, 33, ...new Uint8Array(33)),
    Uint8Array.of(...identity, 0, 1, 0, 35, ...new Uint8Array(34)),
    Uint8Array.of(...identity, 4, 1, 2, 3),
  ]) {
    const { frames: replies, keys } = send(harness, family, KIND.forward, 3, body);
    t.is(failureOf(replies[0]!), 1);
    t.deepEqual(keys, []);
  }
});

test('kinds 2, 4 and 5 are ignored; a frame under 5 bytes is no valid packet', (t) => {
  const { harness, family } = world();
  for (const kind of [KIND.registrationResponse, KIND.forwardResponse, KIND.failure]) {
    const { effects } = send(harness, family, kind, 1, BODY);
    t.deepEqual(effects, [{ kind: 'valid', connection: 1 }]);
  }
  t.deepEqual(harness.packet(sealedFrame(family, Uint8Array.of(0, 1, 2, 3))!), []);
  t.is(harness.drops.content, 1);
});

test('a Forward leaves as a request, and its answer returns under its id on the newest session', (t) => {
  const { harness, prng, family } = world();
  const target = { identity: prng.bytes(32), family: 4 as const, ip: Uint8Array.of(203, 0, 113, 7), port: 41_264 };
  const body = encodeForward({ target, replies: 1, packets: [new Uint8Array(34)] });
  const { effects, keys } = send(harness, family, KIND.forward, 9, body);
  const request = effects.find((effect) => effect.kind === 'request')!;
  t.true(request.kind === 'request' && request.request === REQUEST.forward && request.source === 1);
  t.true(request.kind === 'request' && Buffer.compare(request.body, body) === 0);
  t.true(rekeys(harness, family));
  const [response] = frames(harness, family, replyPackets(harness.answer(keys[0]!, ANSWER.forward, Uint8Array.of(1))));
  const frame = decodeFrame(response!)!;
  t.deepEqual([frame.kind, frame.requestId, [...frame.body]], [KIND.forwardResponse, 9, [1]]);
});

test('a registration that runs is not run again; its answer is kept and repeated, also after a rekey', (t) => {
  const { harness, family } = world();
  const { keys } = register(harness, family, 1);
  t.is(keys.length, 1);
  const repeat = register(harness, family, 1);
  t.deepEqual([repeat.keys, repeat.frames], [[], []], 'dropped while the first is worked on');
  const [first] = answer(harness, family, keys[0]!);
  t.true(rekeys(harness, family));
  const again = register(harness, family, 1);
  t.deepEqual(again.keys, []);
  t.deepEqual([...again.frames[0]!], [...first!]);
});

test('the same id with another body gets Failure 2, while the first runs and after it', (t) => {
  const { harness, family } = world();
  const other = Uint8Array.of(0x80);
  const { keys } = register(harness, family, 1);
  t.is(failureOf(register(harness, family, 1, other).frames[0]!), 2);
  answer(harness, family, keys[0]!);
  t.is(failureOf(register(harness, family, 1, other).frames[0]!), 2);
  t.is(register(harness, family, 2, other).keys.length, 1, 'under another id it runs');
});

test('an answer is kept for 120 s, from the answer on', (t) => {
  const { harness, family } = world();
  const { keys } = register(harness, family, 1);
  harness.later(100_000);
  answer(harness, family, keys[0]!);
  harness.later(119_999);
  t.is(register(harness, family, 1).frames.length, 1);
  harness.later(1);
  t.is(register(harness, family, 1).keys.length, 1, 'a new request');
});

test('the last 16 answers are kept', (t) => {
  const { harness, family } = world();
  for (let id = 1; id <= 17; id++) {
    const { keys } = register(harness, family, id);
    answer(harness, family, keys[0]!, Uint8Array.of(0x80, id));
  }
  t.is(register(harness, family, 2).frames.length, 1);
  t.is(register(harness, family, 17).frames.length, 1);
  t.is(register(harness, family, 1).keys.length, 1, 'the first of 17 is forgotten');
});

test('a seventeenth registration that runs gets Failure 4, and one that ends makes room', (t) => {
  const { harness, family } = world();
  const keys = Array.from({ length: 16 }, (_, id) => register(harness, family, id).keys[0]!);
  t.is(failureOf(register(harness, family, 99).frames[0]!), 4);
  answer(harness, family, keys[3]!);
  t.is(register(harness, family, 99).keys.length, 1);
});

test('a registration that failed is not kept: its repeat is tried again', (t) => {
  const { harness, family } = world();
  const { keys } = register(harness, family, 1);
  const failure = Uint8Array.of(4, 0, ...new TextEncoder().encode('try later'));
  const replies = frames(harness, family, replyPackets(harness.answer(keys[0]!, ANSWER.failure, failure)));
  t.is(failureOf(replies[0]!), 4);
  t.is(register(harness, family, 1).keys.length, 1);
});

test('the fate of a Forward has no bearing on a registration with the same id', (t) => {
  const { harness, family, prng } = world();
  const { keys } = register(harness, family, 1);
  answer(harness, family, keys[0]!);
  const target = { identity: prng.bytes(32), family: 0 as const, ip: new Uint8Array(0), port: 0 };
  const body = encodeForward({ target, replies: 0, packets: [new Uint8Array(34)] });
  const forward = send(harness, family, KIND.forward, 1, body);
  const failure = Uint8Array.of(4, 0);
  harness.answer(forward.keys[0]!, ANSWER.failure, failure);
  t.deepEqual(register(harness, family, 1).keys, [], 'the registration’s answer is still kept');
});

test('an answer to a family that has ended goes nowhere', (t) => {
  const { harness, family } = world();
  const { keys } = register(harness, family, 1);
  const ended = harness.packet(family.close()!);
  t.true(ended.some((effect) => effect.kind === 'familyEnded'));
  t.deepEqual(harness.answer(keys[0]!, ANSWER.registration, Uint8Array.of(0x80)), []);
  t.deepEqual(
    harness.answer(12_345, ANSWER.registration, Uint8Array.of(0x80)),
    [],
    'nor does one that nobody asked for',
  );
  t.is(harness.stats.counters.late_answers, 1);
});

test('Close frees the session, its pending child and its demoted parents, without a reply', (t) => {
  const { harness, family } = world();
  t.true(rekeys(harness, family));
  harness.later(10_000);
  harness.packet(startedRekey(family, false, harness.now)!);
  const effects = harness.packet(family.close()!);
  t.is(effects.filter((effect) => effect.kind === 'indexFree').length, 3);
  t.is(effects.filter((effect) => effect.kind === 'reply').length, 0);
  harness.tick();
  t.is(harness.stats.gauges.sessions, 0);
});
