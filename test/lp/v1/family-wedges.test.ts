/**
 * Weaknesses of the reference's rekeying that lp1.md §10-C lists, shown not to be here: faults 21, 23 and 24. Whatever
 * happened to a rekeying, the session lives and the next rekeying goes through.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { REKEY_TIMEOUT_MS } from '../../../src/lp/v1/family.ts';
import { decodeKk, startKk } from '../../../src/lp/v1/subsession.ts';
import { writeLe32 } from '../../../src/lp/wire/bytes.ts';
import { TYPE } from '../../../src/lp/wire/packet.ts';
import {
  contentSealed,
  FIRST_INDEX,
  Lp1World,
  last,
  PSQ,
  SIDE_NAMES,
  type Side,
  worldIn,
} from '../../support/lp1-world.ts';
import { Prng } from '../../support/prng.ts';

const crypto = await loadProvider('native');

function le32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeLe32(bytes, 0, value);
  return bytes;
}

function staticKeys(side: Side): { readonly staticSecret: Uint8Array; readonly staticPublic: Uint8Array } {
  return (side.family as unknown as { options: ReturnType<typeof staticKeys> }).options;
}

/** The answer to the last KK1 reaches its initiator, and Ready the responder. */
function finish(world: Lp1World, initiator: Side): boolean {
  if (initiator.receive(last(initiator.peer)).kind !== 'promoted') return false;
  return initiator.peer.take(last(initiator)).kind === 'ready' && world.agreed && world.exchange();
}

