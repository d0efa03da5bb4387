/**
 * The mailbox of one shard: two lanes, bounded, with one batch in flight. What gathers while the shard works becomes the
 * next batch; order, back-pressure and batching come from that one rule. Packets of live sessions (and H3, which only
 * finishes what was admitted) go first; a batch takes as much handshake work as its budget allows, so a flood of
 * handshakes delays a live session by one such budget at most.
 */
import type { Now } from '../lp/time.ts';
import { InboundWriter, type PacketEnvelope } from '../shard/messages.ts';

export interface MailboxLimits {
  readonly queuedHandshakes: number;
  readonly queuedPackets: number;
  readonly queuedBytes: number;
}

/** A batch that is being filled. */
interface Filling {
  readonly writer: InboundWriter;
  /** Of packets alone: handshakes and answers that go along have bounds of their own. */
  packetBytes: number;
}

interface QueuedHandshake {
  readonly envelope: PacketEnvelope;
  readonly packet: Uint8Array;
  readonly costUs: number;
}

/**
 * Rough cost of handshake packets on a 2024 core, in µs; only their proportion and the budget's size matter. Revise with
 * `lewes_shard_batch_seconds`: its upper end should stay near the budget.
 */
/** `kktV1`: LP1's is signed for each request and, where the client signed it, verified. */
export const HANDSHAKE_COST_US = { hello: 15, kkt: 20, kktV1: 80, h1: 300 } as const;
const HANDSHAKE_BUDGET_US = 4_000;
/**
 * Coalescing: while many connections are open and batches follow each other closely, handshakes wait this long for company,
 * for handing a batch over costs both threads as much as a quarter of a handshake. It is little beside a round trip.
 * With few connections, or when it is quiet, nothing waits, and a packet of a live session never does. Revise with
 * `lewes_shard_batches_total` against `lewes_h1_read_total`: above one it is too short.
 */
const COALESCE_MS = 2;
const QUIET_MS = 20;
/** Handshakes that are worth a batch of their own. */
const WORTH_IT = 16;
/** Transport packets of one batch: about 4 ms of a shard's time. */
const PACKETS_PER_BATCH = 1_024;
/** Reading goes on when the lane is down to this part of its bound. */
const RESUME_AT = 0.5;

export interface MailboxHost {
  now(): Now;
  /** Calls back once after so many milliseconds, unless cancelled. */
  after(ms: number, action: () => void): () => void;
  /** Whether packets of other connections may be expected any moment. */
  crowded(): boolean;
  /** Runs a batch on the shard's thread. */
  run(batch: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** The shard's answer to a batch; called before the next batch leaves. */
  done(result: Uint8Array, batchMs: number): void;
  failed(reason: unknown): void;
}

export class Mailbox {
  private readonly limits: MailboxLimits;
  private readonly host: MailboxHost;
  private handshakes: QueuedHandshake[] = [];
  /** Transport packets and control messages, cut into batches; the last one is being filled. */
  private transport: Filling[] = [];
  private packets = 0;
  private bytes = 0;
  /** How many of the packets are H3. */
  private patient = 0;
  private inFlight = false;
  /** Packets of both lanes in the batch under way. */
  private underWay = 0;
  private scheduled = false;
  private closed = false;
  /** Until the shard's thread answers, packets gather. */
  private opened = false;
  /** Where the tick that waits is. */
  private ticking: Filling | undefined;
  /** Told once when there is room again. */
  private waiting: (() => void)[] = [];
  /** Told once when the next batch leaves. */
  private waitingForBatch: (() => void)[] = [];
  /** Told once when as many batches are through. */
  private unsettled: { readonly batches: number; readonly settled: () => void }[] = [];
  /** Batches that have left. */
  private left = 0;
  private lastBytes = 0;
  private batchSinceMs = 0;
  private lastDoneMs = Number.NEGATIVE_INFINITY;
  /** Cancels the wait for company. */
  private gathering: (() => void) | undefined;

  constructor(limits: MailboxLimits, host: MailboxHost) {
    this.limits = limits;
    this.host = host;
  }

