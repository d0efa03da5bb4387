/**
 * Which shard serves an index (lp2.md §3), and which indices exist: what names nothing is skipped before it is buffered.
 * A session index goes by its low byte, the slot; a handshake index by a keyed hash.
 */
import { isSessionIndex } from '../lp/wire/packet.ts';
import type { KeyedHash } from './keyed-hash.ts';

const SLOTS = 256;

export class Router {
  readonly shards: number;
  /** Per shard; keys are `index | 0`, which needs no heap number. */
  private readonly known: Set<number>[];
  private readonly hash: KeyedHash;

  constructor(shards: number, hash: KeyedHash) {
    this.shards = shards;
    this.hash = hash;
    this.known = Array.from({ length: shards }, () => new Set<number>());
  }

  slotsOf(shard: number): number[] {
    return Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => slot % this.shards === shard);
  }

  shardOf(index: number): number {
    return (isSessionIndex(index) ? index & 0xff : this.hash.of(index)) % this.shards;
  }

  knows(index: number): boolean {
    return this.known[this.shardOf(index)]?.has(index | 0) === true;
  }

  add(shard: number, index: number): void {
    this.known[shard]?.add(index | 0);
  }

  remove(shard: number, index: number): void {
    this.known[shard]?.delete(index | 0);
  }

  /** The shard's state is lost: none of its indices names anything any more. */
  forget(shard: number): void {
    this.known[shard]?.clear();
  }

  get size(): number {
    return this.known.reduce((sum, set) => sum + set.size, 0);
  }
}
