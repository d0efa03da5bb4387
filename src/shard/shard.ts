/**
 * The shard actor: owns every handshake record and session of its slots. Its handler is synchronous and runs to
 * completion: a batch in, a batch out, time and randomness as arguments. It does no I/O and has no timers: what must wait
 * leaves as a request, and its answer comes back in a later batch.
 */
import type { CryptoProvider, RandomSource } from '../lp/crypto/provider.ts';
import { assertNever, type DropReason } from '../lp/drop-reason.ts';
import type { Lifetimes, Lp1Context, ResponderContext, ResponderIdentity } from '../lp/responder-context.ts';
import type { ApplicationRequest, GatewaySession, SessionFamily, SessionNote } from '../lp/session.ts';
import type { Now } from '../lp/time.ts';
import { GatewayFamily } from '../lp/v2/gateway-family.ts';
import { KemKeyRing } from '../lp/v2/kem-key.ts';
import { openPacket } from '../lp/v2/transport.ts';
import { encodeForward } from '../lp/wire/application-frame.ts';
import { concat, le32, readLe32 } from '../lp/wire/bytes.ts';
import { headerFault } from '../lp/wire/header.ts';
import { BOOTSTRAP_INDEX, isSessionIndex, receiverIndex, VERSION_1, VERSION_2 } from '../lp/wire/packet.ts';
import { EarlyReplies } from './early-replies.ts';
import { type HandshakeHost, Handshakes } from './handshakes.ts';
import {
  ADMIT,
  type InboundHandler,
  inboundTime,
  OutboundWriter,
  type PacketEnvelope,
  REQUEST,
  readInbound,
} from './messages.ts';
import { NymConnections, type NymShardOptions } from './nym/connections.ts';
import { unpackAnswer, unpackKemKey } from './payloads.ts';
import { RecordTable } from './record-table.ts';
import { Reservations } from './reservations.ts';
import { SessionSlab } from './session-slab.ts';
import { type PacketReceiver, SessionTable } from './session-table.ts';
import { COUNTER, ShardStats } from './stats.ts';
import { outboundStreams } from './stream-messages.ts';

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
  /** Present where Nym is spoken. */
  readonly nym?: NymShardOptions;
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
/** Of one tick; a new record takes two more with it, so this need not keep pace with hellos. */
const RECORD_SWEEP_BUDGET = 256;
/** Of one batch, 4 µs each. A second of a shard's handshakes takes as many batches as brought them, or two seconds of ticks. */
const MAX_EARLY_REPLIES = 256;

const TABLE_SEED_LABEL = new TextEncoder().encode('lewes session table');

const NOTE_COUNTER = { kk2_sent: COUNTER.kk2_sent, rekeyed: COUNTER.rekeys, index_refused: COUNTER.index_collisions };

export class Shard implements HandshakeHost, InboundHandler {
  readonly stats = new ShardStats();
  readonly streams: NymConnections | undefined;
  private readonly context: ResponderContext;
  private readonly options: ShardOptions;
  private readonly dependencies: ShardDependencies;
  private readonly records: RecordTable;
  private readonly sessions: SessionTable;
  private readonly slab = new SessionSlab();
  private readonly waiting = new Map<number, WaitingRequest>();
  private readonly earlyReplies = new EarlyReplies();
  private readonly reservations: Reservations;
  private readonly handshakes: Handshakes;
  private families = 0;
  private lastFamilyId = 0;
  private lastRequestKey = 0;

  private now: Now = { monotonicMs: 0, unixMs: 0 };
  private readonly out = new OutboundWriter();
  /** The connection that effects of the moment go to. */
  private connection = 0;
  private replied = false;

  constructor(options: ShardOptions, dependencies: ShardDependencies) {
    this.options = options;
    this.dependencies = dependencies;
    this.records = new RecordTable(options.records, options.lifetimes.handshakeTtlMs, (record, evicted) => {
      if (evicted) this.stats.count(COUNTER.records_evicted);
      this.reservations.recordLeft(record);
    });
    this.sessions = new SessionTable(
      { slots: options.slots, capacity: options.indices, seed: tableSeed(options.lp1, dependencies.crypto) },
      {
        random: dependencies.random,
        slab: this.slab,
        open: ({ place, received }, packet) =>
          openPacket(dependencies.crypto, packet, place.memory, place.offset, received),
        wake: (resting) => GatewayFamily.wake(this.context, resting),
        ended: ({ index, family, source }) => {
          this.out.indexFree(index);
          this.familyOver(family, source);
        },
      },
    );
    this.context = this.makeContext();
    this.reservations = new Reservations(this.out, (index) => this.hasIndex(index));
    const { records, reservations, stats } = this;
    this.handshakes = new Handshakes(this.context, { records, reservations, stats }, this);
    this.streams = options.nym && this.makeStreams(options.nym);
  }

  /**
   * Handles a batch. The result lies in the shard's memory until the next call. What a peer sends never throws; an
   * exception is our own mistake and ends the shard.
   */
  handle(batch: Uint8Array): Uint8Array<ArrayBuffer> {
    this.now = inboundTime(batch);
    this.out.reset();
    readInbound(batch, this);
    this.settleEarlyReplies();
    return this.out.seal();
  }

  packet(envelope: PacketEnvelope, packet: Uint8Array): void {
    this.stats.count(COUNTER.packets);
    this.connection = envelope.connection;
    this.replied = false;
    const index = receiverIndex(packet);
    if ((envelope.flags & ADMIT.late) !== 0) {
      this.refuseLate(index, envelope, packet);
      return;
    }
    // LP1's indices name a handshake and then its session, with and without bit 31; LP2's are one or the other.
    const session = this.sessions.find(index, this.now.monotonicMs, this);
    const fault = headerFault(packet, 0, packet.length, session !== undefined || isSessionIndex(index));
    if (fault !== undefined) this.refuseUnread(index, envelope, fault);
    else if (index === BOOTSTRAP_INDEX) this.handshakes.hello(envelope, packet, this.now);
    else if (session !== undefined) this.sessionPacket(session, envelope, packet);
    else this.handshakes.packet(index, envelope, packet, this.now);
  }

