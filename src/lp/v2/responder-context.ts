/**
 * What all records and sessions of a shard share: keys, limits of time, and the shard's allocators.
 */
import type { CryptoProvider, RandomSource } from '../crypto/provider.ts';
import type { KemKeyRing } from './kem-key.ts';
import type { TransportPlace } from './transport.ts';

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

export const MIN_VERSION = 2;
export const MAX_VERSION = 2;

export interface ResponderContext {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly identity: ResponderIdentity;
  readonly kemKeys: KemKeyRing;
  readonly lifetimes: Lifetimes;
  /** A free session index of this shard (§3), reserved until `freeIndex`; `undefined` when the shard has no place. */
  allocateIndex(): number | undefined;
  freeIndex(index: number): void;
  /** Zero bytes for a session's transport. */
  allocatePlace(): TransportPlace;
  releasePlace(place: TransportPlace): void;
  nextFamilyId(): number;
}
