/** What the shard does with admission's flags for LP1 (lp2.md §4.5): who takes a token or a place, and who gets it back. */
import test from 'ava';
import { contentOf, encodeUnsealed, receiverIndex, TYPE, typeOf, versionOf } from '../../src/lp/wire/packet.ts';
import { ADMIT, InboundWriter, RELEASE } from '../../src/shard/messages.ts';
import { HostileClient, splicedH1 } from '../support/lp1-hostile.ts';
import {
  answerIndex,
  chosenIndices,
  connectV1,
  finish,
  forwards,
  type Ground,
  lp1Gateway,
  onlyReply,
  onlyRequest,
  packetOfStep,
  replyPackets,
  startRekey,
  upTo,
} from '../support/lp1-shard.ts';
import type { Effect } from '../support/shard-harness.ts';

const { token: TOKEN, session: SESSION, record: RECORD } = ADMIT;

function releases(effects: readonly Effect[]): number[] {
  return effects.flatMap((effect) => (effect.kind === 'release' ? [effect.release] : [])).sort();
}

function isBusyV1(packet: Uint8Array): boolean {
  return typeOf(packet) === TYPE.busy && versionOf(packet) === 1 && contentOf(packet).length === 0;
}

/** Several packets in one batch, with what the acceptor reserved for each before the shard saw any. */
function together({ harness }: Ground, packets: readonly (readonly [Uint8Array, number])[]): Effect[] {
  const batch = new InboundWriter();
  for (const [packet, flags] of packets) {
    batch.packet({ connection: 1, source: 1, flags, retryAfterSeconds: 1 }, packet);
  }
  return harness.handle(batch);
}

for (const [missing, flags, returned] of [
  ['a token', SESSION, [RELEASE.session]],
  ['a place for its session', TOKEN, []],
  ['anything', 0, []],
] as const) {
  test(`a new Handshake 1 without ${missing} gets an empty Busy of version 1, and later the true Handshake 2`, (t) => {
    const ground = lp1Gateway();
    const opening = upTo(ground, 'h1');
    const effects = ground.harness.packet(opening.next.slice(), { flags });
    t.true(isBusyV1(onlyReply(effects)));
    t.is(receiverIndex(onlyReply(effects)), opening.initiator.index);
    t.false(
      effects.some((effect) => effect.kind === 'reply' && effect.valid),
      'it does not count as a valid packet',
    );
    t.deepEqual(releases(effects), [...returned]);
    t.true(forwards(ground, finish(ground, opening).session));
  });
}

test('a Handshake 1 that reads keeps token and place; its repeat gives back what came along', (t) => {
  const ground = lp1Gateway();
  const { next } = upTo(ground, 'h1');
  t.deepEqual(releases(ground.harness.packet(next.slice(), { flags: TOKEN | SESSION })), []);
  t.deepEqual(releases(ground.harness.packet(next.slice(), { flags: TOKEN | SESSION })), [
    RELEASE.token,
    RELEASE.session,
  ]);
});

test('a Handshake 1 that does not read costs its token and gives its place back', (t) => {
  const ground = lp1Gateway();
  const { next } = upTo(ground, 'h1');
  next[100]! ^= 1;
  t.deepEqual(releases(ground.harness.packet(next, { flags: TOKEN | SESSION })), [RELEASE.session]);
});

test('the first KKTRequest gives its token back, its repeats too; every other content takes one', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  ground.harness.packet(client.hello());
  const [first, second] = [client.kkt(), client.kkt()];
  for (let i = 0; i < 3; i++)
    t.deepEqual(releases(ground.harness.packet(first.slice(), { flags: TOKEN })), [RELEASE.token]);
  for (let i = 0; i < 3; i++) {
    const effects = ground.harness.packet(second.slice(), { flags: TOKEN });
    t.is(typeOf(onlyReply(effects)), TYPE.kktResponse);
    t.deepEqual(releases(effects), [], 'it is not stored');
  }
  t.is(ground.harness.stats.counters.kkt_responses, 4);
});

test('a KKTRequest that gets no answer costs its token, the first one too', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  ground.harness.packet(client.hello());
  const broken = client.kkt();
  broken[70]! ^= 1;
  t.deepEqual(releases(ground.harness.packet(broken, { flags: TOKEN })), []);
  t.deepEqual(releases(ground.harness.packet(client.kkt(), { flags: TOKEN })), [RELEASE.token]);
});

test('a KKTRequest without a token gets Busy; a repeat of the first needs none', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  ground.harness.packet(client.hello());
  const [first, second] = [client.kkt(), client.kkt()];
  t.true(isBusyV1(onlyReply(ground.harness.packet(first.slice(), { flags: 0 }))));
  const answer = onlyReply(ground.harness.packet(first.slice(), { flags: TOKEN }));
  t.deepEqual(onlyReply(ground.harness.packet(first.slice(), { flags: 0 })), answer);
  t.true(isBusyV1(onlyReply(ground.harness.packet(second, { flags: 0 }))));
});

