/** Idle sessions rest as numbers (lp2.md §4.5: a million of them), which nobody can tell from outside. */
import test from 'ava';
import type { Effects, GatewaySession } from '../../src/lp/session.ts';
import { TRANSPORT_BYTES } from '../../src/lp/v2/transport.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { TYPE } from '../../src/lp/wire/packet.ts';
import { ANSWER } from '../../src/shard/messages.ts';
import type { PastSession } from '../../src/shard/resting-sessions.ts';
import { NUMBERS_PER_PLACE, SessionSlab } from '../../src/shard/session-slab.ts';
import { SessionTable } from '../../src/shard/session-table.ts';
import { deliver, echoes, opaque, rekeys, sealedFrame, startedRekey } from '../support/handshake.ts';
import { sealAny, transportOf } from '../support/hostile.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { RestingPair } from '../support/resting-pair.ts';
import { connect, crypto, kinds, requestKeys, shard } from '../support/scenario.ts';
import type { ShardHarness } from '../support/shard-harness.ts';

const MINUTE = 60_000;
const RECORD_TTL_MS = 90_000;
const FAILURE = Uint8Array.of(3, 0);

function atRest(harness: ShardHarness): number {
  harness.tick();
  return harness.stats.gauges.sessions_at_rest;
}

/** One of whose version the table knows nothing but that it may rest. */
function idleSession(index: number, slab: SessionSlab, expiresMs = 1e9): GatewaySession {
  const family = { id: 1, source: 1, answer: () => undefined, settleEarly: () => undefined };
  const place = slab.allocate();
  place.memory.fill(7, place.offset, place.offset + TRANSPORT_BYTES);
  const numbers = {
    family: index - 2 ** 31,
    source: 5,
    createdMs: 0,
    lastValidMs: -1,
    expiresMs,
    sent: 0,
    received: 0,
  };
  return {
    index,
    family,
    receive: () => undefined,
    expired: () => false,
    expire: () => undefined,
    rest: () => ({ index, place, ...numbers }),
  };
}

const fails = () => {
  throw new Error('this is not to happen');
};
const unexpected = { open: fails, wake: fails, ended: fails };
const effects = {} as Effects;

/** So many sessions at rest, whose time is over at 1,000 ms. */
function restingTable(sessions: number) {
  const slab = new SessionSlab();
  const ended: PastSession[] = [];
  const options = { slots: [1], capacity: sessions + 10, seed: 0 };
  const dependencies = {
    random: shard().prng.source(),
    slab,
    ...unexpected,
    ended: (past: PastSession) => ended.push(past),
  };
  const table = new SessionTable(options, dependencies);
  for (let i = 0; i < sessions; i++) table.add(idleSession(table.reserve()!, slab, 1_000), 0);
  while (table.atRest < sessions) table.sweep(0, 1_200, effects);
  return { table, slab, ended };
}

test('a session rests when its handshake’s record is gone and it was quiet for 10 s, and its next packet wakes it', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  harness.later(RECORD_TTL_MS - 1);
  t.is(atRest(harness), 0, 'the reply to H3 may be asked for');
  harness.later(1);
  t.is(atRest(harness), 1);
  t.is(harness.stats.gauges.sessions, 1);
  t.true(echoes(harness, family));
  harness.later(9_999);
  t.is(atRest(harness), 0);
  harness.later(1);
  t.is(atRest(harness), 1);
  t.true(echoes(harness, family));
});

test('a packet that came before the rest is a duplicate after it, and nothing is sealed with a counter twice', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const packet = sealedFrame(family, opaque(1))!;
  const [first] = harness.replies(packet.slice());
  harness.later(RECORD_TTL_MS);
  t.is(atRest(harness), 1);
  t.deepEqual(harness.replies(packet.slice()), []);
  t.is(harness.drops.duplicate, 1);
  const [second] = harness.replies(sealedFrame(family, opaque(2))!);
  t.notDeepEqual(first!.subarray(0, 12), second!.subarray(0, 12), 'the headers carry the counters');
});

