/**
 * The client's side of a session family (lp2.md §5, §6): seals on the newest session, opens on all that still live, and
 * rekeys. Time is an argument: `tick` gives what is to be repeated, `nextTickMs` says when to ask again.
 *
 * Invariants: one session seals, the newest; one attempt is outstanding at most; a parent is demoted as soon as a packet
 * of its child was opened, and its chain is wiped.
 */
import type { ClientReceived, ClientSession, SealedFrame, StartedRekey } from '../client-session.ts';
import type { CryptoProvider, KemSecretKey, RandomSource } from '../crypto/provider.ts';
import { KkInitiator, type KkResult } from '../noise/kk.ts';
import type { Now } from '../time.ts';
import { concat, readLe32, writeLe32 } from '../wire/bytes.ts';
import { contentOf, isSessionIndex, MIN_PACKET_LENGTH, receiverIndex, TYPE, typeOf } from '../wire/packet.ts';
import { wellFormed } from './gateway-session.ts';
import {
  type SessionSecrets,
  sessionSecrets,
  subsessionPrologue,
  subsessionPsk,
  subsessionRoot,
  wipeSecrets,
} from './key-schedule.ts';
import { REPEAT_DELAYS_MS } from './repeats.ts';
import { ownPlace, Transport } from './transport.ts';

const DEMOTED_TTL_MS = 60_000;
const READY_FIRST_MS = 1_000;
const READY_MAX_MS = 30_000;
/** Rule 6: the next attempt comes at the earliest so long after an Abort. */
const AFTER_ABORT_MS = 10_000;
const EMPTY = new Uint8Array(0);
const NEVER = Number.POSITIVE_INFINITY;

export interface ClientKeys {
  /** The client's X25519 static secret; wiped by `wipe`. */
  readonly staticSecret: Uint8Array;
  readonly staticPublic: Uint8Array;
  /** The gateway's X25519 static key. */
  readonly gatewayStatic: Uint8Array;
}

/** old: a KK2 was taken, nothing of the child opened yet. demoted: opens until `untilMs`. */
type ClientPlace =
  | { readonly kind: 'live' }
  | { readonly kind: 'old' }
  | { readonly kind: 'demoted'; readonly untilMs: number };

interface FamilySession {
  readonly transport: Transport;
  place: ClientPlace;
  /** Number of the last attempt in this session. */
  attempts: number;
}

/** An unanswered KK1. */
interface Attempt {
  readonly n: number;
  readonly noise: KkInitiator;
  readonly kk1Content: Uint8Array;
  readonly kem: KemSecretKey | undefined;
  repeats: number;
  nextMs: number;
}

interface UnconfirmedReady {
  readonly parent: FamilySession;
  delayMs: number;
  nextMs: number;
}

const OPENED: ClientReceived = { kind: 'opened' };
const SPENT: SealedFrame = { kind: 'spent' };
const TOO_SOON: StartedRekey = { kind: 'refused', reason: 'too_soon' };

export class ClientFamily implements ClientSession {
  /** Sessions made by rekeying. */
  rekeys = 0;
  private readonly crypto: CryptoProvider;
  private readonly random: RandomSource;
  private readonly keys: ClientKeys;
  private readonly sessions = new Map<number, FamilySession>();
  private current: FamilySession;
  private attempt: Attempt | undefined;
  private ready: UnconfirmedReady | undefined;
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  private ended = false;

  /** Takes over `keys.staticSecret`. Copies the secrets. */
  constructor(crypto: CryptoProvider, random: RandomSource, keys: ClientKeys, index: number, secrets: SessionSecrets) {
    this.crypto = crypto;
    this.random = random;
    this.keys = keys;
    this.current = this.addSession(index, secrets);
  }

  get index(): number {
    return this.current.transport.index;
  }

  get open(): boolean {
    return !this.ended;
  }

  /** Whether a packet with this index may be one of the family's. */
  owns(index: number): boolean {
    return this.sessions.has(index);
  }

  get rekeying(): boolean {
    return this.attempt !== undefined;
  }

  /** Rule 7: on the newest session. */
  sealFrame(frame: Uint8Array): SealedFrame {
    const packet = this.ended ? undefined : this.current.transport.seal(this.crypto, TYPE.encryptedData, frame);
    return packet === undefined ? SPENT : { kind: 'packets', packets: [packet] };
  }

  /** Answers have their request's id, so a late one is dropped. */
  abandonRequest(): boolean {
    return false;
  }

  /** A session is not bound to connections: the end of one says nothing. */
  unanswered(): undefined {
    return undefined;
  }

