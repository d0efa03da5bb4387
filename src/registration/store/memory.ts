/**
 * The store in memory: for tests and for nodes that may forget. Bounded; what it replaces or deletes is wiped when the
 * transaction that did so has ended. Transactions run one at a time (registration.md, rule 2).
 */
import type { RegistrationName } from '../../lp/wire/registration-body.ts';
import { SerialQueue } from '../serial-queue.ts';
import {
  dueAt,
  nameKey,
  type Registration,
  type RegistrationStore,
  type SpendOutcome,
  type SpentToken,
  StoreError,
  type StoreTransaction,
} from './store.ts';

export interface MemoryStoreOptions {
  readonly maxRegistrations: number;
  /** Spent tokens that are remembered at once: about 200 bytes each. */
  readonly maxTokens: number;
}

export function createMemoryStore(options: MemoryStoreOptions): RegistrationStore {
  const tables = new Tables(options);
  const queue = new SerialQueue(Number.POSITIVE_INFINITY);
  let closed = false;
  return {
    transaction: (body) =>
      queue.runUnbounded(async () => {
        if (closed) throw new StoreError('STORE_CLOSED', 'the memory store has been closed');
        try {
          const result = await body(tables);
          tables.commit();
          return result;
        } catch (error) {
          tables.rollback();
          throw error;
        }
      }),
    registrations: () => tables.all(),
    close: async () => {
      await queue.idle();
      closed = true;
      tables.clear();
    },
  };
}

class Tables implements StoreTransaction {
  readonly #options: MemoryStoreOptions;
  readonly #registrations = new Map<string, Registration>();
  readonly #due = new DueIndex();
  readonly #tokens = new Map<string, SpentToken>();
  /** How to take back the open transaction's writes, the newest last. */
  #undo: (() => void)[] = [];
  /** What the open transaction replaced, and what it wrote. */
  #replaced: Registration[] = [];
  #written: Registration[] = [];

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
  }

  async get(name: RegistrationName): Promise<Registration | undefined> {
    const found = this.#registrations.get(nameKey(name));
    return found && copyOf(found);
  }

  async put(registration: Registration): Promise<void> {
    const key = nameKey(registration);
    if (!this.#registrations.has(key) && this.#registrations.size >= this.#options.maxRegistrations) {
      throw new StoreError('STORE_FULL', `the memory store has ${this.#registrations.size} registrations`);
    }
    const copy = copyOf(registration);
    this.#written.push(copy);
    this.#replace(key, copy);
  }

  async delete(name: RegistrationName): Promise<void> {
    this.#replace(nameKey(name), undefined);
  }

  async due(now: number, limit: number): Promise<readonly Registration[]> {
    const found: Registration[] = [];
    for (const key of this.#due.until(now)) {
      if (found.length >= limit) break;
      const registration = this.#registrations.get(key);
      if (registration !== undefined) found.push(copyOf(registration));
    }
    return found;
  }

  async spend(token: SpentToken): Promise<SpendOutcome> {
    const key = Buffer.from(token.id).toString('base64');
    const earlier = this.#tokens.get(key);
    if (earlier !== undefined) return earlier.payer === token.payer ? 'spent_by_payer' : 'spent_by_other';
    if (this.#tokens.size >= this.#options.maxTokens) {
      throw new StoreError('STORE_FULL', `the memory store has ${this.#tokens.size} spent tokens`);
    }
    this.#tokens.set(key, { ...token, id: Uint8Array.from(token.id) });
    this.#undo.push(() => this.#tokens.delete(key));
    return 'spent_now';
  }

  async unspend(id: Uint8Array): Promise<void> {
    this.#forget(Buffer.from(id).toString('base64'));
  }

  async forgetTokens(now: number): Promise<void> {
    for (const [key, token] of this.#tokens) if (token.keepUntil <= now) this.#forget(key);
  }

  async *all(): AsyncIterable<Registration> {
    for (const registration of this.#registrations.values()) yield copyOf(registration);
  }

  commit(): void {
    this.#end(this.#replaced);
  }

  rollback(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#end(this.#written);
  }

  clear(): void {
    for (const registration of this.#registrations.values()) wipe(registration);
    this.#registrations.clear();
    this.#due.clear();
    this.#tokens.clear();
  }

  /** `dead`: the records that nothing refers to any more. One that was written and replaced may be in both lists. */
  #end(dead: readonly Registration[]): void {
    for (const registration of dead) wipe(registration);
    this.#undo = [];
    this.#replaced = [];
    this.#written = [];
  }

  #forget(key: string): void {
    const token = this.#tokens.get(key);
    if (token === undefined) return;
    this.#tokens.delete(key);
    this.#undo.push(() => this.#tokens.set(key, token));
  }

  #replace(key: string, after: Registration | undefined): void {
    const before = this.#set(key, after);
    if (before !== undefined) this.#replaced.push(before);
    this.#undo.push(() => this.#set(key, before));
  }

  #set(key: string, after: Registration | undefined): Registration | undefined {
    const before = this.#registrations.get(key);
    if (before !== undefined) this.#due.remove(key, dueAt(before));
    if (after === undefined) this.#registrations.delete(key);
    else {
      this.#registrations.set(key, after);
      this.#due.add(key, dueAt(after));
    }
    return before;
  }
}

/** Keys by the second in which they are due. A look costs the seconds since the last one, or the seconds in use if fewer. */
class DueIndex {
  readonly #keysAt = new Map<number, Set<string>>();
  /** No key is due before. */
  #first = Number.POSITIVE_INFINITY;

  add(key: string, second: number): void {
    const keys = this.#keysAt.get(second);
    if (keys === undefined) this.#keysAt.set(second, new Set([key]));
    else keys.add(key);
    this.#first = Math.min(this.#first, second);
  }

  remove(key: string, second: number): void {
    const keys = this.#keysAt.get(second);
    if (keys?.delete(key) && keys.size === 0) this.#keysAt.delete(second);
  }

  *until(now: number): Iterable<string> {
    if (this.#keysAt.size === 0 || this.#first > now) return;
    const past = [...this.#seconds(now)];
    this.#first = past[0] ?? now + 1;
    for (const second of past) yield* this.#keysAt.get(second) ?? [];
  }

  clear(): void {
    this.#keysAt.clear();
    this.#first = Number.POSITIVE_INFINITY;
  }

  *#seconds(now: number): Iterable<number> {
    if (now - this.#first < this.#keysAt.size) {
      for (let second = this.#first; second <= now; second += 1) if (this.#keysAt.has(second)) yield second;
      return;
    }
    yield* [...this.#keysAt.keys()].filter((second) => second <= now).sort((a, b) => a - b);
  }
}

function copyOf(registration: Registration): Registration {
  return registration.mode === 'dvpn'
    ? { ...registration, presharedKey: registration.presharedKey.copy() }
    : { ...registration };
}

function wipe(registration: Registration): void {
  if (registration.mode === 'dvpn') registration.presharedKey.wipe();
}
