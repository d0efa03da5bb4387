/** The cache of KEM keys in memory. */
import test from 'ava';
import { type CachedKemKey, MemoryKemKeyCache } from '../../src/client/index.ts';

const gateway = (id: number) => new Uint8Array(32).fill(id);
const key = (kem: CachedKemKey['kem'], mark: number): CachedKemKey => ({
  kem,
  body: Uint8Array.of(mark),
  signature: new Uint8Array(64),
  notAfter: 1,
});

test('a key is found by gateway and suite', (t) => {
  const cache = new MemoryKemKeyCache();
  cache.set(gateway(1), key('x-wing', 1));
  cache.set(gateway(1), key('ml-kem-768', 2));
  t.is(cache.get(gateway(1), 'x-wing')?.body[0], 1);
  t.is(cache.get(gateway(1), 'ml-kem-768')?.body[0], 2);
  t.is(cache.get(gateway(2), 'x-wing'), undefined);
  cache.delete(gateway(1), 'x-wing');
  t.is(cache.get(gateway(1), 'x-wing'), undefined);
  t.is(cache.size, 1);
});

test('the key that was learnt longest ago makes room', (t) => {
  const cache = new MemoryKemKeyCache(2);
  for (const id of [1, 2]) cache.set(gateway(id), key('x-wing', id));
  cache.set(gateway(1), key('x-wing', 9));
  cache.set(gateway(3), key('x-wing', 3));
  t.deepEqual(
    [1, 2, 3].map((id) => cache.get(gateway(id), 'x-wing')?.body[0]),
    [9, undefined, 3],
  );
});
