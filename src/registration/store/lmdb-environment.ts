/**
 * The LMDB environment: its tables and their indexes, which move together in one LMDB transaction, and the schema. A
 * commit is written and synced when it returns (no overlapping sync), or has changed nothing; it is made only while the
 * owner that this process wrote at its start is still the store's (registration.md, rule 2).
 *
 * Commits run on the calling thread: LMDB's write thread stays locked for ever when a transaction cannot begin, and one
 * sync for a group of transactions is short. It is the registrar's thread that waits.
 */
import { join } from 'node:path';
import { type Database, open, type RootDatabase, type RootDatabaseOptions } from 'lmdb';
import { decodeToken, dueOfValue, encodeTimeKey, endOfTime, keyOfTimeKey } from './lmdb-codec.ts';
import { damagedEntry, needsReopening, storeError } from './lmdb-errors.ts';
import { DATA_FILE } from './lmdb-files.ts';
import type { Layer, Pending } from './lmdb-layer.ts';
import { DiskRoom, lengthFor, type Used } from './lmdb-room.ts';
import { checkSchema, META_OWNER } from './lmdb-schema.ts';
import { StoreError } from './store.ts';

export type Table = Database<Buffer, Buffer>;

export interface EnvironmentOptions {
  /** An absolute path of a directory that is there. */
  readonly path: string;
  /** Address space, in bytes; grows by itself when it is not enough. */
  readonly mapSize: number;
  readonly readOnly: boolean;
  /** Who may commit: random bytes of this process, or undefined for reading only. */
  readonly owner: Buffer | undefined;
}

export interface StoreCounts {
  readonly registrations: number;
  readonly tokens: number;
}

const MAX_TABLES = 8;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const NOTHING = Buffer.alloc(0);

export class LmdbEnvironment {
  readonly path: string;
  readonly #owner: Buffer | undefined;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #meta: Table;
  readonly #registrations: Table;
  readonly #due: Table;
  readonly #tokens: Table;
  readonly #expiry: Table;
  /** Undefined for reading only. */
  readonly #room: DiskRoom | undefined;
  #broken = false;

  /** Throws StoreError. With `claim` the owner becomes the store's; without it the store's must be the owner already. */
  static async open(options: EnvironmentOptions, claim: boolean): Promise<LmdbEnvironment> {
    const { path, mapSize, readOnly } = options;
    const settings: RootDatabaseOptions & { permissionsMode: number } = {
      ...BINARY,
      mapSize,
      readOnly,
      maxDbs: MAX_TABLES,
      noSubdir: false,
      permissionsMode: 0o600,
      // Its commits are visible before they are durable.
      overlappingSync: false,
      remapChunks: false,
      eventTurnBatching: false,
    };
    let root: RootDatabase<Buffer, Buffer> | undefined;
    try {
      root = open<Buffer, Buffer>(path, settings);
      return new LmdbEnvironment(options, root, claim);
    } catch (error) {
      await root?.close();
      throw storeError(path, 'opened', error);
    }
  }

  private constructor(
    { path, readOnly, owner }: EnvironmentOptions,
    root: RootDatabase<Buffer, Buffer>,
    claim: boolean,
  ) {
    this.path = path;
    this.#owner = owner;
    this.#root = root;
    this.#meta = checkSchema(root, path, readOnly);
    const table = (name: string) => {
      const opened: Table | undefined = root.openDB<Buffer, Buffer>({ ...BINARY, name });
      if (opened !== undefined) return opened;
      throw new StoreError('STORE_DAMAGED', `the registration store ${path} has no table "${name}": restore a copy`);
    };
    this.#registrations = table('registrations');
    this.#due = table('due');
    this.#tokens = table('tokens');
    this.#expiry = table('token-expiry');
    this.#room = readOnly ? undefined : new DiskRoom(join(path, DATA_FILE));
    if (!claim || owner === undefined) return;
    try {
      this.#room?.reserve(lengthFor(undefined, this.#used()));
      this.#root.transactionSync(() => this.#meta.putSync(META_OWNER, owner));
    } catch (error) {
      this.#room?.close();
      throw error;
    }
  }

