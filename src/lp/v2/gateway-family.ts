/**
 * A session family at the gateway: the session of a handshake and all its successors (lp2.md §5, §6). It holds the rules
 * that span sessions: which one seals, which is pending, when a KK1 is read, where an answer goes.
 *
 * Invariants: at most one session is current and at most one pending, a child of the current one; only the current one
 * seals; the chain of a session lasts until its demotion.
 */
import type { DropReason } from '../drop-reason.ts';
import type { ResponderContext } from '../responder-context.ts';
import type { ApplicationAnswer, Effects, SessionFamily } from '../session.ts';
import type { Now } from '../time.ts';
import {
  encodeFailure,
  encodeForwardResponse,
  encodeFrame,
  FAILURE_CODE,
  KIND,
  MAX_FRAME_BODY_LENGTH,
} from '../wire/application-frame.ts';
import { readLe32, sameBytes } from '../wire/bytes.ts';
import { MAX_PACKET_LENGTH, TYPE } from '../wire/packet.ts';
import { AnswerCache, type Recalled } from './answer-cache.ts';
import { answerFrame, type FrameHost, type FrameVerdict } from './gateway-frames.ts';
import { CURRENT, ENDED, GatewaySessionV2, type SessionHost } from './gateway-session.ts';
import { type SessionSecrets, wipeSecrets } from './key-schedule.ts';
import { respondToKk1 } from './subsession-responder.ts';
import { Transport } from './transport.ts';

/** Rule 2 (d): a KK1 of this family that was read keeps the next one off for so long. */
const KK1_INTERVAL_MS = 10_000;
const SUBSESSION_REQUEST_INTERVAL_MS = 60_000;
const REKEY_AFTER_PACKETS = 2 ** 32;
/** §4: the reply to H3 is the early frame's answer if that is ready by then. */
const EARLY_REPLY_MS = 1_000;
const MAX_EARLY_REPLY_FRAME = 4_096;
const EMPTY = new Uint8Array(0);
/** Longer ago than any interval here; an integer, for a fraction or an infinity would cost every family a heap number. */
const NEVER = -1_000_000_000;

/** Replies are sealed here: `Effects.reply` copies what it takes. */
const REPLY = new Uint8Array(new ArrayBuffer(MAX_PACKET_LENGTH));
const NONE: readonly GatewaySessionV2[] = [];

type ReplyToH3 =
  | { readonly kind: 'due' }
  | { readonly kind: 'sent'; readonly packet: Uint8Array }
  | { readonly kind: 'forgotten' };
const DUE: ReplyToH3 = { kind: 'due' };
const FORGOTTEN: ReplyToH3 = { kind: 'forgotten' };

export interface FamilyOrigin {
  readonly index: number;
  readonly secrets: SessionSecrets;
  readonly peerStatic: Uint8Array;
  readonly source: number;
}

export class GatewayFamily implements SessionFamily, SessionHost, FrameHost {
  readonly id: number;
  readonly source: number;
  readonly context: ResponderContext;
  private reply: ReplyToH3 = DUE;
  private readonly first: GatewaySessionV2;
  private current: GatewaySessionV2;
  private pending: GatewaySessionV2 | undefined = undefined;
  private demoted: readonly GatewaySessionV2[] = NONE;
  private answers: AnswerCache | undefined = undefined;
  private earlyRequestId: number | undefined = undefined;
  private lastKk1ReadMs = NEVER;
  private lastRekeyAskedMs = NEVER;
  private over = false;

  private constructor(context: ResponderContext, origin: FamilyOrigin, nowMs: number) {
    this.id = context.nextFamilyId();
    this.source = origin.source;
    this.context = context;
    this.first = this.makeSession(origin.index, origin.secrets, origin.peerStatic, true, nowMs);
    this.current = this.first;
  }

  /** The session of an accepted H3, which exists at once. The reply leaves through the effects, now or later. */
  static fromHandshake(
    context: ResponderContext,
    origin: FamilyOrigin,
    earlyFrame: Uint8Array,
    now: Now,
    effects: Effects,
  ): GatewayFamily {
    const family = new GatewayFamily(context, origin, now.monotonicMs);
    effects.addSession(family.first);
    family.receiveEarlyFrame(earlyFrame, now, effects);
    return family;
  }

  /** A valid packet of one of the family's sessions, or one whose KK1 may still turn out invalid. */
  receive(
    session: GatewaySessionV2,
    type: number,
    content: Uint8Array,
    now: Now,
    effects: Effects,
  ): DropReason | undefined {
    if (type === TYPE.subsessionKk1) return this.receiveKk1(session, content, now, effects);
    this.opened(session, now.monotonicMs, effects);
    switch (type) {
      case TYPE.encryptedData:
        this.receiveFrame(content, now, effects);
        return undefined;
      case TYPE.subsessionReady:
        this.replySealed(TYPE.ack, EMPTY, now, effects);
        return undefined;
      case TYPE.close:
        if (session.place.kind !== 'demoted') this.end(effects);
        return undefined;
      default:
        // Ack, SubsessionRequest, KK2 and Abort ask nothing of a gateway.
        return undefined;
    }
  }