  /** Close, to be sent as the last packet: the family ends. */
  close(): Uint8Array | undefined {
    if (this.ended) return undefined;
    const packet = this.current.transport.seal(this.crypto, TYPE.close, EMPTY);
    this.wipe();
    return packet;
  }

  /** The packet's bytes are overwritten (opened in place). */
  receive(packet: Uint8Array, now: Now): ClientReceived {
    if (packet.length < MIN_PACKET_LENGTH) return { kind: 'drop', reason: 'length' };
    const session = this.find(receiverIndex(packet), now.monotonicMs);
    if (session === undefined) return { kind: 'drop', reason: 'unknown_index' };
    const failed = session.transport.open(this.crypto, packet);
    if (failed !== undefined) return { kind: 'drop', reason: failed };
    const type = typeOf(packet);
    const content = contentOf(packet);
    if (!wellFormed(type, content.length)) return { kind: 'drop', reason: 'content' };
    if (type === TYPE.subsessionKk2) return this.receiveKk2(session, content, now);
    this.opened(session, now.monotonicMs);
    return this.act(session, type, content, now);
  }

  /**
   * Starts an attempt: the KK1 to send. Refused while one is outstanding, within 10 s of an Abort, before the last new
   * session was confirmed, and when the family cannot seal.
   */
  startRekey(withKem: boolean | undefined, now: Now): StartedRekey {
    if (this.ended || this.attempt !== undefined || this.ready !== undefined) return TOO_SOON;
    if (now.monotonicMs < this.notBeforeMs) return TOO_SOON;
    const { transport } = this.current;
    this.current.attempts++;
    const n = this.current.attempts;
    const psk = subsessionPsk(this.crypto, transport.chain, n);
    const ephemeral = new Uint8Array(32);
    this.random.fill(ephemeral);
    const keys = {
      staticSecret: this.keys.staticSecret,
      initiatorStatic: this.keys.staticPublic,
      responderStatic: this.keys.gatewayStatic,
    };
    const noise = new KkInitiator(this.crypto, subsessionPrologue(transport.index, n), keys, psk, ephemeral);
    psk.fill(0);
    const kem = (withKem ?? true) ? this.makeRatchetKey() : undefined;
    const payload = kem === undefined ? Uint8Array.of(0) : concat(Uint8Array.of(1), kem.publicKey.bytes);
    const message = noise.writeMessage1(payload);
    if (message === undefined) return TOO_SOON;
    const number = new Uint8Array(4);
    writeLe32(number, 0, n);
    const kk1Content = concat(number, message);
    const first = REPEAT_DELAYS_MS[0] ?? NEVER;
    this.attempt = { n, noise, kk1Content, kem, repeats: 0, nextMs: now.monotonicMs + first };
    const packet = transport.seal(this.crypto, TYPE.subsessionKk1, kk1Content);
    return packet === undefined ? TOO_SOON : { kind: 'packet', packet };
  }

  /** What is due: repeats of KK1 (rule 6) and Ready (rule 3). */
  tick(now: Now): Uint8Array[] {
    if (this.ended) return [];
    const packets: Uint8Array[] = [];
    const { attempt, ready } = this;
    if (attempt !== undefined && now.monotonicMs >= attempt.nextMs) this.repeatKk1(attempt, now, packets);
    if (ready !== undefined && now.monotonicMs >= ready.nextMs) {
      ready.delayMs = Math.min(2 * ready.delayMs, READY_MAX_MS);
      ready.nextMs = now.monotonicMs + ready.delayMs;
      pushSealed(packets, this.current.transport.seal(this.crypto, TYPE.subsessionReady, EMPTY));
    }
    for (const session of this.sessions.values()) this.find(session.transport.index, now.monotonicMs);
    return packets;
  }

  /** Monotonic time of the next `tick`; infinite when nothing is due. */
  nextTickMs(): number {
    return Math.min(this.attempt?.nextMs ?? NEVER, this.ready?.nextMs ?? NEVER);
  }

  wipe(): void {
    this.ended = true;
    this.dropAttempt();
    for (const session of this.sessions.values()) session.transport.wipe();
    this.sessions.clear();
    this.keys.staticSecret.fill(0);
  }

  private act(session: FamilySession, type: number, content: Uint8Array, now: Now): ClientReceived {
    switch (type) {
      case TYPE.encryptedData:
        return { kind: 'frame', bytes: content };
      case TYPE.subsessionRequest:
        return { kind: 'rekeyAsked' };
      case TYPE.subsessionAbort:
        return this.receiveAbort(session, readLe32(content, 0), now);
      case TYPE.close:
        if (session.place.kind !== 'live') return OPENED;
        this.wipe();
        return { kind: 'closed' };
      default:
        return OPENED;
    }
  }

