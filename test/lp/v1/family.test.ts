/**
 * Tables 7.6, 7.8, 7.9 and 7.10 of lp1.md as transitions of a family, at either side: where the reference closes for a bad
 * packet, the packet is dropped and the state kept. StartHandshake is no input of a family: it begins after it.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { HANDSHAKE_COUNTERS } from '../../../src/lp/v1/family.ts';
import { outerKey, subsessionPsk } from '../../../src/lp/v1/key-schedule.ts';
import { openOuter, sealOuter } from '../../../src/lp/v1/outer.ts';
import { MAX_PAYLOAD_LENGTH } from '../../../src/lp/v1/transport.ts';
import { contentOf, counterOf, receiverIndex, TYPE, typeOf } from '../../../src/lp/wire/packet.ts';
import {
  Lp1World,
  last,
  OUTER_KEY,
  PSQ,
  SIDE_NAMES,
  type Side,
  SPOILERS,
  STATES,
  worldIn,
} from '../../support/lp1-world.ts';
import { Prng } from '../../support/prng.ts';

const crypto = await loadProvider('native');
const NO_REKEYING_TYPES = [
  'busy',
  'handshake',
  'clientHello',
  'kktRequest',
  'kktResponse',
  'forwardPacket',
  'collision',
  'ack',
  'subsessionRequest',
] as const;
const REKEYING_TYPES = ['subsessionKk1', 'subsessionKk2', 'subsessionReady', 'subsessionAbort'] as const;
const CONTENTS = [0, 4, 56, 80].map((length) => new Uint8Array(length).fill(0x30));

function opensUnder(key: Uint8Array, packet: Uint8Array): boolean {
  return openOuter(crypto, key, packet.slice());
}

for (const name of SIDE_NAMES) {
  const transport = (): { world: Lp1World; own: Side; peer: Side } => {
    const world = worldIn(crypto, 'transport');
    return { world, own: world[name], peer: world[name].peer };
  };

  test(`7.6 ${name}: EncryptedData is opened and delivered, once; what is replayed is dropped and the state kept`, (t) => {
    const { world, own, peer } = transport();
    const packet = peer.say();
    const event = own.receive(packet);
    t.is(event.kind, 'data');
    t.deepEqual(own.receive(packet), { kind: 'drop', reason: 'duplicate' });
    t.true(world.exchange());
  });

  test(`7.6 ${name}: EncryptedData that does not decrypt is dropped and the state kept (the reference closes)`, (t) => {
    const { world, own, peer } = transport();
    const inner = new Uint8Array(60).fill(0x5a);
    t.deepEqual(own.receive(peer.forge(TYPE.encryptedData, inner)), { kind: 'drop', reason: 'inner_tag' });
    t.deepEqual(own.receive(peer.forge(TYPE.encryptedData, inner.subarray(0, 15))), {
      kind: 'drop',
      reason: 'inner_tag',
    });
    t.true(world.exchange());
    t.true(world.exchange());
  });

  test(`7.6 ${name}: a packet that is changed on its way is dropped, and the genuine one still opens`, (t) => {
    const prng = new Prng(3);
    const { world, own, peer } = transport();
    for (const [how, spoil] of Object.entries(SPOILERS)) {
      const packet = peer.say();
      for (let i = 0; i < 40; i++) t.is(own.receive(spoil(packet, prng)).kind, 'drop', how);
      t.is(own.receive(packet).kind, 'data', how);
    }
    t.true(world.exchange());
  });

  test(`7.6 ${name}: SubsessionKK1 is answered with KK2, and the parent goes on`, (t) => {
    const { world, own, peer } = transport();
    const event = own.receive(peer.mustStart());
    t.true(event.kind === 'send' && event.what === 'kk2');
    t.is(own.promotions, 0);
    t.is(last(own).length, 90);
    t.true(world.exchange());
  });

  test(`7.6 ${name}: SubsessionKK1 that cannot be read is dropped and the state kept (the reference closes)`, (t) => {
    const { world, own, peer } = transport();
    for (const [content, reason] of [
      [new Uint8Array(56), 'content'],
      [new Uint8Array(55), 'content'],
      [Uint8Array.of(48, ...new Uint8Array(55)), 'handshake_failed'],
      [Uint8Array.of(48, ...new Uint8Array(7), 9, ...new Uint8Array(47)), 'handshake_failed'],
    ] as const) {
      t.deepEqual(own.receive(peer.forge(TYPE.subsessionKk1, content)), { kind: 'drop', reason });
    }
    t.true(world.exchange());
    world.rekey(peer);
    t.true(world.exchange());
  });

  test(`7.6 ${name}: SubsessionAbort asks for nothing`, (t) => {
    const { world, own, peer } = transport();
    const event = own.receive(peer.forge(TYPE.subsessionAbort));
    // The side with the greater key never gets one from its peer: it wins every tie.
    t.is(event.kind, name === 'client' ? 'accepted' : 'drop');
    t.true(world.exchange());
    world.rekey(own);
  });

  test(`7.6 ${name}: KK2, Ready and every type of no session are dropped and the state kept`, (t) => {
    const { world, own, peer } = transport();
    for (const type of [...NO_REKEYING_TYPES, 'subsessionKk2', 'subsessionReady'] as const) {
      for (const content of CONTENTS) {
        const packet = peer.forge(TYPE[type], content);
        t.is(own.receive(packet).kind, 'drop', type);
        t.is(own.receive(packet).kind, 'drop', `${type} again`);
      }
      t.true(world.exchange(), type);
    }
    t.is(own.promotions, 0);
  });

  test(`7.6 ${name}: SendData seals up to ${MAX_PAYLOAD_LENGTH} bytes; what is longer takes no counter`, (t) => {
    const { own, peer } = transport();
    const session = own.family.current;
    t.is(session.transport.sealData(new Uint8Array(MAX_PAYLOAD_LENGTH + 1)), undefined);
    const packet = session.transport.sealData(new Uint8Array(MAX_PAYLOAD_LENGTH))!;
    t.is(packet.length, 65_535);
    const event = peer.family.receive(packet, { monotonicMs: 0, unixMs: 0 });
    t.true(event.kind === 'data' && event.payload.length === MAX_PAYLOAD_LENGTH);
    t.is(counterOf(own.say()), counterOf(packet) + 1);
  });

  test(`7.6 ${name}: InitiateSubsession sends KK1 of 90 bytes with the session's next counter`, (t) => {
    const { own } = transport();
    const before = counterOf(own.say());
    const kk1 = own.mustStart();
    t.deepEqual([kk1.length, receiverIndex(kk1), counterOf(kk1)], [90, own.index, before + 1]);
    t.true(own.family.rekeyStarted);
  });

  test(`7.2 ${name}: the counters that the peer's handshake used are spent, the next one is not`, (t) => {
    const { own, peer } = transport();
    const spent = HANDSHAKE_COUNTERS[peer.name === 'client' ? 'initiator' : 'responder'];
    const world = new Lp1World(crypto);
    for (let counter = 0; counter < spent; counter++) {
      const packet = sealOuter(crypto, OUTER_KEY, own.index, counter, TYPE.encryptedData, new Uint8Array(20));
      t.deepEqual(world[name].receive(packet), { kind: 'drop', reason: 'duplicate' });
    }
    t.is(counterOf(world[peer.name].say()), spent);
  });

  test(`7.8 ${name} starts: outer key from PSK_sub(0), counters and Noise nonces from 0, on both sides`, (t) => {
    const { world, own, peer } = transport();
    const key = outerKey(crypto, subsessionPsk(crypto, PSQ, 0));
    world.rekey(own);
    t.is(own.index, peer.index);
    t.not(own.index, 0);
    for (const side of world.sides) {
      const packet = side.say();
      t.deepEqual([receiverIndex(packet), counterOf(packet)], [own.index, 0], side.name);
      t.true(opensUnder(key, packet), 'the outer key is the first subsession’s');
      const opened = packet.slice();
      openOuter(crypto, key, opened);
      t.is(typeOf(opened), TYPE.encryptedData);
      const nonceZero = '\0'.repeat(12);
      const inner = [...side.account.sealed.values()].filter(({ nonce }) => nonce === nonceZero);
      const content = Buffer.from(contentOf(opened)).toString('latin1');
      t.true(
        inner.some((sealed) => Buffer.from(sealed.packet).toString('latin1') === content),
        'its Noise nonce is 0',
      );
      t.is(side.peer.receive(packet).kind, 'data');
    }
  });

  test(`7.8 ${name} starts: psq is inherited and the numbers restart, so a child of the child has PSK_sub(0) again`, (t) => {
    const { world, own } = transport();
    const key = outerKey(crypto, subsessionPsk(crypto, PSQ, 0));
    world.rekey(own);
    const first = own.family.current;
    world.rekey(own);
    t.not(own.index, first.index);
    for (const side of world.sides) {
      const packet = side.say();
      t.true(opensUnder(key, packet));
      t.true(counterOf(packet) > 0, 'the counters go on where the parent has the same key (§10-B 6)');
      t.is(side.peer.receive(packet).kind, 'data');
    }
  });

  test(`7.8 ${name} starts: Ready is the parent's packet of 38 bytes, and names an index that is not 0`, (t) => {
    const world = worldIn(crypto, name === 'client' ? 'promoted at the client alone' : 'promoted at the gateway alone');
    const own = world[name];
    const { ready } = own;
    t.is(ready?.length, 38);
    t.is(receiverIndex(ready!), own.peer.index);
    t.is(own.family.find(own.peer.index)?.place.kind, 'demoted');
    const event = own.peer.receive(ready!);
    t.true(event.kind === 'ready' && event.index === own.index);
  });

  test(`7.9 ${name}: a demoted session opens data, once, and drops every other type whatever it holds`, (t) => {
    for (const state of ['demoted by the client’s rekeying', 'demoted by the gateway’s rekeying'] as const) {
      const world = worldIn(crypto, state);
      const own = world[name];
      const { peer } = own;
      const parent = [...peer.family.all].find((session) => session.place.kind === 'demoted')!;
      const packet = peer.say(parent);
      t.is(own.receive(packet).kind, 'data');
      t.is(own.receive(packet).kind, 'drop');
      for (const type of [...NO_REKEYING_TYPES, ...REKEYING_TYPES]) {
        for (const content of CONTENTS) {
          const event = own.receive(parent.transport.seal(TYPE[type], content)!);
          t.is(event.kind, 'drop', type);
        }
      }
      t.is(own.receive(peer.say(parent)).kind, 'data', 'behind 52 other packets');
      t.true(world.exchange());
      t.true(own.index === peer.index);
    }
  });

  test(`7.9 ${name}: InitiateSubsession is the current session's, never the demoted one's`, (t) => {
    const world = worldIn(crypto, 'demoted by the client’s rekeying');
    t.is(receiverIndex(world[name].mustStart()), world[name].index);
  });

  test(`7.10 ${name}: after the wipe nothing opens, seals or starts, in every state`, (t) => {
    for (const state of STATES) {
      const world = worldIn(crypto, state);
      const own = world[name];
      const sessions = [...own.family.all];
      const packets = [...own.peer.sent, own.peer.say()];
      own.family.wipe();
      for (const packet of packets) {
        const event = own.family.receive(packet.slice(), world.now);
        t.deepEqual(event, { kind: 'drop', reason: 'unknown_index' }, state);
      }
      t.is([...own.family.all].length, 0, state);
      for (const session of sessions) {
        t.is(session.place.kind, 'ended');
        t.is(session.transport.sealData(Uint8Array.of(1)), undefined, state);
        t.is(session.transport.seal(TYPE.subsessionAbort, new Uint8Array(0)), undefined, state);
      }
      t.is(own.family.startRekey(world.now), undefined, state);
      t.is(own.family.promote(1, world.now), undefined, state);
      t.false(own.family.giveUp({ ...world.now, monotonicMs: Number.MAX_SAFE_INTEGER }));
      own.family.refuse(1);
      own.family.abandonRekey();
      own.family.wipe();
    }
  });
}
