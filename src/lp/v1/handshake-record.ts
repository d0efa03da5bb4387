/**
 * The gateway's record of one LP1 handshake (lp1.md §7.5, §8.3), built like LP2's: the ClientHello, up to three Handshake 1
 * that read, and the Handshake 3 that was accepted. What the reference closes for is dropped here and changes nothing;
 * equal content gets the stored reply again. It lives 90 s from its ClientHello, whatever becomes of it, so a ClientHello
 * that is replayed within its time window finds it (§10-B 18).
 *
 * The index is the record's and, once the handshake is done, the session's as well: whichever ends last frees it.
 */
import type { DropReason } from '../drop-reason.ts';
import type { ResponderContext } from '../responder-context.ts';
import type { Effects, HandshakeAdmission, HandshakeRecord, RecordOutcome } from '../session.ts';
import type { Now } from '../time.ts';
import { concat, readLe16, sameBytes, writeLe16 } from '../wire/bytes.ts';
import { contentOf, counterOf, encodeUnsealed, TYPE, typeOf, VERSION_1, versionOf } from '../wire/packet.ts';
import { GatewayFamilyV1 } from './gateway-family.ts';
import { decodeHelloV1, type HelloV1 } from './hello.ts';
import { outerKey, sessionPsk } from './key-schedule.ts';
import { answerKktRequest } from './kkt.ts';
import { XkResponderV1 } from './noise-xk.ts';
import { openOuter, sealOuter } from './outer.ts';
import { PSQ_MESSAGE_LENGTH, respondPsq, wipePsq } from './psq.ts';

/** Counters of the three messages of a client (§7.2). */
const KKT_COUNTER = 0;
const H1_COUNTER = 1;
const H3_COUNTER = 2;
/** Of the gateway's replies; the final Ack's is a literal that no other packet of this direction has. */
const FIRST_H2_COUNTER = 1;
const ACK_COUNTER = 0;
const MAX_H1 = 3;
const NOISE_1_LENGTH = 48;
const H1_LENGTH = 2 + PSQ_MESSAGE_LENGTH + NOISE_1_LENGTH;
const EMPTY = new Uint8Array(0);

/** Secrets of one Handshake 1 that read. */
interface SentH2 {
  readonly noise: XkResponderV1;
  readonly psk: Uint8Array;
  readonly outer: Uint8Array;
  readonly psq: Uint8Array;
}

interface H1State {
  readonly source: number;
  readonly h1Hash: Uint8Array;
  readonly h2Packet: Uint8Array;
  /** `undefined` once a Handshake 3 was accepted. */
  secrets: SentH2 | undefined;
}

interface AcceptedH3 {
  readonly packetHash: Uint8Array;
  readonly state: H1State;
  readonly ackPacket: Uint8Array;
  readonly family: GatewayFamilyV1;
}

export class HandshakeRecordV1 implements HandshakeRecord {
  readonly index: number;
  readonly source: number;
  readonly createdMs: number;
  readonly helloReply: Uint8Array;
  private readonly context: ResponderContext;
  private readonly helloContent: Uint8Array;
  private readonly hello: HelloV1;
  private kkt: { readonly contentHash: Uint8Array; readonly packet: Uint8Array } | undefined;
  private readonly states: H1State[] = [];
  private accepted: AcceptedH3 | undefined;

  /** Keeps `helloContent`, which decodes. The index has been claimed. */
  constructor(context: ResponderContext, helloContent: Uint8Array, source: number, createdMs: number) {
    const hello = decodeHelloV1(helloContent);
    if (hello === undefined) throw new Error('assertion: the hello decodes');
    this.context = context;
    this.helloContent = helloContent;
    this.hello = hello;
    this.index = hello.receiverIndex;
    this.source = source;
    this.createdMs = createdMs;
    this.helloReply = encodeUnsealed(this.index, ACK_COUNTER, TYPE.ack, EMPTY, VERSION_1);
  }

  get holdsH1(): boolean {
    return this.states.length > 0;
  }

  /** The place of the accepted one is the family's. */
  reservedSources(): readonly number[] {
    return this.states.filter((state) => state !== this.accepted?.state).map((state) => state.source);
  }

  sameHello(content: Uint8Array): boolean {
    return sameBytes(this.helloContent, content);
  }

  busyPacket(): Uint8Array {
    return busyPacketV1(this.index);
  }

  receive(packet: Uint8Array, admission: HandshakeAdmission, now: Now, effects: Effects): RecordOutcome {
    const outcome = this.act(packet, admission, now, effects);
    if (outcome.kind === 'drop') effects.noAnswer(false);
    return outcome;
  }

