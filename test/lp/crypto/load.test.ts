import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { native, portable } from './providers.ts';

const absent = () => Promise.reject(new Error('no binary for this machine'));

test('auto takes the native provider where it loads', async (t) => {
  t.is((await loadProvider('auto')).name, 'native');
});

test('auto falls back to the portable provider where the native one is absent', async (t) => {
  t.is(await loadProvider('auto', absent), portable);
});

test('portable is taken without trying the native provider', async (t) => {
  t.is(await loadProvider('portable', () => Promise.resolve(native)), portable);
});

test('native asked for and absent is an error with a code', async (t) => {
  const error = await t.throwsAsync(loadProvider('native', absent), { code: 'CRYPTO_UNAVAILABLE' });
  t.true(error?.cause instanceof Error);
});

test('seeded randomness gives its bytes in order across its chunks, and throws when they are exhausted', (t) => {
  const random = seededRandom([Uint8Array.of(1, 2), Uint8Array.of(3)]);
  const out = new Uint8Array(3);
  random.fill(out);
  t.deepEqual([...out], [1, 2, 3]);
  t.is(random.remaining, 0);
  t.throws(() => random.fill(new Uint8Array(1)), { instanceOf: RangeError });
});
