/**
 * The gateway's handshake, row by row of lp1.md §7.5, and its repeats. The reference closes its machine for whatever is
 * wrong; here that changes nothing, and the rest of the row shows it: the right message still does what it should.
 */
import test from 'ava';
import { openOuter } from '../../../src/lp/v1/outer.ts';
import {
  contentOf,
  counterOf,
  encodeUnsealed,
  receiverIndex,
  TYPE,
  typeOf,
  versionOf,
} from '../../../src/lp/wire/packet.ts';
import { HostileClient, sealV1, splicedH1, watchNonces } from '../../support/lp1-hostile.ts';
import {
  connectV1,
  crypto,
  dropsOf,
  finish,
  forwards,
  type Ground,
  lp1Gateway,
  onlyReply,
  packetOfStep,
  refusal,
  STEPS,
  upTo,
} from '../../support/lp1-shard.ts';
import type { ShardHarness } from '../../support/shard-harness.ts';
import { PROVIDERS, spoiled } from './people.ts';

const EMPTY = new Uint8Array(0);
const TYPES = Object.entries(TYPE);

function header(packet: Uint8Array): number[] {
  return [receiverIndex(packet), counterOf(packet), packet.length];
}

function withByte(packet: Uint8Array, at: number, value: number): Uint8Array {
  const copy = packet.slice();
  copy[at] = value;
  return copy;
}

for (const provider of PROVIDERS) {
  test(`the happy path has the index, counter, length and sealing of §7.2 in every reply (${provider.name})`, (t) => {
    const ground = lp1Gateway({ crypto: provider });
    const { initiator, session, sent, replies } = connectV1(ground, { crypto: provider });
    const { index } = initiator;
    t.deepEqual(sent.map(header), [
      [0, 0, 134],
      [index, 0, 121],
      [index, 1, 291],
      [index, 2, 98],
    ]);
    t.deepEqual(replies.map(header), [
      [index, 0, 34],
      [index, 0, 153],
      [index, 1, 114],
      [index, 0, 34],
    ]);
    t.deepEqual(replies.slice(0, 2).map(typeOf), [TYPE.ack, TYPE.kktResponse], 'in cleartext');
    t.deepEqual(replies.slice(0, 2).map(versionOf), [1, 1]);
    t.true(forwards(ground, session));
  });
}

test('Handshake 2 and the Ack to Handshake 3 are sealed under the outer key', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  const [, , h2] = [client.hello(), client.kkt(), client.h1()].map((packet) =>
    onlyReply(ground.harness.packet(packet)),
  );
  t.true(client.readH2(h2!));
  const ack = onlyReply(ground.harness.packet(client.h3().packet));
  for (const [packet, type] of [
    [h2!, TYPE.handshake],
    [ack, TYPE.ack],
  ] as const) {
    t.true(openOuter(crypto, client.outer, packet));
    t.deepEqual([versionOf(packet), typeOf(packet)], [1, type]);
  }
});

for (const step of ['kkt', 'h1', 'h3'] as const) {
  test(`before ${step}, cleartext of any other type or counter is dropped, and the handshake goes on`, (t) => {
    const ground = lp1Gateway();
    const opening = upTo(ground, step);
    const { index } = opening.initiator;
    for (const [name, type] of TYPES) {
      for (const counter of [0, 1, 2]) {
        // Genuine ones have contents of their own, further down.
        const packet = encodeUnsealed(index, counter, type, ground.prng.bytes(64), 1);
        const dropped = refusal(ground.harness, packet);
        t.regex(dropped, /^(type|content|tag|handshake_failed), noAnswer false$/, `${name} ${counter}`);
      }
    }
    t.true(forwards(ground, finish(ground, opening).session));
  });
}

test('a KKTRequest that is not in order brings nothing, and a good one is answered after it', (t) => {
  const ground = lp1Gateway();
  const { next, initiator } = upTo(ground, 'kkt');
  const spoilt: [string, Uint8Array][] = [
    ['signature', spoiled(next, 18 + 40, 1)],
    ['cut', next.subarray(0, next.length - 1)],
    ['prolonged', Uint8Array.of(...next, 0)],
    ['empty', encodeUnsealed(initiator.index, 0, TYPE.kktRequest, EMPTY, 1)],
    ['responder', withByte(next, 19, 1)],
  ];
  for (const [what, packet] of spoilt) {
    const effects = ground.harness.packet(packet);
    t.deepEqual(
      effects.filter(({ kind }) => kind === 'reply'),
      [],
      what,
    );
    t.true(
      effects.some((effect) => effect.kind === 'noAnswer' && !effect.failed),
      what,
    );
  }
  t.is(ground.harness.drops.handshake_failed, spoilt.length);
  t.is(typeOf(onlyReply(ground.harness.packet(next))), TYPE.kktResponse);
});

