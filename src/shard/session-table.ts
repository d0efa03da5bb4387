/**
 * The shard's sessions by index, and the indices that an H2 has promised (lp2.md §3): random, bit 31 set, the low byte a
 * slot of this shard, different from every live, pending, demoted or reserved one. Sessions that are in use are objects;
 * the sweep lays idle ones to rest, and a packet that their key opens wakes them.
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import type { DropReason } from '../lp/drop-reason.ts';
import type { Effects, GatewaySession, RestingSession } from '../lp/session.ts';
import type { Now } from '../lp/time.ts';
import { readLe32 } from '../lp/wire/bytes.ts';
import { IndexTable } from './index-table.ts';
import { type PastSession, RestingSessions } from './resting-sessions.ts';
import type { SessionSlab } from './session-slab.ts';

/** Draws per allocation: with 2²³ indices per slot even a full table leaves a failure to one in millions. */
const MAX_DRAWS = 32;
/**
 * A tick's work is bounded by count, for its time is a stall. Sessions looked at, at least, so that small tables are clean
 * within seconds; objects laid to rest, a microsecond each: 4,096 a second are more than a shard makes. Sessions ended: half
 * a microsecond at rest and a few as objects, and as much for the main thread; a table of more than 300,000 ends as many as
 * one interval of the sweep needs for all of them. So nothing stays beyond its time for longer than one interval, or two where
 * all run out at once; that harms nobody, since a look-up asks for the time.
 */
const MIN_SWEEP = 4_096;
const MAX_LAID = 1_024;
const MIN_ENDED = 256;
/** With each new session: so the sweep keeps pace with whatever comes. */
const LOOKED_PER_SESSION = 8;
const ENDED_PER_SESSION = 2;

/** What an index names: reserved, the object at a place of `awake` (odd numbers), or what rests in a slot (even ones). */
const RESERVED = 0;
const awakeAt = (place: number) => 2 * place + 1;
const restingIn = (slot: number) => 2 * slot + 2;
const isAwake = (entry: number) => (entry & 1) === 1;
const placeOf = (entry: number) => (entry - 1) >> 1;
const slotOf = (entry: number) => (entry - 2) >> 1;

/** Takes packets for an index. */
export type PacketReceiver = Pick<GatewaySession, 'receive'>;

export interface WokenSession extends GatewaySession {
  /** The packet that woke it, opened in place. */
  receiveOpened(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined;
}

export interface SessionTableOptions {
  readonly slots: readonly number[];
  /** Sessions and reserved indices at most. */
  readonly capacity: number;
  /** A number that clients do not know, where they choose indices. */
  readonly seed: number;
}

export interface SessionTableDependencies {
  readonly random: RandomSource;
  readonly slab: SessionSlab;
  /** Opens a packet for a session at rest in place, and changes nothing else. */
  readonly open: (resting: RestingSession, packet: Uint8Array) => DropReason | undefined;
  readonly wake: (resting: RestingSession) => WokenSession;
  /** A session has ended at rest: its index is free, and its family is over. */
  readonly ended: (past: PastSession) => void;
}

export class SessionTable {
  private readonly indices: IndexTable;
  /** Without gaps: the last one takes the place of one that leaves. */
  private readonly awake: GatewaySession[] = [];
  private readonly resting: RestingSessions;
  private readonly options: SessionTableOptions;
  private readonly dependencies: SessionTableDependencies;
  private readonly draw = new Uint8Array(4);
  /** The sweep goes down from here, so that who changes places was looked at before. */
  private swept = 0;

  constructor(options: SessionTableOptions, dependencies: SessionTableDependencies) {
    if (options.slots.length === 0) throw new Error('a shard needs a slot');
    this.options = options;
    this.dependencies = dependencies;
    this.indices = new IndexTable(options.seed);
    this.resting = new RestingSessions(dependencies.slab);
  }

  get size(): number {
    return this.awake.length + this.resting.size;
  }

  /** How many of the sessions are at rest. */
  get atRest(): number {
    return this.resting.size;
  }

  private get full(): boolean {
    return this.indices.size >= this.options.capacity;
  }

  /** A free index, reserved from now on; `undefined` at the bound. */
  reserve(): number | undefined {
    if (this.full) return undefined;
    const { slots } = this.options;
    for (let i = 0; i < MAX_DRAWS; i++) {
      this.dependencies.random.fill(this.draw);
      this.draw[0] = slots[(this.draw[0] ?? 0) % slots.length] ?? 0;
      const index = (readLe32(this.draw, 0) | 0x8000_0000) >>> 0;
      if (this.has(index)) continue;
      this.indices.set(index, RESERVED);
      return index;
    }
    return undefined;
  }

