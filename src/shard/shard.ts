/**
 * The shard actor: owns every handshake record and session of its slots. Its handler is synchronous and runs to
 * completion: a batch in, a batch out, time and randomness as arguments. It does no I/O and has no timers: what must wait
 * leaves as a request, and its answer comes back in a later batch.
 */
import { receiveClientHello } from '../lp/client-hello.ts';
import type { CryptoProvider, RandomSource } from '../lp/crypto/provider.ts';
import type { DropReason } from '../lp/drop-reason.ts';
import { assertNever } from '../lp/drop-reason.ts';
import type { Lifetimes, Lp1Context, ResponderContext, ResponderIdentity } from '../lp/responder-context.ts';
import type {
  ApplicationRequest,
  Effects,
  GatewaySession,
  HandshakeAdmission,
  HandshakeRecord,
  RecordOutcome,
  SessionFamily,
  SessionNote,
} from '../lp/session.ts';
import type { Now } from '../lp/time.ts';
import { KemKeyRing } from '../lp/v2/kem-key.ts';
import { encodeForward } from '../lp/wire/application-frame.ts';
import { le32, readLe32 } from '../lp/wire/bytes.ts';
import { headerFault } from '../lp/wire/header.ts';
import {
  BOOTSTRAP_INDEX,
  CONTENT_OFFSET,
  isSessionIndex,
  receiverIndex,
  TYPE,
  typeOf,
  VERSION_1,
  VERSION_2,
} from '../lp/wire/packet.ts';
import {
  ADMIT,
  type InboundHandler,
  inboundTime,
  OutboundWriter,
  type PacketEnvelope,
  RELEASE,
  REQUEST,
  readInbound,
} from './messages.ts';
import { unpackAnswer, unpackKemKey } from './payloads.ts';
import { RecordTable } from './record-table.ts';
import { SessionSlab } from './session-slab.ts';
import { SessionTable } from './session-table.ts';
import { ShardStats } from './stats.ts';

export interface ShardOptions {
  readonly identity: ResponderIdentity;
  /** Low bytes of session indices that are this shard's, at least one. */
  readonly slots: readonly number[];
  readonly lifetimes: Lifetimes;
  /** Handshake records this shard holds at most. */
  readonly records: number;
  /** Sessions and reserved indices this shard holds at most, demoted and pending ones included. */
  readonly indices: number;
  /** The sweep visits every session once in so long. */
  readonly sweepIntervalMs: number;
  /** Present where LP1 is admitted. */
  readonly lp1?: Lp1Context;
}

export interface ShardDependencies {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  /** Longest delay of the thread's loop since the last call, in milliseconds. */
  readonly loopDelayMs: () => number;
}

interface WaitingRequest {
  readonly family: SessionFamily;
  readonly requestId: number;
  readonly connection: number;
}

/** Requests that may wait for forwarder or registrar at once; those have smaller bounds of their own. */
const MAX_WAITING_REQUESTS = 65_536;
/** Ticks come every 250 ms at most; the sweep's share of one tick follows from it. */
const TICK_MS = 250;
const RECORD_SWEEP_BUDGET = 4_096;

const WORK_COUNTER = { repeat: 'handshake_repeats', kkt: 'kkt_responses', h1: 'h1_read' } as const;
const NOTE_COUNTER = { kk2_sent: 'kk2_sent', rekeyed: 'rekeys', index_refused: 'index_collisions' } as const;

export class Shard implements Effects, InboundHandler {
  readonly stats = new ShardStats();
  private readonly context: ResponderContext;
  private readonly options: ShardOptions;
  private readonly dependencies: ShardDependencies;
  private readonly records: RecordTable;
  private readonly sessions: SessionTable;
  private readonly slab = new SessionSlab();
  private readonly waiting = new Map<number, WaitingRequest>();
  /** In order of their deadlines, which are all one second away when they are set. */
  private earlyReplies: { family: SessionFamily; deadlineMs: number; connection: number }[] = [];
  private families = 0;
  private lastFamilyId = 0;
  private lastRequestKey = 0;

