/** Sessions and their times (lp2.md §4.5, §6, §7), at lookup and by the sweep, on the monotonic clock. */
import test from 'ava';
import { TYPE } from '../../src/lp/wire/packet.ts';
import { deliver, echoes, opaque, rekeys, sealedFrame, startedRekey } from '../support/handshake.ts';
import { sealAny, transportOf } from '../support/hostile.ts';
import { connect, crypto, kinds, shard } from '../support/scenario.ts';

const HOUR = 3_600_000;

test('a session of a handshake that has opened no packet of its own lives 5 min', (t) => {
  const { harness, prng } = shard();
  const used = connect(harness, prng).family;
  const unused = connect(harness, prng).family;
  harness.later(299_999);
  t.true(echoes(harness, used), 'just in time');
  harness.later(1);
  t.false(echoes(harness, unused));
  t.is(harness.drops.unknown_index, 1);
  t.true(echoes(harness, used));
});

test('a session lives 6 h from its last valid packet', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  t.true(echoes(harness, family));
  harness.later(6 * HOUR - 1);
  t.true(echoes(harness, family));
  harness.later(6 * HOUR - 1);
  t.true(echoes(harness, family));
  harness.later(6 * HOUR);
  t.false(echoes(harness, family));
});

test('a packet that is not valid does not keep a session alive', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  t.true(echoes(harness, family));
  harness.later(5 * HOUR);
  const forged = sealedFrame(family, opaque(1))!;
  forged[20]! ^= 1;
  harness.packet(forged);
  harness.packet(sealAny(crypto, transportOf(family), 3, TYPE.encryptedData, opaque(1)));
  harness.packet(sealAny(crypto, transportOf(family), 2, TYPE.subsessionReady, Uint8Array.of(1)));
  const { tag, version, content } = harness.drops;
  t.deepEqual([tag, version, content], [1, 1, 1]);
  harness.later(HOUR);
  t.false(echoes(harness, family));
});

test('a session lives 24 h from its making whatever happens; a family that rekeys has no end', (t) => {
  const { harness, prng } = shard();
  const still = connect(harness, prng).family;
  const rekeying = connect(harness, prng).family;
  for (const family of [still, rekeying]) t.true(echoes(harness, family));
  for (let hour = 4; hour < 24; hour += 4) {
    harness.later(4 * HOUR);
    t.true(echoes(harness, still));
    t.true(echoes(harness, rekeying));
    if (hour === 16) t.true(rekeys(harness, rekeying));
  }
  harness.later(4 * HOUR - 1);
  t.true(echoes(harness, still));
  harness.later(1);
  t.false(echoes(harness, still));
  t.true(echoes(harness, rekeying));
  for (let hour = 0; hour < 12; hour += 4) {
    harness.later(4 * HOUR);
    t.true(echoes(harness, rekeying), 'its session is of hour 16');
  }
  harness.later(4 * HOUR);
  t.false(echoes(harness, rekeying));
});

test('a demoted session opens for 60 s, answered on its successor, and then is unknown', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const late = [1, 2].map((id) => sealedFrame(family, opaque(id))!);
  t.true(rekeys(harness, family));
  harness.later(59_999);
  const received = deliver(harness, family, [late[0]!]);
  t.is(received[0]?.kind, 'frame');
  harness.later(1);
  t.deepEqual(harness.replies(late[1]!), []);
  t.is(harness.drops.unknown_index, 1);
  t.true(echoes(harness, family));
});

test('a pending subsession lives as long as its parent: a client that took its KK2 hours ago is not lost', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const kk1 = startedRekey(family, true, harness.now)!;
  const [kk2] = harness.replies(kk1);
  const rekeyed = family.receive(kk2!, harness.now);
  harness.later(5 * HOUR);
  harness.tick();
  t.true(rekeyed.kind === 'rekeyed');
  t.true(echoes(harness, family), 'data does what Ready does');
});

test('the sweep ends what is past its time, tells the acceptor, and gives the places back', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  t.true(rekeys(harness, family));
  harness.later(60_000);
  t.deepEqual(kinds(harness.tick()), ['indexFree'], 'the demoted one');
  harness.later(6 * HOUR);
  // The session, its family, the session's place; the record had its own end.
  t.deepEqual(kinds(harness.tick()), ['familyEnded', 'indexFree', 'indexFree', 'release', 'release']);
  const { sessions, families, records } = harness.stats.gauges;
  t.deepEqual([sessions, families, records], [0, 0, 0]);
});

test('rekeying is asked for after an hour, at most once a minute, behind a reply, and not while one is under way', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const asked = () => deliver(harness, family, [sealedFrame(family, opaque(1))!]).map((received) => received.kind);
  t.deepEqual(asked(), ['frame']);
  harness.later(HOUR - 1);
  t.deepEqual(asked(), ['frame']);
  harness.later(1);
  t.deepEqual(asked(), ['frame', 'rekeyAsked']);
  harness.later(59_999);
  t.deepEqual(asked(), ['frame']);
  harness.later(1);
  t.deepEqual(asked(), ['frame', 'rekeyAsked']);
  harness.later(60_000);
  harness.packet(startedRekey(family, false, harness.now)!);
  t.deepEqual(asked(), ['frame'], 'a subsession is pending');
});

test('rekeying is asked for after 2³² packets', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const transport = transportOf(family) as unknown as { sendCounter: number };
  transport.sendCounter = 2 ** 32 - 2;
  const asked = () => deliver(harness, family, [sealedFrame(family, opaque(1))!]).map((received) => received.kind);
  t.deepEqual(asked(), ['frame']);
  t.deepEqual(asked(), ['frame', 'rekeyAsked']);
});
