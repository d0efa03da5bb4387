/**
 * An LP1 session family at the gateway: the symmetrical family with the gateway's duties around it. Payloads become
 * requests to registrar and forwarder, and their answers payloads again (lp1.md §8.5–8.7); an answer goes out on the session
 * that brought its request. A demoted session starts nothing (§10-C 25). Where the reference closes the connection
 * instead of answering, the end of the connection is asked for; the session never ends with it.
 */
import type { DropReason } from '../drop-reason.ts';
import type { NoiseKeys } from '../noise/split.ts';
import type { ResponderContext } from '../responder-context.ts';
import type { ApplicationAnswer, Effects, GatewaySession, SessionFamily } from '../session.ts';
import type { Now } from '../time.ts';
import { receiverIndex } from '../wire/packet.ts';
import { decodeTransportPayload } from './application-bodies.ts';
import { type FamilyEvent, FamilyV1 } from './family.ts';
import { answerToPayload, registrationToNeutral } from './gateway-translation.ts';
import type { SessionV1 } from './session.ts';
import { MAX_PAYLOAD_LENGTH } from './transport.ts';

/** Requests of one family without an answer so far. LP1's clients have one; more only from a client that does not wait. */
const MAX_WAITING = 16;
const REQUEST_IDS = 2 ** 32;

/** The record of the handshake, for as long as its repeats are answered. */
export interface HandshakeMemory {
  repeatedAck(packet: Uint8Array): Uint8Array | undefined;
}

export interface FamilyOriginV1 {
  readonly index: number;
  readonly source: number;
  readonly clientEd25519: Uint8Array;
  readonly peerStatic: Uint8Array;
  /** Taken over, as are the outer key and PSQ's PSK. */
  readonly noise: NoiseKeys;
  readonly outerKey: Uint8Array;
  readonly psq: Uint8Array;
  /** The first one that the handshake has not used. */
  readonly nextCounter: number;
}

type Waiting =
  | { readonly kind: 'registration' | 'forward'; readonly session: SessionV1 }
  | { readonly kind: 'index'; readonly index: number };

export class GatewayFamilyV1 implements SessionFamily {
  readonly id: number;
  readonly source: number;
  private readonly context: ResponderContext;
  private readonly clientEd25519: Uint8Array;
  private readonly family: FamilyV1;
  /** The shard's table has these; each stands for the session of its index. */
  private readonly faces = new Map<number, GatewaySessionV1>();
  private readonly waiting = new Map<number, Waiting>();
  private lastRequestId = 0;
  private readonly firstIndex: number;
  /** As long as it lives, the first session's index is the record's. */
  private record: HandshakeMemory | undefined;
  private over = false;

  constructor(context: ResponderContext, origin: FamilyOriginV1, now: Now) {
    const { crypto, random, identity } = context;
    this.context = context;
    this.id = context.nextFamilyId();
    this.source = origin.source;
    this.clientEd25519 = origin.clientEd25519.slice();
    this.firstIndex = origin.index;
    this.family = new FamilyV1(
      {
        crypto,
        random,
        role: 'responder',
        index: origin.index,
        psq: origin.psq,
        outerKey: origin.outerKey,
        noise: origin.noise,
        staticSecret: identity.x25519Secret,
        staticPublic: identity.x25519Public,
        peerStatic: origin.peerStatic,
        nextCounter: origin.nextCounter,
        isTaken: (index) => context.hasIndex(index),
      },
      now,
    );
  }

  begin(record: HandshakeMemory, effects: Effects): void {
    this.record = record;
    this.show(this.family.current, effects);
  }

  /** The record goes. True: its index is this family's alone now, and stays taken. */
  takeIndex(): boolean {
    this.record = undefined;
    return this.faces.has(this.firstIndex);
  }

  receive(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    const repeated = receiverIndex(packet) === this.firstIndex ? this.record?.repeatedAck(packet) : undefined;
    if (repeated !== undefined) {
      effects.reply(repeated);
      return undefined;
    }
    const event = this.family.receive(packet, now);
    const dropped = this.act(event, effects, now);
    // The client's own data, opened inside and out: it waits for an answer.
    if (dropped !== undefined) effects.noAnswer(event.kind === 'data');
    return dropped;
  }

  answer(requestId: number, answer: ApplicationAnswer, now: Now, effects: Effects): void {
    const waiting = this.waiting.get(requestId);
    this.waiting.delete(requestId);
    if (waiting === undefined) return;
    if (waiting.kind === 'index') this.settleIndex(waiting.index, answer, now, effects);
    else if (!this.over) this.reply(waiting.session, payloadOf(waiting.kind, answer), effects);
  }

  /** LP1 has no early frame. */
  settleEarly(): void {}

  expired(index: number, nowMs: number): boolean {
    const { lifetimes, lp1 } = this.context;
    const session = this.family.find(index);
    return session === undefined || session.expired(nowMs, lp1?.sessionIdleMs ?? 0, lifetimes.demotedSessionMs);
  }

  expire(index: number, effects: Effects): void {
    const session = this.family.find(index);
    if (session === undefined) return;
    if (session !== this.family.current) {
      this.hide(session, effects);
      return;
    }
    for (const each of [...this.family.all]) this.hide(each, effects);
    this.over = true;
    this.family.wipe();
    effects.familyEnded(this);
  }

  private act(event: FamilyEvent, effects: Effects, now: Now): DropReason | undefined {
    switch (event.kind) {
      case 'drop':
        if (event.reason === 'index_taken') effects.note('index_refused');
        return event.reason;
      case 'data':
        return this.data(event.session, event.payload, now, effects);
      case 'send':
        if (event.what === 'kk2') effects.note('kk2_sent');
        effects.reply(event.packet);
        return undefined;
      case 'ready':
        return this.askForIndex(event.index, effects);
      case 'accepted':
      case 'aborted':
        effects.noAnswer(false);
        return undefined;
      case 'promoted':
        // Only of a rekeying that this side started, and a gateway starts none.
        return 'no_kk';
    }
  }

