/**
 * Table 7.7 of lp1.md as transitions, for the initiator and the responder of a subsession at either side, and its
 * tie-break in both orders of static keys. Where the reference closes, the packet is dropped and the state kept.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { REKEY_TIMEOUT_MS } from '../../../src/lp/v1/family.ts';
import { writeLe32 } from '../../../src/lp/wire/bytes.ts';
import { counterOf, receiverIndex, TYPE } from '../../../src/lp/wire/packet.ts';
import {
  contentSealed,
  DEMOTED_TTL_MS,
  type Lp1World,
  last,
  MAX_SESSIONS,
  SIDE_NAMES,
  type Side,
  type StateName,
  worldIn,
} from '../../support/lp1-world.ts';

const crypto = await loadProvider('native');
const OTHER_TYPES = ['busy', 'handshake', 'clientHello', 'kktRequest', 'kktResponse', 'forwardPacket'] as const;
const EMPTY_TYPES = ['collision', 'ack', 'subsessionRequest'] as const;

function le32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeLe32(bytes, 0, value);
  return bytes;
}

interface Scene {
  readonly world: Lp1World;
  readonly own: Side;
  readonly peer: Side;
}

/** The rekeying ends as it should, and data goes both ways on the new session. */
function ends({ world, own, peer }: Scene, initiator: Side): boolean {
  const kk2 = initiator === own ? last(peer) : last(own);
  if (initiator.receive(kk2).kind !== 'promoted') return false;
  return initiator.peer.take(last(initiator)).kind === 'ready' && world.agreed && world.exchange();
}

