/**
 * Packets of handshakes (lp2.md §3, §4): a ClientHello makes a record or is refused, everything after it goes to its record.
 * What admission reserved for each is settled with its outcome.
 */
import { receiveClientHello } from '../lp/client-hello.ts';
import { assertNever, type DropReason } from '../lp/drop-reason.ts';
import type { ResponderContext } from '../lp/responder-context.ts';
import type { Effects, HandshakeAdmission, HandshakeRecord } from '../lp/session.ts';
import type { Now } from '../lp/time.ts';
import { TYPE, typeOf } from '../lp/wire/packet.ts';
import { ADMIT, type PacketEnvelope } from './messages.ts';
import type { RecordTable } from './record-table.ts';
import type { Reservations } from './reservations.ts';
import { COUNTER, type ShardStats } from './stats.ts';

const WORK_COUNTER = { repeat: COUNTER.handshake_repeats, kkt: COUNTER.kkt_responses, h1: COUNTER.h1_read };

/** What of the shard a handshake's packet needs. */
export interface HandshakeHost extends Effects {
  /** The packet is dropped. */
  drop(reason: DropReason): void;
  /** A packet about an index that names nothing, or not what the packet is. */
  refuseUnread(index: number, envelope: PacketEnvelope, reason: DropReason): void;
  /** Error, Busy or Collision: the packet does not count as a valid one. */
  refuse(packet: Uint8Array): void;
  /** The index is a handshake's from now on. */
  recordMade(index: number): void;
  /** An H3 was accepted. */
  familyMade(): void;
}

export interface HandshakeTables {
  readonly records: RecordTable;
  readonly reservations: Reservations;
  readonly stats: ShardStats;
}

export class Handshakes {
  private readonly context: ResponderContext;
  private readonly records: RecordTable;
  private readonly reservations: Reservations;
  private readonly stats: ShardStats;
  private readonly host: HandshakeHost;

  constructor(context: ResponderContext, { records, reservations, stats }: HandshakeTables, host: HandshakeHost) {
    this.context = context;
    this.records = records;
    this.reservations = reservations;
    this.stats = stats;
    this.host = host;
  }

  hello(envelope: PacketEnvelope, packet: Uint8Array, now: Now): void {
    const { host } = this;
    const table = { record: (index: number, nowMs: number) => this.records.find(index, nowMs) };
    const outcome = receiveClientHello(this.context, table, packet, envelope.source, now);
    const created = outcome.kind === 'record' && this.takeRecord(outcome.record, envelope);
    if (!created) this.reservations.helloSettled(envelope, packet, outcome.kind === 'record');
    switch (outcome.kind) {
      case 'drop':
        if (outcome.noAnswer) host.noAnswer(false);
        host.drop(outcome.reason);
        break;
      case 'refused':
        if (typeOf(outcome.packet) === TYPE.collision) this.stats.count(COUNTER.collisions);
        host.refuse(outcome.packet);
        break;
      case 'repeat':
        this.stats.count(COUNTER.hello_repeats);
        host.reply(outcome.packet);
        break;
      case 'record':
        if (created) {
          this.stats.count(COUNTER.hellos);
          host.reply(outcome.record.helloReply);
        } else host.refuse(outcome.record.busyPacket(envelope.retryAfterSeconds));
        break;
      default:
        assertNever(outcome);
    }
  }

  packet(index: number, envelope: PacketEnvelope, packet: Uint8Array, now: Now): void {
    const { host } = this;
    const record = this.records.find(index, now.monotonicMs);
    if (record === undefined) {
      host.refuseUnread(index, envelope, 'unknown_index');
      return;
    }
    const admission: HandshakeAdmission = {
      source: envelope.source,
      token: (envelope.flags & ADMIT.token) !== 0,
      session: (envelope.flags & ADMIT.session) !== 0,
      retryAfterSeconds: envelope.retryAfterSeconds,
    };
    const outcome = record.receive(packet, admission, now, host);
    this.reservations.handshakeSettled(envelope, outcome);
    switch (outcome.kind) {
      case 'drop':
        host.drop(outcome.reason);
        break;
      case 'refused':
        host.refuse(outcome.packet);
        break;
      case 'reply':
        if (outcome.work === 'h1') this.records.start(record);
        this.stats.count(WORK_COUNTER[outcome.work]);
        host.reply(outcome.packet);
        break;
      case 'accepted':
        this.stats.count(COUNTER.h3_accepted);
        host.familyMade();
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
    this.host.recordMade(record.index);
    return true;
  }
}
