/**
 * Nym's connections of a shard: a handshake or a session for each connection that has sent a KKT request, under the
 * connection's id, with which it ends (nym.md §4–§8; §15 B30, B31). What admission reserved for a connection is given back
 * exactly once. A message that is refused ends the connection, and so does a place in the queue that took too long.
 */
import { nymCrypto } from '../../lp/crypto/nym-load.ts';
import type { CryptoProvider, RandomSource } from '../../lp/crypto/provider.ts';
import { assertNever } from '../../lp/drop-reason.ts';
import { encodeNymForward } from '../../lp/nym/forward.ts';
import {
  type NymAnswer,
  type NymEffects,
  NymGatewaySession,
  type NymLifetimes,
  type NymRequest,
} from '../../lp/nym/gateway-session.ts';
import { NYM_FAILURE_TEXT } from '../../lp/nym/registration.ts';
import { type NymNode, NymResponder } from '../../lp/nym/responder.ts';
import type { Now } from '../../lp/time.ts';
import { ADMIT, RELEASE, type ReleaseKind } from '../messages.ts';
import type { StreamEndReason } from '../stream-end.ts';
import {
  type InboundStreams,
  type OutboundStreams,
  STREAM_ANSWER,
  STREAM_REQUEST,
  type StreamEnvelope,
} from '../stream-messages.ts';
import { failed, type NameOwner, registrarBody, responseOf } from './registration.ts';

export interface NymShardOptions {
  /** The node's LP X25519 key and the seed (d ‖ z) of its ML-KEM-768 key. */
  readonly lpSecret: Uint8Array;
  readonly kemSeed: Uint8Array;
  readonly handshakeMs: number;
  readonly lifetimes: NymLifetimes;
  /** This node gives tunnels. */
  readonly dvpn: boolean;
}

export interface NymConnectionsDependencies {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly ownerSecret: Uint8Array;
  readonly out: OutboundStreams;
  readonly release: (kind: ReleaseKind, source: number) => void;
  /** Of the batch. */
  readonly now: () => Now;
}

interface Handshake {
  readonly kind: 'handshake';
  readonly source: number;
  readonly responder: NymResponder;
}

interface Session {
  readonly kind: 'session';
  readonly source: number;
  readonly session: NymGatewaySession;
  /** WireGuard key of its last Initial. */
  name: Uint8Array | undefined;
}

type Entry = Handshake | Session;

/** Ticks in which the sweep sees every connection: a time that is up costs nothing until then but its place. */
const SWEEP_TICKS = 16;

export class NymConnections implements InboundStreams, NymEffects {
  private readonly options: NymShardOptions;
  private readonly dependencies: NymConnectionsDependencies;
  private readonly node: NymNode;
  private readonly owner: NameOwner;
  private readonly entries = new Map<number, Entry>();
  private sweeping: MapIterator<[number, Entry]> | undefined;
  /** The session that effects of the moment belong to. */
  private connection = 0;
  private current: Session | undefined;
  /** An answer that needs nobody else; given when the session's own call is over. */
  private atOnce: NymAnswer | undefined;

  constructor(options: NymShardOptions, dependencies: NymConnectionsDependencies) {
    this.options = options;
    this.dependencies = dependencies;
    const { crypto, random, ownerSecret } = dependencies;
    this.owner = { crypto, ownerSecret };
    this.node = {
      crypto: nymCrypto(crypto),
      random,
      secret: options.lpSecret,
      publicKey: crypto.x25519PublicKey(options.lpSecret),
      kem: crypto.kems['ml-kem-768'].secretKeyFromSeed(options.kemSeed),
    };
  }

  get size(): number {
    return this.entries.size;
  }

  message(envelope: StreamEnvelope, message: Uint8Array): void {
    const { connection, flags } = envelope;
    const entry = this.entries.get(connection);
    if ((flags & ADMIT.late) !== 0) {
      this.giveBack(envelope);
      this.end(connection, entry, 'late');
    } else if (entry === undefined) this.begin(envelope, message);
    else if (entry.kind === 'handshake') this.handshake(entry, envelope, message);
    else {
      this.giveBack(envelope);
      this.act(connection, entry, (session, now) => session.receive(message, now, this));
    }
  }

  closed(connection: number): void {
    const entry = this.entries.get(connection);
    if (entry !== undefined) this.remove(connection, entry);
  }

  answer(connection: number, kind: number, body: Uint8Array): void {
    const entry = this.entries.get(connection);
    if (entry?.kind !== 'session') return;
    const answer = answerOf(kind, body);
    this.act(connection, entry, (session, now) => session.answer(answer, now, this));
  }

  /** Ends what is older than it may be, some at a time. */
  tick(): void {
    const { monotonicMs } = this.dependencies.now();
    for (let left = Math.ceil(this.entries.size / SWEEP_TICKS); left > 0; left--) {
      this.sweeping ??= this.entries.entries();
      const { value, done } = this.sweeping.next();
      if (done) {
        this.sweeping = undefined;
        return;
      }
      const [connection, entry] = value;
      const expiring = entry.kind === 'handshake' ? entry.responder : entry.session;
      if (expiring.expired(monotonicMs)) this.end(connection, entry, 'expired');
    }
  }