  private data(session: SessionV1, payload: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    if (session !== this.family.current) return 'read_only';
    const decoded = decodeTransportPayload(payload);
    switch (decoded.kind) {
      case 'unknown':
        return 'unknown_payload';
      case 'forward': {
        const forward = { target: decoded.forward.target, replies: 1, packets: [decoded.forward.packet] };
        const asked = this.ask({ kind: 'forward', session }, (requestId) =>
          effects.request(this, { kind: 'forward', requestId, forward, alone: true }),
        );
        if (!asked) effects.noAnswer(true);
        return undefined;
      }
      case 'registration': {
        const { crypto, identity } = this.context;
        const keys = {
          clientEd25519: this.clientEd25519,
          gatewayEd25519: identity.ed25519Public,
          ownerSecret: identity.x25519Secret,
        };
        const translated = registrationToNeutral(crypto, decoded.request, keys, now.unixMs);
        if (translated.kind === 'answer') {
          this.reply(session, translated.payload, effects);
          return undefined;
        }
        const asked = this.ask({ kind: 'registration', session }, (requestId) =>
          effects.request(this, { kind: 'registration', requestId, body: translated.body }),
        );
        translated.body.fill(0);
        if (!asked) this.reply(session, answerToPayload({ kind: 'failure', code: 4, text: 'try later' }), effects);
        return undefined;
      }
    }
  }

  /** False where no more may wait. */
  private ask(waiting: Waiting, leave: (requestId: number) => boolean): boolean {
    if (this.waiting.size >= MAX_WAITING) return false;
    do this.lastRequestId = (this.lastRequestId + 1) % REQUEST_IDS;
    while (this.waiting.has(this.lastRequestId));
    const requestId = this.lastRequestId;
    if (!leave(requestId)) return false;
    this.waiting.set(requestId, waiting);
    return true;
  }

  /**
   * Reserved here, then asked for in the whole gateway: only with both is the parent demoted (§10-C 24). The packet brings no
   * answer in any case.
   */
  private askForIndex(index: number, effects: Effects): DropReason | undefined {
    effects.noAnswer(false);
    const claimed = this.context.claimIndex(index);
    const asked =
      claimed &&
      this.ask({ kind: 'index', index }, (requestId) => effects.request(this, { kind: 'index', requestId, index }));
    if (asked) return undefined;
    if (claimed) this.context.unclaimIndex(index);
    effects.note('index_refused');
    this.family.refuse(index);
    return undefined;
  }

  private settleIndex(index: number, answer: ApplicationAnswer, now: Now, effects: Effects): void {
    if (answer.kind !== 'index' || !answer.granted) {
      // Freed for this shard alone, to which a ClientHello that met the claim may have had it routed. Whoever has it keeps it.
      this.context.freeIndex(index);
      effects.note('index_refused');
      this.family.refuse(index);
      return;
    }
    const session = this.over ? undefined : this.family.promote(index, now);
    if (session === undefined) this.context.freeIndex(index);
    else {
      effects.note('rekeyed');
      this.show(session, effects);
    }
  }

  /** Of a demoted session, too: the request was taken before. What cannot be sent leaves the session as it was (§10-C 28). */
  private reply(session: SessionV1, payload: Uint8Array | undefined, effects: Effects): void {
    const fits = payload !== undefined && payload.length <= MAX_PAYLOAD_LENGTH && session.place.kind !== 'ended';
    const packet = fits ? session.transport.sealData(payload) : undefined;
    if (packet === undefined) effects.noAnswer(true);
    else effects.reply(packet);
  }

  private show(session: SessionV1, effects: Effects): void {
    const face = new GatewaySessionV1(session.index, this);
    this.faces.set(session.index, face);
    effects.addSession(face);
    this.context.indexLives(session.index);
  }

  private hide(session: SessionV1, effects: Effects): void {
    const face = this.faces.get(session.index);
    this.faces.delete(session.index);
    this.family.remove(session);
    if (face !== undefined) effects.removeSession(face);
    if (session.index !== this.firstIndex || this.record === undefined) this.context.freeIndex(session.index);
  }
}

/** `undefined` where there is nothing to send: the payload of a forward's reply is the exit's packet and nothing else. */
function payloadOf(asked: 'registration' | 'forward', answer: ApplicationAnswer): Uint8Array | undefined {
  switch (answer.kind) {
    case 'registration':
    case 'failure':
      return asked === 'registration' ? answerToPayload(answer) : undefined;
    case 'forward': {
      const [packet] = answer.response.packets;
      return asked === 'forward' && answer.response.status === 0 ? packet : undefined;
    }
    case 'index':
      return undefined;
  }
}

/** A session as the shard's table holds it. */
export class GatewaySessionV1 implements GatewaySession {
  readonly index: number;
  readonly family: GatewayFamilyV1;

  constructor(index: number, family: GatewayFamilyV1) {
    this.index = index;
    this.family = family;
  }

  receive(packet: Uint8Array, now: Now, effects: Effects): DropReason | undefined {
    return this.family.receive(packet, now, effects);
  }

  expired(nowMs: number): boolean {
    return this.family.expired(this.index, nowMs);
  }

  expire(effects: Effects): void {
    this.family.expire(this.index, effects);
  }

  /** Its inner Noise state is more than numbers. */
  rest(): undefined {
    return undefined;
  }
}
