/**
 * Which addresses of a directory may be dialled: one that names a private or local address would turn its reader against
 * its own network. A policy argument opens them, for networks of one's own.
 */
export interface AddressPolicy {
  readonly allowPrivate: boolean;
}

/** Prefixes that are nobody's on the public internet (IANA's special-purpose registries). */
const SPECIAL_V4: readonly (readonly [prefix: readonly number[], bits: number])[] = [
  [[0], 8],
  [[10], 8],
  [[100, 64], 10],
  [[127], 8],
  [[169, 254], 16],
  [[172, 16], 12],
  [[192, 0, 0], 24],
  [[192, 0, 2], 24],
  [[192, 168], 16],
  [[198, 18], 15],
  [[198, 51, 100], 24],
  [[203, 0, 113], 24],
  [[224], 4],
  [[240], 4],
];
/** Only global unicast (2000::/3) is dialled, and of that not these: documentation, Teredo, 6to4, ORCHID. */
const GLOBAL_V6 = [[0x20], 3] as const;
const SPECIAL_V6: readonly (readonly [prefix: readonly number[], bits: number])[] = [
  [[0x20, 0x01, 0x00], 23],
  [[0x20, 0x01, 0x0d, 0xb8], 32],
  [[0x20, 0x02], 16],
  [[0x3f, 0xff, 0x00], 20],
];
const MAPPED_V4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const;

function hasPrefix(ip: Uint8Array, prefix: readonly number[], bits: number): boolean {
  for (let bit = 0; bit < bits; bit++) {
    const mask = 0x80 >>> (bit & 7);
    if (((ip[bit >>> 3] ?? 0) & mask) !== ((prefix[bit >>> 3] ?? 0) & mask)) return false;
  }
  return true;
}

/** 4 or 16 bytes. */
export function isPublicAddress(ip: Uint8Array): boolean {
  if (ip.length === 4) return !SPECIAL_V4.some(([prefix, bits]) => hasPrefix(ip, prefix, bits));
  if (ip.length !== 16) return false;
  if (hasPrefix(ip, MAPPED_V4, 96)) return isPublicAddress(ip.subarray(12));
  return hasPrefix(ip, ...GLOBAL_V6) && !SPECIAL_V6.some(([prefix, bits]) => hasPrefix(ip, prefix, bits));
}

export function mayDial(ip: Uint8Array, { allowPrivate }: AddressPolicy): boolean {
  return (ip.length === 4 || ip.length === 16) && (allowPrivate || isPublicAddress(ip));
}
