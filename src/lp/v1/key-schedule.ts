/**
 * Keys of LP1 (lp1.md §3.3–3.5). None of them is forward secret: whoever gets the gateway's identity seed later can
 * recompute every one from a recording (§10-B 8); only the Noise transport keys inside are.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { concat, writeLe64 } from '../wire/bytes.ts';

const NO_BYTES = new Uint8Array(0);

/** `ecdh`: static-static X25519; `psq`: PSQ's registered PSK; `salt`: of the ClientHello, 32 bytes. Wipes nothing. */
export function sessionPsk(crypto: CryptoProvider, ecdh: Uint8Array, psq: Uint8Array, salt: Uint8Array): Uint8Array {
  return derive(crypto, 'nym-lp-psk-psq-v1', concat(ecdh, psq, salt));
}

/** The key of the outer AEAD, from a session's or a subsession's PSK. Both directions use it. */
export function outerKey(crypto: CryptoProvider, psk: Uint8Array): Uint8Array {
  return derive(crypto, 'lp-outer-aead', concat(psk, NO_BYTES));
}

/** `index`: the implicit number of the subsession within its parent. */
export function subsessionPsk(crypto: CryptoProvider, psq: Uint8Array, index: number): Uint8Array {
  const number = new Uint8Array(8);
  writeLe64(number, 0, index);
  return derive(crypto, 'lp-subsession-psk-v1', concat(psq, number));
}

function derive(crypto: CryptoProvider, context: string, material: Uint8Array): Uint8Array {
  const key = crypto.deriveKey(context, material);
  material.fill(0);
  return key;
}
