/**
 * An LP1 session and all that it was rekeyed to, for either side: after the handshake the two are alike (lp1.md §7.6–7.9).
 * Where the reference closes for a bad packet, this drops it and keeps its state.
 *
 * Invariants: one session is current, the newest; of several rekeyings at most one ends; a session that has a successor
 * opens data for a while and starts nothing; what fails to read has changed nothing; no two packets of this side are
 * sealed under one (key, nonce).
 */
import type { CryptoProvider, RandomSource } from '../crypto/provider.ts';
import type { DropReason } from '../drop-reason.ts';
import type { KkInitiator } from '../noise/kk.ts';
import type { NoiseKeys } from '../noise/split.ts';
import type { Now } from '../time.ts';
import { readLe32, sameBytes, writeLe32 } from '../wire/bytes.ts';
import { BOOTSTRAP_INDEX, MIN_PACKET_LENGTH, receiverIndex, TYPE } from '../wire/packet.ts';
import { SessionV1 } from './session.ts';
import {
  type AnsweredKk1,
  answerKk,
  decodeKk,
  Kk1Budget,
  type SubsessionKeys,
  startKk,
  subsessionKeys,
  wipeSubsession,
} from './subsession.ts';
import { type KeyCounters, TransportV1 } from './transport.ts';

/** How long an own KK1 waits for its KK2, and an answered one keeps this side from starting its own (§10-C 23). */
export const REKEY_TIMEOUT_MS = 10_000;
/** Subsession numbers of one session: bounds the send counters that are kept. A handshake starts afresh. */
const MAX_NUMBER = 64;
/** Current and demoted: as many as one side's rekeyings within a demoted session's 60 s come to. */
const MAX_SESSIONS = 16;
const REKEYING_TYPES: ReadonlySet<number> = new Set([
  TYPE.subsessionKk1,
  TYPE.subsessionKk2,
  TYPE.subsessionReady,
  TYPE.subsessionAbort,
]);
const EMPTY = new Uint8Array(0);
const NEVER = Number.POSITIVE_INFINITY;

export type Role = 'initiator' | 'responder';

export type FamilyEvent =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  | { readonly kind: 'data'; readonly session: SessionV1; readonly payload: Uint8Array }
  /** Accepted; it asks for nothing. */
  | { readonly kind: 'accepted' }
  /** A KK2 or an Abort is to be sent. */
  | { readonly kind: 'send'; readonly packet: Uint8Array; readonly what: 'kk2' | 'abort' }
  /** The peer is done and wants this index: `promote` or `refuse`, whenever it is known whether the index is free. */
  | { readonly kind: 'ready'; readonly index: number }
  /** This side's rekeying is done: the new session is current, and Ready is to be sent. */
  | { readonly kind: 'promoted'; readonly session: SessionV1; readonly ready: Uint8Array }
  | { readonly kind: 'aborted' };

/** An own KK1 that waits for its KK2. */
interface Started {
  readonly number: number;
  readonly noise: KkInitiator;
  readonly content: Uint8Array;
  readonly atMs: number;
}

interface Answered {
  readonly kk1: { readonly content: Uint8Array; readonly counter: number };
  readonly keys: AnsweredKk1;
  readonly atMs: number;
  /** A Ready was taken and its index is being asked for. */
  claim: { readonly index: number; readonly counter: number } | undefined;
}

const ACCEPTED: FamilyEvent = { kind: 'accepted' };

export interface FamilyOptions {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly role: Role;
  readonly index: number;
  /** PSQ's registered PSK, the outer key and the Noise keys are taken over. */
  readonly psq: Uint8Array;
  readonly outerKey: Uint8Array;
  readonly noise: NoiseKeys;
  /** X25519. The secret stays the caller's; it has to last as long as the family. */
  readonly staticSecret: Uint8Array;
  readonly staticPublic: Uint8Array;
  readonly peerStatic: Uint8Array;
  /** The first counter that the handshake has not used in this direction (§7.2). */
  readonly nextCounter: number;
  /** Whether the index names a session of this side already; a new index must not. */
  readonly isTaken?: (index: number) => boolean;
}

/** §7.2: counters that the handshake uses, by direction. */
export const HANDSHAKE_COUNTERS = { initiator: 3, responder: 2 } as const;

