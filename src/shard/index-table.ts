/**
 * Receiver indices to small numbers, for a million sessions: open addressing in segments, so that an entry costs 11 to 22
 * bytes, and growing moves one segment at a time, a fraction of a millisecond's work. Keys are 32-bit integers in any
 * reading (`index | 0`), values integers from 0 on. LP1's clients choose their indices, hence the seed.
 */
const SEGMENT_BITS = 6;
const SEGMENTS = 1 << SEGMENT_BITS;
const SMALLEST = 16;
/** Filled beyond three quarters it doubles; below an eighth it halves. */
const FULLEST = 3 / 4;
const EMPTIEST = 1 / 8;

/** Pairs of key and value + 1; 0 there is a free pair. */
interface Segment {
  pairs: Int32Array;
  used: number;
}

export class IndexTable {
  private segments = freshSegments();
  private readonly seed: number;
  private entries = 0;

  /** `seed`: a number that clients do not know, where they choose keys. */
  constructor(seed = 0) {
    this.seed = seed | 0;
  }

  get size(): number {
    return this.entries;
  }

  get(key: number): number | undefined {
    const hash = this.hash(key);
    const { pairs } = this.segmentOf(hash);
    const at = find(pairs, hash, key | 0);
    const stored = pairs[at + 1] ?? 0;
    return stored === 0 ? undefined : stored - 1;
  }

  has(key: number): boolean {
    return this.get(key) !== undefined;
  }

  set(key: number, value: number): void {
    const hash = this.hash(key);
    const segment = this.segmentOf(hash);
    const at = find(segment.pairs, hash, key | 0);
    const isNew = segment.pairs[at + 1] === 0;
    segment.pairs[at] = key | 0;
    segment.pairs[at + 1] = value + 1;
    if (!isNew) return;
    this.entries++;
    segment.used++;
    const capacity = segment.pairs.length / 2;
    if (segment.used > capacity * FULLEST) this.resize(segment, 2 * capacity);
  }

  /** Whether it was there. */
  delete(key: number): boolean {
    const hash = this.hash(key);
    const segment = this.segmentOf(hash);
    const at = find(segment.pairs, hash, key | 0);
    if (segment.pairs[at + 1] === 0) return false;
    this.close(segment.pairs, at);
    this.entries--;
    segment.used--;
    const capacity = segment.pairs.length / 2;
    if (capacity > SMALLEST && segment.used < capacity * EMPTIEST) this.resize(segment, capacity / 2);
    return true;
  }

  clear(): void {
    this.segments = freshSegments();
    this.entries = 0;
  }

  /** The keys, as signed integers. Nothing may change meanwhile. */
  *keys(): Generator<number> {
    for (const { pairs } of this.segments) {
      for (let at = 0; at < pairs.length; at += 2) if (pairs[at + 1] !== 0) yield pairs[at] ?? 0;
    }
  }

  private segmentOf(hash: number): Segment {
    const segment = this.segments[hash >>> (32 - SEGMENT_BITS)];
    if (segment === undefined) throw new Error('assertion: a hash has a segment');
    return segment;
  }

  /** Wellons' lowbias32 of the key under the seed. */
  private hash(key: number): number {
    let x = key ^ this.seed;
    x = Math.imul(x ^ (x >>> 16), 0x21f0_aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a_2d97);
    return x ^ (x >>> 15);
  }

  /** Frees the pair, and moves those after it that it kept from their place. */
  private close(pairs: Int32Array, freed: number): void {
    const mask = pairs.length - 1;
    let hole = freed;
    for (let at = (hole + 2) & mask; pairs[at + 1] !== 0; at = (at + 2) & mask) {
      const home = homeOf(pairs, this.hash(pairs[at] ?? 0));
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      pairs[hole] = pairs[at] ?? 0;
      pairs[hole + 1] = pairs[at + 1] ?? 0;
      hole = at;
    }
    pairs[hole] = 0;
    pairs[hole + 1] = 0;
  }

  private resize(segment: Segment, capacity: number): void {
    const { pairs: old } = segment;
    const pairs = new Int32Array(2 * capacity);
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue;
      const key = old[from] ?? 0;
      const at = find(pairs, this.hash(key), key);
      pairs[at] = key;
      pairs[at + 1] = old[from + 1] ?? 0;
    }
    segment.pairs = pairs;
  }
}

function freshSegments(): Segment[] {
  return Array.from({ length: SEGMENTS }, () => ({ pairs: new Int32Array(2 * SMALLEST), used: 0 }));
}

/** Where a key with this hash should lie; the topmost bits have chosen the segment. */
function homeOf(pairs: Int32Array, hash: number): number {
  return (hash << 1) & (pairs.length - 1);
}

/** Where the key lies, or the free pair where it would. One is always free. */
function find(pairs: Int32Array, hash: number, key: number): number {
  const mask = pairs.length - 1;
  let at = homeOf(pairs, hash);
  while (pairs[at + 1] !== 0 && pairs[at] !== key) at = (at + 2) & mask;
  return at;
}
