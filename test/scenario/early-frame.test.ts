/** The first application frame inside H3 (lp2.md §4.2): answered at counter 0 within 1 s, else an Ack first. */
import test from 'ava';
import { decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { counterOf } from '../../src/lp/wire/packet.ts';
import { ANSWER } from '../../src/shard/messages.ts';
import { rekeys, sealedFrame } from '../support/handshake.ts';
import {
  cachedKey,
  connect,
  crypto,
  failureOf,
  kinds,
  readyForH3,
  replyPackets,
  requestKeys,
  shard,
} from '../support/scenario.ts';
import { recordSealing } from '../support/sealing-record.ts';

const REQUEST_ID = 0x0102_0304;
const BODY = Uint8Array.of(0x81, 0xa1, 0x76, 0x01);
const REGISTRATION = encodeFrame(KIND.registrationRequest, REQUEST_ID, BODY);

/** H3 with a registration was accepted; its answer is under way. */
function waiting(connection = 7) {
  const { harness, prng } = shard();
  const { initiator, h3 } = readyForH3(harness, prng, cachedKey(harness, prng), REGISTRATION);
  const effects = harness.packet(h3.slice(), { connection, flags: 0 });
  const [key] = requestKeys(effects);
  return { harness, prng, initiator, h3, effects, key: key! };
}

test('the answer that is there within 1 s is the reply to H3, at counter 0, and is what the record stores', (t) => {
  const { harness, initiator, h3, effects, key } = waiting();
  t.deepEqual(kinds(effects), ['request', 'valid'], 'nothing is replied yet');
  harness.later(999);
  t.deepEqual(kinds(harness.tick()), []);
  const answered = harness.answer(key, ANSWER.registration, Uint8Array.of(0x80));
  const [reply] = replyPackets(answered);
  t.true(answered.every((effect) => effect.kind !== 'reply' || effect.connection === 7));
  t.is(counterOf(reply!), 0);
  t.deepEqual(harness.replies(h3.slice()), [reply!], 'and the same packet for the repeat');
  const step = initiator.receive(reply!.slice(), harness.now);
  if (step.kind !== 'established' || step.received.kind !== 'frame') {
    t.fail(step.kind);
    return;
  }
  const frame = decodeFrame(step.received.bytes)!;
  t.deepEqual([frame.kind, frame.requestId, [...frame.body]], [KIND.registrationResponse, REQUEST_ID, [0x80]]);
  harness.later(1);
  t.deepEqual(kinds(harness.tick()), [], 'no Ack follows');
});

test('a repeat of H3 is dropped while its early frame is worked on', (t) => {
  const { harness, h3 } = waiting();
  t.deepEqual(harness.replies(h3.slice()), []);
  t.is(harness.drops.in_progress, 1);
  t.is(harness.stats.counters.h3_accepted, 2, 'the one of the cached key, and this one once');
});

test('after 1 s the reply is an Ack to the connection of H3, and the answer follows as an ordinary packet', (t) => {
  const { harness, initiator, h3, key } = waiting(9);
  harness.later(1_000);
  const settled = harness.tick();
  const [ack] = replyPackets(settled);
  t.true(settled.some((effect) => effect.kind === 'reply' && effect.connection === 9));
  t.is(counterOf(ack!), 0);
  t.deepEqual(harness.replies(h3.slice()), [ack!], 'the record stores the Ack');
  const step = initiator.receive(ack!.slice(), harness.now);
  const [answer] = replyPackets(harness.answer(key, ANSWER.registration, Uint8Array.of(0x80)));
  t.is(counterOf(answer!), 1);
  t.true(step.kind === 'established' && step.session.receive(answer!, harness.now).kind === 'frame');
  t.deepEqual(harness.replies(h3.slice()), [ack!], 'still the Ack');
});

for (const [length, counters] of [
  [4_091, [0]],
  [4_092, [0, 1]],
] as const) {
  test(`an early answer of ${length + 5} bytes leaves at the counters ${counters.join(' and ')}`, (t) => {
    const { harness, key } = waiting();
    const replies = replyPackets(harness.answer(key, ANSWER.registration, new Uint8Array(length)));
    t.deepEqual(replies.map(counterOf), [...counters]);
    t.is(replies.at(-1)!.length, 34 + 5 + length);
  });
}

test('packets on the session may overtake the early answer', (t) => {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  const { initiator, h3 } = readyForH3(harness, prng, kemKey, REGISTRATION);
  const [key] = requestKeys(harness.packet(h3.slice()));
  const inside = initiator as unknown as { stage: { family: ReturnType<typeof connect>['family'] } };
  const { family } = inside.stage;
  const [echo] = harness.replies(sealedFrame(family, encodeFrame(KIND.opaque, 5, BODY))!);
  t.is(counterOf(echo!), 1, 'counter 0 is kept for the reply to H3');
  const [reply] = replyPackets(harness.answer(key!, ANSWER.registration, Uint8Array.of(0x80)));
  t.is(counterOf(reply!), 0);
  t.is(initiator.receive(echo!, harness.now).kind, 'established');
  t.is(family.receive(reply!, harness.now).kind, 'frame');
});

test('an early answer of a family that has rekeyed by then is an Ack, and the answer is sealed by the newest', (t) => {
  const { harness, initiator, key } = waiting();
  const { family } = (initiator as unknown as { stage: { family: ReturnType<typeof connect>['family'] } }).stage;
  const parent = family.index;
  t.true(rekeys(harness, family));
  const replies = replyPackets(harness.answer(key, ANSWER.registration, Uint8Array.of(0x80)));
  t.is(replies.length, 2);
  t.deepEqual(
    replies.map((packet) => new DataView(packet.buffer).getUint32(0, true)),
    [parent, family.index],
  );
  t.deepEqual(
    replies.map((packet) => family.receive(packet, harness.now).kind),
    ['opened', 'frame'],
  );
});

test('a session that has ended seals no late reply to its H3', (t) => {
  const { crypto: recorded } = recordSealing(crypto);
  const { harness, prng } = shard({ crypto: recorded });
  const { initiator, h3 } = readyForH3(harness, prng, cachedKey(harness, prng), REGISTRATION);
  harness.packet(h3.slice());
  const { family } = (initiator as unknown as { stage: { family: ReturnType<typeof connect>['family'] } }).stage;
  const late = sealedFrame(family, REGISTRATION)!;
  t.true(rekeys(harness, family));
  // No tick came for a minute: the demoted session leaves at lookup, before its Ack is due by the tick.
  harness.later(60_000);
  harness.packet(late);
  t.deepEqual(replyPackets(harness.tick()), []);
});

test('an early frame that waits for nothing is answered at once', (t) => {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  const cases: [string, Uint8Array, number | string][] = [
    ['unknown kind', encodeFrame(77, 1, BODY), 3],
    ['malformed Forward', encodeFrame(KIND.forward, 1, BODY), 1],
    ['Opaque', encodeFrame(KIND.opaque, 1, BODY), 'kind 0'],
  ];
  for (const [name, frame, expected] of cases) {
    const { received } = connect(harness, prng, { kemKey, earlyFrame: frame });
    t.is(received.kind === 'frame' ? failureOf(received.bytes) : received.kind, expected, name);
  }
  for (const frame of [Uint8Array.of(0, 1, 2), ...[2, 4, 5].map((kind) => encodeFrame(kind, 1, BODY))]) {
    t.is(connect(harness, prng, { kemKey, earlyFrame: frame }).received.kind, 'opened', 'ignored: an Ack');
  }
});

test('a refused early registration is the reply to H3', (t) => {
  const { harness, initiator, key } = waiting();
  const failure = Uint8Array.of(4, 0, ...new TextEncoder().encode('try later'));
  const [reply] = replyPackets(harness.answer(key, ANSWER.failure, failure));
  t.is(counterOf(reply!), 0);
  const step = initiator.receive(reply!, harness.now);
  t.true(step.kind === 'established' && step.received.kind === 'frame' && failureOf(step.received.bytes) === 4);
});
