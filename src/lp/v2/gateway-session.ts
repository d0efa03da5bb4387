/**
 * A session at the gateway (lp2.md §5–§7): its transport, its place in the family, its lifetime. It opens packets and
 * checks their form; what a valid packet means is the family's.
 */
import { assertNever, type DropReason } from '../drop-reason.ts';
import type { ResponderContext } from '../responder-context.ts';
import type { Effects, GatewaySession, RestingSession, SessionFamily } from '../session.ts';
import type { Now } from '../time.ts';
import { FRAME_HEADER_LENGTH } from '../wire/application-frame.ts';
import { contentOf, TYPE, typeOf } from '../wire/packet.ts';
import type { Transport } from './transport.ts';

/**
 * pending: made by a KK1, opens but seals nothing. current: the one that seals. demoted: has a successor, opens for a
 * while. ended: wiped.
 */
export type SessionPlace =
  | { readonly kind: 'pending'; readonly parent: GatewaySessionV2 }
  | { readonly kind: 'current' }
  | { readonly kind: 'demoted'; readonly atMs: number }
  | { readonly kind: 'ended' };

export const CURRENT: SessionPlace = { kind: 'current' };
export const ENDED: SessionPlace = { kind: 'ended' };

/** The KK1 that was answered last with a KK2. */
export interface AnsweredKk1 {
  readonly n: number;
  readonly contentHash: Uint8Array;
  readonly kk2Content: Uint8Array;
}

/** The family as its sessions see it. */
export interface SessionHost extends SessionFamily {
  readonly context: ResponderContext;
  receive(
    session: GatewaySessionV2,
    type: number,
    content: Uint8Array,
    now: Now,
    effects: Effects,
  ): DropReason | undefined;
  sessionExpired(session: GatewaySessionV2, effects: Effects): void;
  rest(session: GatewaySessionV2, nowMs: number): RestingSession | undefined;
}

const NEVER = -1;

export class GatewaySessionV2 implements GatewaySession {
  readonly family: SessionHost;
  readonly transport: Transport;
  readonly createdMs: number;
  place: SessionPlace;
  answeredKk1: AnsweredKk1 | undefined = undefined;
  /** Of its last packet that was opened and whose form was right; negative when there was none. */
  lastValidMs: number;

  constructor(
    family: SessionHost,
    transport: Transport,
    place: SessionPlace,
    createdMs: number,
    lastValidMs: number = NEVER,
  ) {
    this.family = family;
    this.transport = transport;
    this.place = place;
    this.createdMs = createdMs;
    this.lastValidMs = lastValidMs;
  }

  get index(): number {
    return this.transport.index;
  }

  receive(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    const failed = this.transport.open(this.family.context.crypto, packet);
    return failed ?? this.act(packet, now, effects);
  }

  /** The packet that woke it: `openPacket` has opened it. */
  receiveOpened(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    return this.transport.opened(packet) ?? this.act(packet, now, effects);
  }

  private act(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    const type = typeOf(packet);
    const content = contentOf(packet);
    if (!wellFormed(type, content.length)) return 'content';
    return this.family.receive(this, type, content, now, effects);
  }

  /** A packet was opened and its form was right. */
  touch(nowMs: number): void {
    this.lastValidMs = nowMs;
  }

  /** Rekeying made this session the newest: its own idle time begins. */
  become(place: SessionPlace): void {
    this.place = place;
  }

  expired(nowMs: number): boolean {
    return nowMs >= this.expiresMs;
  }

  /** When the session's time is over if no packet comes. */
  get expiresMs(): number {
    const { lifetimes } = this.family.context;
    switch (this.place.kind) {
      case 'ended':
        return Number.NEGATIVE_INFINITY;
      case 'demoted':
        return this.place.atMs + lifetimes.demotedSessionMs;
      case 'pending':
        return this.place.parent.expiresMs;
      case 'current':
        return Math.min(this.createdMs + lifetimes.sessionMaxMs, this.idleUntilMs);
      default:
        return assertNever(this.place);
    }
  }

  /** Without a packet of its own it is a handshake's: what rekeying makes becomes the newest by such a packet. */
  private get idleUntilMs(): number {
    const { lifetimes } = this.family.context;
    if (this.lastValidMs === NEVER) return this.createdMs + lifetimes.unusedSessionMs;
    return this.lastValidMs + lifetimes.sessionIdleMs;
  }

  rest(nowMs: number): RestingSession | undefined {
    return this.family.rest(this, nowMs);
  }

  expire(effects: Effects): void {
    this.family.sessionExpired(this, effects);
  }
}

const KK1_LENGTHS = [4 + 32 + 1 + 16, 4 + 32 + 1 + 1184 + 16] as const;
const KK2_LENGTHS = [4 + 32 + 4 + 16, 4 + 32 + 4 + 1088 + 16] as const;

/** §2: the form of a sealed content by its type, as far as the length says it. */
export function wellFormed(type: number, length: number): boolean {
  switch (type) {
    case TYPE.encryptedData:
      return length >= FRAME_HEADER_LENGTH;
    case TYPE.subsessionKk1:
      return length === KK1_LENGTHS[0] || length === KK1_LENGTHS[1];
    case TYPE.subsessionKk2:
      return length === KK2_LENGTHS[0] || length === KK2_LENGTHS[1];
    case TYPE.subsessionAbort:
      return length === 4;
    default:
      return length === 0;
  }
}
