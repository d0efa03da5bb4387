/**
 * A shard in the benchmark's own process, and handshakes with it: packets in, replies out, no sockets and no threads.
 */
import type { ClientHandshake, ClientSession, HandshakeStep } from '../../src/lp/client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from '../../src/lp/crypto/provider.ts';
import { DEFAULT_LIFETIMES } from '../../src/lp/responder-context.ts';
import type { Now } from '../../src/lp/time.ts';
import { InitiatorV1 } from '../../src/lp/v1/initiator.ts';
import { Initiator, type InitiatorOptions } from '../../src/lp/v2/initiator.ts';
import { createKemKey, type KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { writeLe32 } from '../../src/lp/wire/bytes.ts';
import { receiverIndex } from '../../src/lp/wire/packet.ts';
import { ADMIT, ANSWER, InboundWriter, type OutboundHandler, REQUEST, readOutbound } from '../../src/shard/messages.ts';
import { packKemKey } from '../../src/shard/payloads.ts';
import { Shard } from '../../src/shard/shard.ts';
import { readStats } from '../../src/shard/stats.ts';
import { systemRandom } from '../../src/system/random.ts';
import { ownUs } from './own-time.ts';

const ALL = ADMIT.token | ADMIT.session | ADMIT.record;
export const ENVELOPE = { connection: 1, source: 1, flags: ALL, retryAfterSeconds: 1 };
const GATEWAY_SEED = new Uint8Array(32).fill(3);
export const CLIENT_SEED = new Uint8Array(32).fill(4);
const KEM_SEED = 5;
const LIMIT = 2_000_000;
const LP1_SESSION_IDLE_MS = 86_400_000;

export const ignoredEffects: OutboundHandler = {
  reply: () => undefined,
  valid: () => undefined,
  request: () => undefined,
  noAnswer: () => undefined,
  indexTaken: () => undefined,
  indexFree: () => undefined,
  release: () => undefined,
  familyEnded: () => undefined,
  stats: () => undefined,
};

export function makeInitiator(
  crypto: CryptoProvider,
  kemKey: KemAnnouncement | undefined,
  now: Now,
  random: RandomSource = systemRandom,
  kem: KemName = 'x-wing',
): Initiator {
  const gatewayEd25519 = crypto.ed25519PublicKey(GATEWAY_SEED);
  const options: InitiatorOptions = {
    crypto,
    random,
    clientSeed: CLIENT_SEED,
    gatewayEd25519,
    gatewayX25519: crypto.x25519PublicOfEd25519(gatewayEd25519) ?? gatewayEd25519,
    kem,
    kemKey,
    pinnedHashes: [],
    clockOffsetMs: 0,
    earlyFrame: new Uint8Array(0),
  };
  return new Initiator(options, now);
}

/** Odd, so that multiples of it go through all of 32 bits. */
const GOLDEN_RATIO = 0x9e37_79b9;

/** Draws of four bytes are indices: all different, so that no hello collides, and scattered as random ones are. */
function distinctIndices(): RandomSource {
  let last = 0;
  return {
    kind: systemRandom.kind,
    fill(out) {
      if (out.length !== 4) {
        systemRandom.fill(out);
        return;
      }
      last = (last + GOLDEN_RATIO) >>> 0;
      writeLe32(out, 0, last);
    },
  };
}

type Client = ClientHandshake & { readonly index: number };
/** A reply that ends a handshake, and whose it may be. */
type LastReply = (candidates: readonly Pick<Client, 'receive'>[], reply: Uint8Array) => void;

export type BenchVersion = KemName | 'lp1';

export class InProcessGateway {
  readonly now: Now = { monotonicMs: 1_000, unixMs: 1_764_583_200_000 };
  readonly shard: Shard;
  private readonly crypto: CryptoProvider;
  private readonly version: BenchVersion;
  private readonly indices = distinctIndices();
  private kemKey: KemAnnouncement | undefined;
  /** What the shard asked of the main thread: whether an index is free. */
  private readonly asked: number[] = [];

  /** Handshakes are LP2's with this suite, or LP1's. */
  constructor(crypto: CryptoProvider, version: BenchVersion = 'x-wing') {
    this.crypto = crypto;
    this.version = version;
    const x25519Secret = crypto.x25519SecretOfEd25519(GATEWAY_SEED);
    const ed25519Public = crypto.ed25519PublicKey(GATEWAY_SEED);
    this.shard = new Shard(
      {
        identity: { ed25519Public, x25519Secret, x25519Public: crypto.x25519PublicKey(x25519Secret) },
        slots: Array.from({ length: 256 }, (_, slot) => slot),
        lifetimes: DEFAULT_LIFETIMES,
        records: LIMIT,
        indices: LIMIT,
        sweepIntervalMs: 300_000,
        ...(version === 'lp1' && { lp1: { ed25519Seed: GATEWAY_SEED, sessionIdleMs: LP1_SESSION_IDLE_MS } }),
      },
      { crypto, random: systemRandom, loopDelayMs: () => 0 },
    );
    const kem = this.kem;
    const identity = { ed25519Seed: GATEWAY_SEED, ed25519Public };
    const seed = new Uint8Array(crypto.kems[kem].seedLength).fill(KEM_SEED);
    const batch = new InboundWriter();
    batch.kemKey(packKemKey(createKemKey(crypto, kem, seed, identity, this.now.unixMs / 1_000, 86_400)));
    this.shard.handle(batch.seal(this.now));
  }

  /** Packets in, packets out; an index that a client asks for is free. */
  exchange(packets: readonly Uint8Array[]): Uint8Array[] {
    const batch = new InboundWriter();
    for (const packet of packets) batch.packet(ENVELOPE, packet);
    const replies = this.run(batch);
    if (this.asked.length === 0) return replies;
    const answers = new InboundWriter();
    for (const key of this.asked.splice(0)) answers.answer(key, ANSWER.index, Uint8Array.of(1));
    return [...replies, ...this.run(answers)];
  }

  /**
   * So many handshakes side by side, a batch for each message, as a shard under load has them. Returns the shard's
   * microseconds: for H1 and H3 of LP2, whose hello and KKT cost no public-key operation; for all of LP1, whose KKT costs two.
   */
  handshakes(n: number): number {
    return this.establish(n, () => undefined);
  }

  sessions(n: number): ClientSession[] {
    const sessions: ClientSession[] = [];
    this.establish(n, (clients, reply) => {
      for (const client of clients) {
        const step = client.receive(reply, this.now);
        if (step.kind !== 'established') continue;
        sessions.push(step.session);
        return;
      }
    });
    if (sessions.length !== n) throw new Error(`${sessions.length} of ${n} clients have a session`);
    return sessions;
  }

  private get kem(): KemName {
    return this.version === 'lp1' ? 'x-wing' : this.version;
  }

  private establish(n: number, last: LastReply): number {
    if (this.version === 'lp1') {
      const clients = Array.from({ length: n }, () => this.makeLp1Initiator());
      return this.finish(
        clients,
        clients.flatMap((client) => sent(client.start(this.now))),
        last,
      );
    }
    if (this.kemKey === undefined) this.learnKemKey();
    const clients: Client[] = [];
    const hellos: Uint8Array[] = [];
    const packets: Uint8Array[] = [];
    for (let i = 0; i < n; i++) {
      const client = makeInitiator(this.crypto, this.kemKey, this.now, this.indices, this.kem);
      const [hello, h1] = sent(client.start(this.now));
      if (hello === undefined || h1 === undefined) throw new Error('no H1 without a key');
      clients.push(client);
      hellos.push(hello);
      packets.push(h1);
    }
    this.exchange(hellos);
    return this.finish(clients, packets, last);
  }

  /** Sends the packets and what follows them. Times the shard; the clients' own work is not in it. */
  private finish(clients: readonly Client[], first: readonly Uint8Array[], last: LastReply): number {
    const byIndex = new Map(clients.map((client) => [client.index, client]));
    const before = this.accepted;
    let packets = first;
    let spentUs = 0;
    while (packets.length > 0) {
      const started = ownUs();
      const replies = this.exchange(packets);
      spentUs += ownUs() - started;
      packets = replies.flatMap((reply) => {
        const client = byIndex.get(receiverIndex(reply));
        const step = client?.receive(reply, this.now);
        // LP2's reply to H3 comes on a session's index, LP1's on the handshake's.
        if (client === undefined) last(clients, reply);
        else if (step?.kind === 'established') last([{ receive: () => step }], reply);
        return step === undefined ? [] : sent(step);
      });
    }
    for (const client of clients) client.abandon();
    const done = this.accepted - before;
    if (done !== clients.length) throw new Error(`${done} of ${clients.length} handshakes succeeded`);
    return spentUs;
  }

  private run(batch: InboundWriter): Uint8Array[] {
    const replies: Uint8Array[] = [];
    readOutbound(this.shard.handle(batch.seal(this.now)), {
      ...ignoredEffects,
      reply: (_connection, _valid, frame) => replies.push(frame.slice(2)),
      request: (key, _family, _source, kind) => kind === REQUEST.index && this.asked.push(key),
    });
    return replies;
  }

  private get accepted(): number {
    return readStats(this.shard.stats.values).counters.h3_accepted;
  }

  private makeLp1Initiator(): InitiatorV1 {
    const { crypto } = this;
    const gatewayEd25519 = crypto.ed25519PublicKey(GATEWAY_SEED);
    return new InitiatorV1(
      {
        crypto,
        random: this.indices,
        clientSeed: CLIENT_SEED,
        gatewayEd25519,
        gatewayX25519: crypto.x25519PublicOfEd25519(gatewayEd25519) ?? gatewayEd25519,
        clockOffsetMs: 0,
      },
      this.now,
    );
  }

  private learnKemKey(): void {
    const initiator = makeInitiator(this.crypto, undefined, this.now, systemRandom, this.kem);
    for (const reply of this.exchange(sent(initiator.start(this.now)))) initiator.receive(reply, this.now);
    this.kemKey = initiator.kemKey;
    initiator.abandon();
  }
}

function sent(step: HandshakeStep): readonly Uint8Array[] {
  return step.kind === 'send' ? step.packets : [];
}
