import test from 'ava';
import fc from 'fast-check';
import { native, PROVIDERS, portable } from './providers.ts';

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const nonce = fc.uint8Array({ minLength: 12, maxLength: 12 });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const runs = (numRuns: number) => ({ numRuns });

/** The u that y = 2 would have, which is on no point. */
const P_MINUS_3 = [0xea, ...new Uint8Array(30).fill(0xff), 0x7f];

/** An exact array of its own: a slice of Node's pool would send 8 KB across a thread. */
function isExact(out: Uint8Array, length: number): boolean {
  return out.constructor === Uint8Array && out.length === length && out.buffer.byteLength === length;
}

test('the providers hash alike, at any length, into exact arrays', (t) => {
  fc.assert(
    fc.property(bytes(1500), (message) => {
      for (const name of ['sha256', 'blake3'] as const) {
        t.deepEqual(native[name](message), portable[name](message));
        t.true(isExact(native[name](message), 32));
      }
    }),
    runs(40),
  );
});

test('the providers hash alike where the native one changes libraries', (t) => {
  for (let length = 300; length <= 340; length++) {
    const message = new Uint8Array(length).fill(length);
    t.deepEqual(native.sha256(message), portable.sha256(message), `${length}`);
    const own = message.slice();
    t.deepEqual(native.sha256(own, own.subarray(0, 32)), portable.sha256(message));
  }
});

test('HMAC of one key and message is the same whatever was authenticated before it', (t) => {
  const [key, message] = [new Uint8Array(32).fill(7), new Uint8Array(33).fill(8)];
  const expected = portable.hmacSha256(key, message);
  for (const keyLength of [0, 1, 32, 33, 63, 64]) {
    for (const messageLength of [0, 1, 32, 33, 64, 448, 449, 2_000]) {
      native.hmacSha256(new Uint8Array(keyLength).fill(0xa5), new Uint8Array(messageLength).fill(0x5a));
      t.deepEqual(native.hmacSha256(key, message), expected, `after ${keyLength}, ${messageLength}`);
    }
  }
  const both = key.slice();
  t.deepEqual(native.hmacSha256(both, message, both), expected);
});

test('the providers compute HMAC-SHA256 alike, with messages below and above the scratch size', (t) => {
  const message = fc.oneof(bytes(100), fc.uint8Array({ minLength: 440, maxLength: 460 }), bytes(3000));
  fc.assert(
    fc.property(bytes(64), message, (k, m) => {
      t.deepEqual(native.hmacSha256(k, m), portable.hmacSha256(k, m));
    }),
    runs(60),
  );
  for (const provider of PROVIDERS) {
    t.throws(() => provider.hmacSha256(new Uint8Array(65), new Uint8Array()), { instanceOf: RangeError });
    t.true(isExact(provider.hmacSha256(new Uint8Array(32), new Uint8Array(33)), 32));
  }
});

test('KDF separates labels and forgets earlier calls', (t) => {
  const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(96).fill(2)];
  const first = native.kdf('chain', a);
  t.notDeepEqual(native.kdf('key i2r', a), first);
  native.kdf('chain', b);
  t.deepEqual(native.kdf('chain', a), first);
  t.true(isExact(first, 32));
});

test('the providers seal alike and open what the other sealed, also in place', (t) => {
  fc.assert(
    fc.property(bytes(600), bytes(40), nonce, key, fc.nat(7), (plaintext, aad, n, k, offset) => {
      const sealed = new Uint8Array(plaintext.length + 16);
      portable.aeadSeal(sealed, plaintext, aad, n, k);
      for (const provider of PROVIDERS) {
        const buffer = new Uint8Array(offset + sealed.length).subarray(offset);
        const inPlace = buffer.subarray(0, plaintext.length);
        inPlace.set(plaintext);
        provider.aeadSeal(buffer, inPlace, aad, n, k);
        t.deepEqual(buffer, sealed);
        const apart = new Uint8Array(plaintext.length);
        t.true(provider.aeadOpen(apart, sealed, aad, n, k));
        t.deepEqual(apart, plaintext);
        t.true(provider.aeadOpen(inPlace, buffer, aad, n, k));
        t.deepEqual(inPlace, plaintext);
      }
    }),
    runs(40),
  );
});

test('a flipped bit anywhere in sealed bytes, associated data or nonce is refused, and the output is cleared', (t) => {
  fc.assert(
    fc.property(bytes(60), nonce, key, fc.nat(1000), (plaintext, n, k, position) => {
      const aad = Uint8Array.of(1, 2, 3);
      const sealed = new Uint8Array(plaintext.length + 16);
      native.aeadSeal(sealed, plaintext, aad, n, k);
      for (const provider of PROVIDERS) {
        for (const index of [0, 1, 2]) {
          const parts = [sealed.slice(), aad.slice(), n.slice()] as const;
          const target = parts[index]!;
          const bit = position % (target.length * 8);
          target[bit >> 3]! ^= 1 << (bit & 7);
          const out = new Uint8Array(plaintext.length).fill(0xff);
          t.false(provider.aeadOpen(out, parts[0], parts[1], parts[2], k));
          t.deepEqual(out, new Uint8Array(plaintext.length));
        }
      }
    }),
    runs(30),
  );
});

test('a refusal by libsodium leaves the length of stack traces as it was', (t) => {
  const limit = Error.stackTraceLimit;
  const key = new Uint8Array(32);
  Error.stackTraceLimit = 7;
  t.false(native.aeadOpen(new Uint8Array(4), new Uint8Array(20), new Uint8Array(12), new Uint8Array(12), key));
  t.is(native.x25519(key, key), undefined);
  t.false(native.convertsTo(Uint8Array.of(2, ...key.subarray(1)), Uint8Array.from(P_MINUS_3)));
  t.is(Error.stackTraceLimit, 7);
  native.x25519(key, Uint8Array.of(9, ...key.subarray(1)));
  t.is(Error.stackTraceLimit, 7);
  t.regex(new Error('a later one').stack ?? '', /agreement/);
  Error.stackTraceLimit = limit;
});

test('sealed bytes shorter than a tag are refused; wrong lengths of our own are assertions', (t) => {
  const [aad, n, k] = [new Uint8Array(), new Uint8Array(12), new Uint8Array(32)];
  for (const provider of PROVIDERS) {
    t.false(provider.aeadOpen(new Uint8Array(), new Uint8Array(15), aad, n, k));
    t.throws(() => provider.aeadOpen(new Uint8Array(5), new Uint8Array(20), aad, n, k), { instanceOf: RangeError });
    t.throws(() => provider.aeadSeal(new Uint8Array(20), new Uint8Array(5), aad, n, k), { instanceOf: RangeError });
    t.throws(() => provider.aeadSeal(new Uint8Array(16), new Uint8Array(), aad, n, k.subarray(1)));
    t.throws(() => provider.aeadSeal(new Uint8Array(16), new Uint8Array(), aad, n.subarray(1), k));
    for (const name of ['x25519PublicKey', 'ed25519PublicKey', 'x25519SecretOfEd25519'] as const) {
      t.throws(() => provider[name](new Uint8Array(31)));
    }
  }
});

test('equal compares content, and is false for different lengths', (t) => {
  for (const provider of PROVIDERS) {
    t.true(provider.equal(new Uint8Array(), new Uint8Array()));
    t.true(provider.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
    t.false(provider.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
    t.false(provider.equal(Uint8Array.of(1, 2), Uint8Array.of(1)));
  }
});
