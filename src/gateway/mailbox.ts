/**
 * The mailbox of one shard: two lanes, bounded, with two batches under way at most: the one that the shard works on, and the
 * one that it finds when it is done. What gathers meanwhile becomes the next batch; order, back-pressure and batching
 * come from that one rule. Packets of live sessions (and H3, which only finishes what was admitted) go first; a batch
 * takes as much handshake work as its budget allows, so a flood of handshakes delays a live session by two such budgets.
 */
import type { Now } from '../lp/time.ts';
import { ADMIT, InboundWriter, type PacketEnvelope } from '../shard/messages.ts';
import { writeStreamAnswer, writeStreamClosed } from '../shard/stream-messages.ts';
import { HandshakeLane, type Standing } from './handshake-lane.ts';

export interface MailboxLimits {
  readonly queuedHandshakes: number;
  readonly queuedPackets: number;
  readonly queuedBytes: number;
  /** Batches under way at once: two keep the shard at work while the next one is handed over. */
  readonly batches: number;
}

/** A batch that is being filled. */
interface Filling {
  readonly writer: InboundWriter;
  /** Of packets alone: handshakes and answers that go along have bounds of their own. */
  packetBytes: number;
}

/** A batch that the shard has not answered yet. */
interface UnderWay {
  readonly packets: number;
  /** Nominal work of the handshake lane in it. */
  readonly workUs: number;
}

/**
 * Rough cost of handshake packets on a 2024 core, in µs; only their proportion and the budget's size matter. Revise with
 * `lewes_shard_batch_seconds`: its upper end should stay near the budget.
 */
/** `kktV1`: LP1's is signed for each request and, where the client signed it, verified. Nym's two make one handshake. */
export const HANDSHAKE_COST_US = { hello: 15, kkt: 20, kktV1: 80, h1: 300, nymKkt: 60, nymPsq: 250 } as const;
/** Of a shard at nominal speed, in all batches under way. */
const HANDSHAKE_BUDGET_US = 3_000;
/** Two handshakes: enough for the shard to go on with while the next batch is handed over. */
const MIN_BUDGET_US = 600;
/**
 * Coalescing: while many connections are open and batches follow each other closely, handshakes wait this long for company,
 * for waking two threads costs as much as a tenth of a handshake. It is little beside a round trip.
 * With few connections, or when it is quiet, nothing waits, and a packet of a live session never does. Revise with
 * `lewes_shard_batches_total` against `lewes_h1_read_total`: above one it is too short.
 */
const COALESCE_MS = 2;
const QUIET_MS = 20;
/** Handshakes that are worth a batch of their own. */
const WORTH_IT = 16;
/** Transport packets of one batch: about 4 ms of a shard's time. */
const PACKETS_PER_BATCH = 1_024;
/** Of the lane, for those of connections that were accepted and have sent nothing yet: some turns of the loop bring as many. */
const EXPECTED_PART = 1 / 16;
/** Reading goes on when the lane is down to this part of its bound. */
const RESUME_AT = 0.5;

/** One is filled while another waits to be; a lane that was longer gives its memory back. */
const MAX_SPARE = 2;

export interface MailboxHost {
  now(): Now;
  /** Calls back once after so many milliseconds, unless cancelled. */
  after(ms: number, action: () => void): () => void;
  /** Whether packets of other connections may be expected any moment. */
  crowded(): boolean;
  /** Whether the connection is closed. */
  gone(connection: number): boolean;
  /** Runs a batch on the shard's thread, after those before it; copies it at once. */
  run(batch: Uint8Array): Promise<Uint8Array>;
  /** The shard's answer to a batch; called before the next batch leaves. */
  done(result: Uint8Array, batchMs: number): void;
  failed(reason: unknown): void;
}