export class FamilyV1 {
  current: SessionV1;
  private readonly options: FamilyOptions;
  private readonly sessions = new Map<number, SessionV1>();
  private started: Started | undefined;
  /** Its Ready may come late, and even when this side has started itself: then the peer has gone over already. */
  private answered: Answered | undefined;
  /** Number of the current session within its parent; none for the first one. */
  private currentNumber = -1;
  /** The next number that this side would give: above all that it answered. An own KK1 without an answer took none. */
  private nextNumber = 0;
  /** By the subsession number that a key comes from. */
  private readonly counters = new Map<number, KeyCounters>();
  private readonly kk1Budget: Kk1Budget;

  constructor(options: FamilyOptions, now: Now) {
    this.options = options;
    this.kk1Budget = new Kk1Budget(now.monotonicMs);
    const { role, index, outerKey, noise } = options;
    const peer = role === 'initiator' ? 'responder' : 'initiator';
    const first = HANDSHAKE_COUNTERS[peer];
    const counters = { next: options.nextCounter, heard: first };
    this.current = this.addSession(index, outerKey, noise, role, counters, { received: first, expected: first }, now);
  }

  find(index: number): SessionV1 | undefined {
    return this.sessions.get(index);
  }

  get all(): IterableIterator<SessionV1> {
    return this.sessions.values();
  }

  get rekeyStarted(): boolean {
    return this.started !== undefined;
  }

  /** Its own static key is the greater one: in a tie this side keeps its KK1 (§7.7). */
  private get winsTies(): boolean {
    const { staticPublic, peerStatic } = this.options;
    const differs = staticPublic.findIndex((byte, i) => byte !== peerStatic[i]);
    return differs < 0 || (staticPublic[differs] ?? 0) > (peerStatic[differs] ?? 0);
  }

  /** A packet of one of the family's sessions. Its bytes are overwritten. */
  receive(packet: Uint8Array, now: Now): FamilyEvent {
    if (packet.length < MIN_PACKET_LENGTH) return drop('length');
    const session = this.sessions.get(receiverIndex(packet));
    if (session === undefined) return drop('unknown_index');
    const opened = session.transport.open(packet);
    switch (opened.kind) {
      case 'drop':
        return opened;
      case 'data':
        session.touch(now.monotonicMs);
        return { kind: 'data', session, payload: opened.payload };
      case 'control':
        return this.control(session, opened.type, opened.content, opened.counter, now);
    }
  }

  /** The KK1 to send; `undefined` while a rekeying is under way, and when no number or no room for a session is left. */
  startRekey(now: Now): Uint8Array | undefined {
    this.giveUp(now);
    if (this.started !== undefined || this.isAnswering(now)) return undefined;
    if (this.nextNumber >= MAX_NUMBER || this.sessions.size >= MAX_SESSIONS) return undefined;
    const number = this.nextNumber;
    const { crypto, psq, staticSecret, staticPublic, peerStatic } = this.options;
    const keys = { staticSecret, initiatorStatic: staticPublic, responderStatic: peerStatic };
    const started = startKk(crypto, keys, psq, number, this.draw());
    if (started === undefined) return undefined;
    const packet = this.current.transport.seal(TYPE.subsessionKk1, started.content);
    if (packet === undefined) {
      started.noise.wipe();
      return undefined;
    }
    this.started = { number, atMs: now.monotonicMs, ...started };
    return packet;
  }

  /** Gives up an own KK1 that nobody answered: the session goes on. True when there was one. */
  giveUp(now: Now): boolean {
    if (this.started === undefined || now.monotonicMs - this.started.atMs < REKEY_TIMEOUT_MS) return false;
    this.abandonRekey();
    return true;
  }

  /** The own KK1 will not be answered. */
  abandonRekey(): void {
    this.started?.noise.wipe();
    this.started = undefined;
  }

  /** Monotonic time at which `giveUp` has something to do. */
  get giveUpMs(): number {
    return this.started === undefined ? NEVER : this.started.atMs + REKEY_TIMEOUT_MS;
  }