  private now: Now = { monotonicMs: 0, unixMs: 0 };
  private out = new OutboundWriter();
  /** The connection that effects of the moment go to. */
  private connection = 0;
  private replied = false;
  private lastBatchLength = 0;

  constructor(options: ShardOptions, dependencies: ShardDependencies) {
    this.options = options;
    this.dependencies = dependencies;
    this.records = new RecordTable(options.records, options.lifetimes.handshakeTtlMs, (record, evicted) => {
      if (evicted) this.stats.count('records_evicted');
      this.recordLeaves(record);
    });
    this.sessions = new SessionTable(options.slots, options.indices, dependencies.random);
    this.context = this.makeContext();
  }

  /** Handles a batch. What a peer sends never throws; an exception is our own mistake and ends the shard. */
  handle(batch: Uint8Array): Uint8Array<ArrayBuffer> {
    this.now = inboundTime(batch);
    this.out = new OutboundWriter(this.lastBatchLength + (this.lastBatchLength >> 2));
    readInbound(batch, this);
    this.lastBatchLength = this.out.length;
    return this.out.seal();
  }

  packet(envelope: PacketEnvelope, packet: Uint8Array): void {
    this.stats.count('packets');
    this.connection = envelope.connection;
    this.replied = false;
    const index = receiverIndex(packet);
    // LP1's indices name a handshake and then its session, with and without bit 31; LP2's are one or the other.
    const session = this.sessions.find(index, this.now.monotonicMs, this);
    const fault = headerFault(packet, 0, packet.length, session !== undefined || isSessionIndex(index));
    if (fault !== undefined) this.refuseUnread(index, envelope, fault);
    else if (index === BOOTSTRAP_INDEX) this.hello(envelope, packet);
    else if (session !== undefined) this.sessionPacket(session, envelope, packet);
    else this.handshakePacket(index, envelope, packet);
  }

  tick(): void {
    const { now } = this;
    this.settleEarlyReplies();
    this.records.sweep(now.monotonicMs, RECORD_SWEEP_BUDGET);
    this.context.kemKeys.wipeExpired(now.unixMs);
    const ticks = Math.max(1, this.options.sweepIntervalMs / TICK_MS);
    this.sessions.sweep(now.monotonicMs, ticks, this);
    this.stats.gauges({
      records: this.records.size,
      sessions: this.sessions.size,
      families: this.families,
      pending_requests: this.waiting.size,
      pending_early_replies: this.earlyReplies.length,
      kem_keys: this.context.kemKeys.length,
      slab_bytes: this.slab.bytes,
      loop_delay_max_ms: this.dependencies.loopDelayMs(),
    });
    this.out.stats(this.stats.values);
  }

  answer(key: number, kind: number, body: Uint8Array): void {
    const request = this.waiting.get(key);
    const answer = unpackAnswer(kind, body);
    if (request === undefined) {
      this.stats.count('late_answers');
      return;
    }
    this.waiting.delete(key);
    this.connection = request.connection;
    request.family.answer(request.requestId, answer, this.now, this);
  }

  reserve(index: number): void {
    this.sessions.claim(index);
  }

  unreserve(index: number): void {
    this.sessions.unreserve(index);
  }

  kemKey(material: Uint8Array): void {
    this.context.kemKeys.add(unpackKemKey(material));
    material.fill(0);
  }

  // Effects of the packet, answer or tick that is being handled.

  reply(packet: Uint8Array): void {
    this.replied = true;
    this.stats.count('replies');
    this.out.reply(this.connection, true, packet);
  }

  request(family: SessionFamily, request: ApplicationRequest): boolean {
    if (this.waiting.size >= MAX_WAITING_REQUESTS) return false;
    const key = this.nextRequestKey();
    this.waiting.set(key, { family, requestId: request.requestId, connection: this.connection });
    switch (request.kind) {
      case 'registration':
        this.stats.count('registrations');
        this.out.request(key, family.id, family.source, REQUEST.registration, request.body);
        return true;
      case 'index':
        this.out.request(key, family.id, family.source, REQUEST.index, le32(request.index));
        return true;
      case 'forward':
        this.stats.count('forwards');
        this.out.request(key, family.id, family.source, forwardKind(request.alone), encodeForward(request.forward));
        return true;
      default:
        return assertNever(request);
    }
  }