test('a ClientHello without a place for its record gets an empty Busy of version 1; the repeat of a known one its Ack', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  const effects = ground.harness.packet(client.hello(), { flags: 0 });
  t.true(isBusyV1(onlyReply(effects)));
  t.is(receiverIndex(onlyReply(effects)), client.index);
  const [ack] = replyPackets(ground.harness.packet(client.hello(), { flags: RECORD }));
  t.is(typeOf(ack!), TYPE.ack);
  t.deepEqual(onlyReply(ground.harness.packet(client.hello(), { flags: 0 })), ack);
});

test('a shard without room for another index answers a ClientHello with Busy, until one is free', (t) => {
  const ground = lp1Gateway({ indices: 1 });
  const first = new HostileClient(ground);
  ground.harness.packet(first.hello());
  const effects = ground.harness.packet(new HostileClient(ground).hello(), { flags: RECORD });
  t.true(isBusyV1(onlyReply(effects)));
  t.deepEqual(releases(effects), [RELEASE.record]);
  ground.harness.later(90_000);
  ground.harness.tick();
  t.is(typeOf(onlyReply(ground.harness.packet(new HostileClient(ground).hello()))), TYPE.ack);
});

test('at the cap the oldest record without a Handshake 1 makes room; one full of Handshakes 1 answers Busy', (t) => {
  const ground = lp1Gateway({ records: 3 });
  const busy = upTo(ground, 'h3');
  const [older, younger] = [new HostileClient(ground), new HostileClient(ground)];
  ground.harness.packet(older.hello(), { source: 21 });
  ground.harness.packet(younger.hello(), { source: 22 });
  const effects = ground.harness.packet(new HostileClient(ground).hello());
  t.deepEqual(
    effects.filter(({ kind }) => kind === 'indexFree' || kind === 'release'),
    [
      { kind: 'release', release: RELEASE.record, source: 21 },
      { kind: 'indexFree', index: older.index },
    ],
  );
  t.is(ground.harness.stats.counters.records_evicted, 1);
  upTo(ground, 'h3');
  upTo(ground, 'h3');
  const refused = ground.harness.packet(new HostileClient(ground).hello());
  t.true(isBusyV1(onlyReply(refused)));
  t.deepEqual(releases(refused), [RELEASE.record]);
  t.true(forwards(ground, finish(ground, busy).session));
});

test('a session’s place belongs to the address of its Handshake 1', (t) => {
  const ground = lp1Gateway();
  const { harness } = ground;
  const opening = upTo(ground, 'h1');
  const h2 = onlyReply(harness.packet(opening.next, { source: 2, flags: TOKEN | SESSION }));
  const h3 = packetOfStep(opening.initiator.receive(h2, harness.now));
  harness.packet(h3, { source: 3, flags: 0 });
  harness.later(86_400_000);
  const ended = harness.tick().filter((effect) => effect.kind === 'release' && effect.release === RELEASE.session);
  t.deepEqual(ended, [{ kind: 'release', release: RELEASE.session, source: 2 }]);
});

test('places of Handshakes 1 that no Handshake 3 followed are held until the record ends, the accepted one longer', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h1');
  ground.harness.packet(splicedH1(ground, opening.next), { source: 8 });
  finish(ground, opening);
  ground.harness.later(90_000);
  const released = ground.harness.tick().filter((effect) => effect.kind === 'release');
  t.deepEqual(released, [
    { kind: 'release', release: RELEASE.record, source: 1 },
    { kind: 'release', release: RELEASE.session, source: 8 },
  ]);
});

test('what was reserved for a packet that finds the session made before it in its batch is given back', (t) => {
  for (const which of ['kkt', 'h1'] as const) {
    const ground = lp1Gateway();
    const { next: h3, sent } = upTo(ground, 'h3');
    const [repeat, flags] = which === 'kkt' ? [sent[1]!, TOKEN] : [sent[2]!, TOKEN | SESSION];
    const effects = together(ground, [
      [h3, 0],
      [repeat, flags],
    ]);
    t.deepEqual(releases(effects), which === 'kkt' ? [RELEASE.token] : [RELEASE.token, RELEASE.session]);
  }
});

test('a claim that is refused frees the index: a ClientHello that met the claim may have had it routed here', (t) => {
  const ground = lp1Gateway();
  const { session } = connectV1(ground, { random: chosenIndices(ground.prng.source(), [0x1111, 0x2222]) });
  const { ready } = startRekey(ground, session);
  const { key } = onlyRequest(ground.harness.packet(ready));
  const effects = ground.harness.packet(new HostileClient(ground, { index: 0x2222 }).hello());
  t.is(typeOf(onlyReply(effects)), TYPE.collision);
  t.false(
    effects.some(({ kind }) => kind === 'indexFree'),
    'the claim has it',
  );
  t.deepEqual(answerIndex(ground.harness, key, false), [{ kind: 'indexFree', index: 0x2222 }]);
  t.true(forwards(ground, session, 0x1111));
});

test('an unknown index gives everything back and is unrouted', (t) => {
  const ground = lp1Gateway();
  const packet = encodeUnsealed(77, 1, TYPE.handshake, new Uint8Array(257), 1);
  const effects = ground.harness.packet(packet, { flags: TOKEN | SESSION });
  t.deepEqual(releases(effects), [RELEASE.token, RELEASE.session]);
  t.true(effects.some((effect) => effect.kind === 'indexFree' && effect.index === 77));
});
