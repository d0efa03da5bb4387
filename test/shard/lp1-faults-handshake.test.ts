/**
 * Faults of the reference in its handshake (lp1.md §10), by their numbers there: each is tried against a whole shard by a
 * client that signs and seals whatever is to be signed and sealed.
 */
import test from 'ava';
import { checkKktResponse } from '../../src/lp/v1/kkt.ts';
import { contentOf, counterOf, encodeUnsealed, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { CLIENT, GATEWAY, STRANGER } from '../lp/v1/people.ts';
import type { PsqForgery } from '../support/lp1-hostile.ts';
import { HostileClient, type HostileOptions, splicedH1, watchNonces } from '../support/lp1-hostile.ts';
import {
  connectV1,
  crypto,
  finish,
  forwards,
  type Ground,
  lp1Gateway,
  onlyReply,
  refusal,
  rekeyV1,
  replyPackets,
  STEPS,
  upTo,
} from '../support/lp1-shard.ts';

const REFUSED = 'handshake_failed, noAnswer false';
const HOUR_S = 3_600n;

/** A client whose hello and key transfer were answered. */
function hostile(ground: Ground, options: HostileOptions = {}, context?: readonly number[]): HostileClient {
  const client = new HostileClient(ground, options);
  for (const packet of [client.hello(), client.kkt(context)]) onlyReply(ground.harness.packet(packet));
  return client;
}

/** What its Handshake 1 comes to. */
function fateOfH1(client: HostileClient, { harness }: Ground, forgery?: PsqForgery): string {
  const fate = refusal(harness, client.h1(forgery));
  return fate === 'reply' ? 'accepted' : fate;
}

test('fault 12: an anonymous request gets an answer that is consistent: X25519, Ok, one-way, responder', (t) => {
  const ground = lp1Gateway();
  const client = new HostileClient(ground);
  ground.harness.packet(client.hello());
  const request = client.kkt([0x10, 0x02, 0xff, 0, 0, 0, 0]);
  const content = contentOf(onlyReply(ground.harness.packet(request)));
  t.is(content.length, 119);
  t.deepEqual([...content.subarray(0, 7)], [0x11, 0x01, 0xff, 0, 0, 0, 0]);
  const expected = {
    sessionId: contentOf(request).slice(7, 23),
    gatewayEd25519: GATEWAY.ed25519,
    gatewayX25519: GATEWAY.x25519,
  };
  t.true(checkKktResponse(crypto, content, expected));
});

test('fault 12: other suites, modes, roles and statuses are refused, signed or anonymous, and the handshake goes on', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'kkt');
  const client = new HostileClient(ground, { index: opening.initiator.index });
  const key = new Uint8Array(32);
  const contexts: [string, number[], Uint8Array?][] = [];
  for (const role of [0x00, 0x02]) {
    for (const kem of [0x00, 0x01, 0x02, 0x7f]) contexts.push([`KEM ${kem}`, [0x10, role, kem, 0, 0, 0, 0]]);
    for (let status = 0x20; status <= 0xe0; status += 0x20) {
      contexts.push([`status ${status}`, [0x10, status | role, 0xff, 0, 0, 0, 0]]);
    }
    for (const mode of [0x04, 0x08, 0x1c]) contexts.push([`mode ${mode}`, [0x10, mode | role, 0xff, 0, 0, 0, 0], key]);
    for (const version of [0x20, 0xf0]) contexts.push([`version ${version}`, [version, role, 0xff, 0, 0, 0, 0]]);
    contexts.push(['hash 4', [0x10, role, 0xff, 4, 0, 0, 0]], ['hash length 15', [0x10, role, 0xff, 0, 15, 0, 0]]);
    contexts.push(['signature 1', [0x10, role, 0xff, 0, 0, 1, 0]], ['sequence 15', [0x1f, role, 0xff, 0, 0, 0, 0]]);
  }
  for (const role of [1, 3]) contexts.push([`role ${role}`, [0x10, role, 0xff, 0, 0, 0, 0], key]);
  for (const [what, context, body] of contexts) t.is(refusal(ground.harness, client.kkt(context, body)), REFUSED, what);
  t.true(forwards(ground, finish(ground, opening).session));
});

test('fault 12: who asked anonymously gets no further than Handshake 1 without the key of the hello', (t) => {
  const anonymous = [0x10, 0x02, 0xff, 0, 0, 0, 0];
  const ground = lp1Gateway();
  const thief = hostile(ground, { signer: STRANGER.seed }, anonymous);
  t.is(fateOfH1(thief, ground), REFUSED, 'signed and named by another');
  t.is(fateOfH1(thief, ground, { credential: CLIENT.ed25519 }), REFUSED, 'named by the hello, signed by another');
  t.is(fateOfH1(hostile(ground, {}, anonymous), ground), 'accepted', 'with the key it is the client');
});

