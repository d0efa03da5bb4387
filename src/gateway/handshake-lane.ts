/**
 * The handshake packets that wait for one shard (lp2.md §4.5): bounded, fair between sources, nothing done too late. Sources
 * take turns of one handshake's work (deficit round robin), each in its own order, so a hello stays ahead of its H1.
 * Every operation takes constant time; a source costs memory only while something of it waits.
 */
import { MAX_HANDSHAKE_PACKET_LENGTH } from '../lp/wire/header.ts';
import type { PacketEnvelope } from '../shard/messages.ts';

export interface HandshakeLaneLimits {
  /**
   * Packets at which a source that has more than its share is refused. Twice as many are the bound: the second half is for
   * sources that have less than their share, so one that floods the lane keeps nobody else out.
   */
  readonly packets: number;
}

/** What a packet is to the lane. */
export interface Standing {
  /** It begins a handshake, whose dearer packet must find room after it. */
  readonly opening: boolean;
  /** Nothing of its source was handled lately. */
  readonly newcomer: boolean;
}

/** Objects that are made once: every handshake packet asks for one. */
const OPENS = { opening: true, newcomer: false };
const OPENS_NEWCOMER = { opening: true, newcomer: true };
const FOLLOWS = { opening: false, newcomer: false };
const FOLLOWS_NEWCOMER = { opening: false, newcomer: true };

export function standingOf(opening: boolean, newcomer: boolean): Standing {
  if (opening) return newcomer ? OPENS_NEWCOMER : OPENS;
  return newcomer ? FOLLOWS_NEWCOMER : FOLLOWS;
}

/** `packet` is valid during the call. `late`: to be given back instead of handled, because nobody waits for it any more. */
export type Visit = (envelope: PacketEnvelope, packet: Uint8Array, late: boolean) => void;

/** Nominal work of a whole handshake, hello and H1: what a turn is worth, and what a source may always have waiting. */
const TURN_US = 315;
const PACKETS_PER_HANDSHAKE = 2;
/**
 * A client repeats after 1, 2, 4 and 8 s (§4). What is answered within the first second is never asked for twice, so the
 * lane holds at most half a second of work at the shard's present speed; the other half is the network's and H3's. Half of
 * that is for everybody, the rest as `HandshakeLaneLimits` says.
 */
const ORDINARY_WAIT_MS = 250;
/**
 * What has waited longer than a client's first pause is not handled: its repeat is on the way or behind it in the queue, and
 * is answered in its stead. That happens only when a shard slows down suddenly, and then it brings the queue back to
 * packets whose clients wait, instead of answering every one of them a second too late for ever.
 */
const LATE_MS = 1_000;
/** Handing back costs next to nothing, and a batch must not fill with it. */
const LATE_COST_US = 5;
/** Bounds as multiples of the ordinary one: for sources below their share, and for newcomers among them. */
const BELOW_SHARE = 1.5;
const NEWCOMER = 2;
/** The rest is for H1: a hello that is taken brings one, and its work would be lost if that found no room. */
const OPENING = 0.75;
/** Packets that a source below its share may have at least: a handshake, and another of somebody at the same address. */
const MIN_SHARE_PACKETS = 4;
/** Nominal per real µs: portable cryptography is 30 times slower than the nominal costs. */
const RATE_MIN = 1 / 128;
const RATE_MAX = 8;
/** A batch is about 4 ms: some 30 ms of memory, longer than a collection of garbage and shorter than anybody's patience. */
const RATE_WEIGHT = 1 / 8;
/** A client's longest pause (§4). */
const MAX_RETRY_AFTER_S = 8;

interface Waiting {
  envelope: PacketEnvelope | undefined;
  /** Kept with the place in the queue, so that a packet costs no allocation. */
  readonly memory: Uint8Array;
  length: number;
  costUs: number;
  sinceMs: number;
  next: Waiting | undefined;
}

/** What waits of one source. */
interface Line {
  source: number;
  first: Waiting | undefined;
  last: Waiting | undefined;
  packets: number;
  workUs: number;
  /** What is left of its turn. */
  creditUs: number;
  next: Line | undefined;
}

