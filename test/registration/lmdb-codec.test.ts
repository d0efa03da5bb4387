/** The bytes of the durable store: round trips, order, and decoders that take any bytes. */
import test from 'ava';
import fc from 'fast-check';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import {
  decodeRegistration,
  decodeToken,
  dueOfValue,
  encodeName,
  encodeRegistration,
  encodeTimeKey,
  encodeToken,
  encodeTokenId,
  endOfTime,
  keyOfTimeKey,
} from '../../src/registration/store/lmdb-codec.ts';
import { dueAt, type Registration } from '../../src/registration/store/store.ts';
import { bytes32 } from './fixture.ts';
import { mixnet, plain, tunnel } from './store-samples.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const second = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const common = fc.record({
  ownerHash: bytes(32),
  bandwidth: second,
  expires: second,
  phase: fc.oneof(
    fc.constant({ kind: 'active' } as const),
    second.map((until) => ({ kind: 'grace', until }) as const),
  ),
});
const registration: fc.Arbitrary<Registration> = fc.oneof(
  fc.tuple(common, bytes(32)).map(([rest, clientId]) => ({ mode: 'mixnet', clientId, ...rest }) as const),
  fc.tuple(common, bytes(32), bytes(32), bytes(4), bytes(16), fc.tuple(second, second)).map(
    ([rest, wgPublicKey, key, ipv4, ipv6, [received, sent]]) =>
      ({
        mode: 'dvpn',
        wgPublicKey,
        presharedKey: new PresharedKey(key),
        addresses: { ipv4, ipv6 },
        charged: { received, sent },
        ...rest,
      }) as const,
  ),
);

test('a registration comes back as it went in, under its own key only', (t) => {
  fc.assert(
    fc.property(registration, (original) => {
      const key = encodeName(original);
      const value = encodeRegistration(key, original);
      const decoded = decodeRegistration(key, value);
      t.deepEqual(decoded && plain(decoded), plain(original));
      t.is(dueOfValue(key, value), dueAt(original));
      t.is(decodeRegistration(encodeName(tunnel('other')), value), undefined);
    }),
    { numRuns: 200 },
  );
});

test('a token comes back as it went in, under its own id only', (t) => {
  const token = fc.record({
    id: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    payer: fc.string({ maxLength: 60, unit: 'grapheme' }).filter((payer) => Buffer.byteLength(payer) <= 256),
    keepUntil: second,
  });
  fc.assert(
    fc.property(token, (original) => {
      const id = encodeTokenId(original.id);
      t.deepEqual(decodeToken(id, encodeToken(original)), original);
      t.is(decodeToken(bytes32('other'), encodeToken(original)), undefined);
    }),
    { numRuns: 200 },
  );
});

test('no single changed, missing or added byte passes', (t) => {
  for (const original of [tunnel('a'), mixnet('a')]) {
    const key = encodeName(original);
    const value = encodeRegistration(key, original);
    for (let at = 0; at < value.length; at += 1) {
      const changed = Buffer.from(value);
      changed[at] = (changed[at] ?? 0) ^ 1;
      t.is(decodeRegistration(key, changed), undefined);
      t.is(decodeRegistration(key, value.subarray(0, at)), undefined);
    }
    t.is(decodeRegistration(key, Buffer.concat([value, Buffer.alloc(1)])), undefined);
  }
});

test('any bytes give a value or nothing', (t) => {
  const any = fc.uint8Array({ maxLength: 130 }).map((value) => Buffer.from(value));
  fc.assert(
    fc.property(any, any, (key, value) => {
      t.is(decodeRegistration(key, value), undefined);
      t.is(decodeToken(key, value), undefined);
      t.is(dueOfValue(key, value), undefined);
    }),
    { numRuns: 300 },
  );
});

test('an index by time sorts by second, and is read up to a second and not beyond', (t) => {
  fc.assert(
    fc.property(second, second, bytes(33), bytes(33), (a, b, first, other) => {
      const [left, right] = [encodeTimeKey(a, first), encodeTimeKey(b, other)];
      if (a !== b) t.is(Buffer.compare(left, right), a < b ? -1 : 1);
      t.deepEqual(keyOfTimeKey(left), Buffer.from(first));
      t.is(Buffer.compare(left, endOfTime(b)) < 0, a <= b);
    }),
  );
  for (const never of [-1, -1.5, Number.NEGATIVE_INFINITY]) t.deepEqual(endOfTime(never), Buffer.alloc(8));
});

test('values that nobody may store are our own mistake', (t) => {
  const wrong: readonly (() => unknown)[] = [
    () => encodeName({ mode: 'mixnet', clientId: new Uint8Array(31) }),
    () => encodeRegistration(encodeName(mixnet('a')), { ...mixnet('a'), expires: -1 }),
    () => encodeRegistration(encodeName(mixnet('a')), { ...mixnet('a'), bandwidth: 2 ** 53 }),
    () => encodeRegistration(encodeName(mixnet('a')), { ...mixnet('a'), ownerHash: new Uint8Array(31) }),
    () => encodeRegistration(encodeName(tunnel('a')), { ...tunnel('a'), charged: { received: 0, sent: -1 } }),
    () => encodeTokenId(new Uint8Array(0)),
    () => encodeTokenId(new Uint8Array(65)),
    () => encodeToken({ id: bytes32('t'), payer: 'p'.repeat(257), keepUntil: 1 }),
  ];
  for (const call of wrong) t.throws(call, { message: /^assertion/ });
});