test('a Handshake 1 comes after the key transfer, or it is dropped', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  ground.harness.packet(client.hello());
  const h1 = client.h1();
  t.is(refusal(ground.harness, h1), 'type, noAnswer false');
  ground.harness.packet(client.kkt());
  t.true(client.readH2(onlyReply(ground.harness.packet(h1))));
});

test('a Handshake 1 that is not in order brings nothing, and the genuine one is answered after it', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h1');
  const { next } = opening;
  const reasons = new Map<string, string>();
  const cases: [string, Uint8Array][] = [
    ['length of the PSQ part', withByte(next, 18, 0xce)],
    ['cut', next.subarray(0, next.length - 1)],
    ['prolonged', Uint8Array.of(...next, 0)],
    ['PSQ ciphertext', spoiled(next, 18 + 2 + 5, 1)],
    ['PSQ mac', spoiled(next, 18 + 2 + 40, 1)],
    ['PSQ tag', spoiled(next, 18 + 2 + 70, 1)],
    ['PSQ body', spoiled(next, 18 + 2 + 120, 1)],
    ['Noise ephemeral', spoiled(next, 18 + 2 + 207 + 3, 1)],
    ['Noise tag', spoiled(next, next.length - 17, 1)],
  ];
  for (const [what, packet] of cases) {
    reasons.set(what, dropsOf(ground.harness, () => ground.harness.packet(packet)).join());
  }
  for (const what of ['length of the PSQ part', 'cut', 'prolonged']) {
    t.is(reasons.get(what), 'content', what);
    reasons.delete(what);
  }
  t.deepEqual([...new Set(reasons.values())], ['handshake_failed']);
  t.true(forwards(ground, finish(ground, opening).session));
});

test('a Handshake 3 that is not in order brings nothing, and the genuine one is accepted after it', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h3');
  const { next } = opening;
  const cases = [
    ...[12, 16, 20, 60, next.length - 1].map((at) => spoiled(next, at, 1)),
    next.subarray(0, next.length - 1),
    Uint8Array.of(...next, 0),
    ground.prng.bytes(98),
  ];
  for (const packet of cases) {
    packet.set(next.subarray(0, 12));
    t.is(refusal(ground.harness, packet), 'tag, noAnswer false');
  }
  t.true(forwards(ground, finish(ground, opening).session));
});

test('a Handshake 3 of another type or version is dropped, though it opens', (t) => {
  for (const changes of [{ type: TYPE.encryptedData }, { type: TYPE.ack }, { version: 2 }, { version: 0 }]) {
    const ground = lp1Gateway();
    const client = new HostileClient(ground);
    const [, , h2] = [client.hello(), client.kkt(), client.h1()].map((p) => onlyReply(ground.harness.packet(p)));
    client.readH2(h2!);
    t.is(refusal(ground.harness, client.h3(changes).packet), 'tag, noAnswer false');
  }
});

test('a Handshake 2 or an Ack of the gateway’s own, sent back to it, is nothing to it', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h3');
  for (const reply of opening.replies) t.regex(refusal(ground.harness, reply), /^(type|version), noAnswer false$/);
  const connected = finish(ground, opening);
  for (const reply of connected.replies) t.is(refusal(ground.harness, reply), 'duplicate, noAnswer false');
  t.true(forwards(ground, connected.session));
});

/** Sends the opening's next packet, and gives the client's after it. */
function advance({ harness }: Ground, opening: ReturnType<typeof upTo>): Uint8Array {
  return packetOfStep(opening.initiator.receive(onlyReply(harness.packet(opening.next.slice())), harness.now));
}

test('equal contents get the same bytes again: hello, KKTRequest, Handshake 1, Handshake 3', (t) => {
  for (const step of STEPS) {
    const { harness, prng } = lp1Gateway();
    const { next } = upTo({ harness, prng }, step);
    const first = onlyReply(harness.packet(next.slice()));
    for (let i = 0; i < 3; i++) {
      harness.later(5_000);
      t.deepEqual(onlyReply(harness.packet(next.slice(), { flags: 0, source: 9 })), first, step);
    }
  }
});