test('fault 14: an X25519 key in the hello that is not the Ed25519 key’s own ends at Handshake 1', (t) => {
  for (const helloX25519 of [STRANGER.x25519, new Uint8Array(32), GATEWAY.x25519]) {
    const ground = lp1Gateway();
    t.is(fateOfH1(hostile(ground, { helloX25519, staticSecret: STRANGER.secret }), ground), REFUSED);
    t.is(fateOfH1(hostile(ground), ground), 'accepted');
  }
});

test('fault 14: a Noise static in Handshake 3 that is another’s than the hello’s makes no session', (t) => {
  const ground = lp1Gateway();
  const client = hostile(ground, { noiseSecret: STRANGER.secret });
  t.true(client.readH2(onlyReply(ground.harness.packet(client.h1()))));
  t.is(refusal(ground.harness, client.h3().packet), 'tag, noAnswer false');
  const honest = hostile(ground);
  t.true(honest.readH2(onlyReply(ground.harness.packet(honest.h1()))));
  t.is(refusal(ground.harness, honest.h3().packet), 'indexTaken, reply');
});

test('fault 16: clocks that are 30 s off either way work, with this project on both sides', (t) => {
  for (const clockOffsetMs of [-30_000, -29_000, 0, 1, 29_000, 30_000]) {
    const ground = lp1Gateway();
    t.true(forwards(ground, connectV1(ground, { clockOffsetMs }).session), `${clockOffsetMs}`);
  }
});

test('fault 16: PSQ’s time may be 30 s ahead and no more, or as old as tolerance and handshake together', (t) => {
  const ground = lp1Gateway();
  const nowS = BigInt(ground.harness.unixMs / 1_000);
  const at = (offset: bigint, milliseconds = 0) =>
    fateOfH1(hostile(ground), ground, { seconds: nowS + offset, milliseconds });
  for (const offset of [30n, 29n, 0n, -30n, -119n]) t.is(at(offset), 'accepted', `${offset}`);
  t.is(at(-120n, 1), 'accepted');
  for (const offset of [31n, 3_600n, -121n, -3_599n, -3_600n, -nowS]) t.is(at(offset), REFUSED, `${offset}`);
  t.is(at(30n, 1), REFUSED);
  t.is(at(-120n), REFUSED);
});

test('fault 16: a TTL that is over counts, one that is longer extends nothing', (t) => {
  const ground = lp1Gateway();
  const seconds = BigInt(ground.harness.unixMs / 1_000);
  const fate = (forgery: PsqForgery) => fateOfH1(hostile(ground), ground, { milliseconds: 0, ...forgery });
  t.is(fate({ seconds: seconds - 10n, ttlMs: 10_000n }), REFUSED);
  t.is(fate({ seconds: seconds - 10n, ttlMs: 10_001n }), 'accepted');
  t.is(fate({ seconds: seconds - HOUR_S, ttlMs: 2n ** 64n - 1n }), REFUSED);
});

test('fault 18: a ClientHello that is replayed within its time gets its Ack again and makes no second record', (t) => {
  const ground = lp1Gateway({ lifetimes: { demotedSessionMs: 5_000 } });
  const { harness } = ground;
  const { sent, replies, session } = connectV1(ground);
  const replay = () => {
    const effects = harness.packet(sent[0]!.slice());
    t.deepEqual(replyPackets(effects), [replies[0]]);
    t.false(effects.some(({ kind }) => kind === 'indexTaken' || kind === 'indexFree'));
    harness.tick();
    t.is(harness.stats.gauges.records, 1);
  };
  replay();
  const first = session.index;
  rekeyV1(ground, session);
  harness.later(5_000);
  harness.tick();
  t.is(harness.stats.gauges.sessions, 1, 'the session of the handshake is over');
  replay();
  t.is(refusal(harness, sent[1]!), 'reply', 'the record is there, so its key transfer is too');
  t.is(refusal(harness, splicedH1(ground, sent[2]!)), 'too_many_h1, noAnswer false', 'and nothing new comes of it');
  t.true(forwards(ground, session));
  harness.later(26_000);
  t.is(refusal(harness, sent[0]!), 'clock, noAnswer false');
  harness.later(60_000);
  const freed = harness.tick().flatMap((effect) => (effect.kind === 'indexFree' ? [effect.index] : []));
  t.deepEqual(freed, [first], 'whichever ends last frees the index');
  t.true(forwards(ground, session));
});

test('fault 18: packets of every type with random content, in every stage, leave the handshake able to finish', (t) => {
  for (const step of STEPS) {
    const ground = lp1Gateway();
    const { harness, prng } = ground;
    const opening = upTo(ground, step);
    const { index } = opening.initiator;
    for (const type of Object.values(TYPE)) {
      for (let counter = 0; counter < 3; counter++) {
        for (const length of [0, 23, 64, 87, 100, 257]) {
          harness.packet(encodeUnsealed(index, counter, type, prng.bytes(length), 1), {
            source: 5,
            flags: prng.below(8),
          });
        }
      }
    }
    for (const packet of opening.sent) harness.packet(packet.slice(), { source: 5 });
    t.true(forwards(ground, finish(ground, opening).session), step);
  }
});

