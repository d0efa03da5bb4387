/**
 * The 20 bytes a client says of itself inside its KKT request (nym.md §4.5): which hop this is, and the seed of the
 * receiver index (§6.2). The flags mean nothing to a node beyond being well formed.
 */
import type { RandomSource } from '../crypto/provider.ts';

export const PEER_CONFIG_LENGTH = 20;
const FILLER_LENGTH = 3;
const SEED_OFFSET = 1 + FILLER_LENGTH;
const HOP_MASK = 0x0f;
const IS_EXIT = 0x10;
const IS_NODE = 0x20;
const LAST_HOP = 15;

/** What a client is towards a node: it talks to its entry itself, and to its exit through the entry. */
export type NymHop = 'entry' | 'exit';
const HOP_BYTE: Readonly<Record<NymHop, number>> = { entry: 0x00, exit: 0x11 };

/** Draws 16 bytes of seed, then 3 of filler. */
export function drawPeerConfig(hop: NymHop, random: RandomSource): Uint8Array {
  const config = new Uint8Array(PEER_CONFIG_LENGTH);
  config[0] = HOP_BYTE[hop];
  random.fill(config.subarray(SEED_OFFSET));
  random.fill(config.subarray(1, SEED_OFFSET));
  return config;
}

export function seedOf(config: Uint8Array): Uint8Array {
  return config.subarray(SEED_OFFSET, PEER_CONFIG_LENGTH);
}

/** Bits 6 and 7 are nobody's. */
export function isPeerConfig(config: Uint8Array): boolean {
  if (config.length !== PEER_CONFIG_LENGTH) return false;
  const flags = config[0] ?? 0;
  const hop = flags & HOP_MASK;
  const isExit = (flags & IS_EXIT) !== 0;
  if ((flags & IS_NODE) !== 0) return !isExit && hop === 0;
  return isExit ? hop !== 0 : hop !== LAST_HOP;
}
