/**
 * The main thread's side of one shard: its thread, mailbox and epoch. A shard that fails is replaced by a fresh one: its
 * epoch rises, its losses are counted, its indices and admissions are given back, its clients handshake again.
 */
import { assertNever } from '../lp/drop-reason.ts';
import type { Now } from '../lp/time.ts';
import { InboundWriter, type OutboundHandler, RELEASE, type ReleaseKind, readOutbound } from '../shard/messages.ts';
import { readStats, type StatsSnapshot } from '../shard/stats.ts';
import type { CancelTimer } from '../system/timers.ts';
import type { Acceptor } from './acceptor.ts';
import type { Admission } from './admission.ts';
import type { Connection } from './connection.ts';
import { Mailbox, type MailboxLimits } from './mailbox.ts';
import { isNymConnection, type NymAcceptor } from './nym/acceptor.ts';
import type { Router } from './router.ts';
import type { ShardThread } from './shard-thread.ts';
import { Silence } from './silence.ts';

export class ShardStartError extends Error {
  readonly code = 'SHARD_START_FAILED';

  constructor(shard: number, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`shard ${shard} did not start: ${reason}`, { cause });
  }
}

export interface RequestOfShard {
  readonly shard: number;
  readonly epoch: number;
  readonly key: number;
  /** Unique over shards and epochs. */
  readonly family: string;
  readonly sourceId: number;
  readonly kind: number;
  readonly body: Uint8Array;
}

export interface ShardHostDependencies {
  readonly start: (shard: number) => ShardThread;
  readonly router: Router;
  readonly admission: Admission;
  readonly acceptor: () => Acceptor;
  /** Where Nym is spoken. */
  readonly nym?: NymAcceptor | undefined;
  readonly now: () => Now;
  readonly mailboxLimits: MailboxLimits;
  readonly startTimeoutMs: number;
  readonly after: (ms: number, action: () => void) => CancelTimer;
  /** Packed KEM keys that a fresh shard needs. */
  readonly kemKeys: () => readonly Uint8Array[];
  /** Called while the batch that brought it is read. */
  readonly onRequest: (request: RequestOfShard) => void;
  readonly onFamilyEnded: (family: string) => void;
  readonly onBatch: (shard: number, ms: number) => void;
  readonly onLost: (shard: number, losses: ShardLosses) => void;
  /** A replacement did not start; it is tried again. */
  readonly onStartFailed: (shard: number, error: unknown) => void;
  /** The shard cannot be replaced: the gateway must stop. */
  readonly onFatal: (error: Error) => void;
}

export interface ShardLosses {
  readonly reason: unknown;
  readonly sessions: number;
  readonly packets: number;
}

/** A shard that fails again at once would spin: so many replacements within the window end the gateway. */
const MAX_REPLACEMENTS = 5;
const REPLACEMENT_WINDOW_MS = 60_000;
/** Where a thread cannot be started, the system may have run out of something: soon after it may have it again. */
const RETRY_START_MS = 2_000;

/** Connections from which on batches are coalesced: a dozen clients in lockstep should not feel it. */
const CROWD = 32;
const BATCH_LIMIT_MS = 30_000;

export class ShardHost implements OutboundHandler {
  readonly shard: number;
  readonly streams: NymAcceptor | undefined;
  epoch = 0;
  snapshot: StatsSnapshot | undefined;
  lostSessions = 0;
  lostPackets = 0;
  private readonly dependencies: ShardHostDependencies;
  /** Families of this epoch that have asked for anything: forwarder and registrar may hold something for them. */
  private readonly families = new Set<string>();
  private thread: ShardThread | undefined;
  private box: Mailbox;
  private touched: Connection[] = [];
  private replacedMs: number[] = [];
  private silence = new Silence();
  private stopped = false;
  private started = false;
  private nowMs = 0;

  constructor(shard: number, dependencies: ShardHostDependencies) {
    this.shard = shard;
    this.dependencies = dependencies;
    this.streams = dependencies.nym;
    this.box = this.makeMailbox();
  }

  get running(): boolean {
    return this.started && this.thread !== undefined;
  }

  get mailbox(): Mailbox {
    return this.box;
  }

  /** Starts the thread and waits for its first answer: a worker that fails at import would hang its tasks for ever. */
  async start(): Promise<void> {
    const thread = this.dependencies.start(this.shard);
    this.thread = thread;
    const failed = new Promise<never>((_, reject) => thread.onLost(reject));
    failed.catch(() => undefined);
    let cancel: CancelTimer = () => undefined;
    const expired = new Promise<never>((_, reject) => {
      const late = () => reject(new Error('no answer from its thread'));
      cancel = this.dependencies.after(this.dependencies.startTimeoutMs, late);
    });
    try {
      const ping = new InboundWriter();
      for (const key of this.dependencies.kemKeys()) ping.kemKey(key);
      for (const index of this.dependencies.router.reservedWith(this.shard)) ping.reserve(index);
      ping.tick();
      const result = await Promise.race([thread.run(ping.seal(this.dependencies.now())), failed, expired]);
      thread.onLost((reason) => this.lost(reason));
      this.started = true;
      readOutbound(result, this);
      this.box.open();
    } catch (cause) {
      await thread.destroy();
      throw new ShardStartError(this.shard, cause);
    } finally {
      cancel();
    }
  }

