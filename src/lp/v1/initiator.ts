/**
 * The client's LP1 handshake (lp1.md §7.2, §7.4, §9.2, fixed profile), sans-IO: hello, KKT, Handshake 1 and 3, each after the
 * reply to the one before. Nothing is repeated: the reference closes a handshake for a repeat, and over TCP only a new
 * connection could lose it, for which a new attempt has a new index, salt and ephemeral.
 *
 * It is a careful peer where the document asks for one: every field of Ack, Collision and KKTResponse is checked, and
 * PSQ's handle is opened. What does not check is dropped; the cleartext phase is unauthenticated, so what says that there
 * will be no reply is a hint, and the real reply is waited for a little longer.
 */
import type { ClientHandshake, HandshakeDropReason, HandshakeFailure, HandshakeStep } from '../client-session.ts';
import type { CryptoProvider, RandomSource } from '../crypto/provider.ts';
import type { Now } from '../time.ts';
import { concat, readLe16, readLe32, writeLe16 } from '../wire/bytes.ts';
import { decodeError, ERROR_CODE, encodeSalt } from '../wire/message.ts';
import {
  BOOTSTRAP_INDEX,
  contentOf,
  counterOf,
  encodeUnsealed,
  MIN_PACKET_LENGTH,
  receiverIndex,
  TYPE,
  typeOf,
  VERSION_1,
  VERSION_2,
  versionOf,
} from '../wire/packet.ts';
import { ClientSessionV1 } from './client-session.ts';
import { FamilyV1, HANDSHAKE_COUNTERS } from './family.ts';
import { encodeHelloV1 } from './hello.ts';
import { outerKey, sessionPsk } from './key-schedule.ts';
import { checkKktResponse, encodeKktRequest } from './kkt.ts';
import { XK_EPHEMERAL_MESSAGE_LENGTH, XkInitiatorV1, type XkSession } from './noise-xk.ts';
import { openOuter, sealOuter } from './outer.ts';
import { initiatePsq, openHandle, PSQ_HANDLE_LENGTH, type PsqSecrets, wipePsq } from './psq.ts';

const STEP_TIMEOUT_MS = 10_000;
/** How long the real reply is waited for once a hint said that there will be none. */
const HINT_GRACE_MS = 1_000;
/** §10-B 16: the reference takes no time ahead of its own clock, and an hour's delay. */
const PSQ_BACKDATE_MS = 30_000;
const MAX_H2_COUNTER = 3;
const KKT_SESSION_ID_LENGTH = 16;
const H2_CONTENT_LENGTH = 2 + PSQ_HANDLE_LENGTH + XK_EPHEMERAL_MESSAGE_LENGTH;
const NEVER = Number.POSITIVE_INFINITY;

export interface InitiatorV1Options {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  /** The client's Ed25519 key. Stays the caller's. */
  readonly clientSeed: Uint8Array;
  readonly gatewayEd25519: Uint8Array;
  /** The gateway's Ed25519 key converted; the caller has checked that it converts. */
  readonly gatewayX25519: Uint8Array;
  /** Added to the own clock for salt and PSQ. */
  readonly clockOffsetMs: number;
  /** 4 or 16 bytes; empty where it is not known. Takes the place of an unspecified address in what it announces. */
  readonly gatewayIp?: Uint8Array;
}

/** Secrets from Handshake 1 to the end. */
interface SentH1 {
  readonly psq: PsqSecrets;
  readonly noise: XkInitiatorV1;
  readonly psk: Uint8Array;
  readonly outer: Uint8Array;
}

type Stage =
  | { readonly kind: 'helloSent' }
  | { readonly kind: 'kktSent'; readonly sessionId: Uint8Array }
  | { readonly kind: 'h1Sent'; readonly secrets: SentH1 }
  | { readonly kind: 'h3Sent'; readonly secrets: SentH1; readonly finished: XkSession }
  | { readonly kind: 'over' };

const WAIT: HandshakeStep = { kind: 'wait' };

export class InitiatorV1 implements ClientHandshake {
  readonly kemKey = undefined;
  readonly usesKemKeys = false;
  readonly index: number;
  private readonly options: InitiatorV1Options;
  private readonly salt: Uint8Array;
  private readonly staticSecret: Uint8Array;
  private readonly staticPublic: Uint8Array;
  private stage: Stage = { kind: 'over' };
  private deadlineMs = NEVER;
  private ending: { readonly failure: HandshakeFailure; readonly atMs: number } | undefined;

  /** Draws the index (4 bytes, again while it is 0), then 24 bytes of the salt. */
  constructor(options: InitiatorV1Options, now: Now) {
    this.options = options;
    const { crypto, random, clientSeed, clockOffsetMs } = options;
    this.index = drawIndex(random);
    const random24 = new Uint8Array(24);
    random.fill(random24);
    this.salt = encodeSalt(Math.floor((now.unixMs + clockOffsetMs) / 1_000), random24);
    this.staticSecret = crypto.x25519SecretOfEd25519(clientSeed);
    this.staticPublic = crypto.x25519PublicKey(this.staticSecret);
  }

