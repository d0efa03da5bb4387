import { inspect } from 'node:util';
import test from 'ava';
import { Secret, wipe } from '../../../src/lp/crypto/secret.ts';
import { PROVIDERS } from './providers.ts';

test('a secret prints as <redacted> however it is printed', (t) => {
  const secret = new Secret(Uint8Array.of(0xde, 0xad));
  t.is(String(secret), '<redacted>');
  t.is(`${secret}`, '<redacted>');
  t.is(JSON.stringify({ secret }), '{"secret":"<redacted>"}');
  t.is(inspect({ secret }, { showHidden: true, depth: 9 }), '{ secret: <redacted> }');
  t.deepEqual(Object.keys(secret), []);
});

test('wiping a secret overwrites the array it owns and ends its use', (t) => {
  const bytes = Uint8Array.of(1, 2, 3);
  const secret = new Secret(bytes);
  t.is(secret.bytes, bytes);
  secret.wipe();
  secret.wipe();
  t.true(secret.wiped);
  t.deepEqual(bytes, new Uint8Array(3));
  t.throws(() => secret.bytes, { message: /after it was wiped/ });
  t.throws(() => secret.use(() => 0), { message: /after it was wiped/ });
});

test('the last use of a secret wipes it, also when that use throws', (t) => {
  const bytes = Uint8Array.of(1, 2, 3);
  t.is(
    new Secret(bytes).use((b) => b.reduce((sum, byte) => sum + byte)),
    6,
  );
  t.deepEqual(bytes, new Uint8Array(3));
  const other = Uint8Array.of(4);
  t.throws(() =>
    new Secret(other).use(() => {
      throw new Error('fault');
    }),
  );
  t.deepEqual(other, new Uint8Array(1));
});

test('wipe overwrites every array and passes over what was never made', (t) => {
  const [a, b] = [Uint8Array.of(1), Uint8Array.of(2, 3)];
  wipe(a, undefined, b);
  t.deepEqual([...a, ...b], [0, 0, 0]);
});

for (const provider of PROVIDERS) {
  for (const kem of Object.values(provider.kems)) {
    test(`${provider.name}: an ${kem.name} secret key is redacted, leaves its seed alone, and ends with wipe`, (t) => {
      const seed = new Uint8Array(kem.seedLength).fill(7);
      const secretKey = kem.secretKeyFromSeed(seed);
      t.deepEqual(seed, new Uint8Array(kem.seedLength).fill(7));
      t.is(JSON.stringify({ secretKey }), '{"secretKey":"<redacted>"}');
      t.is(inspect([secretKey], { showHidden: false }), '[ <redacted> ]');
      t.is(`${secretKey}`, '<redacted>');
      secretKey.wipe();
      secretKey.wipe();
      t.throws(() => secretKey.decapsulate(new Uint8Array(kem.ciphertextLength).fill(9)), {
        message: /after it was wiped/,
      });
    });
  }
}
