/**
 * The gateway's record of one handshake index (lp2.md §4, "Records and repeats"): the ClientHello and up to three H1 that
 * read, each with its own Noise state, reserved session index and accepted H3. Equal content gets the stored packet
 * again; what fails to read changes nothing. It lives 90 s, also when the handshake has finished.
 */
import type { DropReason } from '../drop-reason.ts';
import { MAX_VERSION, type ResponderContext } from '../responder-context.ts';
import type { Effects, HandshakeAdmission, HandshakeRecord, RecordOutcome } from '../session.ts';
import type { Now } from '../time.ts';
import { sameBytes, writeLe32, writeLe64 } from '../wire/bytes.ts';
import {
  decodeH1,
  decodeKktRequest,
  ERROR_CODE,
  type ErrorCode,
  encodeBusyPacket,
  encodeErrorPacket,
  encodeKktNotOffered,
  encodeKktResponse,
  type H1Content,
} from '../wire/message.ts';
import { contentOf, counterOf, encodeUnsealed, TYPE, typeOf, VERSION_2, versionOf } from '../wire/packet.ts';
import { GatewayFamily } from './gateway-family.ts';
import type { KemKey } from './kem-key.ts';
import {
  handshakePrologue,
  handshakePsk,
  handshakeRoot,
  NO_CHAIN,
  sessionSecrets,
  wipeSecrets,
} from './key-schedule.ts';
import { XkResponder } from './noise-xk.ts';

const MAX_H1 = 3;
const HASH_LENGTH = 32;
const H1_COUNTER = 1;
const H3_COUNTER = 2;
const EMPTY = new Uint8Array(0);

/** One H1 that read. */
interface H1State {
  /** §4.5: a session counts for the source of its H1, which need not be the ClientHello's. */
  readonly source: number;
  readonly h1Hash: Uint8Array;
  readonly h2Packet: Uint8Array;
  readonly sessionIndex: number;
  progress:
    | { readonly kind: 'h2Sent'; readonly noise: XkResponder }
    | { readonly kind: 'h3Accepted'; readonly h3Hash: Uint8Array; readonly family: GatewayFamily };
}

export class HandshakeRecordV2 implements HandshakeRecord {
  readonly index: number;
  readonly source: number;
  readonly createdMs: number;
  readonly helloReply: Uint8Array;
  private readonly context: ResponderContext;
  private readonly helloContent: Uint8Array;
  private readonly states: H1State[] = [];

  /** Keeps `helloContent`. */
  constructor(context: ResponderContext, index: number, helloContent: Uint8Array, source: number, createdMs: number) {
    this.context = context;
    this.index = index;
    this.helloContent = helloContent;
    this.source = source;
    this.createdMs = createdMs;
    this.helloReply = encodeUnsealed(index, 0, TYPE.ack, EMPTY);
  }

  get holdsH1(): boolean {
    return this.states.length > 0;
  }

  reservedSources(): readonly number[] {
    return this.states.filter((state) => state.progress.kind === 'h2Sent').map((state) => state.source);
  }

  sameHello(content: Uint8Array): boolean {
    return sameBytes(this.helloContent, content);
  }

  busyPacket(retryAfterSeconds: number): Uint8Array {
    return encodeBusyPacket(this.index, retryAfterSeconds);
  }

  receive(packet: Uint8Array, admission: HandshakeAdmission, now: Now, effects: Effects): RecordOutcome {
    const type = typeOf(packet);
    if (type !== TYPE.kktRequest && type !== TYPE.handshake) return drop('type');
    const counter = counterOf(packet);
    if (type === TYPE.kktRequest ? counter !== 0 : counter !== H1_COUNTER && counter !== H3_COUNTER) {
      return drop('counter');
    }
    if (versionOf(packet) !== VERSION_2) return drop('version');
    const content = contentOf(packet);
    if (type === TYPE.kktRequest) return this.receiveKktRequest(content);
    return counter === H1_COUNTER ? this.receiveH1(content, admission, now) : this.receiveH3(content, now, effects);
  }

  wipe(): void {
    for (const state of this.states) {
      if (state.progress.kind === 'h3Accepted') {
        state.progress.family.forgetReplyToH3();
        continue;
      }
      state.progress.noise.wipe();
      this.context.freeIndex(state.sessionIndex);
    }
    this.states.length = 0;
    this.context.freeIndex(this.index);
  }

  /** Answered from its content alone, stored nowhere (§4). */
  private receiveKktRequest(content: Uint8Array): RecordOutcome {
    const request = decodeKktRequest(content);
    if (request === undefined) return drop('content');
    const key = this.context.kemKeys.newest(request.kemId);
    const response =
      key === undefined
        ? encodeKktNotOffered(request)
        : encodeKktResponse(request.kemId, key.body, request.sessionId, key.signature);
    const packet = encodeUnsealed(this.index, 0, TYPE.kktResponse, response);
    return { kind: 'reply', packet, work: 'kkt', token: false };
  }