  /** LMDB refuses everything until it is opened anew. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** Constant time. */
  counts(): StoreCounts {
    return this.#attempt('read', () => ({
      registrations: entriesOf(this.#registrations),
      tokens: entriesOf(this.#tokens),
    }));
  }

  /** A copy of the value; the caller wipes it. */
  registration(key: Buffer): Buffer | undefined {
    return this.#attempt('read', () => copyOf(this.#registrations, key));
  }

  token(id: Buffer): Buffer | undefined {
    return this.#attempt('read', () => copyOf(this.#tokens, id));
  }

  /** The keys of registrations that are due at `now`, in order of time, as far as `take` says true. */
  due(now: number, take: (key: Buffer, timeKey: Buffer) => boolean): void {
    this.#walk(this.#due, now, take);
  }

  /** The ids of tokens that need not be kept at `now`, as far as `take` says true. */
  expired(now: number, take: (id: Buffer) => boolean): void {
    this.#walk(this.#expiry, now, take);
  }

  /** At most `limit` keys of registrations after `after`, in order. */
  keysAfter(after: Buffer | undefined, limit: number): readonly Buffer[] {
    const from = after === undefined ? {} : { start: after, exclusiveStart: true };
    return this.#attempt('read', () => [...this.#registrations.getKeys({ ...from, limit })]);
  }

  /** All of it, durable, or nothing: then throws StoreError. */
  commit(layer: Layer): void {
    this.#attempt('written', () => {
      this.#room?.reserve(lengthFor(layer, this.#used()));
      this.#root.transactionSync(() => {
        // LMDB's binding goes on without a transaction when none can begin.
        if (this.#root.getWriteTxnId() === 0) throw new Error('no transaction can begin');
        this.#checkOwner();
        for (const [key, change] of layer.registrations.entries()) this.#writeRegistration(key, change);
        for (const [id, change] of layer.tokens.entries()) this.#writeToken(id, change);
      });
    });
  }

  /** Writes a consistent copy, without free pages and what is left in them, as `data.mdb` into the directory. */
  async copyTo(directory: string): Promise<void> {
    try {
      await this.#root.backup(directory, true);
    } catch (error) {
      throw storeError(this.path, 'copied', error);
    }
  }

  /** Not while a copy is being written. */
  async close(): Promise<void> {
    this.#room?.close();
    await this.#root.close();
  }

  #used(): Used {
    const stats: { lastPageNumber?: number; pageSize?: number } = this.#root.getStats();
    if (stats.lastPageNumber === undefined || stats.pageSize === undefined) throw new Error('LMDB tells no sizes');
    return { pageSize: stats.pageSize, pages: stats.lastPageNumber + 1 };
  }

  #checkOwner(): void {
    const owner = copyOf(this.#meta, META_OWNER);
    if (this.#owner !== undefined && owner?.equals(this.#owner)) return;
    throw new StoreError('STORE_IN_USE', `another process has taken over the registration store ${this.path}`);
  }

  #writeRegistration(key: Buffer, change: Pending | null): void {
    const before = copyOf(this.#registrations, key);
    const second = before && dueOfValue(key, before);
    before?.fill(0);
    if (before !== undefined && second === undefined) throw damagedEntry(this.path, 'registration', key);
    writeIndexed(this.#registrations, this.#due, key, second, change);
  }

  #writeToken(id: Buffer, change: Pending | null): void {
    const before = copyOf(this.#tokens, id);
    const second = before && decodeToken(id, before)?.keepUntil;
    if (before !== undefined && second === undefined) throw damagedEntry(this.path, 'token', id);
    writeIndexed(this.#tokens, this.#expiry, id, second, change);
  }

  #walk(index: Table, now: number, take: (key: Buffer, timeKey: Buffer) => boolean): void {
    this.#attempt('read', () => {
      for (const timeKey of index.getKeys({ end: endOfTime(now) })) if (!take(keyOfTimeKey(timeKey), timeKey)) break;
    });
  }

  #attempt<T>(doing: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (needsReopening(error)) this.#broken = true;
      throw storeError(this.path, doing, error);
    }
  }
}

/** A table and its index by time in step; `before` is the second of the entry that stands. */
function writeIndexed(
  table: Table,
  index: Table,
  key: Buffer,
  before: number | undefined,
  change: Pending | null,
): void {
  if (before !== undefined && before !== change?.second) index.removeSync(encodeTimeKey(before, key));
  if (change === null) {
    if (before !== undefined) table.removeSync(key);
    return;
  }
  table.putSync(key, change.value);
  if (before !== change.second) index.putSync(encodeTimeKey(change.second, key), NOTHING);
}

/** Not `getBinary`: it leaves the value behind in a buffer that all reads share. */
function copyOf(table: Table, key: Buffer): Buffer | undefined {
  const found: (Buffer & { isGlobal?: boolean }) | undefined = table.getBinaryFast(key);
  if (found === undefined) return undefined;
  // The shared buffer's own methods go by its capacity; only its `length` is the value's.
  const value = new Uint8Array(found.buffer, found.byteOffset, found.length);
  const copy = Buffer.alloc(value.length);
  copy.set(value);
  // What is not shared is LMDB's map, which cannot be written.
  if (found.isGlobal === true) value.fill(0);
  return copy;
}

function entriesOf(table: Table): number {
  const stats: { entryCount?: number } = table.getStats();
  return stats.entryCount ?? 0;
}
