import { ml_kem768_x25519 } from '@noble/post-quantum/hybrid.js';
import test from 'ava';
import fc from 'fast-check';
import type { RandomSource } from '../../../src/lp/crypto/provider.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { native, PROVIDERS, portable } from './providers.ts';

const NAMES = ['x-wing', 'ml-kem-768'] as const;
const ML_KEM_CIPHERTEXT = 1088;
const ML_KEM_PUBLIC_KEY = 1184;
const seedOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const runs = (numRuns: number) => ({ numRuns });

function withXWingPoint(bytes: Uint8Array, offset: number, point: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  changed.set(point, offset);
  return changed;
}

for (const name of NAMES) {
  test(`the providers make the same ${name} keys, ciphertexts and secrets of the same bytes`, (t) => {
    fc.assert(
      fc.property(seedOf(native.kems[name].seedLength), seedOf(64), (seed, coins) => {
        const keys = PROVIDERS.map((provider) => provider.kems[name].secretKeyFromSeed(seed));
        const [nativeKey, portableKey] = [keys[0]!, keys[1]!];
        t.deepEqual(nativeKey.publicKey, portableKey.publicKey);
        const [a, b] = PROVIDERS.map((provider) => {
          const random = seededRandom([name === 'x-wing' ? coins : coins.subarray(0, 32)]);
          const encapsulation = provider.kems[name].encapsulate(nativeKey.publicKey, random)!;
          t.is(random.remaining, 0);
          return encapsulation;
        });
        t.deepEqual(a, b);
        t.deepEqual(nativeKey.decapsulate(a!.ciphertext), a!.sharedSecret);
        t.deepEqual(portableKey.decapsulate(a!.ciphertext), a!.sharedSecret);
        if (name === 'x-wing') t.deepEqual(ml_kem768_x25519.decapsulate(a!.ciphertext, seed), a!.sharedSecret);
      }),
      runs(4),
    );
  });

  test(`${name} with the system's randomness: each provider decapsulates what the other encapsulated`, (t) => {
    const seed = new Uint8Array(native.kems[name].seedLength).fill(3);
    for (const [from, to] of [PROVIDERS, [portable, native] as const]) {
      const secretKey = to!.kems[name].secretKeyFromSeed(seed);
      const publicKey = from!.kems[name].importPublicKey(secretKey.publicKey.bytes)!;
      const first = from!.kems[name].encapsulate(publicKey, systemRandom)!;
      const second = from!.kems[name].encapsulate(publicKey, systemRandom)!;
      t.notDeepEqual(first.ciphertext, second.ciphertext);
      for (const { ciphertext, sharedSecret } of [first, second]) {
        t.deepEqual(secretKey.decapsulate(ciphertext), sharedSecret);
        for (const out of [ciphertext, sharedSecret]) {
          t.is(out.constructor, Uint8Array);
          t.is(out.buffer.byteLength, out.length);
        }
      }
    }
  });

  test(`${name}: a garbage ML-KEM ciphertext of the right length gives the same implicit rejection in both`, (t) => {
    const keys = PROVIDERS.map((p) => p.kems[name].secretKeyFromSeed(new Uint8Array(p.kems[name].seedLength).fill(5)));
    fc.assert(
      fc.property(seedOf(64), (pattern) => {
        const ciphertext = new Uint8Array(native.kems[name].ciphertextLength);
        for (let i = 0; i < ciphertext.length; i++) ciphertext[i] = pattern[i % 64]! ^ (i >> 6);
        const [a, b] = keys.map((k) => k.decapsulate(ciphertext));
        t.is(a?.length, 32);
        t.deepEqual(a, b);
      }),
      runs(4),
    );
  });

  test(`${name}: a ciphertext of another length is refused`, (t) => {
    for (const provider of PROVIDERS) {
      const kem = provider.kems[name];
      const secretKey = kem.secretKeyFromSeed(new Uint8Array(kem.seedLength));
      for (const length of [0, 32, kem.ciphertextLength - 1, kem.ciphertextLength + 1]) {
        t.is(secretKey.decapsulate(new Uint8Array(length)), undefined);
      }
      t.throws(() => kem.secretKeyFromSeed(new Uint8Array(kem.seedLength + 1)), { instanceOf: RangeError });
    }
  });

  test(`${name}: importing checks length and modulus, and keeps a copy`, (t) => {
    const seed = new Uint8Array(native.kems[name].seedLength).fill(1);
    const { bytes } = native.kems[name].secretKeyFromSeed(seed).publicKey;
    for (const provider of PROVIDERS) {
      const kem = provider.kems[name];
      t.is(kem.importPublicKey(new Uint8Array()), undefined);
      t.is(kem.importPublicKey(bytes.subarray(1)), undefined);
      t.is(kem.importPublicKey(new Uint8Array(kem.publicKeyLength).fill(0xff)), undefined);
      const received = bytes.slice();
      const imported = kem.importPublicKey(received);
      received.fill(0);
      t.deepEqual(imported?.bytes, bytes);
      for (const [offset, low, high, passes] of [
        [0, 0x00, 0x0d, true], // first coefficient 3328, in bytes 0 and 1
        [0, 0x01, 0x0d, false], // 3329 = q
        [1150, 0x00, 0xd0, true], // last coefficient 3328, in bytes 1150 and 1151
        [1150, 0x10, 0xd0, false],
      ] as const) {
        const changed = bytes.slice();
        changed[offset] = low | (offset === 0 ? 0 : changed[offset]! & 0x0f);
        changed[offset + 1] = offset === 0 ? high | (changed[offset + 1]! & 0xf0) : high;
        const key = kem.importPublicKey(changed);
        t.is(key !== undefined, passes, `${provider.name} ${offset} ${low}`);
        if (key !== undefined) t.truthy(kem.encapsulate(key, systemRandom));
      }
    }
  });
}

