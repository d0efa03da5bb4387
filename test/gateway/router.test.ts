/** Which shard serves an index, and which indices are known (§3). */
import test from 'ava';
import { KeyedHash } from '../../src/gateway/keyed-hash.ts';
import { Router } from '../../src/gateway/router.ts';

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
  for (const index of [session, handshake]) router.add(router.shardOf(index), index);
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