test('fault 18: replies that are injected leave the client able to finish, in every stage', (t) => {
  for (const step of STEPS) {
    const ground = lp1Gateway();
    const { harness, prng } = ground;
    const opening = upTo(ground, step);
    const { initiator } = opening;
    const reply = onlyReply(harness.packet(opening.next.slice()));
    for (const type of Object.values(TYPE)) {
      // These two say of themselves that they are hints; Collision ends an attempt, and the next one has another index.
      if (type === TYPE.collision || (step === 'hello' && type === TYPE.ack)) continue;
      for (let counter = 0; counter < 4; counter++) {
        for (const length of [0, 12, 80, 119]) {
          const packet = encodeUnsealed(initiator.index, counter, type, prng.bytes(length), 1 + prng.below(2));
          t.not(initiator.receive(packet, harness.now).kind, 'failed');
        }
      }
    }
    for (let at = 0; at < 10; at++) {
      const noise = prng.bytes(reply.length);
      noise.set(reply.subarray(0, 12));
      t.is(initiator.receive(noise, harness.now).kind, 'drop');
    }
    t.true(forwards(ground, finish(ground, opening).session), step);
  }
});

test('fault 18: a handshake that died frees its index after 90 s, at lookup as by the sweep', (t) => {
  for (const how of ['lookup', 'sweep'] as const) {
    for (const step of ['kkt', 'h1', 'h3'] as const) {
      const ground = lp1Gateway();
      const { harness } = ground;
      const { index } = upTo(ground, step).initiator;
      harness.later(89_999);
      harness.tick();
      const again = () => replyPackets(harness.packet(new HostileClient(ground, { index }).hello())).map(typeOf);
      t.deepEqual(again(), index >= 0x8000_0000 ? [] : [TYPE.collision]);
      harness.later(1);
      if (how === 'sweep') harness.tick();
      t.deepEqual(again(), [TYPE.ack], step);
    }
  }
});

test('fault 19 a: a PSQ plaintext that is too short, empty or too long is refused', (t) => {
  const ground = lp1Gateway();
  for (const length of [0, 1, 12, 27, 28, 60, 63, 92, 123, 125]) {
    const client = hostile(ground);
    const fate = fateOfH1(client, ground, { plaintext: ground.prng.bytes(length) });
    // The TLS length is a minimal one, so another length makes another message, and H1 has one length.
    t.is(fate, 'content, noAnswer false', `${length}`);
    const padded = fitted(client.h1({ plaintext: ground.prng.bytes(length) }));
    t.is(refusal(ground.harness, padded), REFUSED, `${length}, padded`);
    t.is(fateOfH1(client, ground), 'accepted');
  }
});

/** The Handshake 1 with its PSQ part cut or padded to the length that the packet has to have. */
function fitted(h1: Uint8Array): Uint8Array {
  const psq = new Uint8Array(207);
  const [low = 0, high = 0] = h1.subarray(18, 20);
  psq.set(h1.subarray(20, 20 + Math.min(207, low | (high << 8))));
  const packet = new Uint8Array(291);
  packet.set(h1.subarray(0, 18));
  packet.set([207, 0], 18);
  packet.set(psq, 20);
  packet.set(h1.subarray(h1.length - 64), 291 - 64);
  return packet;
}

test('fault 19 b: seconds and milliseconds at the end of their ranges are refused, whatever the other one is', (t) => {
  const ground = lp1Gateway();
  const nowS = BigInt(ground.harness.unixMs / 1_000);
  const wide = [2n ** 64n - 1n, 2n ** 63n, 2n ** 63n - 1n, 2n ** 53n, 2n ** 53n - 1n, 2n ** 32n];
  for (const seconds of wide) {
    for (const milliseconds of [0, 999, 1_000, 2 ** 32 - 1]) {
      t.is(fateOfH1(hostile(ground), ground, { seconds, milliseconds }), REFUSED, `${seconds} ${milliseconds}`);
    }
  }
  for (const milliseconds of [1_000, 29_000, 2 ** 31, 2 ** 32 - 1]) {
    t.is(fateOfH1(hostile(ground), ground, { seconds: nowS - 60n, milliseconds }), REFUSED);
  }
  t.is(fateOfH1(hostile(ground), ground, { ttlMs: 2n ** 64n - 1n }), 'accepted');
});

test('fault 5: whatever is spliced, the gateway seals no two messages under one key and nonce', (t) => {
  const ground = lp1Gateway({ crypto: watchNonces(crypto) });
  const client = hostile(ground);
  const h1 = client.h1();
  const counters = [h1, splicedH1(ground, h1), splicedH1(ground, h1)].map((packet) =>
    counterOf(onlyReply(ground.harness.packet(packet))),
  );
  t.deepEqual(counters, [1, 2, 3]);
  t.is(counterOf(onlyReply(ground.harness.packet(h1))), 1);
  const { session } = connectV1(ground);
  for (let i = 0; i < 5; i++) {
    t.true(forwards(ground, session));
    rekeyV1(ground, session);
  }
  t.true(forwards(ground, session));
});
