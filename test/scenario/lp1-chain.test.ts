/**
 * Chained LP1 rekeyings, started by either side, with data in between. Outer keys repeat along the chain (lp1.md §10-B 6);
 * no side may seal two packets under one (key, nonce) for that. Across the two directions it cannot be helped: there is one
 * outer key for both (§10-B 5), and what that shows to an observer is stated here as a fact.
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { REKEY_TIMEOUT_MS } from '../../src/lp/v1/family.ts';
import { outerKey, subsessionPsk } from '../../src/lp/v1/key-schedule.ts';
import { counterOf, HEADER_LENGTH, receiverIndex } from '../../src/lp/wire/packet.ts';
import { Lp1World, PSQ, SIDE_NAMES, type Side, worldIn } from '../support/lp1-world.ts';
import { must } from '../support/property.ts';

const crypto = await loadProvider('native');
type Starters = readonly (typeof SIDE_NAMES)[number][];

const CHAINS: Readonly<Record<string, Starters>> = {
  'three by the client': ['client', 'client', 'client'],
  'three by the gateway': ['gateway', 'gateway', 'gateway'],
  'three by the two in turns': ['client', 'gateway', 'client'],
  'three by the two in turns, the gateway first': ['gateway', 'client', 'gateway'],
  'ten by the client': Array.from({ length: 10 }, () => 'client' as const),
  'ten by the gateway': Array.from({ length: 10 }, () => 'gateway' as const),
  'ten by the two in turns': Array.from({ length: 10 }, (_, i) => SIDE_NAMES[i % 2]!),
};

/** The (key, nonce) pairs that a side sealed whole packets under, not what is inside them. */
function outerPairs(side: Side): Map<string, { readonly key: string; readonly counter: number }> {
  const packets = new Set(side.sent.map((packet) => latin1(packet.subarray(HEADER_LENGTH))));
  const pairs = new Map<string, { key: string; counter: number }>();
  for (const [pair, { key, nonce, packet }] of side.account.sealed) {
    if (!packets.has(latin1(packet))) continue;
    pairs.set(pair, { key, counter: Number(Buffer.from(nonce, 'latin1').readBigUInt64LE(0)) });
  }
  return pairs;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function exchange(world: Lp1World, times: number): void {
  for (let i = 0; i < times; i++) must(world.exchange(), 'data goes both ways');
}

for (const [name, starters] of Object.entries(CHAINS)) {
  test(`${name}: both sides agree after each, data flows, and no side repeats a (key, nonce)`, (t) => {
    const world = new Lp1World(crypto);
    const indices = new Set([world.client.index]);
    for (const starter of starters) {
      exchange(world, 3);
      // The account throws at the second use of a pair.
      world.rekey(world[starter]);
      world.later(REKEY_TIMEOUT_MS);
      exchange(world, 2);
      t.true(world.agreed);
      indices.add(world.client.index);
    }
    t.is(indices.size, starters.length + 1);
    for (const side of world.sides) {
      t.is(side.promotions, starters.length);
      t.is(side.heard.size, starters.length * 5, 'everything arrived, once');
      const pairs = outerPairs(side);
      t.is(pairs.size, side.sent.length, 'as many pairs as packets');
    }
  });

  test(`fault 6: ${name}: every session but the first has the one outer key, under which the counters go on`, (t) => {
    const world = new Lp1World(crypto);
    exchange(world, 2);
    for (const starter of starters) {
      world.rekey(world[starter]);
      world.later(REKEY_TIMEOUT_MS);
      exchange(world, 2);
    }
    for (const side of world.sides) {
      const keys = new Set([...outerPairs(side).values()].map(({ key }) => key));
      t.is(keys.size, 2, 'that of the handshake and that of PSK_sub(0)');
      const counters = side.sent
        .filter((packet) => receiverIndex(packet) !== receiverIndex(side.sent[0]!))
        .map((packet) => counterOf(packet));
      t.deepEqual(
        counters,
        counters.map((_, i) => i),
        'none twice, none left out',
      );
    }
  });
}

test('the parent’s late data and the child’s share the counters of their key', (t) => {
  const world = new Lp1World(crypto);
  world.rekey(world.client);
  for (let generation = 0; generation < 5; generation++) {
    const parents = world.sides.map((side) => side.family.current);
    world.rekey(world[SIDE_NAMES[generation % 2]!]);
    for (let i = 0; i < 6; i++) {
      for (const [n, side] of world.sides.entries()) {
        t.is(side.peer.receive(side.say(parents[n])).kind, 'data');
        t.is(side.peer.receive(side.say()).kind, 'data');
      }
    }
  }
});

test('numbers that differ bring other keys, and a number that comes again goes on with its key’s counters', (t) => {
  const world = new Lp1World(crypto);
  const { client, gateway } = world;
  const keys = [0, 1].map((number) => {
    const psk = subsessionPsk(crypto, PSQ, number);
    return latin1(outerKey(crypto, psk));
  });
  for (let generation = 0; generation < 4; generation++) {
    exchange(world, 2);
    if (generation % 2 === 1) {
      // An answered KK1 whose KK2 is lost takes a number at the responder, whose own rekeying then has the next.
      must(gateway.receive(client.mustStart()).kind === 'send', 'KK1 is answered');
      world.later(REKEY_TIMEOUT_MS);
      client.tick();
      world.rekey(gateway);
    } else world.rekey(client);
    exchange(world, 2);
  }
  for (const side of world.sides) {
    const used = new Set([...outerPairs(side).values()].map(({ key }) => key));
    t.true(used.has(keys[0]!) && used.has(keys[1]!), side.name);
    t.deepEqual([...side.inside.counters.keys()].sort(), [0, 1]);
  }
});

test('fault 5: across the directions every data counter is used twice under the outer key, from 3 on', (t) => {
  const world = new Lp1World(crypto);
  for (let i = 0; i < 5; i++) must(world.exchange(), 'data goes both ways');
  const [client, gateway] = world.sides.map(outerPairs);
  const twice = [...client!].filter(([pair]) => gateway!.has(pair)).map(([, { counter }]) => counter);
  // The client's data begin at 3, the gateway's at 2; counter 2 meets the client's third handshake message.
  t.deepEqual(twice, [3, 4, 5, 6]);
  t.deepEqual(
    world.sides.map((side) => counterOf(side.sent[0]!)),
    [3, 2],
  );
});

test('fault 5: on a promoted session every counter is used twice under the outer key, from 0 on', (t) => {
  const world = worldIn(crypto, 'demoted by the client’s rekeying');
  const first = world.sides.map((side) => side.sent.length);
  for (let i = 0; i < 4; i++) must(world.exchange(), 'data goes both ways');
  const [client, gateway] = world.sides.map((side, n) => side.sent.slice(first[n]).map((packet) => counterOf(packet)));
  t.deepEqual(client, [0, 1, 2, 3]);
  t.deepEqual(gateway, [0, 1, 2, 3]);
  const [own, peers] = world.sides.map(outerPairs);
  const shared = [...own!.keys()].filter((pair) => peers!.has(pair)).length;
  t.true(shared >= 4);
});

test('fault 5: so an observer sees that two packets with one counter have equal version and type; inside, no pair meets', (t) => {
  const world = new Lp1World(crypto);
  for (let i = 0; i < 3; i++) must(world.exchange(), 'data goes both ways');
  const { client, gateway } = world;
  const upward = client.sent.find((packet) => counterOf(packet) === 3)!;
  const downward = gateway.sent.find((packet) => counterOf(packet) === 3)!;
  t.deepEqual(upward.slice(12, 18), downward.slice(12, 18), 'one keystream over one prefix');
  t.notDeepEqual(upward.slice(18, 30), downward.slice(18, 30), 'the inner ciphertexts differ');
  world.rekey(client);
  must(world.exchange(), 'data goes both ways');
  const outer = outerPairs(client);
  const shared = [...client.account.sealed.keys()].filter((pair) => gateway.account.sealed.has(pair));
  t.true(
    shared.every((pair) => outer.has(pair)),
    'the Noise layer has a key for each direction',
  );
});