test('a session at rest expires at lookup, and by the sweep, which gives its place back', (t) => {
  for (const looked of [true, false]) {
    const { harness, prng } = shard();
    const { family } = connect(harness, prng);
    t.true(echoes(harness, family));
    harness.later(2 * MINUTE);
    t.is(atRest(harness), 1);
    harness.later(6 * 60 * MINUTE - 2 * MINUTE - 1);
    t.is(atRest(harness), 1, 'not yet');
    harness.later(1);
    if (looked) t.false(echoes(harness, family));
    else t.deepEqual(kinds(harness.tick()), ['familyEnded', 'indexFree', 'release']);
    t.is(atRest(harness), 0);
    const { sessions, families } = harness.stats.gauges;
    t.deepEqual([sessions, families], [0, 0]);
  }
});

test('a session that never opened a packet of its own lives 5 min at rest, too', (t) => {
  const { harness, prng } = shard();
  connect(harness, prng);
  harness.later(2 * MINUTE);
  t.is(atRest(harness), 1);
  harness.later(3 * MINUTE - 1);
  t.is(atRest(harness), 1);
  harness.later(1);
  t.deepEqual(kinds(harness.tick()), ['familyEnded', 'indexFree', 'release']);
});

test('a family rests neither while a request runs nor while its answer is kept', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const request = encodeFrame(KIND.registrationRequest, 5, Uint8Array.of(1));
  const [key] = requestKeys(harness.packet(sealedFrame(family, request)!));
  harness.later(RECORD_TTL_MS);
  t.is(atRest(harness), 0);
  const answered = harness.answer(key!, ANSWER.registration, Uint8Array.of(9));
  t.deepEqual(kinds(answered), ['reply']);
  harness.later(119_999);
  t.is(atRest(harness), 0, 'a repeat gets it again');
  t.is(deliver(harness, family, [sealedFrame(family, request)!])[0]?.kind, 'frame');
  harness.later(10_000);
  t.is(atRest(harness), 1);
});

test('a family that asks for a forward rests when the answer is there', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  harness.later(RECORD_TTL_MS);
  const body = new Uint8Array(34 + 36);
  body[34] = 0;
  body[35] = 34;
  const [key] = requestKeys(harness.packet(sealedFrame(family, encodeFrame(KIND.forward, 5, body))!));
  harness.later(MINUTE);
  t.is(atRest(harness), 0);
  t.deepEqual(kinds(harness.answer(key!, ANSWER.failure, FAILURE)), ['reply']);
  t.is(atRest(harness), 1);
});

test('a family rests neither with a pending session nor with a demoted one', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  harness.later(2 * MINUTE);
  t.is(atRest(harness), 1);
  const [kk2] = harness.replies(startedRekey(family, true, harness.now)!);
  harness.later(2 * MINUTE);
  t.is(atRest(harness), 0, 'one is pending');
  const taken = family.receive(kk2!, harness.now);
  if (taken.kind === 'rekeyed') deliver(harness, family, taken.packets);
  harness.later(MINUTE - 1);
  t.is(atRest(harness), 0, 'one is demoted');
  harness.later(1);
  harness.tick();
  t.is(atRest(harness), 1);
  t.true(echoes(harness, family), 'the rekeyed session wakes');
  harness.later(MINUTE);
  t.is(atRest(harness), 1);
  t.true(rekeys(harness, family, true), 'its chain was kept');
});

test('a sweep lays 1,024 sessions to rest at most, and comes to all of them', (t) => {
  const slab = new SessionSlab();
  const random = shard().prng.source();
  const table = new SessionTable({ slots: [1], capacity: 5_000, seed: 0 }, { random, slab, ...unexpected });
  for (let i = 0; i < 2_500; i++) table.add(idleSession(table.reserve()!, slab), 0);
  const atRest = Array.from({ length: 4 }, () => {
    table.sweep(0, 1_200, effects);
    return table.atRest;
  });
  t.deepEqual(atRest, [1_024, 2_048, 2_500, 2_500]);
  t.is(table.size, 2_500);
});