  /** How long the batch in flight has been under way; 0 when there is none. */
  batchAge(nowMs: number): number {
    return this.inFlight ? nowMs - this.batchSinceMs : 0;
  }

  get queuedPackets(): number {
    return this.packets;
  }

  get queuedHandshakes(): number {
    return this.handshakes.length;
  }

  /** Names the batch that is being filled, for whoever counts what he put into it. */
  get filledBatch(): number {
    return this.left;
  }

  get idle(): boolean {
    return !this.inFlight && this.packets === 0 && this.handshakes.length === 0 && this.transport.length === 0;
  }

  /** False when the lane is full: the packet was not taken. */
  offerHandshake(envelope: PacketEnvelope, packet: Uint8Array, costUs: number): boolean {
    if (this.closed || this.handshakes.length >= this.limits.queuedHandshakes) return false;
    this.handshakes.push({ envelope, packet: packet.slice(), costUs });
    this.gather();
    return true;
  }

  /**
   * Always takes the packet; false says that the lane is full now and the connection must not be read further. An H3
   * keeps its order among the packets of live sessions, but waits for company like other handshakes.
   */
  offerTransport(envelope: PacketEnvelope, packet: Uint8Array, isH3 = false): boolean {
    if (this.closed) return true;
    const filling = this.filling();
    const before = filling.writer.length;
    filling.writer.packet(envelope, packet);
    const length = filling.writer.length - before;
    filling.packetBytes += length;
    this.packets++;
    this.bytes += length;
    if (isH3) this.patient++;
    if (isH3) this.gather();
    else this.schedule();
    return this.packets < this.limits.queuedPackets && this.bytes < this.limits.queuedBytes;
  }

  /** Answers to requests; their number is bounded by the requests that the shard has waiting. */
  answer(key: number, kind: number, body: Uint8Array): void {
    if (this.closed) return;
    this.filling().writer.answer(key, kind, body);
    this.schedule();
  }

  kemKey(material: Uint8Array): void {
    this.filling().writer.kemKey(material);
    this.schedule();
  }

  /** An index of this shard's slots that another shard serves; as many wait as there are such indices. */
  reserve(index: number): void {
    if (this.closed) return;
    this.filling().writer.reserve(index);
    this.schedule();
  }

  unreserve(index: number): void {
    if (this.closed) return;
    this.filling().writer.unreserve(index);
    this.schedule();
  }

  /** One tick at most is waiting. */
  tick(): void {
    if (this.ticking !== undefined || this.closed) return;
    this.ticking = this.filling();
    this.ticking.writer.tick();
    this.schedule();
  }

  /** The shard's thread is there: what has gathered leaves. */
  open(): void {
    this.opened = true;
    this.flush();
  }

  whenRoom(resume: () => void): void {
    this.waiting.push(resume);
  }

  /** Told when the batch that is being filled leaves. */
  whenBatchLeaves(resume: () => void): void {
    this.waitingForBatch.push(resume);
  }

  /** Nothing is in the transport lane or under way. A shard that has not started has no session that could act. */
  get settled(): boolean {
    return this.closed || !this.opened || (!this.inFlight && this.transport.length === 0);
  }

  /** Told, never during the call, when all that is in the transport lane now has been through the shard and was read. */
  whenSettled(settled: () => void): void {
    if (this.settled) queueMicrotask(settled);
    else this.unsettled.push({ batches: this.left + this.transport.length, settled });
  }

  /** Seconds until a handshake that is refused now would find its turn. */
  retryAfter(): number {
    const queuedUs = this.handshakes.reduce((sum, handshake) => sum + handshake.costUs, 0);
    return Math.ceil(queuedUs / 1e6) + 1;
  }

  /** Drops what waits; returns how many packets, those of the batch under way included. Nothing is taken afterwards. */
  close(): number {
    const lost = this.packets + this.handshakes.length + this.underWay;
    this.closed = true;
    this.gathering?.();
    this.gathering = undefined;
    this.handshakes = [];
    this.transport = [];
    this.packets = 0;
    this.bytes = 0;
    this.wakeWaiting();
    this.wakeWaitingForBatch();
    this.wakeSettled(Number.POSITIVE_INFINITY);
    return lost;
  }

