/**
 * A session family at the gateway: the session of a handshake and all its successors (lp2.md §5, §6). It holds the rules
 * that span sessions: which one seals, which is pending, when a KK1 is read, where an answer goes.
 *
 * Invariants: at most one session is current and at most one pending, a child of the current one; only the current one
 * seals; the chain of a session lasts until its demotion. A family that is idle and has one session rests as numbers.
 */
import type { DropReason } from '../drop-reason.ts';
import type { ResponderContext } from '../responder-context.ts';
import type { ApplicationAnswer, Effects, RestingSession, SessionFamily } from '../session.ts';
import type { Now } from '../time.ts';
import { readLe32, sameBytes } from '../wire/bytes.ts';
import { TYPE } from '../wire/packet.ts';
import { AnswerCache, type Recalled } from './answer-cache.ts';
import { answerFrame, encodeAnswer, type FrameHost, type FrameVerdict, tryLater } from './gateway-frames.ts';
import { CURRENT, ENDED, GatewaySessionV2, type SessionHost } from './gateway-session.ts';
import { type SessionSecrets, wipeSecrets } from './key-schedule.ts';
import { respondToKk1 } from './subsession-responder.ts';
import { PacketScratch, Transport } from './transport.ts';

/** Rule 2 (d): a KK1 of this family that was read keeps the next one off for so long. */
const KK1_INTERVAL_MS = 10_000;
const SUBSESSION_REQUEST_INTERVAL_MS = 60_000;
/** A family rests when it has been quiet for so long: what comes every few seconds should not be made anew each time. */
const REST_AFTER_MS = 10_000;
const REKEY_AFTER_PACKETS = 2 ** 32;
/** §4: the reply to H3 is the early frame's answer if that is ready by then. */
const EARLY_REPLY_MS = 1_000;
const MAX_EARLY_REPLY_FRAME = 4_096;
const EMPTY = new Uint8Array(0);
/** Longer ago than any interval here; an integer, for a fraction or an infinity would cost every family a heap number. */
const NEVER = -1_000_000_000;

/** Replies are sealed here: `Effects.reply` copies what it takes. */
const REPLY = new PacketScratch();
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
  /** Nobody asks for the reply to H3 again. */
  private recordGone = false;
  private readonly first: GatewaySessionV2;
  private current: GatewaySessionV2;
  private pending: GatewaySessionV2 | undefined = undefined;
  private demoted: readonly GatewaySessionV2[] = NONE;
  private answers: AnswerCache | undefined = undefined;
  private earlyRequestId: number | undefined = undefined;
  /** Requests that wait for their answer. */
  private running = 0;
  private lastKk1ReadMs = NEVER;
  private lastRekeyAskedMs = NEVER;
  private over = false;

  private constructor(
    context: ResponderContext,
    id: number,
    source: number,
    makeFirst: (family: GatewayFamily) => GatewaySessionV2,
  ) {
    this.id = id;
    this.source = source;
    this.context = context;
    this.first = makeFirst(this);
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
    const family = new GatewayFamily(context, context.nextFamilyId(), origin.source, (owner) =>
      owner.makeSession(origin.index, origin.secrets, origin.peerStatic, true, now.monotonicMs),
    );
    effects.addSession(family.first);
    family.receiveEarlyFrame(earlyFrame, now, effects);
    return family;
  }

  /** The session of a family that rested. */
  static wake(context: ResponderContext, resting: RestingSession): GatewaySessionV2 {
    const { index, place, sent, received, createdMs, lastValidMs } = resting;
    const family = new GatewayFamily(context, resting.family, resting.source, (owner) => {
      const transport = Transport.wake(index, place, sent, received);
      return new GatewaySessionV2(owner, transport, CURRENT, createdMs, lastValidMs);
    });
    family.reply = FORGOTTEN;
    return family.current;
  }

  /** Whoever still holds this family finds it over: the session goes on in the one that is woken. */
  rest(session: GatewaySessionV2, nowMs: number): RestingSession | undefined {
    if (!this.isIdle(session, nowMs)) return undefined;
    const { transport, createdMs, lastValidMs, expiresMs } = session;
    const resting: RestingSession = {
      place: transport.place,
      index: session.index,
      family: this.id,
      source: this.source,
      createdMs,
      lastValidMs,
      expiresMs,
      sent: transport.sealed,
      received: transport.received,
    };
    transport.retire();
    session.become(ENDED);
    this.over = true;
    return resting;
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
    this.recordGone = true;
    if (this.reply.kind === 'sent') this.reply = FORGOTTEN;
  }

  answer(requestId: number, answer: ApplicationAnswer, now: Now, effects: Effects): void {
    this.running--;
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
    if (effects.request(this, request)) {
      this.running++;
      return true;
    }
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
    this.reply = this.recordGone ? FORGOTTEN : { kind: 'sent', packet };
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
    const transport = Transport.make(index, place, 'responder', secrets, peerStatic, fromHandshake ? 1 : 0);
    return new GatewaySessionV2(this, transport, CURRENT, nowMs);
  }

  /** Whether what `rest` returns is all there is. The marks of the last KK1 and the last asking have lost their meaning. */
  private isIdle(session: GatewaySessionV2, nowMs: number): boolean {
    if (this.over || session !== this.current || this.pending !== undefined || this.demoted.length > 0) return false;
    if (this.reply.kind !== 'forgotten' || this.running > 0) return false;
    if (nowMs - Math.max(session.createdMs, session.lastValidMs) < REST_AFTER_MS) return false;
    if (nowMs - this.lastKk1ReadMs < KK1_INTERVAL_MS) return false;
    if (nowMs - this.lastRekeyAskedMs < SUBSESSION_REQUEST_INTERVAL_MS) return false;
    return session.answeredKk1 === undefined && this.answers?.isEmpty(nowMs) !== false;
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