export class Mailbox {
  private readonly limits: MailboxLimits;
  private readonly host: MailboxHost;
  private readonly handshakes: HandshakeLane;
  /** Transport packets and control messages, cut into batches; the last one is being filled. */
  private transport: Filling[] = [];
  private packets = 0;
  private bytes = 0;
  /** How many of the packets are H3. */
  private patient = 0;
  /** In the order in which they left. */
  private readonly underWay: UnderWay[] = [];
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
  /** Batches that have left, and that were answered. */
  private left = 0;
  private answered = 0;
  /** Writers of batches that have left, to be filled again. */
  private readonly spare: InboundWriter[] = [];
  /** Since when the shard has worked on the first of the batches under way. */
  private batchSinceMs = 0;
  private lastDoneMs = Number.NEGATIVE_INFINITY;
  /** Cancels the wait for company. */
  private gathering: (() => void) | undefined;

  constructor(limits: MailboxLimits, host: MailboxHost) {
    this.limits = limits;
    this.host = host;
    this.handshakes = new HandshakeLane({ packets: limits.queuedHandshakes }, (connection) => host.gone(connection));
  }

  /** Since when the shard has worked on its batch; `undefined` when it has none. */
  get workingSinceMs(): number | undefined {
    return this.working ? this.batchSinceMs : undefined;
  }

  get queuedPackets(): number {
    return this.packets;
  }

  get queuedHandshakes(): number {
    return this.handshakes.length;
  }

  /** Nominal µs of the handshakes that wait. */
  get queuedHandshakeUs(): number {
    return this.handshakes.queuedUs;
  }

  /** Names the batch that is being filled, for whoever counts what he put into it. */
  get filledBatch(): number {
    return this.left;
  }

  get idle(): boolean {
    return !this.working && this.packets === 0 && this.handshakes.length === 0 && this.transport.length === 0;
  }

  /** False when the lane has no room for it: the packet was not taken. */
  offerHandshake(envelope: PacketEnvelope, packet: Uint8Array, costUs: number, standing: Standing): boolean {
    if (this.closed) return false;
    const taken = this.handshakes.offer(envelope, packet, costUs, standing, this.host.now().monotonicMs);
    if (taken) this.gather();
    return taken;
  }

