/**
 * The client's handshake on one handshake index (lp2.md §4): hello with KKT or H1 back to back, then H3, with repeats of
 * the same content. It never builds a second H1 or H3 from one ephemeral. Sans-IO: packets and time in, steps out; the
 * driver starts over with a new Initiator, which has the KEM key that was learnt by then.
 *
 * Error, Busy and unsigned refusals are hints, for anybody can forge them: the real reply is waited for, and what a hint
 * says is followed once, after a grace, where following ends the attempt.
 */
import type { ClientHandshake, HandshakeFailure, HandshakeStep } from '../client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from '../crypto/provider.ts';
import { assertNever } from '../drop-reason.ts';
import type { Now } from '../time.ts';
import { concat, readLe32, readLe64 } from '../wire/bytes.ts';
import {
  decodeBusy,
  decodeError,
  decodeKktResponse,
  ERROR_CODE,
  encodeClientHello,
  encodeKktRequest,
  encodeSalt,
  KKT_SESSION_ID_LENGTH,
} from '../wire/message.ts';
import {
  contentOf,
  counterOf,
  encodeUnsealed,
  isSessionIndex,
  MIN_PACKET_LENGTH,
  receiverIndex,
  TYPE,
  typeOf,
  VERSION_2,
  versionOf,
} from '../wire/packet.ts';
import { ClientFamily } from './client-family.ts';
import { checkAnnouncement, type KemAnnouncement, kemBodyLength } from './kem-key.ts';
import {
  handshakePrologue,
  handshakePsk,
  handshakeRoot,
  NO_CHAIN,
  sessionSecrets,
  wipeSecrets,
} from './key-schedule.ts';
import { XkInitiator } from './noise-xk.ts';
import { REPEAT_DELAYS_MS } from './repeats.ts';

/** H3 with an early frame is at most 2,048 bytes. */
export const MAX_EARLY_FRAME_LENGTH = 1_918;
/** How long the real reply is waited for once a hint said that there will be none. */
const HINT_GRACE_MS = 1_000;
const MAX_BUSY_WAIT_S = 60;
const H2_PAYLOAD_LENGTH = 14;

export interface InitiatorOptions {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  /** The client's Ed25519 key; the static X25519 secret is converted from it. Stays the caller's. */
  readonly clientSeed: Uint8Array;
  readonly gatewayEd25519: Uint8Array;
  /** The gateway's Ed25519 key converted; the caller has checked that it converts. */
  readonly gatewayX25519: Uint8Array;
  readonly kem: KemName;
  /** A key of this suite that was checked before; it is checked again for time and pins. */
  readonly kemKey: Pick<KemAnnouncement, 'kem' | 'body' | 'signature'> | undefined;
  readonly pinnedHashes: readonly Uint8Array[];
  /** Added to the own clock for the salt: what an Error 2 of this attempt told. */
  readonly clockOffsetMs: number;
  /** At most MAX_EARLY_FRAME_LENGTH bytes; empty for none. */
  readonly earlyFrame: Uint8Array;
}

type Step = HandshakeStep<ClientFamily>;

interface SentH1 {
  readonly noise: XkInitiator;
  readonly psk: Uint8Array;
  readonly packet: Uint8Array;
}

type Stage =
  | { readonly kind: 'keyAwaited'; readonly sessionId: Uint8Array; readonly kktPacket: Uint8Array }
  | { readonly kind: 'h2Awaited' }
  | { readonly kind: 'replyAwaited'; readonly h3Packet: Uint8Array; readonly family: ClientFamily }
  | { readonly kind: 'over' };

const WAIT: Step = { kind: 'wait' };

export class Initiator implements ClientHandshake {
  readonly usesKemKeys = true;
  readonly index: number;
  /** The gateway's clock as H2 told it, authenticated. */
  gatewayUnixMs: number | undefined;
  private readonly options: InitiatorOptions;
  private readonly helloContent: Uint8Array;
  private readonly helloPacket: Uint8Array;
  private readonly staticSecret: Uint8Array;
  private stage: Stage = { kind: 'over' };
  /** At most two: the first, and one after an Error 4. The H2 of either is taken. */
  private readonly sentH1: SentH1[] = [];
  private announcement: KemAnnouncement | undefined;
  private followedKemError = false;
  private followedBusy = false;
  private ending: { readonly failure: HandshakeFailure; readonly atMs: number } | undefined;
  private repeats = 0;
  private nextRepeatMs = Number.POSITIVE_INFINITY;

