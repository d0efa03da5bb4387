/** What the shard does with admission's flags (lp2.md §4.5): Busy where something is missing, and what it gives back. */
import test from 'ava';
import { decodeBusy } from '../../src/lp/wire/message.ts';
import { contentOf, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { ADMIT, RELEASE } from '../../src/shard/messages.ts';
import { echoes } from '../support/handshake.ts';
import { cachedKey, connect, firstPackets, kinds, readyForH3, replyPackets, shard } from '../support/scenario.ts';
import type { Effect } from '../support/shard-harness.ts';

const H1_FLAGS = ADMIT.token | ADMIT.session;

function replyType(effects: readonly Effect[]): number | undefined {
  const [packet] = replyPackets(effects);
  return packet === undefined ? undefined : typeOf(packet);
}

function releases(effects: readonly Effect[]): number[] {
  return effects.flatMap((effect) => (effect.kind === 'release' ? [effect.release] : [])).sort();
}

function afterHello() {
  const { harness, prng } = shard();
  const client = firstPackets(harness, prng, cachedKey(harness, prng));
  harness.packet(client.hello.slice());
  return { harness, prng, ...client };
}

for (const [missing, flags, returned] of [
  ['a token', ADMIT.session, [RELEASE.session]],
  ['a place for its session', ADMIT.token, []],
  ['anything', 0, []],
] as const) {
  test(`a new H1 without ${missing} gets Busy, and later the true H2`, (t) => {
    const { harness, h1 } = afterHello();
    const effects = harness.packet(h1.slice(), { flags, retryAfterSeconds: 3 });
    t.is(replyType(effects), TYPE.busy);
    t.is(decodeBusy(contentOf(replyPackets(effects)[0]!)), 3);
    t.false(
      effects.some((effect) => effect.kind === 'reply' && effect.valid),
      'it does not count as a valid packet',
    );
    t.deepEqual(releases(effects), [...returned]);
    t.is(replyType(harness.packet(h1.slice(), { flags: H1_FLAGS })), TYPE.handshake);
  });
}

test('an H1 that reads keeps token and place; its repeat is answered without any and gives back what came along', (t) => {
  const { harness, h1 } = afterHello();
  const first = harness.packet(h1.slice(), { flags: H1_FLAGS });
  t.deepEqual(releases(first), []);
  const bare = harness.packet(h1.slice(), { flags: 0 });
  t.deepEqual(replyPackets(bare), replyPackets(first));
  const again = harness.packet(h1.slice(), { flags: H1_FLAGS });
  t.deepEqual(replyPackets(again), replyPackets(first));
  t.deepEqual(releases(again), [RELEASE.token, RELEASE.session]);
});

test('an H1 that does not read costs its token and gives its place back', (t) => {
  const { harness, h1 } = afterHello();
  const broken = h1.slice();
  broken[40]! ^= 1;
  const effects = harness.packet(broken, { flags: H1_FLAGS });
  t.deepEqual(kinds(effects), ['release']);
  t.deepEqual(releases(effects), [RELEASE.session]);
  t.is(harness.drops.handshake_failed, 1);
});

test('an H1 on an index that has no record gives everything back and unroutes the index', (t) => {
  const { harness, prng } = shard();
  const { h1, initiator } = firstPackets(harness, prng, cachedKey(harness, prng));
  const effects = harness.packet(h1, { flags: H1_FLAGS });
  t.deepEqual(releases(effects), [RELEASE.token, RELEASE.session]);
  t.true(effects.some((effect) => effect.kind === 'indexFree' && effect.index === initiator.index));
});

test('a ClientHello without a place for its record gets Busy; the repeat of a known one gets its Ack', (t) => {
  const { harness, prng } = shard();
  const { hello } = firstPackets(harness, prng, cachedKey(harness, prng));
  t.is(replyType(harness.packet(hello.slice(), { flags: 0 })), TYPE.busy);
  t.is(replyType(harness.packet(hello.slice(), { flags: ADMIT.record })), TYPE.ack);
  t.is(replyType(harness.packet(hello.slice(), { flags: 0 })), TYPE.ack);
  const repeat = harness.packet(hello.slice(), { flags: ADMIT.record });
  t.deepEqual(kinds(repeat), ['release', 'reply'], 'the index stays routed');
});

test('a refused ClientHello gives its place back and its index is not routed here', (t) => {
  const { harness, prng } = shard();
  const { hello, initiator } = firstPackets(harness, prng, cachedKey(harness, prng));
  harness.unixMs += 31_000;
  const effects = harness.packet(hello, { flags: ADMIT.record });
  t.is(replyType(effects), TYPE.error);
  t.deepEqual(releases(effects), [RELEASE.record]);
  t.true(effects.some((effect) => effect.kind === 'indexFree' && effect.index === initiator.index));
});

test('a ClientHello that names a live session does not unroute it', (t) => {
  const { harness, prng } = shard();
  const { family } = connect(harness, prng);
  const { hello } = firstPackets(harness, prng, cachedKey(harness, prng));
  new DataView(hello.buffer).setUint32(18, family.index, true);
  const effects = harness.packet(hello, { flags: ADMIT.record });
  t.deepEqual(effects, [{ kind: 'release', release: RELEASE.record, source: 1 }]);
  t.is(harness.drops.index_range, 1);
  t.true(echoes(harness, family));
});

test('a shard whose indices are all taken answers an H1 with Busy', (t) => {
  const { harness, prng } = shard({ indices: 1 });
  const kemKey = cachedKey(harness, prng);
  const { hello, h1 } = firstPackets(harness, prng, kemKey);
  harness.packet(hello);
  const effects = harness.packet(h1, { flags: H1_FLAGS });
  t.is(replyType(effects), TYPE.busy);
  t.deepEqual(releases(effects), [RELEASE.session]);
});

test('a session’s place belongs to the address of the H1, also when hello and H3 come from others', (t) => {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  const { initiator, hello, h1 } = firstPackets(harness, prng, kemKey);
  harness.packet(hello, { source: 1, flags: ADMIT.record });
  const [h2] = harness.replies(h1, { source: 2, flags: H1_FLAGS });
  const step = initiator.receive(h2!, harness.now);
  const h3 = step.kind === 'send' ? step.packets[0]! : new Uint8Array(34);
  const [ack] = harness.replies(h3, { source: 3, flags: 0 });
  const established = initiator.receive(ack!, harness.now);
  const close = established.kind === 'established' ? established.session.close()! : new Uint8Array(34);
  const released = harness.packet(close, { source: 4, flags: 0 }).filter((effect) => effect.kind === 'release');
  t.deepEqual(released, [{ kind: 'release', release: RELEASE.session, source: 2 }]);
});

test('an H2 that is never answered holds its place until the record ends', (t) => {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  readyForH3(harness, prng, kemKey);
  harness.later(90_000);
  const released = releases(harness.tick());
  t.deepEqual(
    released.filter((kind) => kind === RELEASE.session),
    [RELEASE.session],
  );
});
