/** The client and the gateway of LP1's tests, and ways to spoil bytes. Every provider computes the same keys. */
import { loadProvider } from '../../../src/lp/crypto/load.ts';

export const PROVIDERS = await Promise.all([loadProvider('native'), loadProvider('portable')]);
const [crypto] = PROVIDERS;

function person(fill: number) {
  const seed = new Uint8Array(32).fill(fill);
  const ed25519 = crypto.ed25519PublicKey(seed);
  const secret = crypto.x25519SecretOfEd25519(seed);
  return { seed, ed25519, secret, x25519: crypto.x25519PublicKey(secret) };
}

export const CLIENT = person(1);
export const GATEWAY = person(2);
export const STRANGER = person(3);

/** Points of small order, whose DH results are all zero. */
export const LOW_ORDER_POINTS = [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))];

/** Every shorter message, and one that a byte follows. */
export function* otherLengths(bytes: Uint8Array): Generator<[string, Uint8Array]> {
  for (let length = 0; length < bytes.length; length++) yield [`cut to ${length}`, bytes.slice(0, length)];
  yield ['followed by a byte', Uint8Array.of(...bytes, 0)];
}

/** Every byte, with its lowest and its highest bit flipped. */
export function* flipped(bytes: Uint8Array): Generator<[string, Uint8Array]> {
  for (let i = 0; i < bytes.length; i++) {
    for (const bit of [0x01, 0x80]) yield [`byte ${i} ^ ${bit}`, spoiled(bytes, i, bit)];
  }
}

export function spoiled(bytes: Uint8Array, at: number, bits: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= bits;
  return copy;
}
