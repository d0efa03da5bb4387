/**
 * The shard's handshake records by index (lp2.md §4.5): bounded; at the cap the oldest record that holds no H1 makes room,
 * for a ClientHello costs nothing. Records leave 90 s after their creation, at lookup as at the sweep.
 */
import type { HandshakeRecord } from '../lp/session.ts';

/** Expired records that a new one takes with it: so the sweep need not keep pace with a flood of hellos. */
const SWEPT_PER_RECORD = 2;

export class RecordTable {
  /** In order of creation, hence of expiry. */
  private readonly records = new Map<number, HandshakeRecord>();
  /** Those of them that hold no H1 yet, in the same order: the first one makes room. */
  private readonly fresh = new Set<HandshakeRecord>();
  private readonly capacity: number;
  private readonly ttlMs: number;
  private readonly dropped: (record: HandshakeRecord, evicted: boolean) => void;

  /** `dropped` is told of every record that leaves, before it is wiped; `evicted`: to make room. */
  constructor(capacity: number, ttlMs: number, dropped: (record: HandshakeRecord, evicted: boolean) => void) {
    this.capacity = capacity;
    this.ttlMs = ttlMs;
    this.dropped = dropped;
  }

  get size(): number {
    return this.records.size;
  }

  find(index: number, nowMs: number): HandshakeRecord | undefined {
    const record = this.records.get(index);
    if (record === undefined || nowMs - record.createdMs < this.ttlMs) return record;
    this.remove(record);
    return undefined;
  }

  /** False when the table is full of records that hold an H1. */
  add(record: HandshakeRecord): boolean {
    // What the sweep has not come to yet takes no place from a new record.
    this.sweep(record.createdMs, SWEPT_PER_RECORD);
    if (this.size >= this.capacity) {
      const oldest = this.fresh.values().next().value;
      if (oldest === undefined) return false;
      this.remove(oldest, true);
    }
    this.records.set(record.index, record);
    this.fresh.add(record);
    return true;
  }

  /** An H1 of the record read: it is no longer dropped to make room. */
  start(record: HandshakeRecord): void {
    this.fresh.delete(record);
  }

  /** Removes expired records, oldest first, at most `budget` of them. */
  sweep(nowMs: number, budget: number): void {
    let left = budget;
    for (const record of this.records.values()) {
      if (left-- <= 0 || nowMs - record.createdMs < this.ttlMs) return;
      this.remove(record);
    }
  }

  private remove(record: HandshakeRecord, evicted = false): void {
    this.records.delete(record.index);
    this.fresh.delete(record);
    this.dropped(record, evicted);
    record.wipe();
  }
}
