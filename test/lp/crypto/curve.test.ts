import { hash } from 'node:crypto';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import test from 'ava';
import fc from 'fast-check';
import { ascii, concat, hex, native, PROVIDERS, portable } from './providers.ts';

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const runs = (numRuns: number) => ({ numRuns });

const P = 2n ** 255n - 19n;
const { Point } = ed25519;
const littleEndian = (value: bigint): Uint8Array => hex(value.toString(16).padStart(64, '0')).reverse();
const bigint = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const withBit255 = (bytes: Uint8Array): Uint8Array => littleEndian(bigint(bytes) ^ (1n << 255n));

const ORDER_8 = Point.fromHex(ED25519_TORSION_SUBGROUP[1]!);
const MIXED_ORDER = Point.BASE.multiply(4711n).add(ORDER_8).toBytes();
const VALID = portable.ed25519PublicKey(new Uint8Array(32).fill(1));
/** y = 2 is on no point: (y² − 1) / (d·y² + 1) is not a square. */
const UNDECODABLE = littleEndian(2n);

/** Each with what conversion says of it: whether there is an X25519 key. */
const ED25519_KEYS: readonly (readonly [name: string, key: Uint8Array, converts: boolean])[] = [
  ['valid', VALID, true],
  ['valid with its sign bit flipped', withBit255(VALID), true],
  ['of mixed order', MIXED_ORDER, true],
  ['undecodable', UNDECODABLE, false],
  ['undecodable with the sign bit', withBit255(UNDECODABLE), false],
  ['y = 1', littleEndian(1n), false],
  ['y = 1 with the sign bit', withBit255(littleEndian(1n)), false],
  ['y = p − 1', littleEndian(P - 1n), true],
  ['y = p − 1 with the sign bit', withBit255(littleEndian(P - 1n)), false],
  ['y = 0', littleEndian(0n), true],
  ['y = 0 with the sign bit', withBit255(littleEndian(0n)), true],
  ['y = p', littleEndian(P), false],
  ['y = p + 1', littleEndian(P + 1n), false],
  ['all ones', new Uint8Array(32).fill(0xff), false],
  ['y = 2^255 − 1', littleEndian(2n ** 255n - 1n), false],
  ['31 bytes', new Uint8Array(31), false],
  ['33 bytes', new Uint8Array(33), false],
  ...ED25519_TORSION_SUBGROUP.map((text, i) => [`torsion point ${i}`, hex(text), !text.startsWith('01')] as const),
];

for (const [name, ed25519Key, converts] of ED25519_KEYS) {
  test(`an Ed25519 key that is ${name} ${converts ? 'converts' : 'is refused'} in both providers`, (t) => {
    const converted = portable.x25519PublicOfEd25519(ed25519Key);
    t.is(converted !== undefined, converts);
    t.deepEqual(native.x25519PublicOfEd25519(ed25519Key), converted);
    for (const provider of PROVIDERS) {
      t.is(provider.convertsTo(ed25519Key, converted ?? new Uint8Array(32)), converts);
      t.false(provider.convertsTo(ed25519Key, VALID));
    }
  });
}

test('a converted key is compared canonically: not with bit 255 set, nor above p', (t) => {
  const minusOne = littleEndian(P - 1n);
  const converted = portable.x25519PublicOfEd25519(VALID)!;
  for (const provider of PROVIDERS) {
    t.true(provider.convertsTo(minusOne, littleEndian(0n)));
    t.false(provider.convertsTo(minusOne, littleEndian(P)));
    t.false(provider.convertsTo(VALID, withBit255(converted)));
    t.false(provider.convertsTo(VALID, converted.subarray(1)));
    t.false(provider.convertsTo(littleEndian(P + 1n), littleEndian(0n)));
  }
});

test('a key converts to its own u and to none beside it, also where limbs are all ones or zero', (t) => {
  const random = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const edge = fc.array(fc.constantFrom(0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff), { minLength: 32, maxLength: 32 });
  const bytes = fc.oneof(
    random,
    edge.map((array) => Uint8Array.from(array)),
  );
  fc.assert(
    fc.property(bytes, bytes, fc.nat(255), (ed25519Key, other, bit) => {
      const converted = portable.x25519PublicOfEd25519(ed25519Key);
      t.deepEqual(native.x25519PublicOfEd25519(ed25519Key), converted);
      const u = converted ?? other;
      const beside = u.slice();
      beside[bit >> 3]! ^= 1 << (bit & 7);
      t.is(native.convertsTo(ed25519Key, u), converted !== undefined);
      t.false(native.convertsTo(ed25519Key, beside));
      const above = bigint(u) + P;
      if (above < 2n ** 256n) t.false(native.convertsTo(ed25519Key, littleEndian(above)));
    }),
    runs(300),
  );
});

test('an undecodable key does not convert to the u that its y would give', (t) => {
  for (const ed25519Key of [UNDECODABLE, withBit255(UNDECODABLE)]) {
    for (const provider of PROVIDERS) t.false(provider.convertsTo(ed25519Key, littleEndian(P - 3n)));
  }
});