test('a sweep ends 256 sessions at rest at most, comes to all of them, and makes no object of any', (t) => {
  const { table, slab, ended } = restingTable(600);
  const left = Array.from({ length: 4 }, () => {
    table.sweep(1_000, 1_200, effects);
    return table.size;
  });
  t.deepEqual(left, [344, 88, 0, 0]);
  t.is(ended.length, 600);
  t.is(new Set(ended.map(({ index }) => index)).size, 600);
  t.true(ended.every(({ index, family, source }) => !table.has(index) && family === index - 2 ** 31 && source === 5));
  const places = Array.from({ length: 600 }, () => slab.allocate());
  t.is(slab.slots, 600, 'their places are used again');
  t.is(new Set(places.map(({ slot }) => slot)).size, 600);
  t.true(places.every(({ memory, offset }) => memory.subarray(offset, offset + TRANSPORT_BYTES).every((b) => b === 0)));
  for (const { slot } of places) {
    const at = slab.numbersAt(slot);
    t.deepEqual(
      [...slab.slabOf(slot).numbers.subarray(at, at + NUMBERS_PER_PLACE)],
      new Array(NUMBERS_PER_PLACE).fill(0),
    );
  }
});

test('a large table ends within one interval of the sweep, whatever its size', (t) => {
  const { table } = restingTable(3_000);
  for (let tick = 0; tick < 8; tick++) table.sweep(1_000, 8, effects);
  t.is(table.size, 0);
});

test('each new session ends two that are past their time, so the sweep keeps pace', (t) => {
  const { table, slab, ended } = restingTable(20);
  for (let i = 0; i < 3; i++) table.add(idleSession(table.reserve()!, slab), 1_000);
  t.is(ended.length, 6);
  t.is(table.size, 17);
});

test('a forged packet does not wake a session, nor does an old one, and both are dropped like on one that is awake', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const old = sealedFrame(family, opaque(1))!;
  harness.packet(old.slice());
  harness.later(2 * MINUTE);
  t.is(atRest(harness), 1);
  const good = sealedFrame(family, opaque(2))!;
  const forged = good.slice();
  forged[20]! ^= 1;
  const beyond = good.slice();
  beyond[11] = 1;
  for (const packet of [forged.slice(), forged.slice(), old, beyond]) {
    t.deepEqual(kinds(harness.packet(packet)), []);
    t.is(atRest(harness), 1);
  }
  const { tag, duplicate, counter_limit } = harness.drops;
  t.deepEqual([tag, duplicate, counter_limit], [2, 1, 1]);
  t.deepEqual(kinds(harness.packet(good.slice())), ['reply']);
  t.is(atRest(harness), 0);
  harness.packet(good);
  t.is(harness.drops.duplicate, 2, 'what woke it is marked');
});

test('a session wakes for whatever its key opens, also for what is no packet of this protocol', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  harness.later(2 * MINUTE);
  t.is(atRest(harness), 1);
  const odd = sealAny(crypto, transportOf(family), 3, TYPE.encryptedData, opaque(1));
  harness.packet(odd.slice());
  harness.packet(odd);
  const { version, duplicate } = harness.drops;
  t.deepEqual([version, duplicate], [1, 1], 'its counter is marked');
});

test('a Close ends a session at rest', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  harness.later(2 * MINUTE);
  t.is(atRest(harness), 1);
  t.deepEqual(kinds(harness.packet(family.close()!)), ['familyEnded', 'indexFree', 'release', 'valid']);
  t.is(atRest(harness), 0);
  t.is(harness.stats.gauges.sessions, 0);
});

test('a shard that lays sessions to rest does what one does that never would', (t) => {
  forSeeds(runs(12, 400), (prng) => {
    const pair = new RestingPair(prng);
    for (let i = 0; i < 150; i++) pair.step();
    must(pair.rested > 0, 'and sessions rested');
  });
  t.pass();
});