  /** Draws H (4 bytes), the salt (24 bytes), then the KKT session id or the ephemeral and what the KEM takes. */
  constructor(options: InitiatorOptions, now: Now) {
    this.options = options;
    this.index = drawHandshakeIndex(options.random);
    const random24 = new Uint8Array(24);
    options.random.fill(random24);
    const salt = encodeSalt(Math.floor((now.unixMs + options.clockOffsetMs) / 1_000), random24);
    this.helloContent = encodeClientHello({ handshakeIndex: this.index, salt });
    this.helloPacket = encodeUnsealed(0, 0, TYPE.clientHello, this.helloContent);
    this.staticSecret = options.crypto.x25519SecretOfEd25519(options.clientSeed);
  }

  /** The KEM key that is known by now, for the next attempt and the cache. */
  get kemKey(): KemAnnouncement | undefined {
    return this.announcement;
  }

  /** The handshake has the gateway's word (H2): H3 is under way. */
  get authenticated(): boolean {
    return this.stage.kind === 'replyAwaited';
  }

  /** 1 and 3, or 1 and 5: in one write. */
  start(now: Now): Step {
    this.announcement = this.usableKey(now);
    const second = this.announcement === undefined ? this.askForKey() : this.writeH1(this.announcement);
    if (second === undefined) return this.fail({ reason: 'gateway_key' });
    this.restartRepeats(now);
    return { kind: 'send', packets: [this.helloPacket, second] };
  }

  receive(packet: Uint8Array, now: Now): Step {
    if (packet.length < MIN_PACKET_LENGTH) return { kind: 'drop', reason: 'length' };
    const index = receiverIndex(packet);
    const { stage } = this;
    if (stage.kind === 'over') return { kind: 'drop', reason: 'unknown_index' };
    if (stage.kind === 'replyAwaited' && stage.family.owns(index)) return this.receiveReply(stage.family, packet, now);
    if (index !== this.index) return { kind: 'drop', reason: 'unknown_index' };
    if (versionOf(packet) !== VERSION_2) return { kind: 'drop', reason: 'version' };
    if (counterOf(packet) !== (typeOf(packet) === TYPE.handshake ? 1 : 0)) return { kind: 'drop', reason: 'counter' };
    return this.receiveUnsealed(typeOf(packet), contentOf(packet), now);
  }

  /** H3 is repeated, and the connection that carries it is the driver's: only a new attempt can go on. */
  unanswered(): Step {
    return WAIT;
  }

  /** Repeats, and ends what a hint or the schedule says is over. */
  tick(now: Now): Step {
    if (this.stage.kind === 'over') return WAIT;
    if (this.ending !== undefined && now.monotonicMs >= this.ending.atMs) return this.fail(this.ending.failure);
    if (now.monotonicMs < this.nextRepeatMs) return WAIT;
    if (this.repeats >= REPEAT_DELAYS_MS.length) {
      return this.fail(this.ending?.failure ?? { reason: this.followedBusy ? 'busy' : 'timeout' });
    }
    this.repeats++;
    this.nextRepeatMs = now.monotonicMs + (REPEAT_DELAYS_MS[this.repeats] ?? REPEAT_DELAYS_MS[0]);
    return { kind: 'send', packets: this.outstanding() };
  }

  nextTickMs(): number {
    return Math.min(this.nextRepeatMs, this.ending?.atMs ?? Number.POSITIVE_INFINITY);
  }

  /** Ends the attempt and wipes what is not the family's. */
  abandon(): void {
    for (const h1 of this.sentH1) {
      h1.noise.wipe();
      h1.psk.fill(0);
    }
    this.sentH1.length = 0;
    if (this.stage.kind === 'replyAwaited') this.stage.family.wipe();
    this.stage = { kind: 'over' };
    this.staticSecret.fill(0);
  }

  private receiveUnsealed(type: number, content: Uint8Array, now: Now): Step {
    switch (type) {
      case TYPE.ack:
        return WAIT;
      case TYPE.collision:
        return this.stage.kind === 'replyAwaited' ? WAIT : this.fail({ reason: 'collision' });
      case TYPE.kktResponse:
        return this.receiveKktResponse(content, now);
      case TYPE.handshake:
        return this.receiveH2(content, now);
      case TYPE.error:
        return this.receiveError(content, now);
      case TYPE.busy:
        return this.receiveBusy(content, now);
      default:
        return { kind: 'drop', reason: 'type' };
    }
  }

