/**
 * The durable store: LMDB in a directory, one writer, one copy of each registration. Bodies run one after the other over
 * what is written and what is about to be; a group of them is written by one synced commit, and only then do their
 * promises resolve. So whatever was acknowledged outlives SIGKILL, and nothing is there by half (registration.md, rule 2).
 *
 * A full disk or a failing one rejects the group and changes nothing; the next transaction tries again. For a backup,
 * `backup` copies the store into a directory while it is in use; to restore one, stop the gateway and put that directory
 * in the store's place. It is as old as it is: tokens that were spent since count as unspent, registrations since are gone.
 */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { SerialQueue } from '../serial-queue.ts';
import { decodeRegistration } from './lmdb-codec.ts';
import { type EnvironmentOptions, LmdbEnvironment, type StoreCounts } from './lmdb-environment.ts';
import { damagedEntry, storeError } from './lmdb-errors.ts';
import { checkFiles, lockFileOf, makeCopy, prepareDirectory, syncDirectory } from './lmdb-files.ts';
import { Group } from './lmdb-group.ts';
import { lockStore, type StoreLock } from './lmdb-lock.ts';
import { type Below, LayeredTransaction, type StoreLimits } from './lmdb-transaction.ts';
import { type Registration, type RegistrationStore, StoreError, type StoreTransaction } from './store.ts';

export type { StoreCounts } from './lmdb-environment.ts';

export interface LmdbStoreOptions {
  /** A directory, made when it is missing. */
  readonly path: string;
  /** Registrations and spent tokens at most: about 600 and 450 bytes each on disk. */
  readonly maxRegistrations: number;
  readonly maxTokens: number;
  /** Address space in bytes (default: ample for the limits); it grows by itself, disk space is used as needed. */
  readonly mapSize?: number;
  /** For looking into a copy, or into a store in use: neither locks nor writes it. */
  readonly readOnly?: boolean;
}

export interface LmdbStore extends RegistrationStore {
  /** What is durable, in constant time. Throws StoreError. */
  counts(): StoreCounts;
  /** Makes `path` a consistent copy, which can be opened like the store itself. Rejects with StoreError, e.g. STORE_COPY_EXISTS. */
  backup(path: string): Promise<void>;
}

/** Beyond it a commit would hold the thread for long and the latency of its first transaction suffers (facts: 256 are 1 ms). */
const MAX_GROUP = 1024;
/** Transactions that wait for their turn: far above what a registrar queues; more is a fault. */
const MAX_WAITING = 65_536;
/** Registrations whose keys are read at once. */
const PAGE = 256;
/** An entry, its index entry and what pages leave empty come to a third of this; pages in use twice come on top. */
const MAP_BYTES_PER_ENTRY = 1024;
const MAP_BYTES_BASE = 4 * 2 ** 30;
const OWNER_LENGTH = 16;

/**
 * Rejects with StoreError: STORE_IN_USE (another process has it), STORE_NEWER (of a later version), STORE_DAMAGED (not a
 * store), STORE_UNAVAILABLE and STORE_FULL (the system says no). `openEnvironment`: tests make LMDB fail with it.
 */
export async function openLmdbStore(
  options: LmdbStoreOptions,
  openEnvironment: OpenEnvironment = LmdbEnvironment.open,
): Promise<LmdbStore> {
  const { maxRegistrations, maxTokens, readOnly = false } = options;
  const path = prepareDirectory(resolve(options.path), readOnly);
  const mapSize = options.mapSize ?? MAP_BYTES_BASE + MAP_BYTES_PER_ENTRY * (maxRegistrations + maxTokens);
  const owner = readOnly ? undefined : randomBytes(OWNER_LENGTH);
  const lock = readOnly ? undefined : takeLock(path);
  try {
    const environment: EnvironmentOptions = { path, mapSize, readOnly, owner };
    checkFiles(path, readOnly);
    const opened = await openEnvironment(environment, true);
    if (!readOnly) syncDirectory(path);
    const reopen = () => {
      checkFiles(path, readOnly);
      return openEnvironment(environment, false);
    };
    return new GroupingStore({ maxRegistrations, maxTokens }, { path, readOnly, lock, reopen }, opened);
  } catch (error) {
    lock?.release();
    throw error;
  }
}

type OpenEnvironment = (options: EnvironmentOptions, claim: boolean) => Promise<LmdbEnvironment>;

interface Home {
  readonly path: string;
  readonly readOnly: boolean;
  readonly lock: StoreLock | undefined;
  readonly reopen: () => Promise<LmdbEnvironment>;
}

function takeLock(path: string): StoreLock {
  try {
    return lockStore(lockFileOf(path));
  } catch (error) {
    throw storeError(path, 'locked', error);
  }
}

class GroupingStore implements LmdbStore {
  readonly #limits: StoreLimits;
  readonly #home: Home;
  readonly #bodies = new SerialQueue(MAX_WAITING);
  /** Copies and what must not happen during one. */
  readonly #copies = new SerialQueue(Number.POSITIVE_INFINITY);
  #environment: LmdbEnvironment | undefined;
  #group = new Group();
  #flush: NodeJS.Immediate | undefined;
  #counts: StoreCounts;
  #closed: Promise<void> | undefined;

