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

interface QueuedHandshake {
  readonly envelope: PacketEnvelope;
  readonly packet: Uint8Array;
  readonly costUs: number;
}

/**
 * Rough cost of handshake packets on a 2024 core, in µs; only their proportion and the budget's size matter. Revise with
 * `lewes_shard_batch_seconds`: its upper end should stay near the budget.
 */
export const HANDSHAKE_COST_US = { hello: 15, kkt: 20, h1: 300 } as const;
const HANDSHAKE_BUDGET_US = 4_000;
/** Transport packets of one batch: about 4 ms of a shard's time. */
const PACKETS_PER_BATCH = 1_024;
/** Reading goes on when the lane is down to this part of its bound. */
const RESUME_AT = 0.5;

export interface MailboxHost {
  now(): Now;
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
  private transport: InboundWriter[] = [];
  private packets = 0;
  private bytes = 0;
  private inFlight = false;
  private scheduled = false;
  private closed = false;
  /** Until the shard's thread answers, packets gather. */
  private opened = false;
  private tickQueued = false;
  /** Told once when there is room again. */
  private waiting: (() => void)[] = [];
  private lastBytes = 0;

  constructor(limits: MailboxLimits, host: MailboxHost) {
    this.limits = limits;
    this.host = host;
  }

  get queuedPackets(): number {
    return this.packets;
  }

  get queuedHandshakes(): number {
    return this.handshakes.length;
  }

  get idle(): boolean {
    return !this.inFlight && this.packets === 0 && this.handshakes.length === 0 && this.transport.length === 0;
  }

  /** False when the lane is full: the packet was not taken. */
  offerHandshake(envelope: PacketEnvelope, packet: Uint8Array, costUs: number): boolean {
    if (this.closed || this.handshakes.length >= this.limits.queuedHandshakes) return false;
    this.handshakes.push({ envelope, packet: packet.slice(), costUs });
    this.schedule();
    return true;
  }

  /** Always takes the packet; false says that the lane is full now and the connection must not be read further. */
  offerTransport(envelope: PacketEnvelope, packet: Uint8Array): boolean {
    if (this.closed) return true;
    const writer = this.writer();
    const before = writer.length;
    writer.packet(envelope, packet);
    this.packets++;
    this.bytes += writer.length - before;
    this.schedule();
    return this.packets < this.limits.queuedPackets && this.bytes < this.limits.queuedBytes;
  }

  /** Answers to requests; their number is bounded by the requests that the shard has waiting. */
  answer(key: number, kind: number, body: Uint8Array): void {
    if (this.closed) return;
    this.writer().answer(key, kind, body);
    this.schedule();
  }

  kemKey(material: Uint8Array): void {
    this.writer().kemKey(material);
    this.schedule();
  }

  /** One tick at most is waiting. */
  tick(): void {
    if (this.tickQueued || this.closed) return;
    this.tickQueued = true;
    this.writer().tick();
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

  /** Seconds until a handshake that is refused now would find its turn. */
  retryAfter(): number {
    const queuedUs = this.handshakes.reduce((sum, handshake) => sum + handshake.costUs, 0);
    return Math.ceil(queuedUs / 1e6) + 1;
  }

  /** Drops what waits; returns how many packets. Nothing is taken afterwards. */
  close(): number {
    const lost = this.packets + this.handshakes.length;
    this.closed = true;
    this.handshakes = [];
    this.transport = [];
    this.packets = 0;
    this.bytes = 0;
    this.wakeWaiting();
    return lost;
  }

  private writer(): InboundWriter {
    const last = this.transport.at(-1);
    if (last !== undefined && last.records < PACKETS_PER_BATCH) return last;
    const writer = new InboundWriter(this.lastBytes);
    this.transport.push(writer);
    return writer;
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

  private flush(): void {
    if (this.inFlight || this.closed || !this.opened) return;
    const writer = this.transport.shift() ?? new InboundWriter(this.lastBytes);
    this.tickQueued = this.tickQueued && this.transport.length > 0;
    const packets = writer.packets;
    this.addHandshakes(writer);
    if (writer.empty) return;
    this.inFlight = true;
    this.packets -= packets;
    this.bytes = this.packets === 0 ? 0 : Math.max(0, this.bytes - writer.length);
    this.lastBytes = Math.min(writer.length, 1 << 20);
    void this.runBatch(writer);
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
    try {
      const result = await this.host.run(writer.seal(now));
      this.inFlight = false;
      if (this.closed) return;
      this.host.done(result, this.host.now().monotonicMs - now.monotonicMs);
    } catch (reason) {
      this.inFlight = false;
      if (!this.closed) this.host.failed(reason);
      return;
    }
    this.flush();
    this.makeRoom();
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
}
