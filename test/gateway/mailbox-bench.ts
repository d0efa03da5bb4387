/** A mailbox whose batches a test finishes one by one. A turn of the loop is awaited, never time. */
import { HANDSHAKE_COST_US, Mailbox, type MailboxLimits } from '../../src/gateway/mailbox.ts';
import { readInbound } from '../../src/shard/messages.ts';
import { SteppedTimers } from './forward/stepped-timers.ts';

/** One batch under way, unless a test asks for two. */
export const LIMITS: MailboxLimits = {
  queuedHandshakes: 100,
  queuedPackets: 5_000,
  queuedBytes: 10_000_000,
  batches: 1,
};
export const FOLLOWING = { opening: false, newcomer: false };
/** Records of one batch at most. */
export const BATCH = 1_024;

export interface Batch {
  /** First byte of each packet. */
  readonly packets: number[];
  readonly others: string[];
}

export function decode(bytes: Uint8Array): Batch {
  const batch: Batch = { packets: [], others: [] };
  readInbound(bytes, {
    packet: (_, packet) => batch.packets.push(packet[0]! + 256 * packet[1]!),
    tick: () => batch.others.push('tick'),
    answer: (key) => batch.others.push(`answer ${key}`),
    kemKey: () => batch.others.push('kemKey'),
    reserve: (index) => batch.others.push(`reserve ${index}`),
    unreserve: (index) => batch.others.push(`unreserve ${index}`),
  });
  return batch;
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Longer than handshakes wait for company. */
export const GATHERED_MS = 5;

export class Bench {
  readonly mailbox: Mailbox;
  readonly timers = new SteppedTimers();
  readonly batches: Batch[] = [];
  readonly failures: unknown[] = [];
  results = 0;
  onDone: () => void = () => undefined;
  crowded = false;
  private readonly limits: MailboxLimits;
  private readonly underWay: { resolve: (result: Uint8Array) => void; reject: (reason: unknown) => void }[] = [];

  constructor(limits: Partial<MailboxLimits> = {}) {
    this.limits = { ...LIMITS, ...limits };
    this.mailbox = new Mailbox(this.limits, {
      now: () => ({ monotonicMs: 0, unixMs: 0 }),
      crowded: () => this.crowded,
      gone: () => false,
      after: (ms, action) => this.timers.after(ms, action),
      run: (batch) => {
        if (this.underWay.length >= this.limits.batches) throw new Error('too many batches are under way');
        this.batches.push(decode(batch));
        return new Promise((resolve, reject) => this.underWay.push({ resolve, reject }));
      },
      done: () => {
        this.results++;
        this.onDone();
      },
      failed: (reason) => this.failures.push(reason),
    });
    this.mailbox.open();
  }

  /** Whatever waits for its turn or for company leaves, if nothing is under way. */
  async turn(): Promise<void> {
    this.timers.advance(GATHERED_MS);
    await turn();
  }

  get inFlight(): boolean {
    return this.underWay.length > 0;
  }

  async finish(): Promise<void> {
    this.underWay.shift()?.resolve(new Uint8Array(8));
    await turn();
  }

  async fail(reason: unknown): Promise<void> {
    this.underWay.shift()?.reject(reason);
    await turn();
  }

  transport(n: number, length = 2): boolean {
    return this.mailbox.offerTransport(envelope(), numbered(n, length));
  }

  handshake(n: number, costUs: number = HANDSHAKE_COST_US.h1): boolean {
    return this.mailbox.offerHandshake(envelope(), numbered(n), costUs, FOLLOWING);
  }
}

export function envelope() {
  return { connection: 1, source: 1, flags: 0, retryAfterSeconds: 0 };
}

export function numbered(n: number, length = 2): Uint8Array {
  const packet = new Uint8Array(length);
  packet[0] = n & 0xff;
  packet[1] = n >> 8;
  return packet;
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
