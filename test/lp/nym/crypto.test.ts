import nodeCrypto from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { NYM_HASH_ID, type NymHash } from '../../../src/lp/crypto/nym-provider.ts';
import { hex, toHex } from '../../support/vectors.ts';
import { native, portable, randomBytes } from './pair.ts';

const BOTH = [native, portable] as const;
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const key = fc.uint8Array({ minLength: 16, maxLength: 16 });

test('both providers seal alike for one message, open what the other sealed, and refuse a flipped bit', (t) => {
  fc.assert(
    fc.property(key, bytes(1300), bytes(30), fc.nat(), (k, plaintext, aad, at) => {
      const sealed = native.sealOnce(k, plaintext, aad);
      t.deepEqual(portable.sealOnce(k, plaintext, aad), sealed);
      const flipped = sealed.slice();
      const bit = at % (sealed.length * 8);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      for (const crypto of BOTH) {
        t.deepEqual(crypto.openOnce(k, sealed, aad), plaintext);
        t.is(crypto.openOnce(k, flipped, aad), undefined);
        t.is(crypto.openOnce(k, sealed.subarray(0, 15), aad), undefined);
      }
    }),
    { numRuns: 40 },
  );
});

test('a channel seals in place at any offset, alike in both providers, under the nonce that is named', (t) => {
  const nonce = fc.oneof(fc.nat(), fc.integer({ min: 2 ** 32 - 2, max: 2 ** 48 }));
  fc.assert(
    fc.property(key, bytes(700), nonce, fc.nat(9), (k, plaintext, n, offset) => {
      const iv = new Uint8Array(12);
      new DataView(iv.buffer).setBigUint64(4, BigInt(n));
      const cipher = nodeCrypto.createCipheriv('aes-128-gcm', k, iv);
      const expected = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
      for (const crypto of BOTH) {
        const memory = new Uint8Array(offset + plaintext.length + 16 + 3);
        memory.set(plaintext, offset);
        const channel = crypto.channel(k);
        channel.seal(n, memory, offset, plaintext.length);
        t.is(toHex(memory), `${'00'.repeat(offset)}${toHex(expected)}000000`);
        t.true(channel.open(n, memory, offset, plaintext.length));
        t.deepEqual(memory.slice(offset, offset + plaintext.length), plaintext);
      }
    }),
    { numRuns: 40 },
  );
});

test('a busy channel of changing lengths seals and opens what OpenSSL seals, whatever it has made ahead', (t) => {
  const key = randomBytes(16);
  const [sender, receiver] = [native.channel(key), native.channel(key)];
  const other = native.channel(randomBytes(16));
  let nonce = 0;
  for (const length of [
    ...Array(40).fill(104),
    0,
    1,
    15,
    16,
    17,
    276,
    104,
    2_047,
    2_048,
    2_049,
    104,
    ...Array(40).fill(276),
  ]) {
    nonce += nonce === 50 ? 7 : 1;
    const plaintext = randomBytes(length);
    const memory = new Uint8Array(length + 16);
    memory.set(plaintext);
    other.seal(nonce, randomBytes(300), 0, 200);
    sender.seal(nonce, memory, 0, length);
    const iv = new Uint8Array(12);
    new DataView(iv.buffer).setUint32(8, nonce);
    const cipher = nodeCrypto.createCipheriv('aes-128-gcm', key, iv);
    t.is(toHex(memory), toHex(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])));
    const flipped = memory.with(length, memory[length]! ^ 1);
    t.false(receiver.open(nonce, flipped, 0, length));
    t.true(receiver.open(nonce, memory, 0, length));
    t.deepEqual(memory.slice(0, length), plaintext);
  }
});

test('what does not open is zeroed, and a wiped channel opens nothing', (t) => {
  for (const crypto of BOTH) {
    const channel = crypto.channel(new Uint8Array(16).fill(7));
    const memory = new Uint8Array(36).fill(1);
    channel.seal(1, memory, 0, 20);
    t.false(channel.open(2, memory, 0, 20));
    t.deepEqual(memory.slice(0, 20), new Uint8Array(20));
    memory.fill(1);
    channel.seal(1, memory, 0, 20);
    channel.wipe();
    t.false(channel.open(1, memory, 0, 20));
    t.is(JSON.stringify({ channel }), '{"channel":"<redacted>"}');
  }
});

test('HKDF is RFC 5869, at the lengths and salts that are used', (t) => {
  // Appendix A.1, cut at one block.
  const [ikm, salt, info] = [hex('0b'.repeat(22)), hex('000102030405060708090a0b0c'), hex('f0f1f2f3f4f5f6f7f8f9')];
  const okm = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf';
  for (const crypto of BOTH) {
    const extracted = crypto.hkdfExtract(salt, ikm);
    t.is(toHex(crypto.hkdfExpand(extracted, info, 32)), okm);
    t.throws(() => crypto.hkdfExpand(extracted, info, 33), { instanceOf: RangeError });
    const unsalted = crypto.hkdfExtract(new Uint8Array(0), ikm);
    for (const infoLength of [0, 32, 62, 63, 64, 65, 512, 513, 1_253, 1_471, 1_472, 3_000]) {
      const long = new Uint8Array(infoLength).fill(9);
      for (const length of [8, 16, 32]) {
        // OpenSSL takes an info of 1,024 bytes at most.
        const block = Uint8Array.from([...long, 1]);
        const expected = nodeCrypto.createHmac('sha256', unsalted).update(block).digest().subarray(0, length);
        t.is(toHex(crypto.hkdfExpand(unsalted, long, length)), expected.toString('hex'), String(infoLength));
      }
    }
  }
});

test('digests and SHA-256 are alike in both providers, short and long', (t) => {
  for (const length of [0, 1, 511, 512, 513, 1184, 2349]) {
    const message = new Uint8Array(length).fill(0x5a);
    t.deepEqual(native.sha256(message), portable.sha256(message));
    for (const hash of Object.keys(NYM_HASH_ID) as NymHash[]) {
      t.deepEqual(native.digest(hash, message), portable.digest(hash, message), hash);
      t.is(native.digest(hash, message).length, 32);
    }
  }
});

test('a key of another length is our own mistake', (t) => {
  const none = new Uint8Array(0);
  for (const crypto of BOTH) {
    for (const call of [
      () => crypto.channel(new Uint8Array(32)),
      () => crypto.sealOnce(new Uint8Array(15), none, none),
      () => crypto.openOnce(new Uint8Array(17), none, none),
    ])
      t.throws(call, { instanceOf: RangeError });
  }
});
