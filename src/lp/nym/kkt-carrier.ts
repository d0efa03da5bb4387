/**
 * What carries KKT's two messages (nym.md §4.2): a mask that a node recognises as made for its key before it computes
 * anything dear, and one ChaCha20-Poly1305 message each way under keys of an ephemeral DH. The nonce is the number 1,
 * little-endian, in both directions.
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import { ascii, concat, sameBytes } from '../wire/bytes.ts';

const LP_VERSION = 1;
export const MASK_LENGTH = 16;
export const CARRIER_TAG_LENGTH = 16;
const MASK_LABEL = ascii('NYM_MASKED_BYTE_V1');
const CARRIER_LABEL = ascii('CARRIER_V1_KKT_V1_KDF');
const REQUEST_CONTEXT = 'CARRIER_V1_KDF_TX';
const RESPONSE_CONTEXT = 'CARRIER_V1_KDF_RX';
const AAD = ascii('kkt-carrier-v1');
const NONCE = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);

/** Public keys of 32 bytes: the client's ephemeral one, and the node's. */
export function versionMask(crypto: NymCrypto, ephemeral: Uint8Array, node: Uint8Array): Uint8Array {
  const input = concat(MASK_LABEL, ephemeral, node, Uint8Array.of(0xff, LP_VERSION));
  return crypto.base.blake3(input).slice(0, MASK_LENGTH);
}

/** Both are public. */
export function isVersionMask(crypto: NymCrypto, mask: Uint8Array, ephemeral: Uint8Array, node: Uint8Array): boolean {
  return sameBytes(mask, versionMask(crypto, ephemeral, node));
}

export interface CarrierKeys {
  readonly request: Uint8Array;
  readonly response: Uint8Array;
}

/** `shared` is the DH of ephemeral and node key; it stays the caller's. */
export function carrierKeys(
  crypto: NymCrypto,
  shared: Uint8Array,
  mask: Uint8Array,
  ephemeral: Uint8Array,
  node: Uint8Array,
): CarrierKeys {
  const material = concat(shared, mask, CARRIER_LABEL, ephemeral, node);
  try {
    return {
      request: crypto.base.deriveKey(REQUEST_CONTEXT, material),
      response: crypto.base.deriveKey(RESPONSE_CONTEXT, material),
    };
  } finally {
    material.fill(0);
  }
}

export function wipeCarrier(keys: CarrierKeys): void {
  keys.request.fill(0);
  keys.response.fill(0);
}

export function sealCarrier(crypto: NymCrypto, key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(plaintext.length + CARRIER_TAG_LENGTH);
  crypto.base.aeadSeal(sealed, plaintext, AAD, NONCE, key);
  return sealed;
}

export function openCarrier(crypto: NymCrypto, key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < CARRIER_TAG_LENGTH) return undefined;
  const plaintext = new Uint8Array(sealed.length - CARRIER_TAG_LENGTH);
  return crypto.base.aeadOpen(plaintext, sealed, AAD, NONCE, key) ? plaintext : undefined;
}
