/**
 * Admission (lp2.md §4.5): token buckets, records and sessions per source address, sessions of the node. Every place is
 * reserved before its packet leaves for a shard and given back exactly once, by the shard's release or with the shard
 * itself; so the bounds hold also for what is on its way.
 */
import { type ListedSource, ListedSources, sourceKey } from './source-key.ts';

export interface AdmissionLimits {
  readonly handshakesPerSecond: number;
  readonly burst: number;
  readonly recordsPerSource: number;
  readonly sessionsPerSource: number;
  readonly quotesPerSource: number;
  readonly connectionsPerSource: number;
  /** Sessions of the node; a family counts once. */
  readonly sessions: number;
  readonly listed: readonly ListedSource[];
}

interface SourceLimits {
  readonly rate: number;
  readonly burst: number;
  readonly records: number;
  readonly sessions: number;
  readonly quotes: number;
  readonly connections: number;
}

/**
 * A newcomer is a source of which less than half an H1 was handled within the last seconds: where thousands of sources flood
 * a gateway, each is served again and again, and an honest client's first handshake tells it from them. Longer than a shard
 * takes for one handshake each of as many sources as it may be flooded from, shorter than a client that comes back minds.
 */
const RECENT_MS = 10_000;
const NEWCOMER_US = 150;

/** Of an IPv6 /64 or a listed CIDR. */
const MAX_ADDRESSES = 8;

export type Reservation = 'record' | 'session';

/** One source address. Kept while anything of it is there; a full bucket and no place: forgotten. */
export class Source {
  readonly id: number;
  readonly key: string;
  readonly limits: SourceLimits;
  connections = 0;
  /** Addresses that were looked up as this source; the first few save the parsing next time. */
  readonly addresses: string[] = [];
  private tokens: number;
  private refilledMs: number;
  /** Nominal handshake work that was taken for it, fading. */
  private recentUs = 0;
  private recentAtMs = 0;
  /** Places taken, by shard. */
  private readonly taken: Readonly<Record<Reservation, number[]>>;

  constructor(id: number, key: string, limits: SourceLimits, shards: number, nowMs: number) {
    this.id = id;
    this.key = key;
    this.limits = limits;
    this.tokens = limits.burst;
    this.refilledMs = nowMs;
    this.taken = { record: new Array<number>(shards).fill(0), session: new Array<number>(shards).fill(0) };
  }

  places(kind: Reservation): number {
    let sum = 0;
    for (const n of this.taken[kind]) sum += n;
    return sum;
  }

  takeToken(nowMs: number): boolean {
    this.refill(nowMs);
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  returnToken(): void {
    this.tokens = Math.min(this.limits.burst, this.tokens + 1);
  }

  /** Seconds until the bucket has a token. */
  retryAfter(): number {
    return this.tokens >= 1 ? 1 : Math.max(1, (1 - this.tokens) / this.limits.rate);
  }

  /** Handshake work of so many nominal µs was taken for it. */
  worked(costUs: number, nowMs: number): void {
    this.fade(nowMs);
    this.recentUs += costUs;
  }

  newcomer(nowMs: number): boolean {
    if (this.recentUs < NEWCOMER_US) return true;
    this.fade(nowMs);
    return this.recentUs < NEWCOMER_US;
  }

  reserve(kind: Reservation, shard: number): void {
    this.taken[kind][shard] = (this.taken[kind][shard] ?? 0) + 1;
  }

  /** False when nothing of the kind was taken for the shard: it was given back with a lost shard. */
  release(kind: Reservation, shard: number): boolean {
    const n = this.taken[kind][shard] ?? 0;
    if (n === 0) return false;
    this.taken[kind][shard] = n - 1;
    return true;
  }

  /** Gives back all places of a lost shard; returns how many sessions. */
  releaseShard(shard: number): number {
    const sessions = this.taken.session[shard] ?? 0;
    this.taken.record[shard] = 0;
    this.taken.session[shard] = 0;
    return sessions;
  }

  forgettable(nowMs: number): boolean {
    if (this.connections > 0 || this.places('record') > 0 || this.places('session') > 0) return false;
    this.refill(nowMs);
    return this.tokens >= this.limits.burst;
  }

  private fade(nowMs: number): void {
    if (this.recentUs > 0) this.recentUs *= Math.exp((this.recentAtMs - nowMs) / RECENT_MS);
    this.recentAtMs = nowMs;
  }

  private refill(nowMs: number): void {
    const seconds = (nowMs - this.refilledMs) / 1_000;
    this.tokens = Math.min(this.limits.burst, this.tokens + seconds * this.limits.rate);
    this.refilledMs = nowMs;
  }
}

export class Admission {
  private readonly byKey = new Map<string, Source>();
  private readonly byId = new Map<number, Source>();
  private readonly byAddress = new Map<string, Source>();
  private readonly limits: AdmissionLimits;
  private readonly listed: ListedSources;
  private readonly shards: number;
  private lastId = 0;
  private sessionsTaken = 0;
  private sweeping: MapIterator<Source> | undefined;

