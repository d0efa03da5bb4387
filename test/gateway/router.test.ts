/** Which shard serves an index, and which indices are known (§3); LP1's aliases and kinds besides. */
import test from 'ava';
import fc from 'fast-check';
import { KeyedHash } from '../../src/gateway/keyed-hash.ts';
import { Router } from '../../src/gateway/router.ts';
import { runs, SEED } from '../support/property.ts';

const KEY = Uint8Array.from({ length: 8 }, (_, i) => i);

test('the keyed hash is HalfSipHash-2-4: the vector of its reference implementation for the bytes 00 01 02 03', (t) => {
  t.is(new KeyedHash(KEY).of(0x03020100), 0x89466e2a);
});

test('the hash follows its key and takes any 32-bit number', (t) => {
  const other = new KeyedHash(new Uint8Array(8).fill(9));
  const hash = new KeyedHash(KEY);
  t.not(hash.of(1), other.of(1));
  for (const value of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    const result = hash.of(value);
    t.true(Number.isInteger(result) && result >= 0 && result <= 0xffff_ffff);
    t.is(hash.of(value), result);
  }
});

for (const shards of [1, 2, 3, 4, 7, 64]) {
  test(`handshake indices spread evenly over ${shards} shards, also when they are consecutive`, (t) => {
    const router = new Router(shards, new KeyedHash(KEY));
    const counts = new Array<number>(shards).fill(0);
    const total = 1_000 * shards;
    for (let index = 1; index <= total; index++) counts[router.shardOf(index)]!++;
    // 1,000 expected: six standard deviations.
    t.true(
      counts.every((n) => n > 810 && n < 1_190),
      counts.join(),
    );
  });

  test(`each of the 256 slots belongs to one of ${shards} shards, and session indices follow their low byte`, (t) => {
    const router = new Router(shards, new KeyedHash(KEY));
    const slots = Array.from({ length: shards }, (_, shard) => router.slotsOf(shard));
    t.deepEqual(
      slots.flat().sort((a, b) => a - b),
      Array.from({ length: 256 }, (_, slot) => slot),
    );
    t.true(slots.every((own) => own.length >= Math.floor(256 / shards)));
    for (const [shard, own] of slots.entries()) {
      for (const slot of own) {
        t.is(router.shardOf((0x8000_0000 | slot) >>> 0), shard);
        t.is(router.shardOf((0xabcd_ef00 | slot) >>> 0), shard);
      }
    }
  });
}

test('an index is known from when it is added until it is removed, or its shard is lost', (t) => {
  const router = new Router(2, new KeyedHash(KEY));
  const session = 0x9234_5601;
  const handshake = 77;
  t.false(router.knows(session));
  for (const index of [session, handshake]) router.add(router.shardOf(index), index, index === session);
  t.true(router.knows(session) && router.knows(handshake));
  t.is(router.size, 2);
  router.remove(router.shardOf(handshake), handshake);
  t.false(router.knows(handshake));
  router.forget(1 - router.shardOf(session));
  t.true(router.knows(session));
  router.forget(router.shardOf(session));
  t.false(router.knows(session));
  t.is(router.size, 0);
});

const SHARDS = 4;

/** A router whose word to the owners of slots is kept: what stands reserved with each. */
function withReserves(shards = SHARDS) {
  const reserved = Array.from({ length: shards }, () => new Set<number>());
  const unbalanced: string[] = [];
  const router = new Router(shards, new KeyedHash(KEY), {
    reserve: (owner, index) => {
      if (reserved[owner]!.has(index)) unbalanced.push(`${index} twice with ${owner}`);
      reserved[owner]!.add(index);
    },
    unreserve: (owner, index) => {
      if (!reserved[owner]!.delete(index)) unbalanced.push(`${index} is not with ${owner}`);
    },
  });
  return { router, reserved, unbalanced };
}

/** The first index from `from` on that the router places or routes as asked. */
function indexWhere(from: number, holds: (index: number) => boolean): number {
  for (let index = from; ; index++) if (holds(index)) return index;
}

test('an LP1 proposal is placed by the hash whatever its bit 31, and with its owner when it is known', (t) => {
  const { router } = withReserves();
  const hash = new KeyedHash(KEY);
  const placed = new Set<number>();
  // One slot: who aims at a shard by it meets all of them.
  for (let n = 0; n < 64; n++) {
    const index = (0x8000_0000 + n * 256) >>> 0;
    t.is(router.place(index), hash.of(index) % SHARDS);
    placed.add(router.place(index));
  }
  t.is(placed.size, SHARDS);
  t.is(router.place(5), router.shardOf(5));
  const elsewhere = (router.place(5) + 1) % SHARDS;
  router.add(elsewhere, 5, true);
  t.is(router.place(5), elsewhere);
});

test('an index that lives elsewhere is routed there until it is removed, and stands reserved with its slot only', (t) => {
  const { router, reserved, unbalanced } = withReserves();
  const session = 0x8000_0002;
  router.add(0, session, true);
  t.deepEqual([router.shardOf(session), router.knows(session)], [0, true]);
  t.deepEqual([...reserved[2]!], [session]);
  t.deepEqual(router.reservedWith(2), [session]);
  t.deepEqual(router.reservedWith(0), []);
  router.add(0, session, true);
  router.remove(1, session);
  t.true(router.knows(session), 'it is not shard 1 that has it');
  router.remove(0, session);
  t.deepEqual([router.shardOf(session), router.knows(session), reserved[2]!.size], [2, false, 0]);
  const low = indexWhere(1, (index) => router.shardOf(index) !== 0);
  router.add(0, low, false);
  t.is(router.shardOf(low), 0);
  t.true(
    reserved.every((set) => set.size === 0),
    'nobody assigns an index without bit 31',
  );
  t.deepEqual(unbalanced, []);
});