  constructor(limits: StoreLimits, home: Home, environment: LmdbEnvironment) {
    this.#limits = limits;
    this.#home = home;
    this.#environment = environment;
    this.#counts = environment.counts();
  }

  async transaction<T>(body: (transaction: StoreTransaction) => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw this.#closedError();
    const turn = this.#bodies.run(() => this.#run(body));
    if (turn === undefined) {
      throw new StoreError('STORE_UNAVAILABLE', `${MAX_WAITING} transactions wait for the registration store already`);
    }
    const { result, durable } = await turn;
    await durable;
    return result;
  }

  async *registrations(): AsyncIterable<Registration> {
    let after: Buffer | undefined;
    for (;;) {
      const keys = (await this.#usable()).keysAfter(after, PAGE);
      for (const key of keys) {
        const registration = this.#read(await this.#usable(), key);
        if (registration !== undefined) yield registration;
      }
      after = keys.at(-1);
      if (keys.length < PAGE) return;
    }
  }

  counts(): StoreCounts {
    if (this.#closed !== undefined) throw this.#closedError();
    return this.#opened().counts();
  }

  async backup(path: string): Promise<void> {
    await this.#usable();
    await this.#copies.runUnbounded(() => makeCopy(path, (directory) => this.#opened().copyTo(directory)));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#bodies.idle();
    this.#commit();
    await this.#copies.idle();
    await this.#environment?.close();
    this.#environment = undefined;
    this.#home.lock?.release();
  }

  /** `durable` goes into an object, so that the next body does not wait for it. */
  async #run<T>(body: (transaction: StoreTransaction) => Promise<T>): Promise<{ result: T; durable: Promise<void> }> {
    await this.#repair();
    const readFrom = this.#group;
    let ended = false;
    const transaction = new LayeredTransaction(this.#limits, () => {
      if (ended) throw new Error('assertion: a transaction is used after its end');
      return this.#below(readFrom);
    });
    try {
      const result = await body(transaction);
      return { result, durable: this.#join(transaction, readFrom) };
    } finally {
      ended = true;
      transaction.own.wipe();
    }
  }

  #below(readFrom: Group): Below {
    if (readFrom.failure !== undefined) throw readFrom.failure;
    return { environment: this.#opened(), pending: this.#group.layer, counts: this.#counts };
  }

  #join({ own }: LayeredTransaction, readFrom: Group): Promise<void> {
    if (readFrom.failure !== undefined) throw readFrom.failure;
    if (own.isEmpty && this.#group.size === 0) return Promise.resolve();
    if (this.#home.readOnly) {
      throw new StoreError('STORE_UNAVAILABLE', `the registration store ${this.#home.path} is open for reading only`);
    }
    const group = this.#group;
    const durable = group.join(own);
    if (group.size >= MAX_GROUP) this.#commit();
    // After the events that are there already: what they bring shares the commit.
    else this.#flush ??= setImmediate(() => this.#commit());
    return durable;
  }

  #commit(): void {
    clearImmediate(this.#flush);
    this.#flush = undefined;
    const group = this.#group;
    if (group.size === 0) return;
    this.#group = new Group();
    let failure: StoreError | undefined;
    try {
      this.#opened().commit(group.layer);
      const { registrations, tokens } = group.layer;
      this.#counts = {
        registrations: this.#counts.registrations + registrations.growth,
        tokens: this.#counts.tokens + tokens.growth,
      };
    } catch (error) {
      failure = storeError(this.#home.path, 'written', error);
    }
    group.end(failure);
  }

  /** Opens LMDB anew where it has said that it is beyond use; runs between bodies only. */
  async #repair(): Promise<void> {
    if (this.#environment !== undefined && !this.#environment.isBroken) return;
    this.#commit();
    await this.#copies.runUnbounded(async () => {
      await this.#environment?.close();
      this.#environment = undefined;
      const environment = await this.#home.reopen();
      this.#environment = environment;
      this.#counts = environment.counts();
    });
  }

  async #usable(): Promise<LmdbEnvironment> {
    if (this.#closed !== undefined) throw this.#closedError();
    const needsRepair = this.#environment === undefined || this.#environment.isBroken;
    if (needsRepair) await this.#bodies.runUnbounded(() => this.#repair());
    return this.#opened();
  }

  #opened(): LmdbEnvironment {
    if (this.#environment !== undefined) return this.#environment;
    throw new StoreError('STORE_UNAVAILABLE', `the registration store ${this.#home.path} is not open now`);
  }

  #read(environment: LmdbEnvironment, key: Buffer): Registration | undefined {
    const value = environment.registration(key);
    // Deleted since its key was read.
    if (value === undefined) return undefined;
    const registration = decodeRegistration(key, value);
    value.fill(0);
    if (registration === undefined) throw damagedEntry(environment.path, 'registration', key);
    return registration;
  }

  #closedError(): StoreError {
    return new StoreError('STORE_CLOSED', `the registration store ${this.#home.path} has been closed`);
  }
}