for (const name of SIDE_NAMES) {
  const scene = (state: StateName): Scene => {
    const world = worldIn(crypto, state);
    return { world, own: world[name], peer: world[name].peer };
  };
  const started = () => scene(name === 'client' ? 'started by the client' : 'started by the gateway');
  const answered = () => scene(name === 'client' ? 'answered by the client' : 'answered by the gateway');

  for (const [role, enter] of [
    ['initiator', started],
    ['responder', answered],
  ] as const) {
    test(`7.7 ${role} at the ${name}: the parent carries data both ways as before`, (t) => {
      const { world, own, peer } = enter();
      const index = own.index;
      for (let i = 0; i < 5; i++) t.true(world.exchange());
      t.deepEqual([own.index, peer.index], [index, index]);
    });

    test(`7.7 ${role} at the ${name}: other types are dropped and the rekeying goes on (the reference closes)`, (t) => {
      const entered = enter();
      const { own, peer } = entered;
      if (role === 'initiator') peer.receive(own.sent.at(-1)!);
      const initiator = role === 'initiator' ? own : peer;
      const kk2 = last(initiator.peer);
      for (const type of [...OTHER_TYPES, ...EMPTY_TYPES]) {
        for (const length of [0, 4, 56]) {
          t.is(own.receive(peer.forge(TYPE[type], new Uint8Array(length))).kind, 'drop', type);
        }
      }
      initiator.peer.sent.push(kk2);
      t.true(ends(entered, initiator));
    });

    test(`7.7 ${role} at the ${name}: InitiateSubsession is refused until ${REKEY_TIMEOUT_MS} ms have passed`, (t) => {
      const { world, own } = enter();
      t.is(own.start(), undefined);
      world.later(REKEY_TIMEOUT_MS - 1);
      t.is(own.start(), undefined);
      world.later(1);
      t.is(own.start()?.length, 90);
    });
  }

  test(`7.7 initiator at the ${name}: a valid KK2 promotes, demotes the parent and gives Ready of the parent`, (t) => {
    const entered = started();
    const { own, peer } = entered;
    const parent = own.family.current;
    const kk1 = last(own);
    t.is(peer.receive(kk1).kind, 'send');
    const event = own.receive(last(peer));
    t.true(event.kind === 'promoted');
    t.is(parent.place.kind, 'demoted');
    t.deepEqual([receiverIndex(last(own)), counterOf(last(own))], [parent.index, counterOf(kk1) + 1]);
    t.false(own.family.rekeyStarted);
    t.is(peer.take(last(own)).kind, 'ready');
    t.true(entered.world.exchange());
  });

  test(`7.7 initiator at the ${name}: a KK2 that cannot be read is dropped, and the genuine one still promotes`, (t) => {
    const entered = started();
    const { own, peer } = entered;
    peer.receive(last(own));
    const kk2 = last(peer);
    for (const content of [new Uint8Array(0), new Uint8Array(56), Uint8Array.of(48, ...new Uint8Array(55).fill(1))]) {
      t.is(own.receive(peer.forge(TYPE.subsessionKk2, content)).kind, 'drop');
    }
    const low = new Uint8Array(56);
    low[0] = 48;
    t.deepEqual(own.receive(peer.forge(TYPE.subsessionKk2, low)), { kind: 'drop', reason: 'handshake_failed' });
    t.is(own.receive(kk2).kind, 'promoted');
  });

  test(`7.7 initiator at the ${name}: Abort ends the own rekeying without a reply, where the peer may send one`, (t) => {
    const { world, own, peer } = started();
    const before = own.sent.length;
    t.is(own.receive(peer.forge(TYPE.subsessionAbort, new Uint8Array(1))).kind, 'drop', 'Abort is empty');
    t.true(own.family.rekeyStarted);
    const loses = name === 'client';
    t.is(own.receive(peer.forge(TYPE.subsessionAbort)).kind, loses ? 'aborted' : 'drop');
    t.is(own.family.rekeyStarted, !loses);
    t.is(own.sent.length, before);
    t.true(world.exchange());
    if (loses) world.rekey(own);
    else t.true(peer.receive(last(own)).kind === 'drop' || world.exchange());
  });

  test(`7.7 initiator at the ${name}: Ready is dropped and the rekeying goes on`, (t) => {
    const entered = started();
    const { own, peer } = entered;
    peer.receive(last(own));
    const kk2 = last(peer);
    t.deepEqual(own.receive(peer.forge(TYPE.subsessionReady, le32(77))), { kind: 'drop', reason: 'no_kk' });
    t.is(own.receive(kk2).kind, 'promoted');
  });

  test(`7.7 responder at the ${name}: the same KK1 packet is dropped as a duplicate, its content gets the same KK2`, (t) => {
    const entered = answered();
    const { own, peer } = entered;
    const kk2 = last(own);
    t.deepEqual(own.receive(peer.sent.at(-1)!), { kind: 'drop', reason: 'duplicate' });
    const content = contentSealed(peer, last(peer));
    const event = own.receive(peer.forge(TYPE.subsessionKk1, content));
    t.true(event.kind === 'send' && event.what === 'kk2');
    t.not(counterOf(last(own)), counterOf(kk2));
    t.true(ends(entered, peer));
  });

  test(`7.7 responder at the ${name}: a KK1 that cannot be read is dropped and the answer stands`, (t) => {
    const entered = answered();
    const { own, peer } = entered;
    const noise = Uint8Array.of(48, ...new Uint8Array(7), ...new Uint8Array(48).fill(9));
    for (const content of [new Uint8Array(0), new Uint8Array(56), noise]) {
      t.is(own.receive(peer.forge(TYPE.subsessionKk1, content)).kind, 'drop');
    }
    t.true(ends(entered, peer));
  });

  test(`7.7 responder at the ${name}: a new KK1 of the peer, which gave up its first, is answered anew`, (t) => {
    const entered = answered();
    const { world, own, peer } = entered;
    world.later(REKEY_TIMEOUT_MS);
    const first = last(own);
    t.is(own.receive(peer.mustStart()).kind, 'send');
    t.is(peer.receive(first).kind, 'drop', 'the KK2 of the first one');
    t.true(ends(entered, peer));
  });

  test(`7.7 responder at the ${name}: Ready promotes without a packet when its index is granted`, (t) => {
    const { world, own, peer } = answered();
    const parent = own.family.current;
    t.is(peer.receive(last(own)).kind, 'promoted');
    const before = own.sent.length;
    t.is(own.receive(last(peer)).kind, 'ready');
    t.is(own.family.current, parent, 'asked for, not granted yet');
    t.is(parent.place.kind, 'current');
    t.is(own.promote(peer.index)?.index, peer.index);
    t.is(parent.place.kind, 'demoted');
    t.is(own.sent.length, before);
    t.true(world.exchange());
  });

  test(`7.7 responder at the ${name}: Ready of another length than 4 is dropped`, (t) => {
    const entered = answered();
    const { own, peer } = entered;
    for (const length of [0, 3, 5, 56]) {
      const packet = peer.forge(TYPE.subsessionReady, new Uint8Array(length).fill(1));
      t.deepEqual(own.receive(packet), { kind: 'drop', reason: 'content' });
    }
    t.true(ends(entered, peer));
  });

  test(`7.7 responder at the ${name}: Abort changes nothing`, (t) => {
    const entered = answered();
    const { own, peer } = entered;
    const kk2 = last(own);
    t.is(own.receive(peer.forge(TYPE.subsessionAbort)).kind, name === 'client' ? 'accepted' : 'drop');
    t.is(last(own), kk2);
    t.true(ends(entered, peer));
  });

  test(`7.7 responder at the ${name}: KK2 is dropped and the answer stands (the reference closes)`, (t) => {
    const entered = answered();
    const { own, peer } = entered;
    const content = Uint8Array.of(48, ...new Uint8Array(7), 9, ...new Uint8Array(47));
    t.deepEqual(own.receive(peer.forge(TYPE.subsessionKk2, content)), { kind: 'drop', reason: 'no_kk' });
    t.true(ends(entered, peer));
  });
}