const KINDS: readonly { title: string; index: number; live: boolean }[] = [
  { title: "a handshake's without bit 31", index: 7, live: false },
  { title: "a session's with bit 31", index: 0x8000_0007, live: true },
  { title: "a session's without bit 31", index: 7, live: true },
  { title: "a handshake's with bit 31", index: 0x8000_0007, live: false },
];

for (const { title, index, live } of KINDS) {
  test(`an index is live or not as its shard says: ${title}`, (t) => {
    const { router } = withReserves();
    const shard = router.place(index);
    router.add(shard, index, live);
    t.is(router.isLive(index), live);
    router.add(shard, index, !live);
    t.is(router.isLive(index), !live, 'a handshake has become a session, say');
    router.remove(shard, index);
    t.is(router.isLive(index), index >= 0x8000_0000, 'of an unknown one bit 31 decides');
  });
}

test('a claim is granted for a free index and adds it; never for 0, nor for what any shard knows', (t) => {
  const { router } = withReserves();
  t.false(router.claim(1, 0));
  t.true(router.claim(1, 0x8000_0000));
  t.deepEqual([router.shardOf(0x8000_0000), router.isLive(0x8000_0000)], [1, true]);
  for (const shard of [0, 1, 2]) t.false(router.claim(shard, 0x8000_0000));
  const low = indexWhere(1, (index) => router.shardOf(index) !== 3);
  router.add(router.shardOf(low), low, false);
  t.false(router.claim(3, low));
  t.deepEqual([router.shardOf(low), router.isLive(low)], [router.place(low), false]);
});

test('who has an index first keeps it, whichever of two shards is the one that slot or hash say', (t) => {
  for (const [first, second] of [
    [0, 2],
    [2, 0],
    [0, 1],
  ] as const) {
    const { router, unbalanced } = withReserves();
    const index = 0x8000_0002;
    router.add(first, index, true);
    router.add(second, index, false);
    t.deepEqual([router.shardOf(index), router.isLive(index)], [first, true]);
    router.remove(second, index);
    t.deepEqual([router.shardOf(index), router.isLive(index), router.knows(index)], [first, true, true]);
    router.remove(first, index);
    t.is(router.size, 0);
    t.deepEqual(unbalanced, []);
  }
});

type Step = { kind: 'add' | 'claim' | 'remove' | 'forget' | 'hello'; shard: number; index: number; live: boolean };

const INDICES = [0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0x8000_0102, 0xffff_ffff] as const;
const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom('add', 'claim', 'claim', 'remove', 'hello', 'hello', 'forget'),
    shard: fc.nat(SHARDS - 1),
    index: fc.constantFrom(...INDICES),
    live: fc.boolean(),
  }),
  { maxLength: 40 },
);

/** Who serves an index, and as what. */
class Model {
  readonly served = new Map<number, { shard: number; live: boolean }>();

  step({ kind, shard, index, live }: Step, place: number): boolean {
    const free = index !== 0 && !this.served.has(index);
    if (kind === 'hello' && free) this.served.set(index, { shard: place, live: false });
    if (kind === 'claim' && free) this.served.set(index, { shard, live: true });
    if (kind === 'add') this.served.set(index, { shard, live });
    if (kind === 'remove' && this.served.get(index)?.shard === shard) this.served.delete(index);
    if (kind === 'forget') {
      for (const [other, entry] of this.served) if (entry.shard === shard) this.served.delete(other);
    }
    return free;
  }
}

test('whatever is added, claimed, removed and forgotten, routes, kinds and reserves are those of the model', (t) => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const { router, reserved, unbalanced } = withReserves();
      const untouched = withReserves().router;
      const model = new Model();
      for (const step of sequence) {
        const { kind, shard, index, live } = step;
        const first = model.served.get(index);
        // An index that two shards hold is a table of its own above.
        if (kind === 'add' && (index === 0 || (first !== undefined && first.shard !== shard))) continue;
        const place = router.place(index);
        t.is(place, first?.shard ?? new KeyedHash(KEY).of(index) % SHARDS);
        const expected = model.step(step, place);
        if (kind === 'hello') {
          if (index !== 0 && !router.knows(index)) router.add(place, index, false);
        } else if (kind === 'add') router.add(shard, index, live);
        else if (kind === 'claim') t.is(router.claim(shard, index), expected);
        else if (kind === 'remove') router.remove(shard, index);
        else router.forget(shard);
      }
      t.is(router.size, model.served.size);
      const foreign = Array.from({ length: SHARDS }, () => new Set<number>());
      for (const index of INDICES) {
        const entry = model.served.get(index);
        const owner = untouched.shardOf(index);
        t.is(router.knows(index), entry !== undefined);
        t.is(router.shardOf(index), entry?.shard ?? owner);
        t.is(router.isLive(index), entry?.live ?? index >= 0x8000_0000);
        if (entry !== undefined && entry.shard !== owner && index >= 0x8000_0000) foreign[owner]!.add(index);
      }
      t.deepEqual(reserved, foreign);
      t.deepEqual(
        foreign.map((_, owner) => new Set(router.reservedWith(owner))),
        foreign,
      );
      t.deepEqual(unbalanced, []);
    }),
    { seed: SEED, numRuns: runs(300, 10_000) },
  );
});