  private filling(): Filling {
    const last = this.transport.at(-1);
    if (last !== undefined && last.writer.records < PACKETS_PER_BATCH) return last;
    const filling = { writer: new InboundWriter(this.lastBytes), packetBytes: 0 };
    this.transport.push(filling);
    return filling;
  }

  /** What one turn of the loop reads becomes one batch. */
  private schedule(): void {
    if (this.scheduled || this.inFlight || !this.opened) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  /** Handshakes: at the end of the loop's turn, or a little later where that pays. */
  private gather(): void {
    if (this.scheduled || this.inFlight || this.gathering !== undefined || !this.opened) return;
    if (this.coalescingPays()) this.gathering = this.host.after(COALESCE_MS, () => this.flush());
    else this.schedule();
  }

  private coalescingPays(): boolean {
    return this.host.crowded() && this.host.now().monotonicMs - this.lastDoneMs < QUIET_MS;
  }

  private flush(): void {
    this.gathering?.();
    this.gathering = undefined;
    if (this.inFlight || this.closed || !this.opened) return;
    const filling = this.transport.shift();
    if (filling === this.ticking) this.ticking = undefined;
    const writer = filling?.writer ?? new InboundWriter(this.lastBytes);
    const packets = writer.packets;
    this.addHandshakes(writer);
    if (writer.empty) return;
    this.inFlight = true;
    this.underWay = writer.packets;
    this.packets -= packets;
    this.bytes -= filling?.packetBytes ?? 0;
    if (this.packets === 0) this.patient = 0;
    this.lastBytes = Math.min(writer.length, 1 << 20);
    this.left++;
    void this.runBatch(writer);
    this.wakeWaitingForBatch();
  }

  private addHandshakes(writer: InboundWriter): void {
    let budget = HANDSHAKE_BUDGET_US;
    let taken = 0;
    for (const { envelope, packet, costUs } of this.handshakes) {
      if (budget <= 0) break;
      writer.packet(envelope, packet);
      budget -= costUs;
      taken++;
    }
    if (taken > 0) this.handshakes = this.handshakes.slice(taken);
  }

  private async runBatch(writer: InboundWriter): Promise<void> {
    const now = this.host.now();
    this.batchSinceMs = now.monotonicMs;
    try {
      const result = await this.host.run(writer.seal(now));
      this.inFlight = false;
      this.underWay = 0;
      if (this.closed) return;
      this.lastDoneMs = this.host.now().monotonicMs;
      this.host.done(result, this.lastDoneMs - now.monotonicMs);
    } catch (reason) {
      this.inFlight = false;
      if (!this.closed) this.host.failed(reason);
      return;
    }
    // Before the next batch leaves: what was held back may go with it.
    this.wakeSettled(this.left);
    this.next();
    this.makeRoom();
  }

  /** After a batch: what gathered meanwhile leaves, unless it is a few handshakes. */
  private next(): void {
    const handshakes = this.handshakes.length + this.patient;
    const onlyHandshakes = handshakes > 0 && this.packets === this.patient;
    if (onlyHandshakes && handshakes < WORTH_IT && this.coalescingPays()) this.gather();
    else this.flush();
  }

  private makeRoom(): void {
    const { queuedPackets, queuedBytes } = this.limits;
    if (this.waiting.length === 0) return;
    if (this.packets > queuedPackets * RESUME_AT || this.bytes > queuedBytes * RESUME_AT) return;
    this.wakeWaiting();
  }

  private wakeWaiting(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const resume of waiting) resume();
  }

  /** The batches asked for only rise, so those who are due stand first. */
  private wakeSettled(batches: number): void {
    const firstLater = this.unsettled.findIndex((waiting) => waiting.batches > batches);
    const due = this.unsettled.splice(0, firstLater < 0 ? this.unsettled.length : firstLater);
    for (const { settled } of due) settled();
  }

  private wakeWaitingForBatch(): void {
    const waiting = this.waitingForBatch;
    this.waitingForBatch = [];
    for (const resume of waiting) resume();
  }
}