  constructor(limits: AdmissionLimits, shards: number) {
    this.limits = limits;
    this.listed = new ListedSources(limits.listed);
    this.shards = shards;
  }

  get sources(): number {
    return this.byKey.size;
  }

  get sessions(): number {
    return this.sessionsTaken;
  }

  /** The source of a new connection, or `undefined` beyond its bound of connections. */
  connect(address: string, nowMs: number): Source | undefined {
    const source = this.byAddress.get(address) ?? this.lookUp(address, nowMs);
    if (source.connections >= source.limits.connections) return undefined;
    source.connections++;
    return source;
  }

  /** The source of an address, if anything of it is known. */
  known(address: string): Source | undefined {
    return this.byAddress.get(address);
  }

  source(id: number): Source | undefined {
    return this.byId.get(id);
  }

  reserveRecord(source: Source, shard: number): boolean {
    if (source.places('record') >= source.limits.records) return false;
    source.reserve('record', shard);
    return true;
  }

  reserveSession(source: Source, shard: number): boolean {
    if (this.sessionsTaken >= this.limits.sessions || source.places('session') >= source.limits.sessions) return false;
    source.reserve('session', shard);
    this.sessionsTaken++;
    return true;
  }

  release(kind: Reservation, sourceId: number, shard: number): void {
    const released = this.byId.get(sourceId)?.release(kind, shard) === true;
    if (released && kind === 'session') this.sessionsTaken--;
  }

  returnToken(sourceId: number): void {
    this.byId.get(sourceId)?.returnToken();
  }

  releaseShard(shard: number): void {
    for (const source of this.byKey.values()) this.sessionsTaken -= source.releaseShard(shard);
  }

  /** Forgets sources that hold nothing, a slice at a time. */
  sweep(nowMs: number, budget: number): void {
    this.sweeping ??= this.byKey.values();
    for (let left = budget; left > 0; left--) {
      const { value, done } = this.sweeping.next();
      if (done) {
        this.sweeping = undefined;
        return;
      }
      if (!value.forgettable(nowMs)) continue;
      for (const address of value.addresses) this.byAddress.delete(address);
      this.byKey.delete(value.key);
      this.byId.delete(value.id);
    }
  }

  private lookUp(address: string, nowMs: number): Source {
    const listed = this.listed.find(address);
    const key = listed?.cidr ?? sourceKey(address);
    const source = this.byKey.get(key) ?? this.add(key, listed, nowMs);
    if (source.addresses.length < MAX_ADDRESSES) {
      source.addresses.push(address);
      this.byAddress.set(address, source);
    }
    return source;
  }

  private add(key: string, listed: ListedSource | undefined, nowMs: number): Source {
    do this.lastId = (this.lastId + 1) >>> 0;
    while (this.byId.has(this.lastId));
    const source = new Source(this.lastId, key, this.limitsOf(listed), this.shards, nowMs);
    this.byKey.set(key, source);
    this.byId.set(source.id, source);
    return source;
  }

  private limitsOf(listed: ListedSource | undefined): SourceLimits {
    const { limits } = this;
    if (listed === undefined) {
      return {
        rate: limits.handshakesPerSecond,
        burst: limits.burst,
        records: limits.recordsPerSource,
        sessions: limits.sessionsPerSource,
        quotes: limits.quotesPerSource,
        connections: limits.connectionsPerSource,
      };
    }
    return {
      rate: listed.handshakesPerSecond,
      burst: listed.burst,
      records: listed.records,
      sessions: listed.sessions,
      quotes: listed.quotes,
      connections: listed.connections,
    };
  }
}