for (const name of SIDE_NAMES) {
  test(`of KK1s of one peer the ${name} reads eight at once, and one more every 10 s; a repeated one costs nothing`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    const { peer } = own;
    const attempt = (): string => {
      const packet = peer.mustStart();
      const event = own.receive(packet);
      const content = contentSealed(peer, packet);
      if (event.kind === 'send') t.is(own.receive(peer.forge(TYPE.subsessionKk1, content)).kind, 'send');
      peer.family.abandonRekey();
      return event.kind;
    };
    for (let i = 0; i < 8; i++) t.is(attempt(), 'send');
    t.is(attempt(), 'drop');
    world.later(10_000);
    t.deepEqual([attempt(), attempt()], ['send', 'drop']);
    t.true(world.exchange());
    world.later(3_600_000);
    for (let i = 0; i < 8; i++) t.is(attempt(), 'send');
    t.is(attempt(), 'drop');
  });
}

test(`a family has ${MAX_SESSIONS} sessions at most: then neither side starts or answers until a demoted one is removed`, (t) => {
  const world = worldIn(crypto, 'transport');
  const { client, gateway } = world;
  for (let i = 1; i < MAX_SESSIONS; i++) world.rekey(i % 2 === 0 ? client : gateway);
  t.is(client.inside.sessions.size, MAX_SESSIONS);
  t.is(client.start(), undefined);
  const [oldest] = [...gateway.family.all];
  gateway.family.remove(oldest!);
  t.deepEqual(client.receive(gateway.mustStart()), { kind: 'drop', reason: 'indices_full' });
  t.true(world.exchange());
  world.later(DEMOTED_TTL_MS);
  for (const side of world.sides) side.tick();
  world.rekey(client);
  t.true(world.exchange());
});

for (const winner of SIDE_NAMES) {
  const loser = winner === 'client' ? 'gateway' : 'client';

  test(`7.7 tie-break, the ${winner}'s key is greater: it keeps its KK1 and answers the other one with Abort`, (t) => {
    const world = worldIn(crypto, 'started by both', { winner });
    const event = world[winner].receive(last(world[loser]));
    t.true(event.kind === 'send' && event.what === 'abort');
    t.is(last(world[winner]).length, 34);
    t.true(world[winner].family.rekeyStarted);
  });

  test(`7.7 tie-break, the ${winner}'s key is greater: the ${loser} answers, with the number of its own KK1`, (t) => {
    const world = worldIn(crypto, 'started by both', { winner });
    const [won, lost] = [world[winner], world[loser]];
    const [kk1Won, kk1Lost] = [last(won), last(lost)];
    const event = lost.receive(kk1Won);
    t.true(event.kind === 'send' && event.what === 'kk2');
    t.false(lost.family.rekeyStarted);
    const kk2 = last(lost);
    t.is(won.receive(kk1Lost).kind, 'send');
    t.is(lost.receive(last(won)).kind, 'accepted', 'the Abort comes stale');
    t.is(won.receive(kk2).kind, 'promoted');
    t.is(lost.take(last(won)).kind, 'ready');
    t.deepEqual([...won.inside.counters.keys()], [0]);
    t.deepEqual([...lost.inside.counters.keys()], [0]);
    t.true(world.agreed && world.exchange());
  });

  test(`7.7 tie-break, the ${winner}'s key is greater: what only looks like a KK1 gets no Abort`, (t) => {
    const world = worldIn(crypto, 'started by both', { winner });
    const noise = Uint8Array.of(48, ...new Uint8Array(7), ...new Uint8Array(48).fill(9));
    const packet = world[loser].forge(TYPE.subsessionKk1, noise);
    t.deepEqual(world[winner].receive(packet), { kind: 'drop', reason: 'handshake_failed' });
    t.true(world[winner].family.rekeyStarted);
  });

  test(`7.7 tie-break, the ${winner}'s key is greater: its own Abort, sent back, is dropped`, (t) => {
    const world = worldIn(crypto, 'started by both', { winner });
    const won = world[winner];
    // Beyond the counters that the peer has used.
    for (let i = 0; i < 5; i++) won.say();
    won.receive(last(world[loser]));
    t.deepEqual(won.receive(last(won)), { kind: 'drop', reason: 'reflected' });
    t.true(won.family.rekeyStarted);
  });
}