export class HandshakeLane {
  private readonly limits: HandshakeLaneLimits;
  /** Whether a connection is closed: then its client asks again on another one. */
  private readonly gone: (connection: number) => boolean;
  private readonly lines = new Map<number, Line>();
  /** Lines in the order of their turns. */
  private firstLine: Line | undefined;
  private lastLine: Line | undefined;
  private turnBegun = false;
  private packets = 0;
  private workUs = 0;
  /** Nominal work that the shard does per real µs. */
  private rate = 1;
  /** More waited than the last batch took: its time shows the shard's speed. */
  private saturated = false;
  /** When the last client that was refused has been told to come back. */
  private promisedMs = Number.NEGATIVE_INFINITY;
  /** To be used again; as many at most as ever waited at once. */
  private freeWaiting: Waiting | undefined;
  private freeLine: Line | undefined;

  constructor(limits: HandshakeLaneLimits, gone: (connection: number) => boolean) {
    this.limits = limits;
    this.gone = gone;
  }

  get length(): number {
    return this.packets;
  }

  /** Nominal µs. */
  get queuedUs(): number {
    return this.workUs;
  }

  /** Sources of which something waits. */
  get sources(): number {
    return this.lines.size;
  }

  /** Nominal µs of work that the shard does per real µs. */
  get speed(): number {
    return this.rate;
  }

  /** Takes a copy of the packet. False: no room for it; nothing was taken, and nothing that was taken before is lost. */
  offer(envelope: PacketEnvelope, packet: Uint8Array, costUs: number, standing: Standing, nowMs: number): boolean {
    const line = this.lines.get(envelope.source);
    if (!this.hasRoom(line, costUs, standing)) return false;
    this.append(line ?? this.addLine(envelope.source), envelope, packet, costUs, nowMs);
    return true;
  }

  /**
   * Whether the source's packet would find room if so many handshakes of others came before it: for those who can be refused
   * before they have sent anything.
   */
  wouldTake(source: number | undefined, costUs: number, standing: Standing, ahead: number): boolean {
    const line = source === undefined ? undefined : this.lines.get(source);
    return this.hasRoom(line, costUs, standing, ahead);
  }

  /** Hands out packets until their work has used up the budget; returns the work, for `done`. */
  take(budgetUs: number, nowMs: number, visit: Visit): number {
    let takenUs = 0;
    let left = budgetUs;
    while (left > 0) {
      const line = this.firstLine;
      if (line === undefined) break;
      if (!this.turnBegun) {
        this.turnBegun = true;
        line.creditUs += TURN_US;
      }
      const waiting = line.first;
      if (waiting?.envelope === undefined) {
        this.endTurn(line);
        continue;
      }
      const late = nowMs - waiting.sinceMs >= LATE_MS || this.gone(waiting.envelope.connection);
      // A turn is good for one packet at least, whatever its cost.
      const price = late ? 0 : Math.min(waiting.costUs, TURN_US);
      if (price > line.creditUs) {
        this.endTurn(line);
        continue;
      }
      line.creditUs -= price;
      left -= late ? LATE_COST_US : waiting.costUs;
      if (!late) takenUs += waiting.costUs;
      visit(waiting.envelope, waiting.memory.subarray(0, waiting.length), late);
      this.removeFirst(line, waiting);
    }
    this.saturated = this.packets > 0;
    return takenUs;
  }

  /** A batch with so much of the lane's work took so long. */
  done(workUs: number, ms: number): void {
    if (!this.saturated || workUs <= 0 || ms <= 0) return;
    const sample = Math.min(RATE_MAX, Math.max(RATE_MIN, workUs / (ms * 1_000)));
    this.rate += (sample - this.rate) * RATE_WEIGHT;
  }

