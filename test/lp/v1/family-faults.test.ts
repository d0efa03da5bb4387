/**
 * Weaknesses of the reference that lp1.md §10 lists, shown not to be here: faults 7, 20, 22 and 33, of what comes in.
 * Those of the rekeying, 21, 23 and 24, are in family-wedges.test.ts.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { REKEY_TIMEOUT_MS } from '../../../src/lp/v1/family.ts';
import { counterOf, receiverIndex, TYPE } from '../../../src/lp/wire/packet.ts';
import { contentSealed, last, SIDE_NAMES, type Side, STATES, worldIn } from '../../support/lp1-world.ts';
import { must } from '../../support/property.ts';

const crypto = await loadProvider('native');
const SEALED_TYPES = [
  'encryptedData',
  'subsessionKk1',
  'subsessionKk2',
  'subsessionReady',
  'subsessionAbort',
  'subsessionRequest',
  'busy',
  'ack',
] as const;

function all(count: number, make: () => Uint8Array): Uint8Array[] {
  return Array.from({ length: count }, make);
}

/** The peer's packets on that index, from the next one to the given counter. */
function upTo(peer: Side, index: number, counter: number): Uint8Array[] {
  const session = peer.family.find(index);
  const packets: Uint8Array[] = [];
  if (session === undefined) return packets;
  for (;;) {
    const packet = peer.say(session);
    packets.push(packet);
    if (counterOf(packet) > counter) return packets;
  }
}

for (const state of STATES) {
  for (const name of SIDE_NAMES) {
    test(`fault 7: what the ${name} sent comes back to it and is dropped; the peer's packets open; ${state}`, (t) => {
      const world = worldIn(crypto, state);
      const own = world[name];
      const { index, sent } = own;
      const rekeying = own.family.rekeyStarted;
      for (let i = 0; i < 20; i++) own.say();
      const before = sent.length;
      const greatest = Math.max(...sent.map((packet) => counterOf(packet)));
      for (const packet of [...sent]) t.is(own.receive(packet).kind, 'drop');
      t.deepEqual([own.index, own.family.rekeyStarted, sent.length], [index, rekeying, before]);
      for (const session of [...own.family.all]) {
        for (const packet of upTo(own.peer, session.index, greatest)) t.is(own.receive(packet).kind, 'data');
      }
    });
  }
}