  /**
   * The index that a Ready asked for is free: its session is the newest from now on, and its parent is demoted. `undefined`
   * when the rekeying has been overtaken by another one.
   */
  promote(index: number, now: Now): SessionV1 | undefined {
    if (this.answered?.claim?.index !== index) return undefined;
    const { claim, keys } = this.answered;
    this.answered = undefined;
    this.abandonRekey();
    return this.succeed(claim.index, keys, 'responder', claim.counter, now);
  }

  /** The index is taken: the parent goes on as before, and another Ready may name another index (§10-C 24). */
  refuse(index: number): void {
    if (this.answered?.claim?.index === index) this.answered.claim = undefined;
  }

  remove(session: SessionV1): void {
    this.sessions.delete(session.index);
    session.wipe();
  }

  wipe(): void {
    this.endRekeying();
    for (const session of this.sessions.values()) session.wipe();
    this.sessions.clear();
    this.options.psq.fill(0);
  }

  private control(session: SessionV1, type: number, content: Uint8Array, counter: number, now: Now): FamilyEvent {
    // What the handshake is made of, and Busy, Ack, Collision and SubsessionRequest ask nothing of a session.
    if (!REKEYING_TYPES.has(type)) return drop('type');
    if (session !== this.current) return drop('read_only');
    const event = this.rekey(type, content, counter, now);
    if (event.kind === 'drop') return event;
    session.transport.accept(counter);
    session.touch(now.monotonicMs);
    return event;
  }

  private rekey(type: number, content: Uint8Array, counter: number, now: Now): FamilyEvent {
    switch (type) {
      case TYPE.subsessionKk1:
        return this.receiveKk1(content, counter, now);
      case TYPE.subsessionKk2:
        return this.receiveKk2(content, counter, now);
      case TYPE.subsessionReady:
        return this.receiveReady(content, counter);
      default:
        return this.receiveAbort(content);
    }
  }

  private receiveKk1(content: Uint8Array, counter: number, now: Now): FamilyEvent {
    this.giveUp(now);
    const { started, answered } = this;
    if (started !== undefined && sameBytes(started.content, content)) return drop('reflected');
    if (answered !== undefined) {
      const { kk1, keys, claim } = answered;
      if (sameBytes(kk1.content, content)) return this.send(TYPE.subsessionKk2, keys.kk2Content, 'kk2');
      // Sealed before the one that was answered, or before its Ready: withheld, and given up by the peer since (§10-C 21).
      if (counter < kk1.counter || claim !== undefined) return drop('in_progress');
    }
    if (decodeKk(content) === undefined) return drop('content');
    if (this.sessions.size >= MAX_SESSIONS) return drop('indices_full');
    if (!this.kk1Budget.take(now.monotonicMs)) return drop('no_kk');
    return this.answerKk1(content, counter, now);
  }

  /**
   * Both sides at once, and this KK1 is none of the own that comes back (§10-B 7): who wins keeps its own; who loses drops
   * it, and the answer takes its number, still the next one.
   */
  private answerKk1(content: Uint8Array, counter: number, now: Now): FamilyEvent {
    const { crypto, psq, staticSecret, staticPublic, peerStatic } = this.options;
    const keys = { staticSecret, initiatorStatic: peerStatic, responderStatic: staticPublic };
    const subsession = answerKk(crypto, keys, psq, this.nextNumber, content, () => this.draw());
    if (subsession === undefined) return drop('handshake_failed');
    const wins = this.started !== undefined && this.winsTies;
    if (wins || subsession.number >= MAX_NUMBER) {
      wipeSubsession(subsession);
      return wins ? this.send(TYPE.subsessionAbort, EMPTY, 'abort') : drop('no_kk');
    }
    this.endRekeying();
    this.nextNumber = Math.max(this.nextNumber, subsession.number + 1);
    const kk1 = { content: content.slice(), counter };
    this.answered = { kk1, keys: subsession, atMs: now.monotonicMs, claim: undefined };
    return this.send(TYPE.subsessionKk2, subsession.kk2Content, 'kk2');
  }

