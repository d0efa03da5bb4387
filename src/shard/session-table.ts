/**
 * The shard's sessions by index, and the indices that an H2 has promised (lp2.md §3): random, bit 31 set, the low byte a
 * slot of this shard, different from every live, pending, demoted or reserved one.
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import type { Effects, GatewaySession } from '../lp/session.ts';
import { readLe32 } from '../lp/wire/bytes.ts';

/** Draws per allocation: with 2²³ indices per slot even a full table leaves a failure to one in millions. */
const MAX_DRAWS = 32;
const RESERVED = null;
/** Sessions looked at per tick at least, so that small tables are clean within seconds. */
const MIN_SWEEP = 512;

export class SessionTable {
  /** Keys are `index | 0`: as signed integers they need no heap number. */
  private readonly entries = new Map<number, GatewaySession | typeof RESERVED>();
  private readonly slots: readonly number[];
  private readonly capacity: number;
  private readonly random: RandomSource;
  private readonly draw = new Uint8Array(4);
  private live = 0;
  private sweeping: MapIterator<GatewaySession | typeof RESERVED> | undefined;

  constructor(slots: readonly number[], capacity: number, random: RandomSource) {
    if (slots.length === 0) throw new Error('a shard needs a slot');
    this.slots = slots;
    this.capacity = capacity;
    this.random = random;
  }

  get size(): number {
    return this.live;
  }

  /** A free index, reserved from now on; `undefined` at the bound. */
  reserve(): number | undefined {
    if (this.entries.size >= this.capacity) return undefined;
    for (let i = 0; i < MAX_DRAWS; i++) {
      this.random.fill(this.draw);
      const slot = this.slots[(this.draw[0] ?? 0) % this.slots.length] ?? 0;
      this.draw[0] = slot;
      const key = readLe32(this.draw, 0) | 0x8000_0000;
      if (this.entries.has(key)) continue;
      this.entries.set(key, RESERVED);
      return key >>> 0;
    }
    return undefined;
  }

  /** Reserves this very index; false when it is taken, and at the bound. */
  claim(index: number): boolean {
    if (this.has(index) || this.entries.size >= this.capacity) return false;
    this.entries.set(index | 0, RESERVED);
    return true;
  }

  /** Live or reserved. */
  has(index: number): boolean {
    return this.entries.has(index | 0);
  }

  unreserve(index: number): void {
    const key = index | 0;
    if (this.entries.get(key) === RESERVED) this.entries.delete(key);
  }

  /** The index was reserved. */
  add(session: GatewaySession): void {
    this.entries.set(session.index | 0, session);
    this.live++;
  }

  /** The index stays reserved until `unreserve`. */
  remove(session: GatewaySession): void {
    const key = session.index | 0;
    if (this.entries.get(key) !== session) return;
    this.entries.set(key, RESERVED);
    this.live--;
  }

  find(index: number, nowMs: number, effects: Effects): GatewaySession | undefined {
    const entry = this.entries.get(index | 0);
    if (entry === undefined || entry === RESERVED) return undefined;
    if (!entry.expired(nowMs)) return entry;
    entry.expire(effects);
    return undefined;
  }

  /** One slice: all sessions are visited once in `ticks` calls. */
  sweep(nowMs: number, ticks: number, effects: Effects): void {
    let budget = Math.max(MIN_SWEEP, Math.ceil(this.entries.size / ticks));
    this.sweeping ??= this.entries.values();
    while (budget-- > 0) {
      const { value, done } = this.sweeping.next();
      if (done) {
        this.sweeping = undefined;
        return;
      }
      if (value !== RESERVED && value.expired(nowMs)) value.expire(effects);
    }
  }
}
