/**
 * What one transaction body sees and writes: its own writes over those that the next commit will write over what LMDB
 * has. It writes to a layer of its own only, so that nothing of it remains when it is rejected (registration.md, rule 2).
 */
import type { RegistrationName } from '../../lp/wire/registration-body.ts';
import {
  decodeRegistration,
  decodeToken,
  encodeName,
  encodeRegistration,
  encodeTimeKey,
  encodeToken,
  encodeTokenId,
  keyOfTimeKey,
} from './lmdb-codec.ts';
import type { LmdbEnvironment, StoreCounts } from './lmdb-environment.ts';
import { damagedEntry } from './lmdb-errors.ts';
import { Layer, type Pending, type TableChanges } from './lmdb-layer.ts';
import {
  dueAt,
  type Registration,
  type SpendOutcome,
  type SpentToken,
  StoreError,
  type StoreTransaction,
} from './store.ts';

export interface StoreLimits {
  readonly maxRegistrations: number;
  /** Spent tokens that are remembered at once. */
  readonly maxTokens: number;
}

/** What lies below a transaction, as it is now: a commit can happen while a body waits for something else. */
export interface Below {
  readonly environment: LmdbEnvironment;
  readonly pending: Layer;
  /** What LMDB has, without what is pending. */
  readonly counts: StoreCounts;
}

export class LayeredTransaction implements StoreTransaction {
  readonly own = new Layer();
  readonly #limits: StoreLimits;
  readonly #below: () => Below;

  /** `below` throws when this transaction has read what was never committed, or has ended. */
  constructor(limits: StoreLimits, below: () => Below) {
    this.#limits = limits;
    this.#below = below;
  }

  async get(name: RegistrationName): Promise<Registration | undefined> {
    return this.#registration(encodeName(name), this.#below());
  }

  async put(registration: Registration): Promise<void> {
    const below = this.#below();
    const key = encodeName(registration);
    const stands = this.#stands(key, below);
    const { maxRegistrations } = this.#limits;
    const count = below.counts.registrations + below.pending.registrations.growth + this.own.registrations.growth;
    if (!stands && count >= maxRegistrations) throw full(below, `${count} registrations`);
    const value = encodeRegistration(key, registration);
    this.own.registrations.set(key, { value, second: dueAt(registration) }, stands ? 0 : 1);
  }

  async delete(name: RegistrationName): Promise<void> {
    const key = encodeName(name);
    if (this.#stands(key, this.#below())) this.own.registrations.set(key, null, -1);
  }

  async due(now: number, limit: number): Promise<readonly Registration[]> {
    const below = this.#below();
    if (limit <= 0) return [];
    const layers = [this.own.registrations, below.pending.registrations] as const;
    const timeKeys: Buffer[] = [];
    below.environment.due(now, (key, timeKey) => {
      if (!layers.some((layer) => layer.has(key))) timeKeys.push(timeKey);
      return timeKeys.length < limit;
    });
    for (const [key, { second }] of standingIn(...layers)) {
      if (second <= now) timeKeys.push(encodeTimeKey(second, key));
    }
    const keys = timeKeys.sort(Buffer.compare).slice(0, limit).map(keyOfTimeKey);
    return this.#all(keys, below);
  }

  async spend(token: SpentToken): Promise<SpendOutcome> {
    const below = this.#below();
    const id = encodeTokenId(token.id);
    const earlier = this.#token(id, below);
    if (earlier !== undefined) return earlier.payer === token.payer ? 'spent_by_payer' : 'spent_by_other';
    const count = below.counts.tokens + below.pending.tokens.growth + this.own.tokens.growth;
    if (count >= this.#limits.maxTokens) throw full(below, `${count} spent tokens`);
    this.own.tokens.set(id, { value: encodeToken(token), second: token.keepUntil }, 1);
    return 'spent_now';
  }

  async unspend(id: Uint8Array): Promise<void> {
    const key = encodeTokenId(id);
    if (this.#token(key, this.#below()) !== undefined) this.own.tokens.set(key, null, -1);
  }

  /** In one piece, as many as there are: callers keep their number small by calling often. */
  async forgetTokens(now: number): Promise<void> {
    const below = this.#below();
    const layers = [this.own.tokens, below.pending.tokens] as const;
    const gone: Buffer[] = [];
    below.environment.expired(now, (id) => {
      if (!layers.some((layer) => layer.has(id))) gone.push(id);
      return true;
    });
    for (const [id, { second }] of standingIn(...layers)) if (second <= now) gone.push(id);
    for (const id of gone) this.own.tokens.set(id, null, -1);
  }

  #all(keys: readonly Buffer[], below: Below): readonly Registration[] {
    const found: Registration[] = [];
    try {
      for (const key of keys) {
        found.push(readable(this.#registration(key, below), below.environment, 'registration', key));
      }
      return found;
    } catch (error) {
      for (const registration of found) wipeKey(registration);
      throw error;
    }
  }

  #stands(key: Buffer, below: Below): boolean {
    const found = this.#registration(key, below);
    wipeKey(found);
    return found !== undefined;
  }

  #registration(key: Buffer, { environment, pending }: Below): Registration | undefined {
    const change = newestOf(key, this.own.registrations, pending.registrations);
    if (change === null) return undefined;
    // What lies in a layer is the layer's to wipe.
    if (change !== undefined) return readable(decodeRegistration(key, change.value), environment, 'registration', key);
    const value = environment.registration(key);
    if (value === undefined) return undefined;
    try {
      return readable(decodeRegistration(key, value), environment, 'registration', key);
    } finally {
      value.fill(0);
    }
  }

  #token(id: Buffer, { environment, pending }: Below): SpentToken | undefined {
    const change = newestOf(id, this.own.tokens, pending.tokens);
    if (change === null) return undefined;
    const value = change?.value ?? environment.token(id);
    return value && readable(decodeToken(id, value), environment, 'token', id);
  }
}

function wipeKey(registration: Registration | undefined): void {
  if (registration?.mode === 'dvpn') registration.presharedKey.wipe();
}

/** Layers are given from the newest to the oldest. */
function newestOf(key: Buffer, ...layers: readonly TableChanges[]): Pending | null | undefined {
  for (const layer of layers) {
    const change = layer.get(key);
    if (change !== undefined) return change;
  }
  return undefined;
}

/** What the layers hold and have not deleted since. */
function* standingIn(...layers: readonly TableChanges[]): Iterable<readonly [Buffer, Pending]> {
  for (const [index, layer] of layers.entries()) {
    for (const [key, change] of layer.entries()) {
      if (change !== null && !layers.slice(0, index).some((newer) => newer.has(key))) yield [key, change];
    }
  }
}

function readable<T>(value: T | undefined, { path }: LmdbEnvironment, what: 'registration' | 'token', key: Buffer): T {
  if (value === undefined) throw damagedEntry(path, what, key);
  return value;
}

function full({ environment }: Below, what: string): StoreError {
  return new StoreError('STORE_FULL', `the registration store ${environment.path} has ${what}`);
}