  private receiveKktResponse(content: Uint8Array, now: Now): Step {
    const { stage } = this;
    const { crypto, kem } = this.options;
    if (stage.kind !== 'keyAwaited') return { kind: 'drop', reason: 'type' };
    const response = decodeKktResponse(content, crypto.kems[kem].id, kemBodyLength(crypto, kem));
    if (response === undefined) return { kind: 'drop', reason: 'malformed' };
    if (!crypto.equal(response.sessionId, stage.sessionId)) return { kind: 'drop', reason: 'session_id' };
    if (response.kind === 'not_offered') {
      this.endSoon({ reason: 'suite_not_offered' }, now);
      return { kind: 'drop', reason: 'not_offered' };
    }
    const checked = checkAnnouncement(crypto, kem, response.body, response.signature, this.checks(now));
    if (checked.kind === 'refuse') {
      const failure: HandshakeFailure = { reason: 'kem_key', refusal: checked.reason };
      // A key that the gateway signed and no pin names: no later response can be right.
      if (checked.reason === 'pin') return this.fail(failure);
      this.endSoon(failure, now);
      return { kind: 'drop', reason: checked.reason };
    }
    this.announcement = checked.announcement;
    const h1 = this.writeH1(checked.announcement);
    if (h1 === undefined) return this.fail({ reason: 'gateway_key' });
    this.ending = undefined;
    this.restartRepeats(now);
    return { kind: 'send', packets: [h1] };
  }

  /** The H2 of whichever H1 it answers; one that reads under neither changes nothing. */
  private receiveH2(content: Uint8Array, now: Now): Step {
    if (this.stage.kind === 'replyAwaited') return WAIT;
    for (const h1 of this.sentH1) {
      const payload = h1.noise.readMessage2(content, h1.psk, acceptsH2);
      if (payload === undefined) continue;
      this.gatewayUnixMs = readLe64(payload, 4);
      return this.writeH3(h1.noise, readLe32(payload, 0), now);
    }
    return { kind: 'drop', reason: 'handshake_failed' };
  }

  private writeH3(noise: XkInitiator, sessionIndex: number, now: Now): Step {
    const { crypto, random, clientSeed, earlyFrame, gatewayX25519 } = this.options;
    const message = noise.writeMessage3(concat(crypto.ed25519PublicKey(clientSeed), earlyFrame));
    if (message === undefined) return this.fail({ reason: 'gateway_key' });
    const secrets = sessionSecrets(crypto, handshakeRoot(crypto, noise.chainingKey, noise.handshakeHash), NO_CHAIN);
    const keys = {
      staticSecret: this.staticSecret.slice(),
      staticPublic: crypto.x25519PublicKey(this.staticSecret),
      gatewayStatic: gatewayX25519,
    };
    const family = new ClientFamily(crypto, random, keys, sessionIndex, secrets);
    wipeSecrets(secrets);
    for (const h1 of this.sentH1) {
      h1.noise.wipe();
      h1.psk.fill(0);
    }
    this.sentH1.length = 0;
    const h3Packet = encodeUnsealed(this.index, 2, TYPE.handshake, message);
    this.stage = { kind: 'replyAwaited', h3Packet, family };
    this.ending = undefined;
    this.restartRepeats(now);
    return { kind: 'send', packets: [h3Packet] };
  }

  private receiveReply(family: ClientFamily, packet: Uint8Array, now: Now): Step {
    const received = family.receive(packet, now);
    if (received.kind === 'drop') return received;
    this.stage = { kind: 'over' };
    this.staticSecret.fill(0);
    return { kind: 'established', session: family, received };
  }

  private receiveError(content: Uint8Array, now: Now): Step {
    const error = decodeError(content);
    if (error === undefined) return { kind: 'drop', reason: 'content' };
    if (this.stage.kind === 'replyAwaited') return WAIT;
    switch (error.code) {
      case ERROR_CODE.version:
        this.endSoon({ reason: 'version' }, now);
        return WAIT;
      case ERROR_CODE.clock:
        this.endSoon({ reason: 'clock', gatewayUnixMs: error.gatewayUnixMs }, now);
        return WAIT;
      case ERROR_CODE.suite:
        this.endSoon({ reason: 'suite_not_offered' }, now);
        return WAIT;
      case ERROR_CODE.kemKey:
        return this.followKemKeyError(now);
      default:
        return WAIT;
    }
  }

  /** Error 4: message 3 on the same record, then a new H1 with a new ephemeral; the first H2 is still taken. */
  private followKemKeyError(now: Now): Step {
    if (this.followedKemError || this.stage.kind !== 'h2Awaited') return WAIT;
    this.followedKemError = true;
    this.announcement = undefined;
    const packet = this.askForKey();
    this.restartRepeats(now);
    return { kind: 'send', packets: [packet] };
  }

