/** A lane whose packets are numbered: what leaves it, in time or late. */
import { HandshakeLane, type Standing } from '../../src/gateway/handshake-lane.ts';

export const PLAIN: Standing = { opening: false, newcomer: false };

export class LaneBench {
  readonly lane: HandshakeLane;
  /** Closed connections; each source has one, of the same number. */
  readonly gone = new Set<number>();
  late: number[] = [];

  constructor(packets: number) {
    this.lane = new HandshakeLane({ packets }, (connection) => this.gone.has(connection));
  }

  offer(source: number, n: number, costUs: number, standing = PLAIN, nowMs = 0): boolean {
    const envelope = { connection: source, source, flags: 0, retryAfterSeconds: 0 };
    return this.lane.offer(envelope, Uint8Array.of(n & 0xff, n >> 8), costUs, standing, nowMs);
  }

  /** Numbers of the packets that are to be handled. */
  take(budgetUs: number, nowMs = 0): number[] {
    const taken: number[] = [];
    this.lane.take(budgetUs, nowMs, (_, packet, late) => {
      const n = (packet[0] ?? 0) + 256 * (packet[1] ?? 0);
      (late ? this.late : taken).push(n);
    });
    return taken;
  }
}