  get authenticated(): boolean {
    return this.stage.kind === 'h3Sent';
  }

  start(now: Now): HandshakeStep {
    const { crypto, clientSeed } = this.options;
    const content = encodeHelloV1({
      receiverIndex: this.index,
      x25519: this.staticPublic,
      ed25519: crypto.ed25519PublicKey(clientSeed),
      salt: this.salt,
    });
    this.stage = { kind: 'helloSent' };
    return this.send(encodeUnsealed(BOOTSTRAP_INDEX, 0, TYPE.clientHello, content, VERSION_1), now);
  }

  receive(packet: Uint8Array, now: Now): HandshakeStep {
    if (packet.length < MIN_PACKET_LENGTH) return drop('length');
    const { stage } = this;
    if (stage.kind === 'over' || receiverIndex(packet) !== this.index) return drop('unknown_index');
    switch (stage.kind) {
      case 'h1Sent':
        return this.receiveH2(packet, stage.secrets, now);
      case 'h3Sent':
        return this.receiveAck(packet, stage.secrets, stage.finished, now);
      default:
        return this.receiveUnsealed(packet, now);
    }
  }

  /** §0: the tip profile's gateway ends the connection after Handshake 3 instead of sending an Ack. */
  unanswered(now: Now): HandshakeStep {
    const { stage } = this;
    return stage.kind === 'h3Sent' ? this.establish(stage.secrets, stage.finished, now) : WAIT;
  }

  tick(now: Now): HandshakeStep {
    if (this.stage.kind === 'over') return WAIT;
    if (this.ending !== undefined && now.monotonicMs >= this.ending.atMs) return this.fail(this.ending.failure);
    return now.monotonicMs < this.deadlineMs ? WAIT : this.fail({ reason: 'timeout' });
  }

  nextTickMs(): number {
    return Math.min(this.deadlineMs, this.ending?.atMs ?? NEVER);
  }

  abandon(): void {
    const { stage } = this;
    this.stage = { kind: 'over' };
    if (stage.kind === 'h1Sent' || stage.kind === 'h3Sent') wipeH1(stage.secrets);
    if (stage.kind === 'h3Sent') wipeFinished(stage.finished);
    this.staticSecret.fill(0);
  }

  /** Replies to hello and KKTRequest, in cleartext. */
  private receiveUnsealed(packet: Uint8Array, now: Now): HandshakeStep {
    const version = versionOf(packet);
    const type = typeOf(packet);
    const content = contentOf(packet);
    if (counterOf(packet) !== 0) return drop('counter');
    if (version === VERSION_2 && type === TYPE.error) return this.receiveError(content, now);
    // A Lewes gateway that is too busy to look at the version says so in LP2's words.
    if (type === TYPE.busy && (version === VERSION_1 || version === VERSION_2)) return this.endSoon('busy', now);
    if (version !== VERSION_1) return drop('version');
    const { stage } = this;
    if (stage.kind === 'helloSent' && type === TYPE.ack)
      return content.length === 0 ? this.askKkt(now) : drop('content');
    if (stage.kind === 'helloSent' && type === TYPE.collision) {
      return content.length === 0 ? this.fail({ reason: 'collision' }) : drop('content');
    }
    if (stage.kind !== 'kktSent' || type !== TYPE.kktResponse) return drop('type');
    const { crypto, gatewayEd25519, gatewayX25519 } = this.options;
    const expected = { sessionId: stage.sessionId, gatewayEd25519, gatewayX25519 };
    return checkKktResponse(crypto, content, expected) ? this.writeH1(now) : drop('handshake_failed');
  }

  private receiveError(content: Uint8Array, now: Now): HandshakeStep {
    const error = decodeError(content);
    if (error === undefined) return drop('content');
    return error.code === ERROR_CODE.version ? this.endSoon('version', now) : WAIT;
  }

  private askKkt(now: Now): HandshakeStep {
    const { crypto, random, clientSeed } = this.options;
    const sessionId = new Uint8Array(KKT_SESSION_ID_LENGTH);
    random.fill(sessionId);
    this.stage = { kind: 'kktSent', sessionId };
    const content = encodeKktRequest(crypto, sessionId, clientSeed);
    return this.send(encodeUnsealed(this.index, 0, TYPE.kktRequest, content, VERSION_1), now);
  }