  /** Whether a hello of the source would find room now; of one that nothing is known of, without a number. */
  takesHello(source: number | undefined, standing: Standing): boolean {
    const expected = Math.floor(EXPECTED_PART * this.limits.queuedHandshakes);
    return !this.closed && this.handshakes.wouldTake(source, HANDSHAKE_COST_US.hello, standing, expected);
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

  /** One for each Nym connection that the shard may know of. */
  streamClosed(connection: number): void {
    if (this.closed) return;
    writeStreamClosed(this.filling().writer, connection);
    this.schedule();
  }

  /** One of a Nym connection waits at most. */
  streamAnswer(connection: number, kind: number, body: Uint8Array): void {
    if (this.closed) return;
    writeStreamAnswer(this.filling().writer, connection, kind, body);
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
    return this.closed || !this.opened || (!this.working && this.transport.length === 0);
  }

  /** Told, never during the call, when all that is in the transport lane now has been through the shard and was read. */
  whenSettled(settled: () => void): void {
    if (this.settled) queueMicrotask(settled);
    else this.unsettled.push({ batches: this.left + this.transport.length, settled });
  }

  /** Seconds until a handshake that is refused now would find its turn; each one that asks is given the next. */
  retryAfter(): number {
    return this.handshakes.retryAfterSeconds(this.host.now().monotonicMs);
  }

  /** Drops what waits; returns how many packets, those of batches under way included. Nothing is taken afterwards. */
  close(): number {
    const underWay = this.underWay.reduce((sum, batch) => sum + batch.packets, 0);
    const lost = this.packets + this.handshakes.clear() + underWay;
    this.closed = true;
    this.gathering?.();
    this.gathering = undefined;
    this.transport = [];
    this.packets = 0;
    this.bytes = 0;
    this.wakeWaiting();
    this.wakeWaitingForBatch();
    this.wakeSettled(Number.POSITIVE_INFINITY);
    return lost;
  }

  /** Real time is what a live session waits for, so the budget is what a slow shard does in it, all batches together. */
  private budgetUs(): number {
    let underWay = 0;
    for (const { workUs } of this.underWay) underWay += workUs;
    return Math.max(MIN_BUDGET_US, HANDSHAKE_BUDGET_US * Math.min(1, this.handshakes.speed) - underWay);
  }

  private get working(): boolean {
    return this.underWay.length > 0;
  }

  private filling(): Filling {
    const last = this.transport.at(-1);
    if (last !== undefined && last.writer.records < PACKETS_PER_BATCH) return last;
    const filling = { writer: this.spare.pop() ?? new InboundWriter(), packetBytes: 0 };
    this.transport.push(filling);
    return filling;
  }

  /** What one turn of the loop reads becomes one batch. */
  private schedule(): void {
    if (this.scheduled || this.underWay.length >= this.limits.batches || !this.opened) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  /** Handshakes: at the end of the loop's turn, or a little later where that pays; enough of them for the shard to go on with. */
  private gather(): void {
    if (this.scheduled || this.gathering !== undefined || !this.opened) return;
    if (this.working && this.handshakes.length + this.patient < WORTH_IT) return;
    if (!this.working && this.coalescingPays()) this.gathering = this.host.after(COALESCE_MS, () => this.flush());
    else this.schedule();
  }

  private coalescingPays(): boolean {
    return this.host.crowded() && this.host.now().monotonicMs - this.lastDoneMs < QUIET_MS;
  }

  private flush(): void {
    this.gathering?.();
    this.gathering = undefined;
    if (this.closed || !this.opened || this.underWay.length >= this.limits.batches) return;
    const filling = this.transport.shift();
    if (filling === this.ticking) this.ticking = undefined;
    const writer = filling?.writer ?? this.spare.pop() ?? new InboundWriter();
    const packets = writer.packets;
    const now = this.host.now();
    const workUs = this.handshakes.take(this.budgetUs(), now.monotonicMs, (envelope, packet, late) =>
      writer.packet(late ? { ...envelope, flags: envelope.flags | ADMIT.late } : envelope, packet),
    );
    if (writer.empty) {
      this.spare.push(writer);
      return;
    }
    if (!this.working) this.batchSinceMs = now.monotonicMs;
    this.underWay.push({ packets: writer.packets, workUs });
    this.packets -= packets;
    this.bytes -= filling?.packetBytes ?? 0;
    if (this.packets === 0) this.patient = 0;
    this.left++;
    void this.runBatch(writer.seal(now));
    // It was copied.
    writer.reset();
    if (this.spare.length < MAX_SPARE) this.spare.push(writer);
    this.wakeWaitingForBatch();
  }

  private async runBatch(batch: Uint8Array): Promise<void> {
    try {
      const result = await this.host.run(batch);
      const done = this.underWay.shift();
      if (this.closed || done === undefined) return;
      this.answered++;
      const nowMs = this.host.now().monotonicMs;
      const batchMs = nowMs - this.batchSinceMs;
      this.batchSinceMs = nowMs;
      this.lastDoneMs = nowMs;
      this.handshakes.done(done.workUs, batchMs);
      this.host.done(result, batchMs);
    } catch (reason) {
      if (!this.closed) this.host.failed(reason);
      return;
    }
    // Before the next batch leaves: what was held back may go with it.
    this.wakeSettled(this.answered);
    this.next();
    this.makeRoom();
  }

  /** After a batch: what gathered meanwhile leaves, unless it is a few handshakes. */
  private next(): void {
    const handshakes = this.handshakes.length + this.patient;
    const onlyHandshakes = handshakes > 0 && this.packets === this.patient;
    if (onlyHandshakes && handshakes < WORTH_IT && (this.working || this.coalescingPays())) this.gather();
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