test('X-Wing refuses an X25519 part of low order, in a key and in a ciphertext', (t) => {
  const one = Uint8Array.of(1, ...new Uint8Array(31));
  for (const provider of PROVIDERS) {
    const kem = provider.kems['x-wing'];
    const secretKey = kem.secretKeyFromSeed(new Uint8Array(32).fill(8));
    const { ciphertext } = kem.encapsulate(secretKey.publicKey, systemRandom)!;
    for (const point of [new Uint8Array(32), one]) {
      t.is(secretKey.decapsulate(withXWingPoint(ciphertext, ML_KEM_CIPHERTEXT, point)), undefined);
      const publicKey = kem.importPublicKey(withXWingPoint(secretKey.publicKey.bytes, ML_KEM_PUBLIC_KEY, point));
      t.is(kem.encapsulate(publicKey!, systemRandom), undefined);
    }
  }
});

test('a key of one suite is not used with the other', (t) => {
  for (const provider of PROVIDERS) {
    const xWing = provider.kems['x-wing'].secretKeyFromSeed(new Uint8Array(32)).publicKey;
    t.throws(() => provider.kems['ml-kem-768'].encapsulate(xWing, systemRandom), { instanceOf: TypeError });
  }
});

test('drawn coins are wiped, also when the source fails', (t) => {
  for (const provider of PROVIDERS) {
    const kem = provider.kems['x-wing'];
    const { publicKey } = kem.secretKeyFromSeed(new Uint8Array(32));
    const seen: Uint8Array[] = [];
    const random: RandomSource = { kind: 'seeded', fill: (out) => void seen.push(out.fill(6)) };
    kem.encapsulate(publicKey, random);
    const failing: RandomSource = {
      kind: 'seeded',
      fill(out) {
        seen.push(out.fill(6));
        throw new Error('exhausted');
      },
    };
    t.throws(() => kem.encapsulate(publicKey, failing), { message: 'exhausted' });
    t.is(seen.length, 2);
    for (const drawn of seen) t.deepEqual(drawn, new Uint8Array(64));
  }
});
