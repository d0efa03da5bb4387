/**
 * A shard in the benchmark's own process, and handshakes with it: packets in, replies out, no sockets and no threads.
 */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { Now } from '../../src/lp/time.ts';
import { Initiator, type InitiatorOptions } from '../../src/lp/v2/initiator.ts';
import { createKemKey, type KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { DEFAULT_LIFETIMES } from '../../src/lp/v2/responder-context.ts';
import { ADMIT, InboundWriter, type OutboundHandler, readOutbound } from '../../src/shard/messages.ts';
import { packKemKey } from '../../src/shard/payloads.ts';
import { Shard } from '../../src/shard/shard.ts';
import { systemRandom } from '../../src/system/random.ts';

const ALL = ADMIT.token | ADMIT.session | ADMIT.record;
export const ENVELOPE = { connection: 1, source: 1, flags: ALL, retryAfterSeconds: 1 };
const GATEWAY_SEED = new Uint8Array(32).fill(3);
export const CLIENT_SEED = new Uint8Array(32).fill(4);
const KEM_SEED = 5;
const LIMIT = 2_000_000;

export const ignoredEffects: OutboundHandler = {
  reply: () => undefined,
  valid: () => undefined,
  request: () => undefined,
  indexTaken: () => undefined,
  indexFree: () => undefined,
  release: () => undefined,
  familyEnded: () => undefined,
  stats: () => undefined,
};

export function makeInitiator(crypto: CryptoProvider, kemKey: KemAnnouncement | undefined, now: Now): Initiator {
  const gatewayEd25519 = crypto.ed25519PublicKey(GATEWAY_SEED);
  const options: InitiatorOptions = {
    crypto,
    random: systemRandom,
    clientSeed: CLIENT_SEED,
    gatewayEd25519,
    gatewayX25519: crypto.x25519PublicOfEd25519(gatewayEd25519) ?? gatewayEd25519,
    kem: 'x-wing',
    kemKey,
    pinnedHashes: [],
    clockOffsetMs: 0,
    earlyFrame: new Uint8Array(0),
  };
  return new Initiator(options, now);
}

export class InProcessGateway {
  readonly now: Now = { monotonicMs: 1_000, unixMs: 1_764_583_200_000 };
  readonly shard: Shard;
  private readonly crypto: CryptoProvider;
  private kemKey: KemAnnouncement | undefined;

  constructor(crypto: CryptoProvider) {
    this.crypto = crypto;
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
      },
      { crypto, random: systemRandom, loopDelayMs: () => 0 },
    );
    const identity = { ed25519Seed: GATEWAY_SEED, ed25519Public };
    const seed = new Uint8Array(crypto.kems['x-wing'].seedLength).fill(KEM_SEED);
    const batch = new InboundWriter();
    batch.kemKey(packKemKey(createKemKey(crypto, 'x-wing', seed, identity, this.now.unixMs / 1_000, 86_400)));
    this.shard.handle(batch.seal(this.now));
  }

  exchange(packets: readonly Uint8Array[]): Uint8Array[] {
    const batch = new InboundWriter();
    for (const packet of packets) batch.packet(ENVELOPE, packet);
    const replies: Uint8Array[] = [];
    readOutbound(this.shard.handle(batch.seal(this.now)), {
      ...ignoredEffects,
      reply: (_connection, _valid, frame) => replies.push(frame.slice(2)),
    });
    return replies;
  }

  /** A whole handshake; returns the shard's microseconds for all but the hello, which costs no public-key operation. */
  handshake(): number {
    const { now } = this;
    const initiator = makeInitiator(this.crypto, this.kemKey, now);
    let spentMs = 0;
    let step = initiator.start(now);
    for (;;) {
      if (step.kind !== 'send') throw new Error(`the handshake ended in ${step.kind}`);
      // The hello leaves with message 3 or 5; alone it brings the Ack.
      const split = step.packets.length - 1;
      const replies = split > 0 ? this.exchange(step.packets.slice(0, split)) : [];
      const started = performance.now();
      replies.push(...this.exchange(step.packets.slice(split)));
      spentMs += performance.now() - started;
      for (const reply of replies) {
        const next = initiator.receive(reply, now);
        if (next.kind === 'send') step = next;
        if (next.kind !== 'established') continue;
        this.kemKey = initiator.kemKey;
        next.family.wipe();
        return spentMs * 1e3;
      }
    }
  }
}
