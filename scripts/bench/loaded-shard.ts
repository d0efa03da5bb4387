/**
 * A shard that can be given sessions without handshakes: true families in its own tables, as an accepted H3 makes them, at a
 * hundred times the speed. They leave no garbage of clients behind, so what memory grows by is theirs. It reaches into the
 * shard's private parts, which is why only benchmarks have it.
 */
import type { ResponderContext } from '../../src/lp/responder-context.ts';
import type { Effects } from '../../src/lp/session.ts';
import type { Now } from '../../src/lp/time.ts';
import { GatewayFamily } from '../../src/lp/v2/gateway-family.ts';
import { GatewaySessionV2 } from '../../src/lp/v2/gateway-session.ts';
import { Shard } from '../../src/shard/shard.ts';

interface PrivateParts {
  readonly context: ResponderContext;
  families: number;
  now: Now;
}

/** In one tick; each leaves a record in its batch. */
const LOADED_PER_TICK = 20_000;
/** Ticks after which these have come to rest: 15 seconds, so a million come at the pace of a busy shard's handshakes. */
export const TICKS_BETWEEN_LOADS = 60;
const EARLY_FRAME = new Uint8Array(0);
const PEER = new Uint8Array(32).fill(6);
const SECRETS = {
  initiatorToResponder: new Uint8Array(32).fill(1),
  responderToInitiator: new Uint8Array(32).fill(2),
  chain: new Uint8Array(32).fill(3),
};

export class LoadedShard extends Shard {
  private toLoad = 0;
  private ticksToWait = 0;
  private idling = false;

  /** So many sessions come with the next ticks. */
  load(sessions: number): void {
    this.ticksToWait = 0;
    this.toLoad += sessions;
  }

  get loading(): boolean {
    return this.toLoad > 0;
  }

  override tick(): void {
    const parts = this as unknown as PrivateParts;
    this.ticksToWait--;
    if (!this.idling && this.ticksToWait <= 0) {
      const n = Math.min(this.toLoad, LOADED_PER_TICK);
      this.toLoad -= n;
      for (let i = 0; i < n; i++) this.loadOne(parts);
      parts.families += n;
      this.ticksToWait = TICKS_BETWEEN_LOADS;
    }
    super.tick();
  }

  /** Lets time pass for it alone, tick by tick, as if no packet came; nothing is loaded meanwhile. */
  idle(ticks: number, tickMs: number): void {
    const parts = this as unknown as PrivateParts;
    this.idling = true;
    for (let i = 0; i < ticks; i++) {
      const { monotonicMs, unixMs } = parts.now;
      parts.now = { monotonicMs: monotonicMs + tickMs, unixMs: unixMs + tickMs };
      this.tick();
    }
    this.idling = false;
  }

  private loadOne({ context, now }: PrivateParts): void {
    const index = context.allocateIndex();
    if (index === undefined) throw new Error('the shard has no place for another session');
    const unexpected = () => {
      throw new Error('a session that is loaded has no such effect');
    };
    const effects: Effects = {
      reply: () => undefined,
      noAnswer: unexpected,
      request: unexpected,
      addSession: (session) => {
        // Used once: it lives its whole idle time and not the five minutes of one that was never used.
        if (session instanceof GatewaySessionV2) session.touch(now.monotonicMs);
        this.addSession(session);
      },
      removeSession: unexpected,
      familyEnded: unexpected,
      earlyReplyPending: unexpected,
      note: unexpected,
    };
    const origin = { index, secrets: SECRETS, peerStatic: PEER, source: 1 };
    // The record of its handshake is gone.
    GatewayFamily.fromHandshake(context, origin, EARLY_FRAME, now, effects).forgetReplyToH3();
  }
}
