/** Handshake records (lp2.md §3, §4, §4.5): their cap, who makes room, and their 90 s at lookup and by the sweep. */
import test from 'ava';
import { decodeBusy } from '../../src/lp/wire/message.ts';
import { contentOf, encodeUnsealed, receiverIndex, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { RELEASE } from '../../src/shard/messages.ts';
import { echoes } from '../support/handshake.ts';
import { cachedKey, connect, firstPackets, kinds, readyForH3, replyPackets, shard } from '../support/scenario.ts';

function kkt(index: number): Uint8Array {
  const content = new Uint8Array(23);
  content.set([0x10, 0x02, 0x01]);
  return encodeUnsealed(index, 0, TYPE.kktRequest, content);
}

test('at the cap the oldest record that holds no H1 makes room', (t) => {
  const { harness, prng } = shard({ records: 4 });
  const kemKey = cachedKey(harness, prng);
  const clients = [0, 1, 2].map(() => firstPackets(harness, prng, kemKey));
  clients.forEach(({ hello }, i) => {
    harness.packet(hello.slice(), { source: 10 + i });
  });
  harness.packet(clients[0]!.h1.slice());
  const effects = harness.packet(firstPackets(harness, prng, kemKey).hello);
  const evicted = clients[1]!.initiator.index;
  t.deepEqual(
    effects.filter((effect) => effect.kind === 'release' || effect.kind === 'indexFree'),
    [
      { kind: 'release', release: RELEASE.record, source: 11 },
      { kind: 'indexFree', index: evicted },
    ],
  );
  t.is(harness.replies(kkt(evicted)).length, 0);
  t.is(harness.drops.unknown_index, 1);
  t.is(harness.replies(clients[0]!.h1.slice()).length, 1, 'the one with an H1 is there');
  t.is(harness.replies(kkt(clients[2]!.initiator.index)).length, 1, 'and so is the younger one');
});

test('a table full of records that hold an H1 answers a ClientHello with Busy and frees what was reserved', (t) => {
  const { harness, prng } = shard({ records: 2 });
  const kemKey = cachedKey(harness, prng);
  const first = firstPackets(harness, prng, kemKey);
  for (const packet of [first.hello, first.h1]) harness.packet(packet);
  const { hello, initiator } = firstPackets(harness, prng, kemKey);
  const effects = harness.packet(hello, { retryAfterSeconds: 9, source: 5 });
  t.deepEqual(kinds(effects), ['indexFree', 'release', 'reply']);
  const [busy] = replyPackets(effects);
  t.deepEqual([receiverIndex(busy!), typeOf(busy!)], [initiator.index, TYPE.busy]);
  t.is(decodeBusy(contentOf(busy!)), 9);
  t.true(effects.some((e) => e.kind === 'release' && e.release === RELEASE.record && e.source === 5));
});

test('a record is gone 90 s after its ClientHello at lookup, without a sweep', (t) => {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  const { hello, h1, initiator } = firstPackets(harness, prng, kemKey);
  harness.packet(hello, { source: 3 });
  harness.packet(h1, { source: 4 });
  harness.later(89_999);
  t.is(harness.replies(kkt(initiator.index)).length, 1);
  harness.later(1);
  const effects = harness.packet(kkt(initiator.index), { flags: 0 });
  t.deepEqual(
    effects.filter((effect) => effect.kind === 'release'),
    [
      { kind: 'release', release: RELEASE.record, source: 3 },
      { kind: 'release', release: RELEASE.session, source: 4 },
    ],
  );
  t.true(effects.some((effect) => effect.kind === 'indexFree' && effect.index === initiator.index));
  t.is(effects.filter((effect) => effect.kind === 'reply').length, 0);
});

test('the sweep removes records at 90 s, whichever H1 came first', (t) => {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  harness.later(90_000);
  harness.tick();
  t.is(harness.stats.gauges.records, 0);
  const older = firstPackets(harness, prng, kemKey);
  harness.packet(older.hello);
  harness.later(10_000);
  const younger = firstPackets(harness, prng, kemKey);
  harness.packet(younger.hello);
  harness.packet(younger.h1);
  harness.packet(older.h1);
  harness.later(80_000);
  const freed = harness.tick().flatMap((effect) => (effect.kind === 'indexFree' ? [effect.index] : []));
  t.true(freed.includes(older.initiator.index));
  t.is(harness.stats.gauges.records, 1);
  harness.later(10_000);
  harness.tick();
  t.is(harness.stats.gauges.records, 0);
});

test('a record outlives its handshake: H3 gets its stored reply until 90 s have passed, the session goes on', (t) => {
  const { harness, prng } = shard();
  const { initiator, h3 } = readyForH3(harness, prng, cachedKey(harness, prng));
  const [reply] = harness.replies(h3.slice());
  const established = initiator.receive(reply!.slice(), harness.now);
  harness.later(89_999);
  t.deepEqual(harness.replies(h3.slice()), [reply!]);
  harness.later(1);
  t.deepEqual(harness.replies(h3.slice()), []);
  t.true(established.kind === 'established' && echoes(harness, established.session));
});

test('an index is taken by one ClientHello until its record is gone, then another may have it', (t) => {
  const { harness, prng } = shard();
  const { hello } = firstPackets(harness, prng, cachedKey(harness, prng));
  const other = hello.slice();
  other[110]! ^= 1;
  t.is(typeOf(harness.replies(hello.slice())[0]!), TYPE.ack);
  t.is(typeOf(harness.replies(other.slice())[0]!), TYPE.collision);
  t.is(typeOf(harness.replies(hello.slice())[0]!), TYPE.ack);
  harness.later(90_000);
  // Its salt is too old by now; the gateway's wall clock stepped back is what a repeat after a restart looks like.
  harness.unixMs -= 90_000;
  t.is(typeOf(harness.replies(other.slice())[0]!), TYPE.ack);
  t.is(typeOf(harness.replies(hello.slice())[0]!), TYPE.collision);
});

test('evictions do not touch sessions that came from the record', (t) => {
  const { harness, prng } = shard({ records: 1 });
  const { family } = connect(harness, prng);
  harness.later(90_000);
  const { family: second } = connect(harness, prng);
  t.true(echoes(harness, family));
  t.true(echoes(harness, second));
});
