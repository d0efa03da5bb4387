/**
 * The shard's handshake records by index (lp2.md §4.5): bounded; at the cap the oldest record that holds no H1 makes room,
 * for a ClientHello costs nothing. Records leave 90 s after their creation, at lookup as at the sweep.
 */
import type { HandshakeRecord } from '../lp/session.ts';

export class RecordTable {
  /** Both in order of insertion. A record moves to `started` with its first H1 that reads. */
  private readonly fresh = new Map<number, HandshakeRecord>();
  private readonly started = new Map<number, HandshakeRecord>();
  private readonly capacity: number;
  private readonly ttlMs: number;
  private readonly dropped: (record: HandshakeRecord) => void;

  /** `dropped` is told of every record that leaves, before it is wiped. */
  constructor(capacity: number, ttlMs: number, dropped: (record: HandshakeRecord) => void) {
    this.capacity = capacity;
    this.ttlMs = ttlMs;
    this.dropped = dropped;
  }

  get size(): number {
    return this.fresh.size + this.started.size;
  }

  find(index: number, nowMs: number): HandshakeRecord | undefined {
    const record = this.fresh.get(index) ?? this.started.get(index);
    if (record === undefined || nowMs - record.createdMs < this.ttlMs) return record;
    this.remove(record);
    return undefined;
  }

  /** False when the table is full of records that hold an H1. */
  add(record: HandshakeRecord): boolean {
    if (this.size >= this.capacity) {
      const oldest = this.fresh.values().next().value;
      if (oldest === undefined) return false;
      this.remove(oldest);
    }
    this.fresh.set(record.index, record);
    return true;
  }

  /** An H1 of the record read: it is no longer dropped to make room. */
  start(record: HandshakeRecord): void {
    if (this.fresh.delete(record.index)) this.started.set(record.index, record);
  }

  /** Removes expired records, oldest first, at most `budget` of them. */
  sweep(nowMs: number, budget: number): void {
    for (const table of [this.fresh, this.started]) {
      let left = budget;
      for (const record of table.values()) {
        if (left-- <= 0 || nowMs - record.createdMs < this.ttlMs) break;
        this.remove(record);
      }
    }
  }

  private remove(record: HandshakeRecord): void {
    this.fresh.delete(record.index);
    this.started.delete(record.index);
    this.dropped(record);
    record.wipe();
  }
}