  /** The Ack again, where the packet is the Handshake 3 that was accepted. */
  repeatedAck(packet: Uint8Array): Uint8Array | undefined {
    const { accepted } = this;
    if (accepted === undefined || counterOf(packet) !== H3_COUNTER) return undefined;
    return sameBytes(accepted.packetHash, this.context.crypto.blake3(packet)) ? accepted.ackPacket : undefined;
  }

  wipe(): void {
    for (const state of this.states) wipeState(state);
    this.states.length = 0;
    if (this.accepted?.family.takeIndex() !== true) this.context.freeIndex(this.index);
  }

  private act(packet: Uint8Array, admission: HandshakeAdmission, now: Now, effects: Effects): RecordOutcome {
    const counter = counterOf(packet);
    if (counter === H3_COUNTER) return this.receiveH3(packet, now, effects);
    if (versionOf(packet) !== VERSION_1) return drop('version');
    const expected = counter === KKT_COUNTER ? TYPE.kktRequest : TYPE.handshake;
    if (counter > H1_COUNTER) return drop('counter');
    if (typeOf(packet) !== expected) return drop('type');
    const content = contentOf(packet);
    return counter === KKT_COUNTER ? this.receiveKkt(content, admission) : this.receiveH1(content, admission, now);
  }

  /** Answered from its content; only the first answer is free of a token, for each takes two signature operations. */
  private receiveKkt(content: Uint8Array, admission: HandshakeAdmission): RecordOutcome {
    const { crypto, identity, lp1 } = this.context;
    const contentHash = crypto.blake3(content);
    if (this.kkt !== undefined && sameBytes(this.kkt.contentHash, contentHash)) {
      return { kind: 'reply', packet: this.kkt.packet, work: 'repeat' };
    }
    if (!admission.token || lp1 === undefined) return this.busy();
    const response = answerKktRequest(crypto, content, {
      clientEd25519: this.hello.ed25519,
      gatewaySeed: lp1.ed25519Seed,
      gatewayX25519: identity.x25519Public,
    });
    if (response === undefined) return drop('handshake_failed');
    const packet = encodeUnsealed(this.index, KKT_COUNTER, TYPE.kktResponse, response, VERSION_1);
    const first = this.kkt === undefined;
    this.kkt ??= { contentHash, packet };
    return { kind: 'reply', packet, work: 'kkt', token: !first };
  }

  private receiveH1(content: Uint8Array, admission: HandshakeAdmission, now: Now): RecordOutcome {
    if (this.kkt === undefined) return drop('type');
    if (content.length !== H1_LENGTH || readLe16(content, 0) !== PSQ_MESSAGE_LENGTH) return drop('content');
    const h1Hash = this.context.crypto.blake3(content);
    const known = this.states.find((state) => sameBytes(state.h1Hash, h1Hash));
    if (known !== undefined) return { kind: 'reply', packet: known.h2Packet, work: 'repeat' };
    if (this.accepted !== undefined || this.states.length >= MAX_H1) return drop('too_many_h1');
    if (!admission.token || !admission.session) return this.busy();
    const state = this.readH1(content, h1Hash, admission.source, now);
    if (state === undefined) return drop('handshake_failed');
    this.states.push(state);
    return { kind: 'reply', packet: state.h2Packet, work: 'h1' };
  }

  private busy(): RecordOutcome {
    return { kind: 'refused', packet: this.busyPacket() };
  }

  /** PSQ first: whoever cannot sign for the hello's key gets no further. */
  private readH1(content: Uint8Array, h1Hash: Uint8Array, source: number, now: Now): H1State | undefined {
    const { crypto, identity, lifetimes } = this.context;
    const { ed25519, x25519, salt } = this.hello;
    if (!crypto.convertsTo(ed25519, x25519)) return undefined;
    const psq = respondPsq(crypto, content.subarray(2, 2 + PSQ_MESSAGE_LENGTH), {
      kem: 'x25519',
      decapsulate: (ciphertext) => crypto.x25519(identity.x25519Secret, ciphertext),
      responderKey: identity.x25519Public,
      clientEd25519: ed25519,
      receiverIndex: this.index,
      nowUnixMs: now.unixMs,
      futureToleranceMs: lifetimes.clockToleranceS * 1_000,
      maxAgeMs: lifetimes.clockToleranceS * 1_000 + lifetimes.handshakeTtlMs,
    });
    if (psq === undefined) return undefined;
    const ecdh = crypto.x25519(identity.x25519Secret, x25519);
    const noiseMessage = content.subarray(2 + PSQ_MESSAGE_LENGTH);
    const written = ecdh === undefined ? undefined : this.answerNoise(noiseMessage);
    if (ecdh === undefined || written === undefined) {
      wipePsq(psq);
      ecdh?.fill(0);
      return undefined;
    }
    const psk = sessionPsk(crypto, ecdh, psq.registeredPsk, salt);
    ecdh.fill(0);
    const outer = outerKey(crypto, psk);
    const handleLength = new Uint8Array(2);
    writeLe16(handleLength, 0, psq.handle.length);
    const h2Content = concat(handleLength, psq.handle, written.message);
    const h2Packet = sealOuter(crypto, outer, this.index, this.nextCounterUnder(outer), TYPE.handshake, h2Content);
    const registered = psq.registeredPsk.slice();
    wipePsq(psq);
    return { source, h1Hash, h2Packet, secrets: { noise: written.noise, psk, outer, psq: registered } };
  }