test('what is not content does not make another hello, KKTRequest or Handshake 1: reserved bytes and trailer', (t) => {
  for (const step of ['hello', 'kkt', 'h1'] as const) {
    const ground = lp1Gateway();
    const { next } = upTo(ground, step);
    const first = onlyReply(ground.harness.packet(next.slice()));
    for (const at of [13, 15, next.length - 1]) {
      t.deepEqual(onlyReply(ground.harness.packet(withByte(next, at, 7))), first, `${step} ${at}`);
    }
  }
});

test('earlier messages are still answered until the handshake is done; then the session has the index', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h3');
  const { sent, replies } = opening;
  for (const [i, packet] of sent.entries()) t.deepEqual(onlyReply(ground.harness.packet(packet.slice())), replies[i]);
  const { session } = finish(ground, opening);
  t.deepEqual(onlyReply(ground.harness.packet(sent[0]!.slice())), replies[0], 'the hello: so no second record is made');
  for (const packet of sent.slice(1)) t.is(refusal(ground.harness, packet), 'duplicate, noAnswer false');
  t.true(forwards(ground, session));
});

test('a repeated Handshake 3 gets the same Ack for 90 s from the ClientHello, and then is a duplicate', (t) => {
  const ground = lp1Gateway();
  const { sent, replies, session } = connectV1(ground);
  const h3 = sent[3]!;
  ground.harness.later(89_999);
  t.deepEqual(onlyReply(ground.harness.packet(h3.slice())), replies[3]);
  ground.harness.later(1);
  ground.harness.tick();
  t.is(refusal(ground.harness, h3), 'duplicate, noAnswer false');
  t.true(forwards(ground, session));
});

test('a second Handshake 3 for the same Handshake 1 is dropped once one was accepted', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h3');
  const other = spoiled(opening.next, 40, 1);
  const { session } = finish(ground, opening);
  t.is(refusal(ground.harness, other), 'duplicate, noAnswer false');
  t.true(forwards(ground, session));
});

test('a Handshake 1 with the same PSQ part and another Noise message gets the next counter; the genuine client finishes', (t) => {
  for (const before of [0, 1, 2]) {
    const ground = lp1Gateway({ crypto: watchNonces(crypto) });
    const opening = upTo(ground, 'h1');
    const genuine = opening.next;
    const counters: number[] = [];
    const send = (packet: Uint8Array) => counters.push(counterOf(onlyReply(ground.harness.packet(packet))));
    for (let i = 0; i < before; i++) send(splicedH1(ground, genuine));
    const h3 = advance(ground, opening);
    for (let i = before; i < 2; i++) send(splicedH1(ground, genuine));
    t.deepEqual(
      counters,
      [1, 2, 3].filter((counter) => counter !== before + 1),
    );
    t.is(refusal(ground.harness, splicedH1(ground, genuine)), 'too_many_h1, noAnswer false');
    t.is(counterOf(onlyReply(ground.harness.packet(genuine.slice()))), before + 1, 'its repeat is its own H2');
    const { session } = finish(ground, { ...opening, next: h3 });
    t.true(forwards(ground, session), `after ${before}`);
  }
});

test('once a Handshake 3 was accepted, no further Handshake 1 reads and its secrets are gone', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h1');
  const spliced = splicedH1(ground, opening.next);
  const { session } = finish(ground, opening);
  t.is(refusal(ground.harness, spliced), 'duplicate, noAnswer false', 'the session has the index');
  t.is(h1Read(ground.harness), 1);
  t.true(forwards(ground, session));
});

function h1Read(harness: ShardHarness): number {
  return harness.stats.counters.h1_read;
}

test('a Handshake 3 under the key of a spliced Handshake 1 that its maker finished is no session of his', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h1');
  ground.harness.packet(splicedH1(ground, opening.next));
  // Without the PSK nobody has the outer key, so he can seal nothing that opens.
  const forged = sealV1(
    crypto,
    ground.prng.bytes(32),
    { index: opening.initiator.index, counter: 2, version: 1, type: TYPE.handshake },
    ground.prng.bytes(64),
  );
  t.is(refusal(ground.harness, forged), 'tag, noAnswer false');
  t.is(contentOf(forged).length, 64);
  t.true(forwards(ground, finish(ground, opening).session));
});