  /** §6.2, fixed profile: in cleartext. */
  private writeH1(now: Now): HandshakeStep {
    const { crypto, random, clientSeed, gatewayX25519, clockOffsetMs } = this.options;
    const psq = initiatePsq(crypto, random, {
      kem: 'x25519',
      responderKey: gatewayX25519,
      clientSeed,
      receiverIndex: this.index,
      unixMs: now.unixMs + clockOffsetMs - PSQ_BACKDATE_MS,
    });
    const ecdh = crypto.x25519(this.staticSecret, gatewayX25519);
    if (psq === undefined || ecdh === undefined) return this.fail({ reason: 'gateway_key' });
    const psk = sessionPsk(crypto, ecdh, psq.registeredPsk, this.salt);
    ecdh.fill(0);
    const ephemeral = new Uint8Array(32);
    random.fill(ephemeral);
    const noise = new XkInitiatorV1(crypto, this.staticSecret, gatewayX25519, ephemeral);
    const secrets = { psq, noise, psk, outer: outerKey(crypto, psk) };
    this.stage = { kind: 'h1Sent', secrets };
    const message = noise.writeMessage1();
    if (message === undefined) return this.fail({ reason: 'gateway_key' });
    const length = new Uint8Array(2);
    writeLe16(length, 0, psq.message.length);
    const content = concat(length, psq.message, message);
    return this.send(encodeUnsealed(this.index, 1, TYPE.handshake, content, VERSION_1), now);
  }

  private receiveH2(packet: Uint8Array, secrets: SentH1, now: Now): HandshakeStep {
    const { crypto } = this.options;
    if (counterOf(packet) === 0 && typeOf(packet) === TYPE.busy) return this.endSoon('busy', now);
    // Higher than 1 where somebody else had sent the gateway a Handshake 1 with this PSQ part.
    if (counterOf(packet) < 1 || counterOf(packet) > MAX_H2_COUNTER) return drop('counter');
    if (!openOuter(crypto, secrets.outer, packet)) return drop('tag');
    if (versionOf(packet) !== VERSION_1) return drop('version');
    if (typeOf(packet) !== TYPE.handshake) return drop('type');
    const content = contentOf(packet);
    if (content.length !== H2_CONTENT_LENGTH || readLe16(content, 0) !== PSQ_HANDLE_LENGTH) return drop('content');
    const noiseAt = 2 + PSQ_HANDLE_LENGTH;
    if (!openHandle(crypto, secrets.psq, content.subarray(2, noiseAt))) return drop('handshake_failed');
    if (!secrets.noise.readMessage2(content.subarray(noiseAt))) return drop('handshake_failed');
    const finished = secrets.noise.writeMessage3(secrets.psk);
    if (finished === undefined) return this.fail({ reason: 'gateway_key' });
    this.stage = { kind: 'h3Sent', secrets, finished };
    return this.send(sealOuter(crypto, secrets.outer, this.index, 2, TYPE.handshake, finished.message), now);
  }

  private receiveAck(packet: Uint8Array, secrets: SentH1, finished: XkSession, now: Now): HandshakeStep {
    if (counterOf(packet) !== 0) return drop('counter');
    if (!openOuter(this.options.crypto, secrets.outer, packet)) return drop('tag');
    if (versionOf(packet) !== VERSION_1) return drop('version');
    if (typeOf(packet) !== TYPE.ack || contentOf(packet).length !== 0) return drop('type');
    return this.establish(secrets, finished, now);
  }

  private establish(secrets: SentH1, finished: XkSession, now: Now): HandshakeStep {
    const { crypto, random, gatewayX25519, gatewayIp } = this.options;
    const staticSecret = this.staticSecret.slice();
    const family = new FamilyV1(
      {
        crypto,
        random,
        role: 'initiator',
        index: this.index,
        psq: secrets.psq.registeredPsk.slice(),
        outerKey: secrets.outer.slice(),
        noise: finished.keys,
        staticSecret,
        staticPublic: this.staticPublic,
        peerStatic: gatewayX25519,
        nextCounter: HANDSHAKE_COUNTERS.initiator,
      },
      now,
    );
    this.stage = { kind: 'over' };
    wipeH1(secrets);
    this.staticSecret.fill(0);
    return {
      kind: 'established',
      session: new ClientSessionV1(family, staticSecret, gatewayIp),
      received: { kind: 'opened' },
    };
  }

  private send(packet: Uint8Array, now: Now): HandshakeStep {
    this.deadlineMs = now.monotonicMs + STEP_TIMEOUT_MS;
    this.ending = undefined;
    return { kind: 'send', packets: [packet] };
  }

  private endSoon(reason: 'busy' | 'version', now: Now): HandshakeStep {
    this.ending ??= { failure: { reason }, atMs: now.monotonicMs + HINT_GRACE_MS };
    return WAIT;
  }

  private fail(failure: HandshakeFailure): HandshakeStep {
    this.abandon();
    return { kind: 'failed', failure };
  }
}

function drawIndex(random: RandomSource): number {
  const bytes = new Uint8Array(4);
  for (;;) {
    random.fill(bytes);
    const index = readLe32(bytes, 0);
    if (index !== BOOTSTRAP_INDEX) return index;
  }
}

function wipeH1({ psq, noise, psk, outer }: SentH1): void {
  wipePsq(psq);
  noise.wipe();
  psk.fill(0);
  outer.fill(0);
}

function wipeFinished({ keys }: XkSession): void {
  keys.initiatorToResponder.fill(0);
  keys.responderToInitiator.fill(0);
}

function drop(reason: HandshakeDropReason): HandshakeStep {
  return { kind: 'drop', reason };
}
