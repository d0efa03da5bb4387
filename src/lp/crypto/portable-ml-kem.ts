/**
 * ML-KEM-768 (FIPS 203) of noble: the portable provider's, and the native provider's where the coins are given, which
 * node:crypto cannot take. Secrets that noble returns as views into larger arrays are copied out, and the rest wiped.
 */

import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import type { MlKem768, MlKem768SecretKey } from './kem.ts';
import type { Encapsulation } from './provider.ts';
import { Redacted, Secret } from './secret.ts';

/** A 32-byte array of its own, with what it was cut from wiped. */
function detach(secret: Uint8Array): Uint8Array {
  const copy = secret.slice();
  secret.fill(0);
  return copy;
}

/** Encapsulation with given coins (32 bytes, `m` of FIPS 203 algorithm 17). The caller wipes the coins. */
export function encapsulateWithCoins(publicKey: Uint8Array, coins: Uint8Array): Encapsulation {
  const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, coins);
  return { ciphertext: cipherText, sharedSecret: detach(sharedSecret) };
}

class PortableSecretKey extends Redacted implements MlKem768SecretKey {
  readonly publicKey: Uint8Array;
  readonly #expanded: Secret;

  constructor(seed: Uint8Array) {
    super();
    const { publicKey, secretKey } = ml_kem768.keygen(seed);
    this.publicKey = publicKey;
    this.#expanded = new Secret(secretKey);
  }

  decapsulate(ciphertext: Uint8Array): Uint8Array {
    return detach(ml_kem768.decapsulate(ciphertext, this.#expanded.bytes));
  }

  wipe(): void {
    this.#expanded.wipe();
  }
}

export const portableMlKem768: MlKem768 = {
  drawsCoins: false,
  secretKey: (seed) => new PortableSecretKey(seed),
  publicKey: (bytes) => ({
    encapsulate(coins) {
      if (coins === undefined) throw new TypeError('portable ML-KEM-768 needs its coins');
      return encapsulateWithCoins(bytes, coins);
    },
  }),
};
