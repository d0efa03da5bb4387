/** The node's KEM keys with a stepped clock (§4.1). */
import test from 'ava';
import { KemKeys } from '../../src/gateway/kem-keys.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { checkAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { unpackKemKey } from '../../src/shard/payloads.ts';
import { Prng } from '../support/prng.ts';

const crypto = await loadProvider('auto');
const ROTATION_S = 86_400;
const GRACE_S = 300;
const START_S = 1_800_000_000;

function make(suites: readonly ('x-wing' | 'ml-kem-768')[] = ['x-wing', 'ml-kem-768']) {
  const ed25519Seed = new Uint8Array(32).fill(7);
  const ed25519Public = crypto.ed25519PublicKey(ed25519Seed);
  const options = { suites, rotationS: ROTATION_S, ed25519Seed, ed25519Public };
  return { keys: new KemKeys(crypto, new Prng(1).source(), options), ed25519Public, ed25519Seed };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('the first call makes a signed pair of each suite, valid from an hour before to two rotations after', (t) => {
  const { keys, ed25519Public } = make();
  const made = keys.rotate(START_S).map((packed) => unpackKemKey(packed));
  t.deepEqual(
    made.map(({ kem }) => kem),
    ['x-wing', 'ml-kem-768'],
  );
  for (const { kem, body, signature } of made) {
    const checks = { gatewayEd25519: ed25519Public, unixSeconds: START_S, pinnedHashes: [] };
    const checked = checkAnnouncement(crypto, kem, body, signature, checks);
    t.like(checked, {
      kind: 'announcement',
      announcement: { notBefore: START_S - 3_600, notAfter: START_S + 2 * ROTATION_S },
    });
  }
});

test('nothing new is made before the rotation is due, nor when the clock goes back a little', (t) => {
  const { keys } = make();
  keys.rotate(START_S);
  t.is(keys.rotate(START_S + ROTATION_S - 1).length, 0);
  t.is(keys.rotate(START_S - 3_600).length, 0);
  t.is(keys.rotate(START_S + ROTATION_S).length, 2);
});

test('a clock that goes back beyond not_before gets new keys, and those that nobody would take are wiped', (t) => {
  const { keys } = make(['ml-kem-768']);
  const [first] = keys.rotate(START_S);
  t.is(keys.rotate(START_S - 1_000_000).length, 1);
  t.is(keys.packed.length, 1);
  t.true(first!.every((byte) => byte === 0));
  t.is(keys.rotate(START_S - 1_000_000 + ROTATION_S - 1).length, 0);
});

test('keys live for two rotations and their grace, and their packed secrets are wiped then', (t) => {
  const { keys } = make(['ml-kem-768']);
  const [first] = keys.rotate(START_S);
  const lives = (unixS: number) => {
    keys.rotate(unixS);
    return keys.packed.length;
  };
  t.is(lives(START_S + ROTATION_S), 2);
  t.is(lives(START_S + 2 * ROTATION_S), 3, 'the first is in its grace');
  t.is(lives(START_S + 2 * ROTATION_S + GRACE_S), 3);
  t.true(first!.some((byte) => byte !== 0));
  t.is(lives(START_S + 2 * ROTATION_S + GRACE_S + 1), 2);
  t.true(first!.every((byte) => byte === 0));
});

test('a shard that starts later gets the bytes that the others have', (t) => {
  const { keys } = make();
  const made = keys.rotate(START_S).map(hex);
  const later = keys.rotate(START_S + ROTATION_S).map(hex);
  t.deepEqual(keys.packed.map(hex), [...made, ...later]);
  t.is(new Set(keys.packed.map(hex)).size, 4);
});

test('wiping leaves neither keys nor the seed of the identity', (t) => {
  const { keys, ed25519Seed } = make();
  const made = keys.rotate(START_S);
  keys.wipe();
  t.is(keys.packed.length, 0);
  t.true([...made, ed25519Seed].every((bytes) => bytes.every((byte) => byte === 0)));
});