  private receiveH1(content: Uint8Array, admission: HandshakeAdmission, now: Now): RecordOutcome {
    const h1 = decodeH1(content);
    if (h1 === undefined) return drop('content');
    const { crypto, kemKeys } = this.context;
    const h1Hash = crypto.blake3(content);
    const known = this.states.find((state) => sameBytes(state.h1Hash, h1Hash));
    if (known !== undefined) return { kind: 'reply', packet: known.h2Packet, work: 'repeat' };
    if (this.states.length >= MAX_H1) return drop('too_many_h1');
    if (!admission.token || !admission.session) return this.busy(admission.retryAfterSeconds);
    // Before any public-key operation: the suite and the key.
    if (!kemKeys.offers(h1.kemId)) return this.refuse(ERROR_CODE.suite, now);
    const key = kemKeys.find(h1.kemId, h1.keyId, now.unixMs);
    if (key === undefined) return this.refuse(ERROR_CODE.kemKey, now);
    const state = this.readH1(h1, h1Hash, admission.source, key, now);
    if (typeof state === 'string') return state === 'indices_full' ? this.busy(1) : drop(state);
    this.states.push(state);
    return { kind: 'reply', packet: state.h2Packet, work: 'h1' };
  }

  private busy(retryAfterSeconds: number): RecordOutcome {
    return { kind: 'refused', packet: this.busyPacket(retryAfterSeconds) };
  }

  private refuse(code: ErrorCode, now: Now): RecordOutcome {
    const { minVersion } = this.context;
    const message = { code, gatewayUnixMs: now.unixMs, minVersion, maxVersion: MAX_VERSION };
    return { kind: 'refused', packet: encodeErrorPacket(this.index, message) };
  }

  /** → e, es ← e, ee, psk. What fails to read draws no randomness. */
  private readH1(h1: H1Content, h1Hash: Uint8Array, source: number, key: KemKey, now: Now): H1State | DropReason {
    const { crypto, identity } = this.context;
    const { announcement } = key;
    const expected = crypto.kems[announcement.kem].ciphertextLength + 48;
    if (h1.noiseMessage.length !== expected) return 'handshake_failed';
    const prologue = handshakePrologue(crypto, this.helloContent, identity.ed25519Public, announcement);
    const noise = new XkResponder(crypto, prologue, identity.x25519Public);
    const ciphertext = noise.readMessage1(h1.noiseMessage, identity.x25519Secret);
    const sharedSecret = ciphertext === undefined ? undefined : key.secretKey.decapsulate(ciphertext);
    if (ciphertext === undefined || sharedSecret === undefined) {
      noise.wipe();
      return 'handshake_failed';
    }
    const salt = this.helloContent.subarray(68);
    const psk = handshakePsk(crypto, sharedSecret, announcement.publicKeyHash, ciphertext, salt);
    sharedSecret.fill(0);
    const state = this.writeH2(noise, psk, h1Hash, source, now);
    psk.fill(0);
    if (typeof state === 'string') noise.wipe();
    return state;
  }

  private writeH2(
    noise: XkResponder,
    psk: Uint8Array,
    h1Hash: Uint8Array,
    source: number,
    now: Now,
  ): H1State | DropReason {
    const { context } = this;
    const sessionIndex = context.allocateIndex();
    if (sessionIndex === undefined) return 'indices_full';
    const payload = new Uint8Array(14);
    writeLe32(payload, 0, sessionIndex);
    writeLe64(payload, 4, now.unixMs);
    payload[12] = context.minVersion;
    payload[13] = MAX_VERSION;
    const ephemeral = new Uint8Array(32);
    context.random.fill(ephemeral);
    const message = noise.writeMessage2(ephemeral, psk, payload);
    if (message === undefined) {
      context.freeIndex(sessionIndex);
      return 'handshake_failed';
    }
    return {
      source,
      h1Hash,
      h2Packet: encodeUnsealed(this.index, H1_COUNTER, TYPE.handshake, message),
      sessionIndex,
      progress: { kind: 'h2Sent', noise },
    };
  }

  private receiveH3(content: Uint8Array, now: Now, effects: Effects): RecordOutcome {
    const h3Hash = this.context.crypto.blake3(content);
    for (const state of this.states) {
      if (state.progress.kind !== 'h3Accepted' || !sameBytes(state.progress.h3Hash, h3Hash)) continue;
      const stored = state.progress.family.replyToH3;
      return stored === undefined ? drop('in_progress') : { kind: 'reply', packet: stored, work: 'repeat' };
    }
    for (const state of this.states) {
      if (state.progress.kind !== 'h2Sent') continue;
      const family = this.readH3(state, state.progress.noise, content, now, effects);
      if (family === undefined) continue;
      state.progress.noise.wipe();
      state.progress = { kind: 'h3Accepted', h3Hash, family };
      return { kind: 'accepted' };
    }
    return drop('handshake_failed');
  }

  /** → s, se. The session exists at once; a failure leaves the state as it was. */
  private readH3(
    state: H1State,
    noise: XkResponder,
    content: Uint8Array,
    now: Now,
    effects: Effects,
  ): GatewayFamily | undefined {
    const { crypto } = this.context;
    const message = noise.readMessage3(content);
    if (message === undefined) return undefined;
    const { initiatorStatic, payload, chainingKey, handshakeHash } = message;
    const clientEd25519 = payload.subarray(0, HASH_LENGTH);
    if (payload.length < HASH_LENGTH || !crypto.convertsTo(clientEd25519, initiatorStatic)) {
      chainingKey.fill(0);
      return undefined;
    }
    const root = handshakeRoot(crypto, chainingKey, handshakeHash);
    chainingKey.fill(0);
    const secrets = sessionSecrets(crypto, root, NO_CHAIN);
    const early = payload.subarray(HASH_LENGTH);
    const origin = { index: state.sessionIndex, secrets, peerStatic: initiatorStatic, source: state.source };
    const family = GatewayFamily.fromHandshake(this.context, origin, early, now, effects);
    wipeSecrets(secrets);
    return family;
  }
}

function drop(reason: DropReason): RecordOutcome {
  return { kind: 'drop', reason };
}
