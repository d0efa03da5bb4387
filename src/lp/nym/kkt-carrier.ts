/**
 * What carries KKT's two messages (nym.md §4.2): a mask that a node recognises as made for its key before it computes
 * anything dear, and one ChaCha20-Poly1305 message each way under keys of an ephemeral DH. The nonce is the number 1,
 * little-endian, in both directions.
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import { ascii, sameBytes } from '../wire/bytes.ts';
import { Template } from './template.ts';

const LP_VERSION = 1;
const KEY_LENGTH = 32;
export const MASK_LENGTH = 16;
export const CARRIER_TAG_LENGTH = 16;
const MASK_INPUT = new Template(ascii('NYM_MASKED_BYTE_V1'), KEY_LENGTH, KEY_LENGTH, [0xff, LP_VERSION]);
/** Holds a secret: wiped after each use. */
const MATERIAL = new Template(KEY_LENGTH, MASK_LENGTH, ascii('CARRIER_V1_KKT_V1_KDF'), KEY_LENGTH, KEY_LENGTH);
const REQUEST_CONTEXT = 'CARRIER_V1_KDF_TX';
const RESPONSE_CONTEXT = 'CARRIER_V1_KDF_RX';
const AAD = ascii('kkt-carrier-v1');
const NONCE = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);

/** Public keys of 32 bytes: the client's ephemeral one, and the node's. */
export function versionMask(crypto: NymCrypto, ephemeral: Uint8Array, node: Uint8Array): Uint8Array {
  return crypto.base.blake3(MASK_INPUT.fill(ephemeral, node)).slice(0, MASK_LENGTH);
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
  try {
    const material = MATERIAL.fill(shared, mask, ephemeral, node);
    return {
      request: crypto.base.deriveKey(REQUEST_CONTEXT, material),
      response: crypto.base.deriveKey(RESPONSE_CONTEXT, material),
    };
  } finally {
    MATERIAL.wipe();
  }
}

export function wipeCarrier(keys: CarrierKeys): void {
  keys.request.fill(0);
  keys.response.fill(0);
}

/** The plaintext is these parts, one after the other. */
export function sealCarrier(crypto: NymCrypto, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const sealed = outsideHeap(length + CARRIER_TAG_LENGTH);
  let at = 0;
  for (const part of parts) {
    sealed.set(part, at);
    at += part.length;
  }
  crypto.base.aeadSeal(sealed, sealed.subarray(0, length), AAD, NONCE, key);
  return sealed;
}

export function openCarrier(crypto: NymCrypto, key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < CARRIER_TAG_LENGTH) return undefined;
  const plaintext = outsideHeap(sealed.length - CARRIER_TAG_LENGTH);
  return crypto.base.aeadOpen(plaintext, sealed, AAD, NONCE, key) ? plaintext : undefined;
}

/** V8 moves a short array out of its heap for a native call, which takes longer than to seal it. */
function outsideHeap(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}