  /** Reserves this very index; false when it is taken, and at the bound. */
  claim(index: number): boolean {
    if (this.has(index) || this.full) return false;
    this.indices.set(index, RESERVED);
    return true;
  }

  /** Live or reserved. */
  has(index: number): boolean {
    return this.indices.has(index);
  }

  unreserve(index: number): void {
    if (this.indices.get(index) === RESERVED) this.indices.delete(index);
  }

  /** The index was reserved. */
  add(session: GatewaySession, nowMs: number): void {
    this.resting.sweep(nowMs, LOOKED_PER_SESSION, ENDED_PER_SESSION, this.past);
    this.put(session);
  }

  /** The index stays reserved until `unreserve`. */
  remove(session: GatewaySession): void {
    const entry = this.indices.get(session.index) ?? RESERVED;
    if (!isAwake(entry) || this.awake[placeOf(entry)] !== session) return;
    this.free(placeOf(entry));
    this.indices.set(session.index, RESERVED);
  }

  find(index: number, nowMs: number, effects: Effects): PacketReceiver | undefined {
    const entry = this.indices.get(index) ?? RESERVED;
    if (entry === RESERVED) return undefined;
    if (!isAwake(entry)) return this.findResting(slotOf(entry), nowMs);
    const session = this.awake[placeOf(entry)];
    if (session?.expired(nowMs) !== true) return session;
    session.expire(effects);
    return undefined;
  }

  /** One slice: all sessions are looked at once in `ticks` calls, unless too many of them have to be ended. */
  sweep(nowMs: number, ticks: number, effects: Effects): void {
    const { slots } = this.dependencies.slab;
    const most = Math.max(MIN_ENDED, Math.ceil(slots / ticks));
    const left = this.sweepAwake(nowMs, ticks, most, effects);
    this.resting.sweep(nowMs, Math.max(MIN_SWEEP, Math.ceil(slots / ticks)), left, this.past);
  }

  /** Returns how many sessions may still be ended. */
  private sweepAwake(nowMs: number, ticks: number, most: number, effects: Effects): number {
    const { awake } = this;
    let toEnd = most;
    let toLay = MAX_LAID;
    let looks = Math.min(awake.length, Math.max(MIN_SWEEP, Math.ceil(awake.length / ticks)));
    for (; looks > 0 && toEnd > 0 && toLay > 0; looks--) {
      if (this.swept <= 0 || this.swept > awake.length) this.swept = awake.length;
      const session = awake[--this.swept];
      if (session === undefined) break;
      if (session.expired(nowMs)) {
        session.expire(effects);
        toEnd--;
      } else if (this.layToRest(session, nowMs, this.swept)) toLay--;
    }
    return toEnd;
  }

  private layToRest(session: GatewaySession, nowMs: number, place: number): boolean {
    const resting = session.rest(nowMs);
    if (resting === undefined) return false;
    this.free(place);
    this.resting.add(resting);
    this.indices.set(resting.index, restingIn(resting.place.slot));
    return true;
  }

  private put(session: GatewaySession): void {
    this.indices.set(session.index, awakeAt(this.awake.length));
    this.awake.push(session);
  }

  private free(place: number): void {
    const last = this.awake.pop();
    if (last === undefined || place === this.awake.length) return;
    this.awake[place] = last;
    this.indices.set(last.index, awakeAt(place));
  }

  private findResting(slot: number, nowMs: number): PacketReceiver | undefined {
    if (!this.resting.expired(slot, nowMs)) {
      return { receive: (packet, now, effects) => this.receiveAtRest(slot, packet, now, effects) };
    }
    this.past(this.resting.end(slot));
    return undefined;
  }

  /** A forged packet wakes nothing: it would cost time and memory for each of a million. */
  private receiveAtRest(slot: number, packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    const resting = this.resting.read(slot);
    return this.dependencies.open(resting, packet) ?? this.wake(resting).receiveOpened(packet, now, effects);
  }

  private wake(resting: RestingSession): WokenSession {
    const session = this.dependencies.wake(resting);
    this.resting.forget(resting.place.slot);
    this.put(session);
    return session;
  }

  private readonly past = (past: PastSession): void => {
    this.indices.delete(past.index);
    this.dependencies.ended(past);
  };
}