  private receiveBusy(content: Uint8Array, now: Now): Step {
    const retryAfterS = decodeBusy(content);
    if (retryAfterS === undefined) return { kind: 'drop', reason: 'content' };
    if (this.followedBusy || this.stage.kind === 'replyAwaited') return WAIT;
    this.followedBusy = true;
    const jitter = new Uint8Array(1);
    this.options.random.fill(jitter);
    const waitMs = Math.min(retryAfterS, MAX_BUSY_WAIT_S) * 1_000 * (1 + (jitter[0] ?? 0) / 512);
    this.nextRepeatMs = Math.max(this.nextRepeatMs, now.monotonicMs + waitMs);
    return WAIT;
  }

  private endSoon(failure: HandshakeFailure, now: Now): void {
    this.ending ??= { failure, atMs: now.monotonicMs + HINT_GRACE_MS };
  }

  private fail(failure: HandshakeFailure): Step {
    this.abandon();
    return { kind: 'failed', failure };
  }

  private restartRepeats(now: Now): void {
    this.repeats = 0;
    this.nextRepeatMs = now.monotonicMs + REPEAT_DELAYS_MS[0];
  }

  /** What has no reply yet. The hello goes along until H2, for its record may never have been made. */
  private outstanding(): Uint8Array[] {
    const { stage } = this;
    switch (stage.kind) {
      case 'keyAwaited':
        return [this.helloPacket, stage.kktPacket];
      case 'h2Awaited':
        // Both H1: the Error 4 may have been forged, and the record may have no place for the second.
        return [this.helloPacket, ...this.sentH1.map((h1) => h1.packet)];
      case 'replyAwaited':
        return [stage.h3Packet];
      case 'over':
        return [];
      default:
        return assertNever(stage);
    }
  }

  private usableKey(now: Now): KemAnnouncement | undefined {
    const { crypto, kem, kemKey } = this.options;
    if (kemKey === undefined || kemKey.kem !== kem) return undefined;
    const checked = checkAnnouncement(crypto, kem, kemKey.body, kemKey.signature, this.checks(now));
    return checked.kind === 'announcement' ? checked.announcement : undefined;
  }

  private checks(now: Now) {
    const { gatewayEd25519, pinnedHashes } = this.options;
    return { gatewayEd25519, pinnedHashes, unixSeconds: Math.floor(now.unixMs / 1_000) };
  }

  private askForKey(): Uint8Array {
    const { crypto, kem, random } = this.options;
    const sessionId = new Uint8Array(KKT_SESSION_ID_LENGTH);
    random.fill(sessionId);
    const content = encodeKktRequest({ kemId: crypto.kems[kem].id, sessionId });
    const kktPacket = encodeUnsealed(this.index, 0, TYPE.kktRequest, content);
    this.stage = { kind: 'keyAwaited', sessionId, kktPacket };
    return kktPacket;
  }

  /** → e, es with the KEM ciphertext as payload. `undefined` for a gateway key that gives an all-zero result. */
  private writeH1(announcement: KemAnnouncement): Uint8Array | undefined {
    const { crypto, random, gatewayEd25519, gatewayX25519 } = this.options;
    const kem = crypto.kems[announcement.kem];
    const ephemeral = new Uint8Array(32);
    random.fill(ephemeral);
    const encapsulation = kem.encapsulate(announcement.publicKey, random);
    if (encapsulation === undefined) return undefined;
    const { ciphertext, sharedSecret } = encapsulation;
    const prologue = handshakePrologue(crypto, this.helloContent, gatewayEd25519, announcement);
    const noise = new XkInitiator(crypto, prologue, this.staticSecret, gatewayX25519, ephemeral);
    const salt = this.helloContent.subarray(68);
    const psk = handshakePsk(crypto, sharedSecret, announcement.publicKeyHash, ciphertext, salt);
    sharedSecret.fill(0);
    const message = noise.writeMessage1(ciphertext);
    if (message === undefined) return undefined;
    const content = concat(Uint8Array.of(kem.id), announcement.keyId, message);
    const packet = encodeUnsealed(this.index, 1, TYPE.handshake, content);
    this.sentH1.push({ noise, psk, packet });
    this.stage = { kind: 'h2Awaited' };
    return packet;
  }
}

/** §3: a session index has bit 31. */
function acceptsH2(payload: Uint8Array): boolean {
  return payload.length === H2_PAYLOAD_LENGTH && isSessionIndex(readLe32(payload, 0));
}

/** §3: random in 1 … 2³¹−1. */
function drawHandshakeIndex(random: RandomSource): number {
  const draw = new Uint8Array(4);
  for (;;) {
    random.fill(draw);
    const index = readLe32(draw, 0) & 0x7fff_ffff;
    if (index !== 0) return index;
  }
}
