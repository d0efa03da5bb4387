/**
 * What a registrar keeps beyond its process: registrations by name, and tokens that paid for them. One registrar is the
 * only writer of its registrations; a transaction is all or nothing (registration.md, rule 2).
 */
import { timingSafeEqual } from 'node:crypto';
import type { RegistrationName, TunnelAddresses } from '../../lp/wire/registration-body.ts';
import type { PresharedKey } from '../preshared-key.ts';

/**
 * `active`: the tunnel works. `grace`: bandwidth or lifetime has ended, the peer is gone; name, addresses and balance
 * are kept until then (rule 5).
 */
export type RegistrationPhase =
  | { readonly kind: 'active' }
  | { readonly kind: 'grace' /** Unix seconds. */; readonly until: number };

interface RegistrationCommon {
  /** BLAKE3 of the owner's secret; the secret itself is never kept. */
  readonly ownerHash: Uint8Array;
  /** Bytes left. */
  readonly bandwidth: number;
  /** Unix seconds. */
  readonly expires: number;
  readonly phase: RegistrationPhase;
}

/** WireGuard's counters of a peer, bytes. */
export interface Transfer {
  readonly received: number;
  readonly sent: number;
}

export const NO_TRANSFER: Transfer = { received: 0, sent: 0 };

export interface DvpnRegistration extends RegistrationCommon {
  readonly mode: 'dvpn';
  readonly wgPublicKey: Uint8Array;
  readonly presharedKey: PresharedKey;
  readonly addresses: TunnelAddresses;
  /** The counters up to which `bandwidth` has been charged: they change together. None: the peer counts from zero. */
  readonly charged: Transfer;
}

export interface MixnetRegistration extends RegistrationCommon {
  readonly mode: 'mixnet';
  readonly clientId: Uint8Array;
}

/** A {@link RegistrationName} with what belongs to it. */
export type Registration = DvpnRegistration | MixnetRegistration;

/** A token that pays. `payer` is a {@link nameKey}; the store may forget the token at `keepUntil` (unix seconds). */
export interface SpentToken {
  readonly id: Uint8Array;
  readonly payer: string;
  readonly keepUntil: number;
}

/** `spent_now` wrote it; the others found it there, paid for the same name or for another one, and changed nothing. */
export type SpendOutcome = 'spent_now' | 'spent_by_payer' | 'spent_by_other';

export interface StoreTransaction {
  /** Its preshared key is a copy that the caller wipes. */
  get(name: RegistrationName): Promise<Registration | undefined>;
  /** Writes or replaces. The store keeps its own copy of the preshared key and wipes the one it replaces. */
  put(registration: Registration): Promise<void>;
  delete(name: RegistrationName): Promise<void>;
  /** At most `limit` registrations whose {@link dueAt} is not after `now`, as copies like those of `get`. */
  due(now: number, limit: number): Promise<readonly Registration[]>;
  spend(token: SpentToken): Promise<SpendOutcome>;
  unspend(id: Uint8Array): Promise<void>;
  /** Forgets tokens whose `keepUntil` has passed. */
  forgetTokens(now: number): Promise<void>;
}

/** Every method rejects with {@link StoreError} when the store cannot be used; then nothing has changed. */
export interface RegistrationStore {
  /**
   * All of `body`'s writes or, when it rejects, none; a durable store resolves when what `body` wrote and read is durable.
   * Bodies run one at a time, in the order of the calls, and must not nest; callers need not wait for each other.
   */
  transaction<T>(body: (transaction: StoreTransaction) => Promise<T>): Promise<T>;
  /** Everything there is, as copies like those of `get`; read at start and for a full repair. */
  registrations(): AsyncIterable<Registration>;
  close(): Promise<void>;
}

export type StoreErrorCode =
  | 'STORE_UNAVAILABLE'
  | 'STORE_CLOSED'
  | 'STORE_FULL'
  /** A value or the store itself is not what was written. */
  | 'STORE_DAMAGED'
  /** Of a later version of this program. */
  | 'STORE_NEWER'
  /** Another process has it. */
  | 'STORE_IN_USE'
  /** A copy's target is there already. */
  | 'STORE_COPY_EXISTS';

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** When time alone changes this registration next, unix seconds. */
export function dueAt(registration: Registration): number {
  if (registration.phase.kind === 'grace') return registration.phase.until;
  return registration.bandwidth === 0 ? 0 : registration.expires;
}

/** One text per name; the modes have names of their own. */
export function nameKey(name: RegistrationName): string {
  return `${name.mode}:${Buffer.from(name.mode === 'dvpn' ? name.wgPublicKey : name.clientId).toString('base64')}`;
}

/** Constant time: how far two hashes agree must not be measurable. */
export function ownsRegistration(registration: { readonly ownerHash: Uint8Array }, ownerHash: Uint8Array): boolean {
  return timingSafeEqual(registration.ownerHash, ownerHash);
}