  noAnswer(failed: boolean): void {
    this.out.noAnswer(this.connection, failed);
  }

  note(event: SessionNote): void {
    this.stats.count(NOTE_COUNTER[event]);
  }

  addSession(session: GatewaySession): void {
    this.sessions.add(session);
  }

  removeSession(session: GatewaySession): void {
    this.sessions.remove(session);
  }

  familyEnded(family: SessionFamily): void {
    this.families--;
    this.stats.count('families_ended');
    this.out.familyEnded(family.id);
    this.out.release(RELEASE.session, family.source);
  }

  earlyReplyPending(family: SessionFamily, deadlineMs: number): void {
    this.earlyReplies.push({ family, deadlineMs, connection: this.connection });
  }

  private hello(envelope: PacketEnvelope, packet: Uint8Array): void {
    const outcome = receiveClientHello(this.context, this.table, packet, envelope.source, this.now);
    const created = outcome.kind === 'record' && this.takeRecord(outcome.record, envelope);
    if (!created) this.settleHello(packet, envelope, outcome.kind === 'record');
    switch (outcome.kind) {
      case 'drop':
        if (outcome.noAnswer) this.noAnswer(false);
        this.drop(outcome.reason);
        break;
      case 'refused':
        if (typeOf(outcome.packet) === TYPE.collision) this.stats.count('collisions');
        this.refuse(outcome.packet);
        break;
      case 'repeat':
        this.stats.count('hello_repeats');
        this.reply(outcome.packet);
        break;
      case 'record':
        if (created) {
          this.stats.count('hellos');
          this.reply(outcome.record.helloReply);
        } else this.refuse(outcome.record.busyPacket(envelope.retryAfterSeconds));
        break;
      default:
        assertNever(outcome);
    }
  }

  /** False beyond the source's or the shard's bound. */
  private takeRecord(record: HandshakeRecord, envelope: PacketEnvelope): boolean {
    if ((envelope.flags & ADMIT.record) === 0 || !this.records.add(record)) {
      record.wipe();
      return false;
    }
    this.out.indexTaken(record.index, false);
    return true;
  }

  /** No record was made: gives its place back, and says whether the index that was routed here ahead is a record's. */
  private settleHello(packet: Uint8Array, envelope: PacketEnvelope, indexFreed: boolean): void {
    if ((envelope.flags & ADMIT.record) === 0) return;
    this.out.release(RELEASE.record, envelope.source);
    const index = readLe32(packet, CONTENT_OFFSET);
    if (!indexFreed && !this.hasIndex(index)) this.out.indexFree(index);
  }

  private handshakePacket(index: number, envelope: PacketEnvelope, packet: Uint8Array): void {
    const record = this.records.find(index, this.now.monotonicMs);
    if (record === undefined) {
      this.refuseUnread(index, envelope, 'unknown_index');
      return;
    }
    const admission: HandshakeAdmission = {
      source: envelope.source,
      token: (envelope.flags & ADMIT.token) !== 0,
      session: (envelope.flags & ADMIT.session) !== 0,
      retryAfterSeconds: envelope.retryAfterSeconds,
    };
    const outcome = record.receive(packet, admission, this.now, this);
    this.settleAdmission(envelope, outcome);
    switch (outcome.kind) {
      case 'drop':
        this.drop(outcome.reason);
        break;
      case 'refused':
        this.refuse(outcome.packet);
        break;
      case 'reply':
        if (outcome.work === 'h1') this.records.start(record);
        this.stats.count(WORK_COUNTER[outcome.work]);
        this.reply(outcome.packet);
        break;
      case 'accepted':
        this.stats.count('h3_accepted');
        this.families++;
        if (!this.replied) this.out.valid(this.connection);
        break;
      default:
        assertNever(outcome);
    }
  }

