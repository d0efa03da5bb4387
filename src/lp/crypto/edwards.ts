/**
 * Public arithmetic of the Ed25519 → X25519 conversion (lp1.md §3.1) for the native provider: u = (1 + y) / (1 − y)
 * mod p. Only public keys come here, so BigInt's variable time does no harm. It checks the encoding, not that y is on
 * the curve: that costs a square root, which libsodium computes faster (native-curve.ts).
 */

import { invert } from '@noble/curves/abstract/modular.js';
import { KEY_LENGTH } from './lengths.ts';

const P = (1n << 255n) - 19n;
const scratch = new DataView(new ArrayBuffer(KEY_LENGTH));
const scratchBytes = new Uint8Array(scratch.buffer);

function readLe256(bytes: Uint8Array): bigint {
  scratchBytes.set(bytes);
  const high = (scratch.getBigUint64(24, true) << 64n) | scratch.getBigUint64(16, true);
  const low = (scratch.getBigUint64(8, true) << 64n) | scratch.getBigUint64(0, true);
  return (high << 128n) | low;
}

function writeLe256(value: bigint): Uint8Array {
  for (let limb = 0; limb < 4; limb++) {
    scratch.setBigUint64(limb * 8, BigInt.asUintN(64, value >> BigInt(limb * 64)), true);
  }
  return scratchBytes.slice();
}

/**
 * The y of a canonically encoded point with a Montgomery image, else `undefined`: refused are y ≥ p, y = 1 (the neutral
 * point, which has no u), and the second encoding of the point with x = 0, y = −1, whose sign bit says x is odd.
 */
export function canonicalY(ed25519PublicKey: Uint8Array): bigint | undefined {
  const encoded = readLe256(ed25519PublicKey);
  const y = BigInt.asUintN(255, encoded);
  const signBit = encoded !== y;
  if (y >= P || y === 1n || (signBit && y === P - 1n)) return undefined;
  return y;
}

/** u·(1 − y) ≡ 1 + y with u < p: {@link montgomeryU} compared with `x25519PublicKey`, without the inversion. */
export function isMontgomeryU(x25519PublicKey: Uint8Array, y: bigint): boolean {
  const u = readLe256(x25519PublicKey);
  return u < P && (u * (P + 1n - y) - 1n - y) % P === 0n;
}

/** The 32 bytes of u for y ≠ 1. */
export function montgomeryU(y: bigint): Uint8Array {
  return writeLe256(((1n + y) * invert(P + 1n - y, P)) % P);
}
