/**
 * The acceptor's books where LP1 is admitted: what it reserves and routes for each packet before the shard sees any of the
 * batch, what comes back, and which indices clients claim for new sessions. The shard is right when each reservation comes
 * back once, and what is routed is what it holds.
 */
import { readLe32 } from '../../src/lp/wire/bytes.ts';
import { headerFault } from '../../src/lp/wire/header.ts';
import {
  BOOTSTRAP_INDEX,
  counterOf,
  isSessionIndex,
  receiverIndex,
  TYPE,
  typeOf,
  VERSION_1,
  versionOf,
} from '../../src/lp/wire/packet.ts';
import { ADMIT, InboundWriter, RELEASE, REQUEST } from '../../src/shard/messages.ts';
import { answerIndex } from './lp1-shard.ts';
import { must } from './property.ts';
import type { Effect, ShardHarness } from './shard-harness.ts';
import { indicesOf } from './shard-state.ts';

export const GRANT_ALL = ADMIT.token | ADMIT.session | ADMIT.record;

export class Lp1Acceptor {
  /** Index → whether it is a session's. */
  readonly routed = new Map<number, boolean>();
  /** Places taken: `session 3` → 2. */
  readonly places = new Map<string, number>();
  /** Given with packets, less those that came back. */
  tokens = 0;
  /** Requests that wait for registrar or forwarder. */
  readonly requests: number[] = [];
  /** Claims that wait for the router, by the key of their request. */
  readonly claims = new Map<number, number>();
  private readonly harness: ShardHarness;
  private batch = new InboundWriter();

  constructor(harness: ShardHarness) {
    this.harness = harness;
  }

  /** Puts a packet into the batch that gathers, with what `grant` leaves of its flags. */
  take(packet: Uint8Array, source: number, grant = GRANT_ALL): void {
    if (headerFault(packet, 0, packet.length, this.isLive(receiverIndex(packet))) !== undefined) return;
    const flags = this.flagsFor(packet) & grant;
    if (flags & ADMIT.record) {
      this.reserve('record', source, 1);
      const proposed = readLe32(packet, 18);
      const v1 = versionOf(packet) === VERSION_1;
      const possible = proposed !== BOOTSTRAP_INDEX && (v1 || !isSessionIndex(proposed));
      if (possible && !this.routed.has(proposed)) this.routed.set(proposed, false);
    }
    if (flags & ADMIT.session) this.reserve('session', source, 1);
    if (flags & ADMIT.token) this.tokens++;
    this.batch.packet({ connection: 1, source, flags, retryAfterSeconds: 1 }, packet);
  }

  flush(): Effect[] {
    const { batch } = this;
    this.batch = new InboundWriter();
    return this.book(this.harness.handle(batch));
  }

  /** What the router says to a claim; `elsewhere`: another shard has the index. */
  settleClaim(key: number, elsewhere: boolean): Effect[] {
    const index = this.claims.get(key);
    must(index !== undefined, 'the claim is there');
    const granted = !elsewhere && !this.routed.has(index);
    if (granted) this.routed.set(index, true);
    this.claims.delete(key);
    return this.book(answerIndex(this.harness, key, granted));
  }

  book(effects: Effect[]): Effect[] {
    for (const effect of effects) {
      if (effect.kind === 'indexTaken') this.routed.set(effect.index, effect.live);
      else if (effect.kind === 'indexFree') this.routed.delete(effect.index);
      else if (effect.kind === 'release') this.release(effect.release, effect.source);
      else if (effect.kind === 'request' && effect.request === REQUEST.index) {
        this.claims.set(effect.key, readLe32(effect.body, 0));
      } else if (effect.kind === 'request') this.requests.push(effect.key);
    }
    this.check();
    return effects;
  }

  /** As acceptor.ts decides it from header, version and type. */
  private flagsFor(packet: Uint8Array): number {
    const index = receiverIndex(packet);
    if (index === BOOTSTRAP_INDEX) return ADMIT.record;
    if (this.isLive(index)) return 0;
    const isNoise = typeOf(packet) === TYPE.handshake;
    if (counterOf(packet) === 2) return 0;
    if (isNoise && counterOf(packet) === 1) return ADMIT.token | ADMIT.session;
    return versionOf(packet) === VERSION_1 && typeOf(packet) === TYPE.kktRequest ? ADMIT.token : 0;
  }

  /** Of one that is not routed bit 31 decides: its packet meets the shard's word that the index is free. */
  private isLive(index: number): boolean {
    return this.routed.get(index) ?? isSessionIndex(index);
  }

  private release(kind: number, source: number): void {
    if (kind === RELEASE.token) this.tokens--;
    else this.reserve(kind === RELEASE.session ? 'session' : 'record', source, -1);
    must(this.tokens >= 0, 'more tokens came back than were given');
  }

  private reserve(kind: 'session' | 'record', source: number, n: number): void {
    const key = `${kind} ${source}`;
    const left = (this.places.get(key) ?? 0) + n;
    must(left >= 0, `source ${source} got back a ${kind}'s place that it had not taken`);
    if (left === 0) this.places.delete(key);
    else this.places.set(key, left);
  }

  /** A claim holds its index in the shard before it is routed there. */
  private check(): void {
    const held = indicesOf(this.harness.shard);
    const known = new Set([...this.routed.keys(), ...this.claims.values()]);
    must(held.size === known.size && [...held].every((index) => known.has(index)), () => {
      const lost = [...held].filter((index) => !known.has(index));
      const stale = [...known].filter((index) => !held.has(index));
      return `routed indices differ: not routed ${lost}, no longer held ${stale}`;
    });
  }
}
