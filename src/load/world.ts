/**
 * What everything in one generator thread shares: the clock, the randomness, the gateways that are spoken to, and the list
 * of what has a time to keep. Invariant: nothing waits without being on that list, so that every wait ends; one sweep looks
 * at all of it, which costs less than a timer per operation.
 */
import type { ProtocolVersion } from '../lp/client-handshake.ts';
import type { KnownKemKey, VersionTraits } from '../lp/client-session.ts';
import type { NymCrypto } from '../lp/crypto/nym-provider.ts';
import type { CryptoProvider, KemName, RandomSource } from '../lp/crypto/provider.ts';
import type { Now } from '../lp/time.ts';
import type { LoadTarget } from './plan.ts';

export interface Timed {
  /** Monotonic; a lower bound, asked at every sweep. */
  readonly dueMs: number;
  due(now: Now): void;
}

export class DueList {
  readonly #items = new Set<Timed>();

  add(item: Timed): void {
    this.#items.add(item);
  }

  delete(item: Timed): void {
    this.#items.delete(item);
  }

  sweep(now: Now): void {
    for (const item of this.#items) if (item.dueMs <= now.monotonicMs) item.due(now);
  }
}

/** A gateway as handshakes need it. */
export interface Peer extends LoadTarget {
  readonly x25519: Uint8Array;
  readonly kem: KemName | undefined;
  /** Learnt by the first handshake of the thread. */
  kemKey: KnownKemKey | undefined;
  readonly isEntry: boolean;
}

/** Whatever protocol is spoken. */
export interface ThreadWorld {
  readonly random: RandomSource;
  readonly timeoutMs: number;
  readonly due: DueList;
  readonly gauges: { connections: number; sessions: number };
  now(): Now;
  /** Local address of the next connection; undefined: the system's choice. */
  nextSource(): string | undefined;
  /** Something was read: a good moment to begin what has become due. */
  afterRead(): void;
}

/** For LP1 and LP2. */
export interface World extends ThreadWorld {
  readonly crypto: CryptoProvider;
  readonly protocol: ProtocolVersion;
  readonly traits: VersionTraits;
  /** Each packet has a connection of its own. */
  readonly oneShot: boolean;
}

/** For nodes of the Nym network. */
export interface NymWorld extends ThreadWorld {
  readonly crypto: NymCrypto;
  /** With a known KEM key the two messages of a handshake leave together (nym.md §12). */
  readonly pipelined: boolean;
}
