/**
 * Which shard serves an index (lp2.md §3), and which indices exist: what names nothing is skipped before it is buffered.
 * A session index goes by its low byte, the slot; a handshake index by a keyed hash. LP1's indices are what their clients
 * picked, so bit 31 says nothing of them: of each known index its kind is noted, and those that live elsewhere have an
 * alias.
 */
import { BOOTSTRAP_INDEX, isSessionIndex } from '../lp/wire/packet.ts';
import { IndexTable } from '../shard/index-table.ts';
import type { KeyedHash } from './keyed-hash.ts';

const SLOTS = 256;

/** Told of indices of a shard's slots that another shard serves: the slot's owner must not assign them. */
export interface SlotReserves {
  reserve(owner: number, index: number): void;
  unreserve(owner: number, index: number): void;
}

const NOBODY: SlotReserves = { reserve: () => undefined, unreserve: () => undefined };

const HANDSHAKE = 0;
const LIVE = 1;

export class Router {
  readonly shards: number;
  /** Per shard: the known indices and their kind. */
  private readonly known: IndexTable[];
  /** Known indices (as `index | 0`, which needs no heap number) that another shard serves than slot or hash say. */
  private readonly aliases = new Map<number, number>();
  private readonly hash: KeyedHash;
  private readonly reserves: SlotReserves;

  constructor(shards: number, hash: KeyedHash, reserves: SlotReserves = NOBODY) {
    this.shards = shards;
    this.hash = hash;
    this.reserves = reserves;
    this.known = Array.from({ length: shards }, (_, shard) => new IndexTable(hash.of(shard)));
  }

  slotsOf(shard: number): number[] {
    return Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => slot % this.shards === shard);
  }

  shardOf(index: number): number {
    return this.aliases.get(index | 0) ?? this.defaultShardOf(index);
  }

  /** The shard for the index that an LP1 hello proposes. Also with bit 31 by the hash, so that nobody can aim at a shard. */
  place(index: number): number {
    return this.knows(index) ? this.shardOf(index) : this.hash.of(index) % this.shards;
  }

  knows(index: number): boolean {
    return this.known[this.shardOf(index)]?.has(index) === true;
  }

  /** Whether the index is a session's; otherwise it is a handshake's. Of one that is not known bit 31 decides. */
  isLive(index: number): boolean {
    const kind = this.known[this.shardOf(index)]?.get(index);
    return kind === undefined ? isSessionIndex(index) : kind === LIVE;
  }

  /** Whoever has an index keeps it: a second shard that adds it too (a race that takes a lucky guess) is not routed to. */
  add(shard: number, index: number, live: boolean): void {
    const owner = this.defaultShardOf(index);
    if (shard !== owner && !this.knows(index)) {
      this.aliases.set(index | 0, shard);
      if (isSessionIndex(index)) this.reserves.reserve(owner, index);
    }
    this.known[shard]?.set(index, live ? LIVE : HANDSHAKE);
  }

  /** The index for a session of the shard, unless it names something in any of them. */
  claim(shard: number, index: number): boolean {
    if (index === BOOTSTRAP_INDEX || this.known.some((known) => known.has(index))) return false;
    this.add(shard, index, true);
    return true;
  }

  remove(shard: number, index: number): void {
    this.known[shard]?.delete(index);
    if (this.aliases.get(index | 0) === shard) this.removeAlias(index | 0);
  }

  /** The shard's state is lost: none of its indices names anything any more. */
  forget(shard: number): void {
    this.known[shard]?.clear();
    for (const [key, server] of this.aliases) if (server === shard) this.removeAlias(key);
  }

  /** What stands reserved with a shard: a fresh one has to be told again. */
  reservedWith(owner: number): number[] {
    const indices = [...this.aliases.keys()].map((key) => key >>> 0);
    return indices.filter((index) => isSessionIndex(index) && this.defaultShardOf(index) === owner);
  }

  get size(): number {
    return this.known.reduce((sum, set) => sum + set.size, 0);
  }

  private defaultShardOf(index: number): number {
    return (isSessionIndex(index) ? index & 0xff : this.hash.of(index)) % this.shards;
  }

  private removeAlias(key: number): void {
    this.aliases.delete(key);
    const index = key >>> 0;
    if (isSessionIndex(index)) this.reserves.unreserve(this.defaultShardOf(index), index);
  }
}
