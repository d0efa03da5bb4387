/**
 * HalfSipHash-2-4 (32-bit SipHash; Aumasson, Bernstein 2012) of one 32-bit number: assigns a handshake index to a shard
 * under a key that clients do not know (lp2.md §3), so that nobody can aim at one worker.
 */
export class KeyedHash {
  private readonly k0: number;
  private readonly k1: number;

  /** `key` is 8 random bytes. */
  constructor(key: Uint8Array) {
    const view = new DataView(key.buffer, key.byteOffset, 8);
    this.k0 = view.getInt32(0, true);
    this.k1 = view.getInt32(4, true);
  }

  /** An unsigned 32-bit number. */
  of(value: number): number {
    const state: State = { v0: this.k0, v1: this.k1, v2: 0x6c796765 ^ this.k0, v3: 0x74656462 ^ this.k1 };
    for (const word of [value | 0, 4 << 24]) {
      state.v3 ^= word;
      round(state);
      round(state);
      state.v0 ^= word;
    }
    state.v2 ^= 0xff;
    for (let i = 0; i < 4; i++) round(state);
    return (state.v1 ^ state.v3) >>> 0;
  }
}

interface State {
  v0: number;
  v1: number;
  v2: number;
  v3: number;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function round(s: State): void {
  s.v0 = (s.v0 + s.v1) | 0;
  s.v1 = rotate(s.v1, 5) ^ s.v0;
  s.v0 = rotate(s.v0, 16);
  s.v2 = (s.v2 + s.v3) | 0;
  s.v3 = rotate(s.v3, 8) ^ s.v2;
  s.v0 = (s.v0 + s.v3) | 0;
  s.v3 = rotate(s.v3, 7) ^ s.v0;
  s.v2 = (s.v2 + s.v1) | 0;
  s.v1 = rotate(s.v1, 13) ^ s.v2;
  s.v2 = rotate(s.v2, 16);
}
