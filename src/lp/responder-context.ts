/**
 * What all records and sessions of a shard share: keys, limits of time, and the shard's allocators.
 */
import type { CryptoProvider, RandomSource } from './crypto/provider.ts';
import type { KemKeyRing } from './v2/kem-key.ts';
import type { TransportPlace } from './v2/transport.ts';

export interface ResponderIdentity {
  readonly ed25519Public: Uint8Array;
  readonly x25519Public: Uint8Array;
  /** Unclamped, as lp1.md §3.1 converts it. */
  readonly x25519Secret: Uint8Array;
}

/** lp2.md §7 and §4.5, in milliseconds. */
export interface Lifetimes {
  readonly handshakeTtlMs: number;
  readonly clockToleranceS: number;
  readonly sessionIdleMs: number;
  readonly sessionMaxMs: number;
  readonly unusedSessionMs: number;
  readonly demotedSessionMs: number;
  readonly rekeyAfterMs: number;
}

export const DEFAULT_LIFETIMES: Lifetimes = {
  handshakeTtlMs: 90_000,
  clockToleranceS: 30,
  sessionIdleMs: 21_600_000,
  sessionMaxMs: 86_400_000,
  unusedSessionMs: 300_000,
  demotedSessionMs: 60_000,
  rekeyAfterMs: 3_600_000,
};

/** The highest protocol version; the lowest is configuration. */
export const MAX_VERSION = 2;

/** What LP1 needs besides; only where it is admitted. */
export interface Lp1Context {
  /** LP1's KKT signs every response with the identity itself. */
  readonly ed25519Seed: Uint8Array;
  readonly sessionIdleMs: number;
}

export interface ResponderContext {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly identity: ResponderIdentity;
  readonly kemKeys: KemKeyRing;
  readonly lifetimes: Lifetimes;
  readonly lp1: Lp1Context | undefined;
  /** The lowest version that is spoken here, for hints. */
  readonly minVersion: number;
  /** A free session index of this shard (§3), reserved until `freeIndex`; `undefined` when the shard has no place. */
  allocateIndex(): number | undefined;
  freeIndex(index: number): void;
  /** Reserves an index that a client proposes; false when this shard has it already, or no place. */
  claimIndex(index: number): boolean;
  /** Takes a claim back that was told to nobody. */
  unclaimIndex(index: number): void;
  /** Whether a record, session or reservation of this shard has the index. */
  hasIndex(index: number): boolean;
  /** A claimed index is a session's from now on, and its packets are. */
  indexLives(index: number): void;
  /** Zero bytes for a session's transport. */
  allocatePlace(): TransportPlace;
  releasePlace(place: TransportPlace): void;
  nextFamilyId(): number;
}