  /** What the record of the handshake repeats; `undefined` while the early frame is worked on. */
  get replyToH3(): Uint8Array | undefined {
    return this.reply.kind === 'sent' ? this.reply.packet : undefined;
  }

  /** The record is gone, and nobody can ask for the reply again. */
  forgetReplyToH3(): void {
    if (this.reply.kind === 'sent') this.reply = FORGOTTEN;
  }

  answer(requestId: number, answer: ApplicationAnswer, now: Now, effects: Effects): void {
    if (this.over) return;
    const frame = encodeAnswer(requestId, answer);
    if (answer.kind === 'registration') this.answers?.finish(requestId, frame, now.monotonicMs);
    else if (answer.kind === 'failure') this.answers?.forget(requestId);
    if (this.earlyRequestId !== requestId) {
      this.replySealed(TYPE.encryptedData, frame, now, effects);
      return;
    }
    const fits = frame.length <= MAX_EARLY_REPLY_FRAME;
    if (fits && this.current === this.first) this.replyAtZero(TYPE.encryptedData, frame, effects);
    else {
      this.settleEarly(effects);
      this.replySealed(TYPE.encryptedData, frame, now, effects);
    }
  }

  settleEarly(effects: Effects): void {
    // A first session that was demoted and is gone has no keys any more.
    if (this.over || this.reply.kind !== 'due' || this.first.place.kind === 'ended') return;
    this.replyAtZero(TYPE.ack, EMPTY, effects);
  }

  /** Called for each session that is past its time. */
  sessionExpired(session: GatewaySessionV2, effects: Effects): void {
    if (session === this.current) this.end(effects);
    else if (session === this.pending) this.dropPending(effects);
    else if (session.place.kind === 'demoted') {
      const left = this.demoted.filter((other) => other !== session);
      this.demoted = left.length === 0 ? NONE : left;
      this.free(session, effects);
    }
  }

  private receiveEarlyFrame(frame: Uint8Array, now: Now, effects: Effects): void {
    const verdict = answerFrame(this, frame, now.monotonicMs);
    if (verdict.kind === 'answer') this.replyAtZero(TYPE.encryptedData, verdict.frame, effects);
    else if (verdict.kind === 'request' && this.submit(verdict, now, effects)) {
      this.earlyRequestId = verdict.request.requestId;
      effects.earlyReplyPending(this, now.monotonicMs + EARLY_REPLY_MS);
    } else if (verdict.kind === 'request') {
      this.replyAtZero(TYPE.encryptedData, tryLater(verdict.request.requestId), effects);
    } else this.replyAtZero(TYPE.ack, EMPTY, effects);
  }

  private receiveFrame(content: Uint8Array, now: Now, effects: Effects): void {
    const verdict = answerFrame(this, content, now.monotonicMs);
    if (verdict.kind === 'answer') this.replySealed(TYPE.encryptedData, verdict.frame, now, effects);
    else if (verdict.kind === 'request' && !this.submit(verdict, now, effects)) {
      this.replySealed(TYPE.encryptedData, tryLater(verdict.request.requestId), now, effects);
    }
  }

  hashOfBody(body: Uint8Array): Uint8Array {
    return this.context.crypto.blake3(body);
  }

  recall(requestId: number, bodyHash: Uint8Array, nowMs: number): Recalled {
    return this.answers === undefined ? { kind: 'unknown' } : this.answers.recall(requestId, bodyHash, nowMs);
  }

  private submit(verdict: FrameVerdict & { kind: 'request' }, now: Now, effects: Effects): boolean {
    const { request, bodyHash } = verdict;
    if (request.kind === 'registration' && bodyHash !== undefined) {
      this.answers ??= new AnswerCache();
      if (!this.answers.begin(request.requestId, bodyHash, now.monotonicMs)) return false;
    }
    if (effects.request(this, request)) return true;
    this.answers?.forget(request.requestId);
    return false;
  }

  /** Rules 1 and 2. The pending session switches only when the KK1 turns out valid. */
  private receiveKk1(
    session: GatewaySessionV2,
    content: Uint8Array,
    now: Now,
    effects: Effects,
  ): DropReason | undefined {
    const n = readLe32(content, 0);
    const { crypto } = this.context;
    const answered = session.answeredKk1;
    if (session.place.kind === 'demoted') {
      session.touch(now.monotonicMs);
      return 'no_kk';
    }
    if (answered !== undefined && answered.n === n && sameBytes(answered.contentHash, crypto.blake3(content))) {
      this.opened(session, now.monotonicMs, effects);
      this.replySealed(TYPE.subsessionKk2, answered.kk2Content, now, effects);
      return undefined;
    }
    if (n <= (answered?.n ?? 0)) {
      this.opened(session, now.monotonicMs, effects);
      return 'no_kk';
    }
    if (now.monotonicMs - this.lastKk1ReadMs < KK1_INTERVAL_MS) {
      this.opened(session, now.monotonicMs, effects);
      this.replySealed(TYPE.subsessionAbort, content.slice(0, 4), now, effects);
      return undefined;
    }
    return this.readKk1(session, n, content, now, effects);
  }

