/**
 * Nym beside the other listener: acceptor, raw forwarder, the requests of sessions, and the signed announcement (nym.md
 * §3.2, §8, §9). Registrar, admission, shards and their mailboxes are the gateway's own. The seed of the identity is here
 * until the announcement is signed.
 */
import { nymCrypto } from '../../lp/crypto/nym-load.ts';
import type { CryptoProvider } from '../../lp/crypto/provider.ts';
import { digestsOf, writeAnnouncement } from '../../lp/nym/announcement.ts';
import { decodeNymForward, type NymForwardTarget } from '../../lp/nym/forward.ts';
import type { SocketAddress } from '../../ops/config/index.ts';
import type { RegistrationOutcome, RegistrationRequest } from '../../registration/registrar.ts';
import { STREAM_ANSWER, STREAM_REQUEST } from '../../shard/stream-messages.ts';
import type { Timers } from '../../system/timers.ts';
import type { Admission } from '../admission.ts';
import type { Exit } from '../forward/allow-list.ts';
import { RawForwarder } from '../forward/raw-forwarder.ts';
import type { KeyedHash } from '../keyed-hash.ts';
import type { Mailbox } from '../mailbox.ts';
import { NymAcceptor } from './acceptor.ts';
import type { NymConnection } from './connection.ts';
import type { NymServiceOptions } from './options.ts';

/** The node's long-term keys. */
export interface NymKeys {
  /** X25519, 32 bytes, clamped. */
  readonly lpSecret: Uint8Array;
  /** ML-KEM-768: d ‖ z, 64 bytes. */
  readonly kemSeed: Uint8Array;
}

export interface NymServiceDependencies {
  readonly crypto: CryptoProvider;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly admission: Admission;
  readonly hash: KeyedHash;
  readonly mailbox: (shard: number) => Mailbox;
  readonly register: (request: RegistrationRequest) => Promise<RegistrationOutcome>;
  readonly findExit: (target: NymForwardTarget) => Exit | undefined;
}

const NOTHING = new Uint8Array(0);

export class NymService {
  readonly acceptor: NymAcceptor;
  readonly forwarder: RawForwarder;
  readonly counts = { registrations: 0 };
  private readonly options: NymServiceOptions;
  private readonly dependencies: NymServiceDependencies;
  /** Its own copies; shards are started with them. */
  readonly keys: NymKeys;
  private readonly identitySeed: Uint8Array;
  private bound: SocketAddress | undefined;
  private document: string | undefined;
  private accepting = true;

  /** Copies the keys and, until the announcement is signed, the identity's seed. */
  constructor(
    options: NymServiceOptions,
    { lpSecret, kemSeed }: NymKeys,
    identity: { readonly seed: Uint8Array },
    dependencies: NymServiceDependencies,
  ) {
    this.options = options;
    this.keys = { lpSecret: lpSecret.slice(), kemSeed: kemSeed.slice() };
    this.identitySeed = identity.seed.slice();
    this.dependencies = dependencies;
    const { admission, mailbox, hash, nowMs, timers, findExit } = dependencies;
    this.forwarder = new RawForwarder({ ...options.forward, find: findExit }, { timers });
    this.acceptor = new NymAcceptor(options.acceptor, {
      admission,
      mailbox,
      hash,
      nowMs,
      request: (connection, kind, body) => this.serve(connection, kind, body),
      left: ({ id }) => this.forwarder.end(id),
    });
  }

  /** Where it listens, port 0 resolved; `undefined` before. */
  get listening(): SocketAddress | undefined {
    return this.bound;
  }

  /** The body of `GET /api/v1/lewes-protocol`. */
  get announcement(): string | undefined {
    return this.document;
  }

  get busy(): boolean {
    return this.forwarder.inFlight > 0;
  }

  /** Rejects with ListenError. */
  async start(): Promise<void> {
    const { host, port } = this.options.listen;
    this.bound = { host, port: await this.acceptor.listen(host, port) };
    this.document = this.announce(this.bound.port);
    this.identitySeed.fill(0);
  }

  /** Takes no further connections and requests; what is under way goes on. */
  drain(): void {
    this.accepting = false;
    this.acceptor.stopListening();
    this.acceptor.stopReading();
  }

  /** Ends the connections to exits. */
  close(): Promise<void> {
    this.accepting = false;
    return this.forwarder.close();
  }

  /** When no shard is left that could be started with them. */
  wipe(): void {
    this.identitySeed.fill(0);
    this.keys.lpSecret.fill(0);
    this.keys.kemSeed.fill(0);
  }

  private announce(port: number): string {
    const { crypto } = this.dependencies;
    const { announcedPort, dataPort } = this.options;
    const nym = nymCrypto(crypto);
    const kem = crypto.kems['ml-kem-768'].secretKeyFromSeed(this.keys.kemSeed);
    try {
      return writeAnnouncement(crypto, this.identitySeed, {
        enabled: true,
        controlPort: announcedPort ?? port,
        dataPort,
        x25519: crypto.x25519PublicKey(this.keys.lpSecret),
        kemKeys: new Map([['mlkem768', digestsOf(nym, kem.publicKey.bytes)]]),
      });
    } finally {
      kem.wipe();
    }
  }

  private serve(connection: NymConnection, kind: number, body: Uint8Array): void {
    if (kind === STREAM_REQUEST.registration) void this.register(connection, body);
    else this.forward(connection, body);
  }

  private async register(connection: NymConnection, body: Uint8Array): Promise<void> {
    this.counts.registrations++;
    const { source, id } = connection;
    const outcome = await this.dependencies.register({
      body,
      source: source.key,
      family: `nym.${id}`,
      quotesAllowed: source.limits.quotes,
    });
    // The owner's secret and perhaps a preshared key.
    body.fill(0);
    if (outcome.kind === 'answer') this.answer(connection, STREAM_ANSWER.registration, outcome.body);
    else this.answer(connection, STREAM_ANSWER.unavailable, NOTHING);
  }

  private forward(connection: NymConnection, body: Uint8Array): void {
    const forward = decodeNymForward(body);
    if (forward === undefined) throw new Error('a shard sent a forward that does not decode');
    if (!this.accepting) {
      this.answer(connection, STREAM_ANSWER.forwardFailed, NOTHING);
      return;
    }
    this.forwarder.forward(connection.id, forward, (outcome) => {
      if (outcome.kind === 'reply') this.answer(connection, STREAM_ANSWER.forward, outcome.bytes);
      else this.answer(connection, STREAM_ANSWER.forwardFailed, NOTHING);
    });
  }

  private answer({ closed, shard, id }: NymConnection, kind: number, body: Uint8Array): void {
    if (!closed) this.dependencies.mailbox(shard).streamAnswer(id, kind, body);
  }
}