  /** Ticks the shard, and gives up one that hangs: a batch takes milliseconds, so nothing else explains half a minute. */
  tick(nowMs: number): void {
    if (this.silence.look(this.box.workingSinceMs, nowMs) > BATCH_LIMIT_MS)
      this.lost(new Error(`no answer to a batch within ${BATCH_LIMIT_MS} ms`));
    else this.box.tick();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.box.close();
    await this.thread?.destroy();
  }

  // What a batch brought; connections are flushed when it is read to its end.

  reply(id: number, valid: boolean, frame: Uint8Array): void {
    const connection = this.dependencies.acceptor().connection(id);
    if (connection === undefined) return;
    if (valid) connection.valid(this.nowMs);
    if (connection.reply(frame)) this.touched.push(connection);
  }

  valid(id: number): void {
    this.dependencies.acceptor().connection(id)?.valid(this.nowMs);
  }

  noAnswer(id: number, failed: boolean): void {
    const connection = this.dependencies.acceptor().connection(id);
    if (connection?.noAnswer(failed) === true) this.touched.push(connection);
  }

  request(key: number, family: number, source: number, kind: number, body: Uint8Array): void {
    const { shard, epoch } = this;
    const familyKey = this.familyKey(family);
    this.families.add(familyKey);
    this.dependencies.onRequest({ shard, epoch, key, family: familyKey, sourceId: source, kind, body });
  }

  indexTaken(index: number, live: boolean): void {
    this.dependencies.router.add(this.shard, index, live);
  }

  indexFree(index: number): void {
    this.dependencies.router.remove(this.shard, index);
  }

  release(kind: ReleaseKind, source: number): void {
    const { admission } = this.dependencies;
    switch (kind) {
      case RELEASE.token:
        admission.returnToken(source);
        break;
      case RELEASE.session:
        admission.release('session', source, this.shard);
        break;
      case RELEASE.record:
        admission.release('record', source, this.shard);
        break;
      default:
        assertNever(kind);
    }
  }

  familyEnded(family: number): void {
    const familyKey = this.familyKey(family);
    if (this.families.delete(familyKey)) this.dependencies.onFamilyEnded(familyKey);
  }

  stats(values: Float64Array): void {
    this.snapshot = readStats(values);
  }

  private familyKey(family: number): string {
    return `${this.shard}.${this.epoch}.${family}`;
  }

  private makeMailbox(): Mailbox {
    return new Mailbox(this.dependencies.mailboxLimits, {
      now: this.dependencies.now,
      after: this.dependencies.after,
      crowded: () => this.dependencies.acceptor().open + (this.streams?.open ?? 0) >= CROWD,
      gone: (connection) => this.gone(connection),
      run: (batch) => this.thread?.run(batch) ?? Promise.reject(new Error('the thread is not there')),
      done: (result, ms) => this.batchDone(result, ms),
      failed: (reason) => this.lost(reason),
    });
  }

  private gone(connection: number): boolean {
    if (isNymConnection(connection)) return this.streams?.gone(connection) !== false;
    return this.dependencies.acceptor().connection(connection)?.closed !== false;
  }

  private batchDone(result: Uint8Array, ms: number): void {
    this.nowMs = this.dependencies.now().monotonicMs;
    readOutbound(result, this);
    const acceptor = this.dependencies.acceptor();
    const { touched } = this;
    this.touched = [];
    for (const connection of touched) acceptor.settle(connection);
    this.streams?.settle();
    this.dependencies.onBatch(this.shard, ms);
  }

  /** Once per epoch: the failing batch and the end of its thread are one loss. */
  private lost(reason: unknown): void {
    const { thread } = this;
    if (this.stopped || thread === undefined) return;
    this.thread = undefined;
    this.started = false;
    this.epoch++;
    const failed = this.box;
    const sessions = this.snapshot?.gauges.sessions ?? 0;
    this.lostSessions += sessions;
    this.snapshot = undefined;
    this.box = this.makeMailbox();
    this.silence = new Silence();
    for (const family of this.families) this.dependencies.onFamilyEnded(family);
    this.families.clear();
    this.dependencies.router.forget(this.shard);
    this.dependencies.admission.releaseShard(this.shard);
    this.streams?.shardLost(this.shard);
    // Last, for it lets connections read on.
    const packets = failed.close();
    this.lostPackets += packets;
    this.dependencies.onLost(this.shard, { reason, sessions, packets });
    void this.replace(thread);
  }

  private async replace(old: ShardThread): Promise<void> {
    try {
      await old.destroy();
      while (!this.stopped && !(await this.startAgain())) {
        await new Promise<void>((resolve) => this.dependencies.after(RETRY_START_MS, resolve));
      }
    } catch (error) {
      this.dependencies.onFatal(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** False when it did not start. Rejects when it has failed too often. */
  private async startAgain(): Promise<boolean> {
    const nowMs = this.dependencies.now().monotonicMs;
    this.replacedMs = this.replacedMs.filter((at) => nowMs - at < REPLACEMENT_WINDOW_MS);
    if (this.replacedMs.length >= MAX_REPLACEMENTS) throw new Error('it failed too often within a minute');
    this.replacedMs.push(nowMs);
    try {
      await this.start();
      return true;
    } catch (error) {
      this.thread = undefined;
      this.dependencies.onStartFailed(this.shard, error);
      return false;
    }
  }
}