test('the providers derive keys, sign and convert alike', (t) => {
  fc.assert(
    fc.property(key, fc.uint8Array({ maxLength: 200 }), (seed, message) => {
      const publicKey = native.ed25519PublicKey(seed);
      t.deepEqual(publicKey, portable.ed25519PublicKey(seed));
      const secret = native.x25519SecretOfEd25519(seed);
      t.deepEqual(secret, portable.x25519SecretOfEd25519(seed));
      const converted = native.x25519PublicOfEd25519(publicKey);
      t.deepEqual(converted, portable.x25519PublicOfEd25519(publicKey));
      t.deepEqual(converted, native.x25519PublicKey(secret));
      t.true(native.convertsTo(publicKey, converted!));
      const signature = native.ed25519Sign(seed, message);
      t.deepEqual(signature, portable.ed25519Sign(seed, message));
      for (const provider of PROVIDERS) {
        t.true(provider.ed25519Verify(publicKey, message, signature));
        t.false(provider.ed25519Verify(publicKey, concat(message, Uint8Array.of(0)), signature));
      }
    }),
    runs(8),
  );
});

test('the providers agree on random bytes as keys and signatures', (t) => {
  fc.assert(
    fc.property(key, key, key, (a, b, c) => {
      t.deepEqual(native.x25519PublicKey(a), portable.x25519PublicKey(a));
      t.deepEqual(native.x25519(a, b), portable.x25519(a, b));
      t.deepEqual(native.x25519PublicOfEd25519(a), portable.x25519PublicOfEd25519(a));
      t.is(native.convertsTo(a, b), portable.convertsTo(a, b));
      t.is(native.ed25519Verify(a, c, concat(b, c)), portable.ed25519Verify(a, c, concat(b, c)));
    }),
    runs(25),
  );
});

/** u of the points whose order divides 8, on the curve and its twist, and what reduces to them. */
const LOW_ORDER_U = [
  0n,
  1n,
  P - 1n,
  P,
  P + 1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
];

test('an X25519 key of low order is refused by both providers, with and without bit 255', (t) => {
  const secret = new Uint8Array(32).fill(0x42);
  for (const u of LOW_ORDER_U.map(littleEndian)) {
    for (const provider of PROVIDERS) {
      t.is(provider.x25519(secret, u), undefined);
      t.is(provider.x25519(secret, withBit255(u)), undefined);
    }
  }
});

test('X25519 reduces a non-canonical key, ignores bit 255, and takes any secret', (t) => {
  const nine = littleEndian(9n);
  for (const secret of [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(7)]) {
    for (const provider of PROVIDERS) {
      const expected = native.x25519PublicKey(secret);
      t.deepEqual(provider.x25519PublicKey(secret), expected);
      t.deepEqual(provider.x25519(secret, nine), expected);
      t.deepEqual(provider.x25519(secret, littleEndian(P + 9n)), expected);
      t.deepEqual(provider.x25519(secret, withBit255(nine)), expected);
    }
  }
  for (const provider of PROVIDERS) {
    t.is(provider.x25519(new Uint8Array(32), new Uint8Array(31)), undefined);
    t.throws(() => provider.x25519(new Uint8Array(31), nine), { instanceOf: RangeError });
  }
});

/** A signature by whoever knows a, r and their points: S = r + H(R ‖ A ‖ M)·a, with any points in place of aB and rB. */
function forge(
  publicKey: Uint8Array,
  r: Uint8Array,
  rScalar: bigint,
  aScalar: bigint,
  message: Uint8Array,
): Uint8Array {
  const k = ed25519.Point.Fn.create(bigint(sha512(concat(r, publicKey, message))));
  return concat(r, littleEndian(Point.Fn.create(rScalar + k * aScalar)));
}

const sha512 = (message: Uint8Array): Uint8Array => Uint8Array.from(hash('sha512', message, 'buffer'));

test('the providers verify without the cofactor and refuse small-order and non-canonical parts', (t) => {
  const message = ascii('message');
  const [a, r] = [1234n, 77n];
  const publicKey = Point.BASE.multiply(a).toBytes();
  const rPoint = Point.BASE.multiply(r);
  const good = forge(publicKey, rPoint.toBytes(), r, a, message);
  const s = bigint(good.subarray(32));
  const cases: (readonly [Uint8Array, Uint8Array, boolean | undefined])[] = [
    [publicKey, good, true],
    [publicKey, forge(publicKey, rPoint.add(ORDER_8).toBytes(), r, a, message), false],
    [publicKey, concat(good.subarray(0, 32), littleEndian(s + Point.Fn.ORDER)), false],
    [publicKey, forge(publicKey, littleEndian(P + 1n), 0n, a, message), false],
    [publicKey, good.subarray(1), false],
    [publicKey, concat(good, Uint8Array.of(0)), false],
    [publicKey.subarray(1), good, false],
    [UNDECODABLE, good, false],
  ];
  for (const text of ED25519_TORSION_SUBGROUP) {
    cases.push([publicKey, forge(publicKey, hex(text), 0n, a, message), false]);
    cases.push([hex(text), forge(hex(text), rPoint.toBytes(), r, 0n, message), false]);
  }
  // With a key of mixed order the equation holds where the challenge is a multiple of 8: the providers must agree when.
  for (let i = 1n; i <= 24n; i++) {
    const signature = forge(MIXED_ORDER, Point.BASE.multiply(i).toBytes(), i, 4711n, message);
    cases.push([MIXED_ORDER, signature, undefined]);
  }
  const answers = new Set<boolean>();
  for (const [index, [k, signature, expected]] of cases.entries()) {
    const answer = native.ed25519Verify(k, message, signature);
    t.is(portable.ed25519Verify(k, message, signature), answer, `case ${index}`);
    if (expected === undefined) answers.add(answer);
    else t.is(answer, expected, `case ${index}`);
  }
  t.is(answers.size, 2);
});