  private readKk1(
    session: GatewaySessionV2,
    n: number,
    content: Uint8Array,
    now: Now,
    effects: Effects,
  ): DropReason | undefined {
    const { crypto } = this.context;
    this.lastKk1ReadMs = now.monotonicMs;
    const response = respondToKk1(this.context, session.transport, n, content.subarray(4));
    if (response.kind === 'drop') return response.reason;
    this.opened(session, now.monotonicMs, effects);
    this.dropPending(effects);
    const { secrets, newIndex, kk2Content } = response;
    const child = this.makeSession(newIndex, secrets, session.transport.peerStatic, false, now.monotonicMs);
    wipeSecrets(secrets);
    child.become({ kind: 'pending', parent: session });
    this.pending = child;
    effects.addSession(child);
    session.answeredKk1 = { n, contentHash: crypto.blake3(content), kk2Content };
    effects.note('kk2_sent');
    this.replySealed(TYPE.subsessionKk2, kk2Content, now, effects);
    return undefined;
  }

  /** Rules 4 and 5: the first valid packet of the pending session makes it the newest. */
  private opened(session: GatewaySessionV2, nowMs: number, effects: Effects): void {
    session.touch(nowMs);
    if (session !== this.pending) return;
    const parent = this.current;
    parent.become({ kind: 'demoted', atMs: nowMs });
    parent.transport.wipeChain();
    parent.answeredKk1 = undefined;
    this.demoted = [...this.demoted, parent];
    session.become(CURRENT);
    this.current = session;
    this.pending = undefined;
    effects.note('rekeyed');
  }

  /** Rule 7. Afterwards asks for a rekey where one is due. */
  private replySealed(type: number, content: Uint8Array, now: Now, effects: Effects): void {
    const packet = this.current.transport.seal(this.context.crypto, type, content, REPLY);
    if (packet === undefined) return;
    effects.reply(packet);
    this.askForRekey(now.monotonicMs, effects);
  }

  private askForRekey(nowMs: number, effects: Effects): void {
    const { current, context } = this;
    const { transport } = current;
    const old = nowMs - current.createdMs >= context.lifetimes.rekeyAfterMs;
    const worn = transport.sealed >= REKEY_AFTER_PACKETS || transport.received >= REKEY_AFTER_PACKETS;
    if (!(old || worn) || this.pending !== undefined) return;
    if (nowMs - this.lastRekeyAskedMs < SUBSESSION_REQUEST_INTERVAL_MS) return;
    this.lastRekeyAskedMs = nowMs;
    const packet = transport.seal(context.crypto, TYPE.subsessionRequest, EMPTY);
    if (packet !== undefined) effects.reply(packet);
  }

  private replyAtZero(type: number, content: Uint8Array, effects: Effects): void {
    this.earlyRequestId = undefined;
    const packet = this.first.transport.sealReplyToH3(this.context.crypto, type, content);
    this.reply = { kind: 'sent', packet };
    effects.reply(packet);
  }

  private makeSession(
    index: number,
    secrets: SessionSecrets,
    peerStatic: Uint8Array,
    fromHandshake: boolean,
    nowMs: number,
  ): GatewaySessionV2 {
    const place = this.context.allocatePlace();
    const transport = new Transport(index, place, 'responder', secrets, peerStatic, fromHandshake ? 1 : 0);
    return new GatewaySessionV2(this, transport, CURRENT, fromHandshake, nowMs);
  }

  private dropPending(effects: Effects): void {
    const { pending } = this;
    this.pending = undefined;
    if (pending !== undefined) this.free(pending, effects);
  }

  private end(effects: Effects): void {
    if (this.over) return;
    this.over = true;
    this.dropPending(effects);
    this.free(this.current, effects);
    for (const session of this.demoted) this.free(session, effects);
    this.demoted = NONE;
    this.answers = undefined;
    effects.familyEnded(this);
  }

  private free(session: GatewaySessionV2, effects: Effects): void {
    effects.removeSession(session);
    session.become(ENDED);
    session.answeredKk1 = undefined;
    this.context.releasePlace(session.transport.releasePlace());
    this.context.freeIndex(session.index);
  }
}

function tryLater(requestId: number): Uint8Array {
  return encodeFrame(KIND.failure, requestId, encodeFailure({ code: FAILURE_CODE.tryLater, text: 'try later' }));
}

function encodeAnswer(requestId: number, answer: ApplicationAnswer): Uint8Array {
  switch (answer.kind) {
    case 'registration':
      return encodeFrame(KIND.registrationResponse, requestId, answer.body);
    case 'forward': {
      const body = encodeForwardResponse(answer.response);
      // The forwarder keeps replies within a packet; this is the last line before a packet that cannot be sealed.
      const fitting = body.length <= MAX_FRAME_BODY_LENGTH ? body : Uint8Array.of(4);
      return encodeFrame(KIND.forwardResponse, requestId, fitting);
    }
    case 'failure':
      return encodeFrame(KIND.failure, requestId, encodeFailure(answer));
    case 'index':
      throw new Error('assertion: LP2 assigns its indices and never asks for one');
  }
}
