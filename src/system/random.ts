/**
 * The operating system's randomness for the protocol core, which takes it as an argument. Small draws come from a pool,
 * since a call into the system costs far more than 32 bytes; a byte is handed out once, and wiped from the pool then.
 */

import { randomFillSync } from 'node:crypto';
import type { RandomSource } from '../lp/crypto/provider.ts';

/** 64 draws of 32 bytes per refill spread its cost thinly enough; a larger pool keeps more unused secrets in memory. */
const POOL_BYTES = 2048;
/** Longer draws go to the system directly: they would empty the pool. */
const MAX_POOLED_DRAW_BYTES = 256;

const pool = new Uint8Array(new ArrayBuffer(POOL_BYTES));
let used = POOL_BYTES;

function fill(out: Uint8Array): void {
  if (out.length > MAX_POOLED_DRAW_BYTES) {
    randomFillSync(out);
    return;
  }
  if (used + out.length > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const end = used + out.length;
  out.set(pool.subarray(used, end));
  pool.fill(0, used, end);
  used = end;
}

export const systemRandom: RandomSource = Object.freeze({ kind: 'system', fill });