  /**
   * Seconds after which a client that is refused now would find its turn, and a place in that order: those who are refused
   * come back one after the other, as fast as the shard can take them.
   */
  retryAfterSeconds(nowMs: number): number {
    const drainedMs = nowMs + this.workUs / this.rate / 1_000;
    const latestMs = nowMs + MAX_RETRY_AFTER_S * 1_000;
    this.promisedMs = Math.min(latestMs, Math.max(drainedMs, this.promisedMs) + TURN_US / this.rate / 1_000);
    return Math.max(1, Math.ceil((this.promisedMs - nowMs) / 1_000));
  }

  /** Forgets what waits; returns how many packets. */
  clear(): number {
    const { packets } = this;
    this.lines.clear();
    this.firstLine = undefined;
    this.lastLine = undefined;
    this.freeLine = undefined;
    this.freeWaiting = undefined;
    this.turnBegun = false;
    this.packets = 0;
    this.workUs = 0;
    return packets;
  }

  private hasRoom(line: Line | undefined, costUs: number, { opening, newcomer }: Standing, ahead = 0): boolean {
    const packets = this.packets + PACKETS_PER_HANDSHAKE * ahead + 1;
    const workUs = this.workUs + TURN_US * ahead + costUs;
    const roomUs = ORDINARY_WAIT_MS * 1_000 * this.rate;
    const part = opening ? OPENING : 1;
    const used = Math.max(packets / this.limits.packets, workUs / roomUs);
    if (used <= part) return true;
    if (used > part * (newcomer ? NEWCOMER : BELOW_SHARE)) return false;
    const lines = this.lines.size + (line === undefined ? 1 : 0);
    // Alone, it has had the whole ordinary room.
    if (lines === 1) return false;
    const ownPackets = (line?.packets ?? 0) + 1;
    const ownUs = (line?.workUs ?? 0) + costUs;
    return (
      ownPackets <= Math.max(MIN_SHARE_PACKETS, (part * this.limits.packets) / lines) &&
      ownUs <= Math.max(TURN_US, (part * roomUs) / lines)
    );
  }

  private append(line: Line, envelope: PacketEnvelope, packet: Uint8Array, costUs: number, sinceMs: number): void {
    const waiting = this.freeWaiting ?? {
      envelope,
      memory: new Uint8Array(MAX_HANDSHAKE_PACKET_LENGTH),
      length: 0,
      costUs,
      sinceMs,
      next: undefined,
    };
    this.freeWaiting = waiting.next;
    waiting.envelope = envelope;
    waiting.memory.set(packet);
    waiting.length = packet.length;
    waiting.costUs = costUs;
    waiting.sinceMs = sinceMs;
    waiting.next = undefined;
    if (line.last === undefined) line.first = waiting;
    else line.last.next = waiting;
    line.last = waiting;
    line.packets++;
    line.workUs += costUs;
    this.packets++;
    this.workUs += costUs;
  }

  private removeFirst(line: Line, waiting: Waiting): void {
    line.first = waiting.next;
    if (line.first === undefined) line.last = undefined;
    line.packets--;
    line.workUs -= waiting.costUs;
    this.packets--;
    this.workUs -= waiting.costUs;
    waiting.envelope = undefined;
    waiting.next = this.freeWaiting;
    this.freeWaiting = waiting;
  }

  private addLine(source: number): Line {
    const line = this.freeLine ?? {
      source,
      first: undefined,
      last: undefined,
      packets: 0,
      workUs: 0,
      creditUs: 0,
      next: undefined,
    };
    this.freeLine = line.next;
    line.source = source;
    line.creditUs = 0;
    line.next = undefined;
    this.lines.set(source, line);
    this.enqueue(line);
    return line;
  }

  private enqueue(line: Line): void {
    if (this.lastLine === undefined) this.firstLine = line;
    else this.lastLine.next = line;
    this.lastLine = line;
  }

  /** The first line goes to the end of the queue, or leaves it when it is empty. */
  private endTurn(line: Line): void {
    this.turnBegun = false;
    this.firstLine = line.next;
    if (this.firstLine === undefined) this.lastLine = undefined;
    line.next = undefined;
    if (line.first !== undefined) {
      this.enqueue(line);
      return;
    }
    this.lines.delete(line.source);
    line.next = this.freeLine;
    this.freeLine = line;
  }
}
