/**
 * The acceptor's side of the seam as far as its books go: what it reserves for a packet by the header alone, what comes
 * back, and which indices are routed to the shard. The shard is right when in the end nothing is reserved and no index is
 * routed, and at any time the routed ones are those it holds.
 */
import {
  BOOTSTRAP_INDEX,
  isSessionIndex,
  receiverIndex,
  TYPE,
  typeOf,
  VERSION_1,
  versionOf,
} from '../../src/lp/wire/packet.ts';
import { ADMIT, RELEASE } from '../../src/shard/messages.ts';
import { must } from './property.ts';
import type { Effect, ShardHarness } from './shard-harness.ts';
import { indicesOf } from './shard-state.ts';

const KINDS = ['session', 'record'] as const;
export type Reserved = (typeof KINDS)[number];

export class AcceptorModel {
  readonly routed = new Set<number>();
  /** Places taken, by kind and source: `session 3` → 2. */
  readonly places = new Map<string, number>();
  /** Tokens given with packets less those that came back. */
  tokens = 0;
  /** Which of the routed ones are sessions'. */
  private readonly live = new Set<number>();
  private readonly harness: ShardHarness;
  private readonly lp1: boolean;

  constructor(harness: ShardHarness, lp1 = false) {
    this.harness = harness;
    this.lp1 = lp1;
  }

  /** What admission would reserve: a record for a hello, token and session's place for what may be an H1. */
  flagsFor(packet: Uint8Array): number {
    const index = receiverIndex(packet);
    if (index === BOOTSTRAP_INDEX) return ADMIT.record;
    if (this.routed.has(index) ? this.live.has(index) : isSessionIndex(index)) return 0;
    if (this.isV1(packet) && typeOf(packet) === TYPE.kktRequest) return ADMIT.token;
    return packet[4] === 1 ? ADMIT.token | ADMIT.session : 0;
  }

  /** Hands a packet over with what `grant` leaves of the flags, and books all that happens. */
  send(packet: Uint8Array, source: number, grant = ADMIT.token | ADMIT.session | ADMIT.record): Effect[] {
    const flags = this.flagsFor(packet) & grant;
    if (flags & ADMIT.record) {
      this.take('record', source, 1);
      // A hello's index is routed ahead, for the H1 that comes with it; LP2's session indices never are.
      const proposed = new DataView(packet.buffer, packet.byteOffset).getUint32(18, true);
      const possible = proposed !== BOOTSTRAP_INDEX && (this.isV1(packet) || !isSessionIndex(proposed));
      if (possible) this.routed.add(proposed);
    }
    if (flags & ADMIT.session) this.take('session', source, 1);
    if (flags & ADMIT.token) this.tokens++;
    return this.book(this.harness.packet(packet.slice(), { source, flags }));
  }

  tick(): Effect[] {
    return this.book(this.harness.tick());
  }

  book(effects: Effect[]): Effect[] {
    for (const effect of effects) {
      if (effect.kind === 'indexTaken') this.route(effect);
      else if (effect.kind === 'indexFree') {
        this.routed.delete(effect.index);
        this.live.delete(effect.index);
      } else if (effect.kind === 'release') this.release(effect.release, effect.source);
    }
    this.check();
    return effects;
  }

  total(kind: Reserved): number {
    let total = 0;
    for (const [key, n] of this.places) if (key.startsWith(kind)) total += n;
    return total;
  }

  private isV1(packet: Uint8Array): boolean {
    return this.lp1 && versionOf(packet) === VERSION_1;
  }

  private route(effect: Extract<Effect, { index: number }>): void {
    const { index } = effect;
    this.routed.add(index);
    const live = 'live' in effect ? effect.live === true : isSessionIndex(index);
    if (live) this.live.add(index);
    else this.live.delete(index);
  }

  private release(kind: number, source: number): void {
    if (kind === RELEASE.token) this.tokens--;
    else this.take(kind === RELEASE.session ? 'session' : 'record', source, -1);
    must(this.tokens >= 0, 'more tokens came back than were given');
  }

  private take(kind: Reserved, source: number, n: number): void {
    const key = `${kind} ${source}`;
    const left = (this.places.get(key) ?? 0) + n;
    must(left >= 0, `source ${source} got back a ${kind}'s place that it had not taken`);
    if (left === 0) this.places.delete(key);
    else this.places.set(key, left);
  }

  private check(): void {
    const held = indicesOf(this.harness.shard);
    must(held.size === this.routed.size && [...held].every((index) => this.routed.has(index)), () => {
      const lost = [...held].filter((index) => !this.routed.has(index));
      const stale = [...this.routed].filter((index) => !held.has(index));
      return `routed indices differ: not routed ${lost}, no longer held ${stale}`;
    });
  }
}
