/**
 * Arithmetic of the Ed25519 → X25519 conversion (lp1.md §3.1) for the native provider: u = (1 + y) / (1 − y) mod p. It
 * checks the encoding, not that y is on the curve: that costs a square root, which libsodium computes faster
 * (native-curve.ts). The check of a client's two keys takes the same steps for all that belong together, since H3 hides
 * whose they are; making a u takes BigInt's time, and is for keys that are public.
 */

import { invert } from '@noble/curves/abstract/modular.js';

/** Of 16 bits, so that sums of 16 products, and of 38 times as many, are exact in a double. */
const LIMBS = 16;
const LIMB = 0x1_0000;
/** 2²⁵⁶ mod p. */
const FOLD = 38;

const P = (1n << 255n) - 19n;

/** The numbers that limbs are compared with: the lowest limb, all between, the highest. */
interface Shape {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}
const ZERO: Shape = { low: 0, middle: 0, high: 0 };
const ONE: Shape = { low: 1, middle: 0, high: 0 };
const P_MINUS_1: Shape = { low: 0xffec, middle: 0xffff, high: 0x7fff };
const P_LIMBS: Shape = { low: 0xffed, middle: 0xffff, high: 0x7fff };
const P_TWICE: Shape = { low: 0xffda, middle: 0xffff, high: 0xffff };

/** Of one call at a time. */
const U = new Float64Array(LIMBS);
const Y = new Float64Array(LIMBS);
const FACTOR = new Float64Array(LIMBS);
const COLUMNS = new Float64Array(2 * LIMBS);

function setLimbs(limbs: Float64Array, bytes: Uint8Array): void {
  for (let i = 0; i < LIMBS; i++) limbs[i] = (bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8);
}

/** Sets Y without the sign bit, which it returns. */
function setY(encoded: Uint8Array): boolean {
  setLimbs(Y, encoded);
  const top = Y[LIMBS - 1] ?? 0;
  Y[LIMBS - 1] = top & 0x7fff;
  return top > 0x7fff;
}

function is(limbs: Float64Array, { low, middle, high }: Shape): boolean {
  let difference = ((limbs[0] ?? 0) ^ low) | ((limbs[LIMBS - 1] ?? 0) ^ high);
  for (let i = 1; i < LIMBS - 1; i++) difference |= (limbs[i] ?? 0) ^ middle;
  return difference === 0;
}

/** Of 256 bits: whether the number is below p. */
function isBelowP(limbs: Float64Array): boolean {
  const high = limbs[LIMBS - 1] ?? 0;
  let ones = 0xffff;
  for (let i = 1; i < LIMBS - 1; i++) ones &= limbs[i] ?? 0;
  return high < P_LIMBS.high || (high === P_LIMBS.high && (ones !== 0xffff || (limbs[0] ?? 0) < P_LIMBS.low));
}

/**
 * Whether Y and its sign bit encode a point canonically that has a Montgomery image. Refused are y ≥ p, y = 1 (the neutral
 * point, which has no u), and the second encoding of the point with x = 0, y = −1, whose sign bit says x is odd.
 */
function isConvertible(signBit: boolean): boolean {
  return isBelowP(Y) && !is(Y, ONE) && !(signBit && is(Y, P_MINUS_1));
}

/** Carries out of each limb into the next, and out of the last into the first. */
function carry(limbs: Float64Array): void {
  let carried = 0;
  for (let i = 0; i < LIMBS; i++) {
    const value = (limbs[i] ?? 0) + carried;
    carried = Math.floor(value / LIMB);
    limbs[i] = value - carried * LIMB;
  }
  limbs[0] = (limbs[0] ?? 0) + FOLD * carried;
}

/** u·(1 − y) − (1 + y) mod p, in the first limbs of COLUMNS. */
function setDefect(): void {
  COLUMNS.fill(0);
  for (let i = 0; i < LIMBS; i++) FACTOR[i] = -(Y[i] ?? 0);
  FACTOR[0] = 1 - (Y[0] ?? 0);
  for (let i = 0; i < LIMBS; i++) {
    const limb = U[i] ?? 0;
    for (let j = 0; j < LIMBS; j++) COLUMNS[i + j] = (COLUMNS[i + j] ?? 0) + limb * (FACTOR[j] ?? 0);
  }
  for (let i = 0; i < LIMBS; i++) COLUMNS[i] = (COLUMNS[i] ?? 0) + FOLD * (COLUMNS[i + LIMBS] ?? 0) - (Y[i] ?? 0);
  COLUMNS[0] = (COLUMNS[0] ?? 0) - 1;
  // The second brings it below 2²⁵⁶ or just above, or just below zero; after the third every limb has 16 bits.
  for (let pass = 0; pass < 3; pass++) carry(COLUMNS);
}

/** {@link montgomeryU} compared with `x25519PublicKey`, without the inversion: u·(1 − y) ≡ 1 + y with u < p. */
export function isMontgomeryU(x25519PublicKey: Uint8Array, ed25519PublicKey: Uint8Array): boolean {
  const signBit = setY(ed25519PublicKey);
  setLimbs(U, x25519PublicKey);
  if (!isConvertible(signBit) || !isBelowP(U)) return false;
  setDefect();
  // All three each time: which of them it is depends on the keys.
  const [zero, once, twice] = [is(COLUMNS, ZERO), is(COLUMNS, P_LIMBS), is(COLUMNS, P_TWICE)];
  return zero || once || twice;
}

/** The 32 bytes of u, unless the key encodes nothing that has one. */
export function montgomeryU(ed25519PublicKey: Uint8Array): Uint8Array | undefined {
  if (!isConvertible(setY(ed25519PublicKey))) return undefined;
  let y = 0n;
  for (let i = LIMBS - 1; i >= 0; i--) y = (y << 16n) | BigInt(Y[i] ?? 0);
  let rest = ((1n + y) * invert(P + 1n - y, P)) % P;
  const u = new Uint8Array(2 * LIMBS);
  for (let i = 0; i < u.length; i++) {
    u[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return u;
}