  /**
   * Handshake 1 is in cleartext and nothing ties its two halves together: whoever sees one can put a Noise message of his
   * own behind its PSQ part, which gives the same outer key. A second H2 under that key takes the next counter, which
   * clients accept, for two different packets under one (key, nonce) would give the key's authentication away.
   */
  private nextCounterUnder(outer: Uint8Array): number {
    const { crypto } = this.context;
    return FIRST_H2_COUNTER + this.states.filter(({ secrets }) => secrets && crypto.equal(secrets.outer, outer)).length;
  }

  private answerNoise(message1: Uint8Array): { noise: XkResponderV1; message: Uint8Array } | undefined {
    const { crypto, identity, random } = this.context;
    const noise = new XkResponderV1(crypto, identity.x25519Public);
    if (noise.readMessage1(message1, identity.x25519Secret)) {
      const ephemeral = new Uint8Array(32);
      random.fill(ephemeral);
      const message = noise.writeMessage2(ephemeral);
      if (message !== undefined) return { noise, message };
    }
    noise.wipe();
    return undefined;
  }

  private receiveH3(packet: Uint8Array, now: Now, effects: Effects): RecordOutcome {
    const repeated = this.repeatedAck(packet);
    if (repeated !== undefined) return { kind: 'reply', packet: repeated, work: 'repeat' };
    if (this.accepted !== undefined) return drop('duplicate');
    const packetHash = this.context.crypto.blake3(packet);
    for (const state of this.states) {
      const { secrets } = state;
      const family = secrets === undefined ? undefined : this.readH3(packet, state, secrets, now);
      if (secrets === undefined || family === undefined) continue;
      const { crypto } = this.context;
      const ackPacket = sealOuter(crypto, secrets.outer, this.index, ACK_COUNTER, TYPE.ack, EMPTY);
      this.accepted = { packetHash, state, ackPacket, family };
      for (const other of this.states) wipeState(other);
      family.begin(this, effects);
      effects.reply(ackPacket);
      return { kind: 'accepted' };
    }
    return drop('tag');
  }

  /** A copy is opened: with another state's key the packet would be gone. */
  private readH3(packet: Uint8Array, state: H1State, secrets: SentH2, now: Now): GatewayFamilyV1 | undefined {
    const { crypto } = this.context;
    const copy = packet.slice();
    if (!openOuter(crypto, secrets.outer, copy)) return undefined;
    if (versionOf(copy) !== VERSION_1 || typeOf(copy) !== TYPE.handshake) return undefined;
    const read = secrets.noise.readMessage3(contentOf(copy), secrets.psk);
    if (read === undefined) return undefined;
    // §10-B 14: the static key is the one that ClientHello and PSQ's signature speak of.
    if (!crypto.equal(read.initiatorStatic, this.hello.x25519)) {
      read.keys.initiatorToResponder.fill(0);
      read.keys.responderToInitiator.fill(0);
      return undefined;
    }
    return new GatewayFamilyV1(
      this.context,
      {
        index: this.index,
        source: state.source,
        clientEd25519: this.hello.ed25519,
        peerStatic: read.initiatorStatic,
        noise: read.keys,
        outerKey: secrets.outer.slice(),
        psq: secrets.psq.slice(),
        nextCounter: this.nextCounterUnder(secrets.outer),
      },
      now,
    );
  }
}

/** §2.1: empty, where LP2's says when to come back. */
export function busyPacketV1(index: number): Uint8Array {
  return encodeUnsealed(index, 0, TYPE.busy, EMPTY, VERSION_1);
}

function wipeState(state: H1State): void {
  const { secrets } = state;
  state.secrets = undefined;
  secrets?.noise.wipe();
  secrets?.psk.fill(0);
  secrets?.outer.fill(0);
  secrets?.psq.fill(0);
}

function drop(reason: DropReason): RecordOutcome {
  return { kind: 'drop', reason };
}
