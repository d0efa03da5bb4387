/**
 * The gateway's side of a protocol version as the shard sees it: records of handshakes, sessions, families. Each version
 * implements these; nothing outside its folder asks which one runs. Everything here is sans-IO: what is to be done leaves
 * through `Effects`, which belong to the packet or message that is being handled.
 */
import type { DropReason } from './drop-reason.ts';
import type { Now } from './time.ts';
import type { TransportPlace } from './v2/transport.ts';
import type { Forward, ForwardResponse } from './wire/application-frame.ts';

/** Work that must wait: it leaves the shard, and its answer comes back through `SessionFamily.answer`. */
export type ApplicationRequest =
  | { readonly kind: 'registration'; readonly requestId: number; readonly body: Uint8Array }
  /** `alone`: on a connection of its own, whose end is an answer, too (lp1.md §8.7). */
  | { readonly kind: 'forward'; readonly requestId: number; readonly forward: Forward; readonly alone: boolean }
  /** A receiver index that a client chose for a new session: is it free in the whole gateway? If so, it is routed here. */
  | { readonly kind: 'index'; readonly requestId: number; readonly index: number };

export type ApplicationAnswer =
  | { readonly kind: 'registration'; readonly body: Uint8Array }
  | { readonly kind: 'forward'; readonly response: ForwardResponse }
  | { readonly kind: 'index'; readonly granted: boolean }
  | { readonly kind: 'failure'; readonly code: number; readonly text: string };

/** What the handling of one packet, answer or tick brings about. */
export interface Effects {
  /** A packet to the connection that brought the request. Copied during the call. */
  reply(packet: Uint8Array): void;
  /**
   * LP1 only (lp1.md §8.4): the packet gets no answer, and what says so is the end of its connection. A connection that has
   * carried several packets lives on, unless `failed`: then the client waits for an answer that will not come.
   */
  noAnswer(failed: boolean): void;
  /** The request leaves; false when no more may wait, and then nothing was done. */
  request(family: SessionFamily, request: ApplicationRequest): boolean;
  /** The index is routed to this shard from now on. */
  addSession(session: GatewaySession): void;
  /** The index is free. */
  removeSession(session: GatewaySession): void;
  /** No session of the family is left but demoted ones. */
  familyEnded(family: SessionFamily): void;
  /** The reply to an H3 waits for its early frame's answer: `settleEarly` is due at this time. */
  earlyReplyPending(family: SessionFamily, deadlineMs: number): void;
  /** Something to be counted that no packet or drop shows. */
  note(event: SessionNote): void;
}

/** index_refused: a client named an index for its new session that is taken; its old session goes on. */
export type SessionNote = 'kk2_sent' | 'rekeyed' | 'index_refused';

export interface GatewaySession {
  readonly index: number;
  readonly family: SessionFamily;
  /** A packet for this index: acted upon, or dropped for a reason. The packet's bytes are overwritten (opened in place). */
  receive(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined;
  /** §7: holds at lookup as at the sweep. */
  expired(nowMs: number): boolean;
  /** Wipes and leaves the table; ends the family when this was its newest session. */
  expire(effects: Effects): void;
  /**
   * Where nothing is under way on an idle session: the numbers it can be made anew from. Then neither it nor its family is
   * of any more use. `undefined` where it has to stay as it is.
   */
  rest(nowMs: number): RestingSession | undefined;
}

/** A session as numbers; keys and replay window lie in its place. */
export interface RestingSession {
  readonly place: TransportPlace;
  readonly index: number;
  readonly family: number;
  readonly source: number;
  readonly createdMs: number;
  /** Of its last valid packet; negative when there was none. */
  readonly lastValidMs: number;
  readonly expiresMs: number;
  /** Packets sealed; and the lowest counter above all that were received. */
  readonly sent: number;
  readonly received: number;
}

export interface SessionFamily {
  /** Unique within the shard. */
  readonly id: number;
  /** Admission's number of the address whose H1 made the family. */
  readonly source: number;
  answer(requestId: number, answer: ApplicationAnswer, now: Now, effects: Effects): void;
  /** The second that an H3's reply may wait is over: sends the Ack unless the answer was there before. */
  settleEarly(effects: Effects): void;
}

/** What admission says of the source of a handshake packet (lp2.md §4.5). */
export interface HandshakeAdmission {
  readonly source: number;
  /** A token of the source's bucket was taken for this H1. */
  readonly token: boolean;
  /** A session's place was reserved for this H1. */
  readonly session: boolean;
  readonly retryAfterSeconds: number;
}

export type RecordOutcome =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  /** A hint or a refusal (Error, Busy): the packet was no valid one. */
  | { readonly kind: 'refused'; readonly packet: Uint8Array }
  /**
   * A valid packet. `repeat`: the stored reply, no token spent. `kkt`: answered from its content; `token`: it takes one.
   * `h1`: an H1 read for the first time; it holds the session's place until it ends.
   */
  | { readonly kind: 'reply'; readonly packet: Uint8Array; readonly work: 'repeat' | 'h1' }
  | { readonly kind: 'reply'; readonly packet: Uint8Array; readonly work: 'kkt'; readonly token: boolean }
  /** An H3 was accepted: the session is in the table. Its reply leaves through the effects, at once or later. */
  | { readonly kind: 'accepted' };

export interface HandshakeRecord {
  readonly index: number;
  readonly source: number;
  readonly createdMs: number;
  /** Whether an H1 that reads has taken a place; the oldest records that hold none make room at the cap. */
  readonly holdsH1: boolean;
  /** The sources of the H1 whose H2 holds a session's place that no H3 has taken yet. */
  reservedSources(): readonly number[];
  /** Whether this ClientHello content is the one that made the record. */
  sameHello(content: Uint8Array): boolean;
  /** The stored reply to the ClientHello. */
  readonly helloReply: Uint8Array;
  /** Refuses for now; an LP1 packet cannot say for how long. */
  busyPacket(retryAfterSeconds: number): Uint8Array;
  /** A packet on the handshake index. */
  receive(packet: Uint8Array, admission: HandshakeAdmission, now: Now, effects: Effects): RecordOutcome;
  wipe(): void;
}