  // Effects of the current session.

  send(wire: Uint8Array): void {
    this.dependencies.out.send(this.connection, wire);
  }

  /** One of a session is under way at most, so their number needs no bound of its own. */
  request(request: NymRequest): boolean {
    const { out } = this.dependencies;
    const { current } = this;
    if (current === undefined) throw new Error('assertion: effects belong to a session');
    if (request.kind === 'forward') {
      out.request(this.connection, STREAM_REQUEST.forward, encodeNymForward(request.forward));
      return true;
    }
    const registration = request.request;
    const body = registrarBody(this.owner, registration, current.name);
    if (body === undefined) {
      this.atOnce = { kind: 'registration', response: failed(NYM_FAILURE_TEXT.notInProgress) };
      return true;
    }
    if (registration.kind === 'initial') current.name = registration.wgPublicKey.slice();
    out.request(this.connection, STREAM_REQUEST.registration, body);
    body.fill(0);
    return true;
  }

  close(reason: StreamEndReason): void {
    if (this.current !== undefined) this.end(this.connection, this.current, reason);
  }

  /** What comes after the connection's end finds nothing; only a KKT request has a record reserved. */
  private begin(envelope: StreamEnvelope, message: Uint8Array): void {
    const { connection, source, flags } = envelope;
    if ((flags & ADMIT.record) === 0) {
      this.giveBack(envelope);
      return;
    }
    const now = this.dependencies.now();
    const responder = new NymResponder(this.node, now, this.options.handshakeMs);
    const entry: Handshake = { kind: 'handshake', source, responder };
    const step = responder.receive(message, now);
    if (step.kind === 'refuse') {
      this.end(connection, entry, step.reason);
      return;
    }
    this.entries.set(connection, entry);
    this.dependencies.out.send(connection, step.message);
  }

  private handshake(entry: Handshake, envelope: StreamEnvelope, message: Uint8Array): void {
    const { connection, source, flags } = envelope;
    // A packet that overtook message 1 has no place for a session.
    if ((flags & ADMIT.session) === 0) {
      this.end(connection, entry, 'unexpected');
      return;
    }
    const { out, release, now } = this.dependencies;
    const step = entry.responder.receive(message, now());
    if (step.kind !== 'established') {
      release(RELEASE.session, source);
      this.end(connection, entry, step.kind === 'refuse' ? step.reason : 'unexpected');
      return;
    }
    this.remove(connection, entry);
    const { channel } = step;
    const { lifetimes, dvpn } = this.options;
    const session = new NymGatewaySession({ channel, lifetimes, dvpn }, now());
    this.entries.set(connection, { kind: 'session', source, session, name: undefined });
    out.established(connection, channel.index);
    out.send(connection, step.message);
  }

  private act(connection: number, entry: Session, action: (session: NymGatewaySession, now: Now) => void): void {
    const now = this.dependencies.now();
    this.connection = connection;
    this.current = entry;
    action(entry.session, now);
    while (this.atOnce !== undefined) {
      const answer = this.atOnce;
      this.atOnce = undefined;
      entry.session.answer(answer, now, this);
    }
    this.current = undefined;
  }

  private end(connection: number, entry: Entry | undefined, reason: StreamEndReason): void {
    if (entry !== undefined) this.remove(connection, entry);
    this.dependencies.out.ended(connection, reason);
  }

  private remove(connection: number, entry: Entry): void {
    this.entries.delete(connection);
    const { release } = this.dependencies;
    if (entry.kind === 'handshake') release(RELEASE.record, entry.source);
    else {
      entry.session.wipe();
      release(RELEASE.session, entry.source);
    }
  }

  private giveBack({ flags, source }: StreamEnvelope): void {
    const { release } = this.dependencies;
    if ((flags & ADMIT.token) !== 0) release(RELEASE.token, source);
    if ((flags & ADMIT.record) !== 0) release(RELEASE.record, source);
    if ((flags & ADMIT.session) !== 0) release(RELEASE.session, source);
  }
}

function answerOf(kind: number, body: Uint8Array): NymAnswer {
  switch (kind as (typeof STREAM_ANSWER)[keyof typeof STREAM_ANSWER]) {
    case STREAM_ANSWER.registration:
      return { kind: 'registration', response: responseOf(body) };
    case STREAM_ANSWER.unavailable:
      return { kind: 'registration', response: failed(NYM_FAILURE_TEXT.tryLater) };
    case STREAM_ANSWER.forward:
      return { kind: 'forward', bytes: body };
    case STREAM_ANSWER.forwardFailed:
      return { kind: 'forward_failed' };
    default:
      return assertNever(kind as never);
  }
}