for (const name of SIDE_NAMES) {
  const scene = () => {
    const world = worldIn(crypto, 'transport');
    return { world, own: world[name], peer: world[name].peer };
  };

  test(`fault 21: KK1 of the ${name}, replayed between KK1 and Ready, is dropped and the rekeying ends well`, (t) => {
    const { world, own, peer } = scene();
    const kk1 = own.mustStart();
    t.is(peer.receive(kk1).kind, 'send');
    const kk2 = last(peer);
    for (let i = 0; i < 5; i++) t.deepEqual(peer.receive(kk1), { kind: 'drop', reason: 'duplicate' });
    t.is(own.receive(kk2).kind, 'promoted');
    t.is(peer.receive(kk1).kind, 'drop');
    t.is(peer.take(last(own)).kind, 'ready');
    t.true(world.agreed && world.exchange());
  });

  test(`fault 21: KK1 of the ${name}, replayed on the demoted session, is dropped and both sessions live`, (t) => {
    const { world, own, peer } = scene();
    const parent = own.family.current;
    const kk1 = own.mustStart();
    peer.receive(kk1);
    t.true(finish(world, own));
    for (let i = 0; i < 3; i++) t.is(peer.receive(kk1).kind, 'drop');
    t.is(peer.receive(own.say(parent)).kind, 'data');
    t.true(world.exchange());
  });

  test(`fault 21: a withheld KK1 of the ${name} that arrives when it was given up costs the session nothing`, (t) => {
    const { world, own, peer } = scene();
    const withheld = own.mustStart();
    world.later(REKEY_TIMEOUT_MS);
    t.true(own.family.giveUp(world.now));
    t.is(peer.receive(withheld).kind, 'send');
    t.is(own.receive(last(peer)).kind, 'drop');
    t.true(world.exchange());
    world.rekey(own);
    t.true(world.exchange());
  });

  test(`fault 21: a withheld KK1 of the ${name} that arrives behind its next one does not displace that`, (t) => {
    const { world, own, peer } = scene();
    const withheld = own.mustStart();
    world.later(REKEY_TIMEOUT_MS);
    t.is(peer.receive(own.mustStart()).kind, 'send');
    const kk2 = last(peer);
    t.is(peer.receive(withheld).kind, 'drop');
    t.is(own.receive(kk2).kind, 'promoted');
    t.is(peer.take(last(own)).kind, 'ready');
    t.true(world.agreed && world.exchange());
  });

  test(`fault 21: a withheld KK1 of the ${name} does not displace a Ready whose index is being asked for`, (t) => {
    const { world, own, peer } = scene();
    const withheld = own.mustStart();
    world.later(REKEY_TIMEOUT_MS);
    peer.receive(own.mustStart());
    own.receive(last(peer));
    const ready = peer.receive(last(own));
    t.is(ready.kind, 'ready');
    t.is(peer.receive(withheld).kind, 'drop');
    t.truthy(peer.promote(own.index));
    t.true(world.agreed && world.exchange());
  });

  test(`fault 21: nor does any KK1 of the ${name} do so that breaks the rules and comes behind its Ready`, (t) => {
    const { world, own, peer } = scene();
    const other = new Lp1World(crypto, { prng: new Prng(8) })[name];
    const content = contentSealed(other, other.mustStart());
    peer.receive(own.mustStart());
    const rival = own.forge(TYPE.subsessionKk1, content);
    own.receive(last(peer));
    t.is(peer.receive(last(own)).kind, 'ready');
    t.deepEqual(peer.receive(rival), { kind: 'drop', reason: 'in_progress' });
    t.truthy(peer.promote(own.index));
    t.true(world.agreed && world.exchange());
  });

  test(`fault 21: withheld KK1s of the ${name}, delivered after its rekeying, are dropped`, (t) => {
    const { world, own, peer } = scene();
    const withheld: Uint8Array[] = [];
    for (let i = 0; i < 3; i++) {
      withheld.push(own.mustStart());
      world.later(REKEY_TIMEOUT_MS);
    }
    world.rekey(own);
    for (const packet of withheld) t.is(peer.receive(packet).kind, 'drop');
    t.true(world.exchange());
  });

  test(`fault 23: after a lost KK1 of the ${name} the next one goes through, be it lost once or twenty times`, (t) => {
    for (const times of [1, 2, 3, 4, 20, 100]) {
      const { world, own } = scene();
      for (let i = 0; i < times; i++) {
        own.mustStart();
        world.later(REKEY_TIMEOUT_MS);
      }
      world.rekey(own);
      t.true(world.exchange(), `${times} times`);
    }
  });

  test(`fault 23: after lost KK1s of the ${name} its peer's KK1 goes through, too`, (t) => {
    for (const times of [1, 3, 4, 20]) {
      const { world, own, peer } = scene();
      for (let i = 0; i < times; i++) {
        own.mustStart();
        world.later(REKEY_TIMEOUT_MS);
        t.true(own.family.giveUp(world.now));
      }
      world.rekey(peer);
      t.true(world.exchange(), `${times} times`);
    }
  });

  test(`fault 23: data of the ${name} is read after any number of lost KK1s`, (t) => {
    const { world, own } = scene();
    for (let i = 0; i < 40; i++) {
      own.mustStart();
      world.later(REKEY_TIMEOUT_MS);
    }
    t.true(world.exchange());
    t.true(world.exchange());
  });

  test(`fault 23: an own KK1 of the ${name} is over after ${REKEY_TIMEOUT_MS} ms, though nobody gives it up`, (t) => {
    const { world, own, peer } = scene();
    own.mustStart();
    world.later(REKEY_TIMEOUT_MS);
    t.true(peer.receive(own.say()).kind === 'data');
    t.is(own.receive(peer.mustStart()).kind, 'send');
    t.true(finish(world, peer));
  });

  test(`fault 23: after a lost KK2 the ${name} starts again and the peer answers, and so on eight times`, (t) => {
    const { world, own, peer } = scene();
    for (let i = 0; i < 8; i++) {
      t.is(peer.receive(own.mustStart()).kind, 'send', `attempt ${i}`);
      world.later(REKEY_TIMEOUT_MS);
    }
    t.is(peer.receive(own.mustStart()).kind, 'send');
    t.true(finish(world, own));
  });

  test(`fault 23: KK2s are lost in turns, first to the ${name}: the numbers stay near each other`, (t) => {
    const { world, own, peer } = scene();
    for (let i = 0; i < 30; i++) {
      const from = i % 2 === 0 ? own : peer;
      t.is(from.peer.receive(from.mustStart()).kind, 'send', `attempt ${i}`);
      world.later(REKEY_TIMEOUT_MS);
      for (const side of world.sides) side.tick();
    }
    world.rekey(own);
    t.true(world.exchange());
    world.rekey(peer);
    t.true(world.exchange());
  });

  test(`fault 23: a peer of the ${name} that counts lost KK1s may be three numbers off, and agrees on what it said`, (t) => {
    const { staticSecret, staticPublic } = staticKeys(worldIn(crypto, 'transport')[name].peer);
    for (const [number, answered] of [0, 1, 2, 3, 4].map((n) => [n, n <= 3] as const)) {
      const { world, own, peer } = scene();
      const keys = { staticSecret, initiatorStatic: staticPublic, responderStatic: staticKeys(own).staticPublic };
      const kk = startKk(crypto, keys, PSQ, number, new Uint8Array(32).fill(9))!;
      t.is(own.receive(peer.forge(TYPE.subsessionKk1, kk.content)).kind, answered ? 'send' : 'drop', `${number}`);
      const kk2 = last(own);
      t.true(world.exchange());
      if (!answered) continue;
      t.truthy(kk.noise.readMessage2(decodeKk(contentSealed(own, kk2))!));
      t.is(own.take(peer.forge(TYPE.subsessionReady, le32(0x0bad_cafe))).kind, 'ready');
      t.deepEqual([...own.inside.counters.keys()], [number]);
    }
  });

  test(`fault 23: the ${name}'s Ready is lost, and repeated whenever it likes it is taken`, (t) => {
    for (const ms of [0, REKEY_TIMEOUT_MS, 3_600_000]) {
      const { world, own, peer } = scene();
      peer.receive(own.mustStart());
      t.is(own.receive(last(peer)).kind, 'promoted');
      t.is(own.peer.receive(own.say()).kind, 'drop', 'the peer does not know the new index yet');
      world.later(ms);
      t.is(peer.take(own.ready!).kind, 'ready');
      t.is(peer.take(own.ready!).kind, 'drop', 'and the third one is dropped');
      t.true(world.agreed && world.exchange());
    }
  });

  test(`fault 23: the ${name}'s Ready is lost, and its peer starts a rekeying itself: Ready is taken all the same`, (t) => {
    const { world, own, peer } = scene();
    peer.receive(own.mustStart());
    t.is(own.receive(last(peer)).kind, 'promoted');
    for (let i = 0; i < 3; i++) {
      world.later(REKEY_TIMEOUT_MS);
      t.is(own.receive(peer.mustStart()).kind, 'drop', 'the parent starts nothing');
    }
    t.is(peer.take(own.ready!).kind, 'ready');
    t.true(world.agreed && world.exchange());
    t.false(peer.family.rekeyStarted);
  });

  test(`fault 24: Ready of the ${name} with index 0, or one that its peer has, is dropped; another one may follow`, (t) => {
    const taken = 0x0bad_cafe;
    const world = worldIn(crypto, 'transport', { taken: new Set([taken]) });
    const own = world[name];
    const { peer } = own;
    peer.receive(own.mustStart());
    const kk2 = last(peer);
    for (const [index, reason] of [
      [0, 'index_range'],
      [taken, 'index_taken'],
      [FIRST_INDEX, 'index_taken'],
    ] as const) {
      const ready = own.forge(TYPE.subsessionReady, le32(index));
      t.deepEqual(peer.receive(ready), { kind: 'drop', reason });
      t.deepEqual(peer.receive(ready), { kind: 'drop', reason }, 'it was not marked');
      t.true(world.exchange(), 'the parent goes on');
    }
    t.is(own.receive(kk2).kind, 'promoted');
    t.is(peer.take(last(own)).kind, 'ready');
    t.true(world.agreed && world.exchange());
  });

  test(`fault 24: the index of the ${name}'s Ready is refused: the parent goes on, and another Ready is taken`, (t) => {
    const { world, own, peer } = scene();
    peer.receive(own.mustStart());
    const kk2 = last(peer);
    const first = own.forge(TYPE.subsessionReady, le32(0x0bad_cafe));
    t.is(peer.receive(first).kind, 'ready');
    t.is(peer.receive(own.forge(TYPE.subsessionReady, le32(0x0bad_caff))).kind, 'drop', 'one is asked for at a time');
    peer.family.refuse(0x0bad_caff);
    peer.family.refuse(0x0bad_cafe);
    t.is(peer.family.promote(0x0bad_cafe, world.now), undefined);
    t.is(peer.family.current.place.kind, 'current');
    t.true(world.exchange());
    t.is(own.receive(kk2).kind, 'promoted');
    t.is(peer.take(last(own)).kind, 'ready');
    t.true(world.agreed && world.exchange());
  });

  test(`fault 24: the ${name} picks no index that is 0 or taken on its own side`, (t) => {
    const world = worldIn(crypto, 'transport');
    const own = world[name];
    const indices = new Set<number>();
    for (let i = 0; i < 8; i++) {
      world.rekey(own);
      t.false(own.index === 0 || indices.has(own.index));
      indices.add(own.index);
    }
  });
}

test('fault 23: Abort overtakes KK1: the loser answers with the agreed number all the same', (t) => {
  for (const winner of SIDE_NAMES) {
    const world = worldIn(crypto, 'started by both', { winner });
    const won = world[winner];
    const lost = won.peer;
    const [kk1Won, kk1Lost] = [last(won), last(lost)];
    won.receive(kk1Lost);
    t.is(lost.receive(last(won)).kind, 'aborted');
    t.true(world.exchange());
    t.is(lost.receive(kk1Won).kind, 'send');
    t.true(finish(world, won));
    t.deepEqual([...lost.inside.counters.keys()], [...won.inside.counters.keys()]);
  }
});

test('fault 23: both start and both KK1s are lost: either side can start again', (t) => {
  for (const winner of SIDE_NAMES) {
    for (const next of SIDE_NAMES) {
      const world = worldIn(crypto, 'started by both', { winner });
      world.later(REKEY_TIMEOUT_MS);
      world.rekey(world[next]);
      t.true(world.exchange());
    }
  }
});