  private receiveKk2(content: Uint8Array, counter: number, now: Now): FamilyEvent {
    const { started, current: parent } = this;
    if (started === undefined) return drop('no_kk');
    const message = decodeKk(content);
    if (message === undefined) return drop('content');
    const result = started.noise.readMessage2(message);
    if (result === undefined || result.payload.length !== 0) return drop('handshake_failed');
    const { crypto, psq } = this.options;
    const index = this.drawIndex();
    const number = new Uint8Array(4);
    writeLe32(number, 0, index);
    const ready = parent.transport.seal(TYPE.subsessionReady, number);
    if (ready === undefined) {
      result.chainingKey.fill(0);
      return drop('counter_limit');
    }
    const keys = subsessionKeys(crypto, psq, started.number, result);
    this.endRekeying();
    const session = this.succeed(index, keys, 'initiator', counter, now);
    return { kind: 'promoted', session, ready };
  }

  private receiveReady(content: Uint8Array, counter: number): FamilyEvent {
    const { answered } = this;
    if (content.length !== 4) return drop('content');
    if (answered === undefined) return drop('no_kk');
    if (answered.claim !== undefined) return drop('in_progress');
    const index = readLe32(content, 0);
    if (index === BOOTSTRAP_INDEX) return drop('index_range');
    if (this.isTaken(index)) return drop('index_taken');
    answered.claim = { index, counter };
    return { kind: 'ready', index };
  }

  /** Only the side that wins ties ever sends one, so to that side it can only be its own, sent back. */
  private receiveAbort(content: Uint8Array): FamilyEvent {
    if (content.length !== 0) return drop('content');
    if (this.winsTies) return drop('reflected');
    if (this.started === undefined) return ACCEPTED;
    this.abandonRekey();
    return { kind: 'aborted' };
  }

  /** `lastCounter`: of the peer's KK2 or Ready. It goes on counting behind that where the new session has the parent's key. */
  private succeed(index: number, keys: SubsessionKeys, role: Role, lastCounter: number, now: Now): SessionV1 {
    const counters = this.counters.get(keys.number) ?? { next: 0, heard: 0 };
    const expected = keys.number === this.currentNumber ? lastCounter + 1 : counters.heard;
    this.counters.set(keys.number, counters);
    this.current.demote(now.monotonicMs);
    this.currentNumber = keys.number;
    this.nextNumber = 0;
    this.current = this.addSession(index, keys.outerKey, keys.noise, role, counters, { received: 0, expected }, now);
    return this.current;
  }

  private addSession(
    index: number,
    outerKey: Uint8Array,
    noise: NoiseKeys,
    role: Role,
    counters: KeyCounters,
    first: { readonly received: number; readonly expected: number },
    now: Now,
  ): SessionV1 {
    const initiator = role === 'initiator';
    const transport = new TransportV1({
      crypto: this.options.crypto,
      index,
      outerKey,
      sendKey: initiator ? noise.initiatorToResponder : noise.responderToInitiator,
      receiveKey: initiator ? noise.responderToInitiator : noise.initiatorToResponder,
      counters,
      firstReceived: first.received,
      expectedFirst: first.expected,
    });
    const session = new SessionV1(transport, now.monotonicMs);
    this.sessions.set(index, session);
    return session;
  }

  private send(type: number, content: Uint8Array, what: 'kk2' | 'abort'): FamilyEvent {
    const packet = this.current.transport.seal(type, content);
    return packet === undefined ? drop('counter_limit') : { kind: 'send', packet, what };
  }

  private endRekeying(): void {
    this.abandonRekey();
    if (this.answered !== undefined) wipeSubsession(this.answered.keys);
    this.answered = undefined;
  }

  /** The peer may still be about to send its Ready. */
  private isAnswering(now: Now): boolean {
    const { answered } = this;
    if (answered === undefined) return false;
    return answered.claim !== undefined || now.monotonicMs - answered.atMs < REKEY_TIMEOUT_MS;
  }

  private isTaken(index: number): boolean {
    return this.sessions.has(index) || this.options.isTaken?.(index) === true;
  }

  private draw(): Uint8Array {
    const bytes = new Uint8Array(32);
    this.options.random.fill(bytes);
    return bytes;
  }

  /** Not 0, which names nothing, and none of this side's own. */
  private drawIndex(): number {
    const bytes = new Uint8Array(4);
    for (;;) {
      this.options.random.fill(bytes);
      const index = readLe32(bytes, 0);
      if (index !== BOOTSTRAP_INDEX && !this.isTaken(index)) return index;
    }
  }
}

function drop(reason: DropReason): FamilyEvent {
  return { kind: 'drop', reason };
}
