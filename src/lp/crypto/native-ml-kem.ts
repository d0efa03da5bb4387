/**
 * ML-KEM-768 (FIPS 203) of node:crypto, on long-lived key handles: importing a key costs as much as using it. OpenSSL
 * owns the secret behind a handle, and clears it when the handle is collected; `wipe` lets the handle go.
 */

import nodeCrypto, { type KeyObject } from 'node:crypto';
import type { MlKem768, MlKem768PublicKey, MlKem768SecretKey } from './kem.ts';
import { encapsulateWithCoins } from './portable-ml-kem.ts';
import type { Encapsulation } from './provider.ts';
import { Redacted } from './secret.ts';

const asymmetricKeyType = 'ml-kem-768';

/** A Buffer's bytes as a plain array; copied only where other bytes share its memory. */
export function plainBytes(buffer: Uint8Array<ArrayBuffer>): Uint8Array {
  if (buffer.byteLength === buffer.buffer.byteLength) return new Uint8Array(buffer.buffer);
  const copy = Uint8Array.from(buffer);
  buffer.fill(0);
  return copy;
}

class NativeSecretKey extends Redacted implements MlKem768SecretKey {
  readonly publicKey: Uint8Array;
  #key: KeyObject | undefined;

  constructor(seed: Uint8Array) {
    super();
    this.#key = nodeCrypto.createPrivateKey({ key: seed, format: 'raw-seed', asymmetricKeyType });
    this.publicKey = plainBytes(nodeCrypto.createPublicKey(this.#key).export({ format: 'raw-public' }));
  }

  decapsulate(ciphertext: Uint8Array): Uint8Array {
    if (this.#key === undefined) throw new Error('secret is used after it was wiped');
    return plainBytes(nodeCrypto.decapsulate(this.#key, ciphertext));
  }

  wipe(): void {
    this.#key = undefined;
  }
}

class NativePublicKey implements MlKem768PublicKey {
  readonly #bytes: Uint8Array;
  #key: KeyObject | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  encapsulate(coins: Uint8Array | undefined): Encapsulation {
    // node:crypto takes no coins; only vectors and tests give them.
    if (coins !== undefined) return encapsulateWithCoins(this.#bytes, coins);
    this.#key ??= nodeCrypto.createPublicKey({ key: this.#bytes, format: 'raw-public', asymmetricKeyType });
    const { ciphertext, sharedKey } = nodeCrypto.encapsulate(this.#key);
    return { ciphertext: plainBytes(ciphertext), sharedSecret: plainBytes(sharedKey) };
  }
}

export const nativeMlKem768: MlKem768 = {
  drawsCoins: true,
  secretKey: (seed) => new NativeSecretKey(seed),
  publicKey: (bytes) => new NativePublicKey(bytes),
};