  /** Rule 3: only for the unanswered attempt. */
  private receiveAbort(session: FamilySession, n: number, now: Now): ClientReceived {
    if (session !== this.current || this.attempt?.n !== n) return OPENED;
    this.dropAttempt();
    this.notBeforeMs = now.monotonicMs + AFTER_ABORT_MS;
    return { kind: 'aborted' };
  }

  private receiveKk2(session: FamilySession, content: Uint8Array, now: Now): ClientReceived {
    const { attempt } = this;
    if (session !== this.current || attempt === undefined || attempt.n !== readLe32(content, 0)) {
      this.opened(session, now.monotonicMs);
      return { kind: 'drop', reason: 'no_kk' };
    }
    const result = attempt.noise.readMessage2(content.subarray(4));
    if (result === undefined) return { kind: 'drop', reason: 'handshake_failed' };
    const secrets = this.deriveChild(attempt, session, result);
    result.chainingKey.fill(0);
    if (secrets === undefined) return { kind: 'drop', reason: 'handshake_failed' };
    this.opened(session, now.monotonicMs);
    this.dropAttempt();
    session.place = { kind: 'old' };
    this.current = this.addSession(readLe32(result.payload, 0), secrets);
    wipeSecrets(secrets);
    this.rekeys++;
    this.ready = { parent: session, delayMs: READY_FIRST_MS, nextMs: now.monotonicMs + READY_FIRST_MS };
    const packets: Uint8Array[] = [];
    pushSealed(packets, this.current.transport.seal(this.crypto, TYPE.subsessionReady, EMPTY));
    return { kind: 'rekeyed', packets, replies: packets.length };
  }

  /** `undefined` for a new index without bit 31 or in use, and for a ciphertext that came uncalled or is missing. */
  private deriveChild(attempt: Attempt, parent: FamilySession, result: KkResult): SessionSecrets | undefined {
    const { payload } = result;
    const expected = 4 + (attempt.kem === undefined ? 0 : this.crypto.kems['ml-kem-768'].ciphertextLength);
    if (payload.length !== expected) return undefined;
    const newIndex = readLe32(payload, 0);
    if (!isSessionIndex(newIndex) || this.sessions.has(newIndex)) return undefined;
    const sharedSecret = attempt.kem?.decapsulate(payload.subarray(4));
    if (attempt.kem !== undefined && sharedSecret === undefined) return undefined;
    const root = subsessionRoot(this.crypto, result.chainingKey, result.handshakeHash, sharedSecret);
    sharedSecret?.fill(0);
    return sessionSecrets(this.crypto, root, parent.transport.chain);
  }

  /** Rule 5: a packet of the new session demotes its parent. */
  private opened(session: FamilySession, nowMs: number): void {
    const { ready } = this;
    if (ready === undefined || session !== this.current) return;
    this.ready = undefined;
    ready.parent.place = { kind: 'demoted', untilMs: nowMs + DEMOTED_TTL_MS };
    ready.parent.transport.wipeChain();
  }

  private repeatKk1(attempt: Attempt, now: Now, packets: Uint8Array[]): void {
    if (attempt.repeats >= REPEAT_DELAYS_MS.length) {
      this.dropAttempt();
      return;
    }
    attempt.repeats++;
    attempt.nextMs = now.monotonicMs + (REPEAT_DELAYS_MS[attempt.repeats] ?? REPEAT_DELAYS_MS[0] ?? NEVER);
    pushSealed(packets, this.current.transport.seal(this.crypto, TYPE.subsessionKk1, attempt.kk1Content));
  }

  private dropAttempt(): void {
    this.attempt?.noise.wipe();
    this.attempt?.kem?.wipe();
    this.attempt = undefined;
  }

  private find(index: number, nowMs: number): FamilySession | undefined {
    const session = this.sessions.get(index);
    if (session?.place.kind !== 'demoted' || nowMs < session.place.untilMs) return session;
    session.transport.wipe();
    this.sessions.delete(index);
    return undefined;
  }

  private makeRatchetKey(): KemSecretKey {
    const kem = this.crypto.kems['ml-kem-768'];
    const seed = new Uint8Array(kem.seedLength);
    this.random.fill(seed);
    const key = kem.secretKeyFromSeed(seed);
    seed.fill(0);
    return key;
  }

  private addSession(index: number, secrets: SessionSecrets): FamilySession {
    const transport = Transport.make(index, ownPlace(), 'initiator', secrets, this.keys.gatewayStatic, 0);
    const session: FamilySession = { transport, place: { kind: 'live' }, attempts: 0 };
    this.sessions.set(index, session);
    return session;
  }
}

function pushSealed(packets: Uint8Array[], packet: Uint8Array | undefined): void {
  if (packet !== undefined) packets.push(packet);
}