  tick(): void {
    const { now } = this;
    this.records.sweep(now.monotonicMs, RECORD_SWEEP_BUDGET);
    this.context.kemKeys.wipeExpired(now.unixMs);
    const ticks = Math.max(1, this.options.sweepIntervalMs / TICK_MS);
    this.sessions.sweep(now.monotonicMs, ticks, this);
    this.streams?.tick();
    this.stats.gauges({
      records: this.records.size,
      sessions: this.sessions.size,
      families: this.families,
      pending_requests: this.waiting.size,
      pending_early_replies: this.earlyReplies.length,
      kem_keys: this.context.kemKeys.length,
      sessions_at_rest: this.sessions.atRest,
      slab_bytes: this.slab.bytes,
      loop_delay_max_ms: this.dependencies.loopDelayMs(),
    });
    this.out.stats(this.stats.values);
  }

  answer(key: number, kind: number, body: Uint8Array): void {
    const request = this.waiting.get(key);
    const answer = unpackAnswer(kind, body);
    if (request === undefined) {
      this.stats.count(COUNTER.late_answers);
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
    this.stats.count(COUNTER.replies);
    this.out.reply(this.connection, true, packet);
  }

  request(family: SessionFamily, request: ApplicationRequest): boolean {
    if (this.waiting.size >= MAX_WAITING_REQUESTS) return false;
    const key = this.nextRequestKey();
    this.waiting.set(key, { family, requestId: request.requestId, connection: this.connection });
    switch (request.kind) {
      case 'registration':
        this.stats.count(COUNTER.registrations);
        this.out.request(key, family.id, family.source, REQUEST.registration, request.body);
        return true;
      case 'index':
        this.out.request(key, family.id, family.source, REQUEST.index, le32(request.index));
        return true;
      case 'forward':
        this.stats.count(COUNTER.forwards);
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
    this.sessions.add(session, this.now.monotonicMs);
  }

  removeSession(session: GatewaySession): void {
    this.sessions.remove(session);
  }

  familyEnded(family: SessionFamily): void {
    this.familyOver(family.id, family.source);
  }

  earlyReplyPending(family: SessionFamily, deadlineMs: number): void {
    this.earlyReplies.add({ family, deadlineMs, connection: this.connection });
  }

  // What handshakes need besides.

  drop(reason: DropReason): void {
    this.stats.drop(reason);
  }

  refuse(packet: Uint8Array): void {
    this.stats.count(COUNTER.refusals);
    this.out.reply(this.connection, false, packet);
  }

  refuseUnread(index: number, envelope: PacketEnvelope, reason: DropReason): void {
    this.reservations.giveBack(envelope);
    if (reason === 'unknown_index') this.reservations.freeUnlessNamed(index);
    this.drop(reason);
  }

  recordMade(index: number): void {
    this.out.indexTaken(index, false);
  }

  familyMade(): void {
    this.families++;
    if (!this.replied) this.out.valid(this.connection);
  }

  /** It waited longer than its client did: what was reserved for it goes back, and nothing else happens. */
  private refuseLate(index: number, envelope: PacketEnvelope, packet: Uint8Array): void {
    if (index === BOOTSTRAP_INDEX) this.reservations.helloSettled(envelope, packet, false);
    else this.reservations.giveBack(envelope);
    this.drop('mailbox_full');
  }

  private sessionPacket(session: PacketReceiver, envelope: PacketEnvelope, packet: Uint8Array): void {
    // An LP1 index was a handshake's when admission saw the packet, if the H3 was under way before it.
    this.reservations.giveBack(envelope);
    const reason = session.receive(packet, this.now, this);
    if (reason !== undefined) this.drop(reason);
    else if (!this.replied) this.out.valid(this.connection);
  }

  private settleEarlyReplies(): void {
    for (let left = MAX_EARLY_REPLIES; left > 0; left--) {
      const early = this.earlyReplies.takeDue(this.now.monotonicMs);
      if (early === undefined) return;
      this.connection = early.connection;
      early.family.settleEarly(this);
    }
  }

  private familyOver(family: number, source: number): void {
    this.families--;
    this.stats.count(COUNTER.families_ended);
    this.out.familyEnded(family);
    this.reservations.familyEnded(source);
  }

  private hasIndex(index: number): boolean {
    return this.sessions.has(index) || this.records.find(index, this.now.monotonicMs) !== undefined;
  }

  private nextRequestKey(): number {
    do this.lastRequestKey = (this.lastRequestKey + 1) >>> 0;
    while (this.waiting.has(this.lastRequestKey));
    return this.lastRequestKey;
  }

  private makeStreams(nym: NymShardOptions): NymConnections {
    const { crypto, random } = this.dependencies;
    return new NymConnections(nym, {
      crypto,
      random,
      ownerSecret: this.options.identity.x25519Secret,
      out: outboundStreams(this.out),
      release: (kind, source) => this.out.release(kind, source),
      now: () => this.now,
    });
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
      releasePlace: (place) => this.slab.release(place.slot),
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

/** Of the table of indices: LP1's clients choose theirs, and are not to know where in the table those lie. */
function tableSeed(lp1: Lp1Context | undefined, crypto: CryptoProvider): number {
  return lp1 === undefined ? 0 : readLe32(crypto.blake3(concat(lp1.ed25519Seed, TABLE_SEED_LABEL)), 0);
}