  /** A repeat takes no token, nor does a first KKT; a session's place stays taken only for an H1 that read. */
  private settleAdmission(envelope: PacketEnvelope, outcome: RecordOutcome): void {
    const { flags, source } = envelope;
    const free = outcome.kind === 'reply' && (outcome.work === 'repeat' || (outcome.work === 'kkt' && !outcome.token));
    if ((flags & ADMIT.token) !== 0 && free) this.out.release(RELEASE.token, source);
    if ((flags & ADMIT.session) === 0) return;
    if (outcome.kind !== 'reply' || outcome.work !== 'h1') this.out.release(RELEASE.session, source);
  }

  private refuseUnread(index: number, envelope: PacketEnvelope, reason: DropReason): void {
    this.giveBack(envelope);
    if (reason === 'unknown_index') this.out.indexFree(index);
    this.drop(reason);
  }

  /** Of a packet that is no handshake's after all. */
  private giveBack({ flags, source }: PacketEnvelope): void {
    if ((flags & ADMIT.token) !== 0) this.out.release(RELEASE.token, source);
    if ((flags & ADMIT.session) !== 0) this.out.release(RELEASE.session, source);
    if ((flags & ADMIT.record) !== 0) this.out.release(RELEASE.record, source);
  }

  private sessionPacket(session: GatewaySession, envelope: PacketEnvelope, packet: Uint8Array): void {
    // An LP1 index was a handshake's when admission saw the packet, if the H3 was under way before it.
    this.giveBack(envelope);
    const reason = session.receive(packet, this.now, this);
    if (reason !== undefined) this.drop(reason);
    else if (!this.replied) this.out.valid(this.connection);
  }

  private drop(reason: DropReason): void {
    this.stats.drop(reason);
  }

  /** Error, Busy or Collision: the packet does not count as a valid one. */
  private refuse(packet: Uint8Array): void {
    this.stats.count('refusals');
    this.out.reply(this.connection, false, packet);
  }

  private recordLeaves(record: HandshakeRecord): void {
    this.out.release(RELEASE.record, record.source);
    for (const source of record.reservedSources()) this.out.release(RELEASE.session, source);
  }

  private settleEarlyReplies(): void {
    let due = 0;
    for (const early of this.earlyReplies) {
      if (early.deadlineMs > this.now.monotonicMs) break;
      this.connection = early.connection;
      early.family.settleEarly(this);
      due++;
    }
    if (due > 0) this.earlyReplies = this.earlyReplies.slice(due);
  }

  private hasIndex(index: number): boolean {
    return this.sessions.has(index) || this.records.find(index, this.now.monotonicMs) !== undefined;
  }

  private nextRequestKey(): number {
    do this.lastRequestKey = (this.lastRequestKey + 1) >>> 0;
    while (this.waiting.has(this.lastRequestKey));
    return this.lastRequestKey;
  }

  private get table() {
    return { record: (index: number, nowMs: number) => this.records.find(index, nowMs) };
  }

  private makeContext(): ResponderContext {
    const { crypto, random } = this.dependencies;
    const { lp1 } = this.options;
    return {
      crypto,
      random,
      lp1,
      minVersion: lp1 === undefined ? VERSION_2 : VERSION_1,
      identity: this.options.identity,
      kemKeys: new KemKeyRing(crypto),
      lifetimes: this.options.lifetimes,
      allocateIndex: () => {
        const index = this.sessions.reserve();
        if (index !== undefined) this.out.indexTaken(index, true);
        return index;
      },
      freeIndex: (index) => {
        this.sessions.unreserve(index);
        this.out.indexFree(index);
      },
      claimIndex: (index) => this.sessions.claim(index),
      unclaimIndex: (index) => this.sessions.unreserve(index),
      hasIndex: (index) => this.hasIndex(index),
      indexLives: (index) => this.out.indexTaken(index, true),
      allocatePlace: () => this.slab.allocate(),
      releasePlace: (place) => this.slab.release(place),
      nextFamilyId: () => {
        this.lastFamilyId = (this.lastFamilyId + 1) >>> 0;
        return this.lastFamilyId;
      },
    };
  }
}

function forwardKind(alone: boolean): number {
  return alone ? REQUEST.forwardAlone : REQUEST.forward;
}