for (const name of SIDE_NAMES) {
  test(`fault 7: every type that the ${name} could seal comes back to it and is dropped, in every state`, (t) => {
    for (const state of STATES) {
      const world = worldIn(crypto, state);
      const own = world[name];
      const { family } = own;
      const { index } = own;
      for (let i = 0; i < 10; i++) own.say();
      const greatest = counterOf(last(own)) + SEALED_TYPES.length * 3;
      for (const type of SEALED_TYPES) {
        // An Abort from the side that loses ties is nothing that it ever sends.
        if (type === 'subsessionAbort' && name === 'client') continue;
        // Nor does who has answered and waits for a Ready send one on that session.
        if (type === 'subsessionReady' && /^(answered|promoted)/.test(state)) continue;
        for (const length of [0, 4, 56]) {
          const event = own.receive(own.forge(TYPE[type], new Uint8Array(length).fill(0x30)));
          must(event.kind === 'drop', () => `${state}: ${type} of ${length} bytes gives ${event.kind}`);
        }
      }
      t.deepEqual([family.current.index, family.current.place.kind], [index, 'current'], state);
      for (const packet of upTo(own.peer, index, greatest)) t.is(own.receive(packet).kind, 'data', state);
    }
  });

  test(`fault 7: a KK1 that the ${name} gave up, sent back while its next one is under way or not, is dropped`, (t) => {
    const world = worldIn(crypto, 'transport', { winner: name });
    const own = world[name];
    for (let i = 0; i < 5; i++) own.say();
    const first = own.mustStart();
    world.later(REKEY_TIMEOUT_MS);
    own.tick();
    t.is(own.receive(first).kind, 'drop', 'none is under way');
    own.mustStart();
    t.is(own.receive(first).kind, 'drop', 'the next one is under way');
    for (const packet of upTo(own.peer, own.index, counterOf(first))) t.is(own.receive(packet).kind, 'data');
    t.is(own.peer.receive(last(own)).kind, 'send');
  });

  test(`fault 20: of packets to the ${name} some are lost, some come late, some twice; each opens once`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    const packets = all(40, () => own.peer.say());
    const order = [5, 5, 3, 9, 4, 9, 8, 30, 29, 31, 5, 12, 39, 0, 12, 38, 1];
    const seen = new Set<number>();
    for (const at of order) {
      const event = own.receive(packets[at]!);
      t.is(event.kind, seen.has(at) ? 'drop' : 'data', `packet ${at}`);
      seen.add(at);
    }
    t.true(world.exchange());
  });

  test(`fault 20: a reply that the ${name} never sees leaves the next one readable`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    for (let i = 0; i < 10; i++) {
      own.peer.receive(own.say());
      own.peer.say();
      own.peer.receive(own.say());
      t.is(own.receive(own.peer.say()).kind, 'data');
    }
  });

  test(`fault 20: after 1,000 lost replies the ${name} reads the next one, on a session and on its successors`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    for (let generation = 0; generation < 4; generation++) {
      for (let i = 0; i < 1_000; i++) own.peer.say();
      t.is(own.receive(own.peer.say()).kind, 'data', `generation ${generation}`);
      t.true(world.exchange());
      world.rekey(generation % 2 === 0 ? own : own.peer);
    }
  });

  test(`fault 20: the ${name} reads on after a loss where a session has the outer key of one before its parent`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    const { peer } = own;
    world.rekey(own);
    for (let i = 0; i < 30; i++) t.true(world.exchange());
    // A KK2 is lost; the side that sent it gives the next number, and number 0 comes again behind that.
    t.is(peer.receive(own.mustStart()).kind, 'send');
    world.later(REKEY_TIMEOUT_MS);
    own.tick();
    world.rekey(peer);
    world.rekey(own);
    t.deepEqual([...own.inside.counters.keys()], [0, 1]);
    for (let i = 0; i < 30; i++) peer.say();
    t.is(own.receive(peer.say()).kind, 'data');
  });

  test(`fault 20: requests of the ${name} in parallel, before, during and after a rekeying, are all read`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    const { peer } = own;
    const before = all(5, () => own.say());
    const kk1 = own.mustStart();
    const during = all(5, () => own.say());
    peer.receive(kk1);
    const kk2 = last(peer);
    const replies = all(5, () => peer.say());
    own.receive(kk2);
    const ready = last(own);
    const after = all(5, () => own.say());
    peer.take(ready);
    for (const packet of [...after, ...during, ...before]) t.is(peer.receive(packet).kind, 'data');
    for (const packet of replies.reverse()) t.is(own.receive(packet).kind, 'data');
    t.true(world.exchange());
  });

  test(`fault 20: late data of a demoted session reaches the ${name}, however much went over its child meanwhile`, (t) => {
    const world = worldIn(crypto, 'demoted by the client’s rekeying');
    const own = world[name];
    const { peer } = own;
    // Now parent and child have the same outer key, hence the same counters.
    const parent = peer.family.current;
    world.rekey(own);
    t.is(own.receive(peer.say(parent)).kind, 'data');
    for (let i = 0; i < 50; i++) t.is(own.receive(peer.say()).kind, 'data');
    t.is(own.receive(peer.say(parent)).kind, 'data');
    t.is(own.receive(peer.say()).kind, 'data');
  });

  test(`fault 22: after a jump to counter 1344 the ${name} still knows the marks of 321 to 1279`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    const packets = new Map<number, Uint8Array>();
    for (let counter = 0; counter < 1_344; ) {
      const packet = own.peer.say();
      counter = counterOf(packet);
      packets.set(counter, packet);
    }
    for (const [counter, packet] of packets) {
      if (counter < 1_280) t.is(own.receive(packet).kind, 'data');
    }
    t.is(own.receive(packets.get(1_344)!).kind, 'data');
    for (let counter = 321; counter < 1_280; counter++) {
      const event = own.receive(packets.get(counter)!);
      must(event.kind === 'drop' && event.reason === 'duplicate', () => `${counter} gives ${event.kind}`);
    }
    t.deepEqual(own.receive(packets.get(320)!), { kind: 'drop', reason: 'out_of_window' });
    for (let counter = 1_280; counter < 1_344; counter++) t.is(own.receive(packets.get(counter)!).kind, 'data');
  });

  test(`fault 33: a demoted session of the ${name} delivers EncryptedData alone, not what another type holds`, (t) => {
    const world = worldIn(crypto, 'demoted by the gateway’s rekeying');
    const own = world[name];
    const { peer } = own;
    const parent = [...peer.family.all].find((session) => session.place.kind === 'demoted')!;
    // A genuine Noise message, in a packet of every other type.
    const sealed = peer.say(parent);
    t.is(receiverIndex(sealed), parent.index);
    const content = contentSealed(peer, sealed);
    for (const [type, value] of Object.entries(TYPE)) {
      if (value === TYPE.encryptedData) continue;

      t.is(own.receive(parent.transport.seal(value, content)!).kind, 'drop', type);
      t.is(own.family.find(parent.index)?.place.kind, 'demoted', type);
    }
    t.is(own.receive(sealed).kind, 'data');
    t.true(world.exchange());
  });
}
