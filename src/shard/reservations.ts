/**
 * The shard's side of admission's books (lp2.md §4.5): what was reserved for a packet goes back exactly once, at once where
 * nothing came of the packet, or when the record or session that took it leaves; and an index that was routed here ahead
 * of the shard's word is freed where it names nothing.
 */
import type { HandshakeRecord, RecordOutcome } from '../lp/session.ts';
import { readLe32 } from '../lp/wire/bytes.ts';
import { CONTENT_OFFSET } from '../lp/wire/packet.ts';
import { ADMIT, type OutboundWriter, type PacketEnvelope, RELEASE } from './messages.ts';

export class Reservations {
  private readonly out: OutboundWriter;
  private readonly hasIndex: (index: number) => boolean;

  constructor(out: OutboundWriter, hasIndex: (index: number) => boolean) {
    this.out = out;
    this.hasIndex = hasIndex;
  }

  /** Of a packet that is no handshake's after all. */
  giveBack({ flags, source }: PacketEnvelope): void {
    if (flags === 0) return;
    if ((flags & ADMIT.token) !== 0) this.out.release(RELEASE.token, source);
    if ((flags & ADMIT.session) !== 0) this.out.release(RELEASE.session, source);
    if ((flags & ADMIT.record) !== 0) this.out.release(RELEASE.record, source);
  }

  /** A ClientHello made no record. `indexFreed`: the index that it proposed was told to be free. */
  helloSettled(envelope: PacketEnvelope, packet: Uint8Array, indexFreed: boolean): void {
    if ((envelope.flags & ADMIT.record) === 0) return;
    this.out.release(RELEASE.record, envelope.source);
    if (!indexFreed) this.freeUnlessNamed(readLe32(packet, CONTENT_OFFSET));
  }

  /** A repeat takes no token, nor does a first KKT; a session's place stays taken only for an H1 that read. */
  handshakeSettled({ flags, source }: PacketEnvelope, outcome: RecordOutcome): void {
    const free = outcome.kind === 'reply' && (outcome.work === 'repeat' || (outcome.work === 'kkt' && !outcome.token));
    if ((flags & ADMIT.token) !== 0 && free) this.out.release(RELEASE.token, source);
    if ((flags & ADMIT.session) === 0) return;
    if (outcome.kind !== 'reply' || outcome.work !== 'h1') this.out.release(RELEASE.session, source);
  }

  /** An index that H2 promised names nothing yet, and has to be routed here all the same. */
  freeUnlessNamed(index: number): void {
    if (!this.hasIndex(index)) this.out.indexFree(index);
  }

  recordLeft(record: HandshakeRecord): void {
    this.out.release(RELEASE.record, record.source);
    for (const source of record.reservedSources()) this.out.release(RELEASE.session, source);
  }

  familyEnded(source: number): void {
    this.out.release(RELEASE.session, source);
  }
}
