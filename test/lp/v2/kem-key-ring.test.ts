/** Which KEM keys a shard has as time passes, and when the wall clock jumps and comes back. */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { createKemKey, KEM_KEY_GRACE_S, KemKeyRing } from '../../../src/lp/v2/kem-key.ts';

const crypto = await loadProvider('portable');
const { id } = crypto.kems['ml-kem-768'];
const ROTATION_S = 86_400;
const CREATED_S = 1_780_000_000;
const identity = (() => {
  const ed25519Seed = new Uint8Array(32).fill(7);
  return { ed25519Seed, ed25519Public: crypto.ed25519PublicKey(ed25519Seed) };
})();

function material(createdS: number, fill: number) {
  const seed = new Uint8Array(crypto.kems['ml-kem-768'].seedLength).fill(fill);
  return createKemKey(crypto, 'ml-kem-768', seed, identity, createdS, ROTATION_S);
}

/** The first second at which a key is past its grace. */
const overAtMs = (createdS: number) => (createdS + 2 * ROTATION_S + KEM_KEY_GRACE_S + 1) * 1_000;

test('a key is taken to the end of its grace, and wiped when a newer one is there', (t) => {
  const ring = new KemKeyRing(crypto);
  ring.add(material(CREATED_S, 1));
  const first = ring.newest(id)!.keyId;
  ring.add(material(CREATED_S + ROTATION_S, 2));
  const overMs = overAtMs(CREATED_S);
  t.truthy(ring.find(id, first, overMs - 1_000));
  t.is(ring.find(id, first, overMs), undefined);
  ring.wipeExpired(overMs);
  t.is(ring.length, 1);
});

test('a clock that jumps days ahead and comes back does not leave a shard without a key', (t) => {
  const ring = new KemKeyRing(crypto);
  ring.add(material(CREATED_S, 1));
  const { keyId } = ring.newest(id)!;
  const overMs = overAtMs(CREATED_S);
  ring.wipeExpired(overMs);
  t.true(ring.offers(id));
  t.is(ring.find(id, keyId, overMs), undefined, 'it opens nothing beyond its time');
  t.truthy(ring.find(id, keyId, CREATED_S * 1_000));
});
