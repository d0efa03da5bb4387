/**
 * A shard without threads: packets in, decoded effects out, time stepped by hand.
 */
import type { CryptoProvider, RandomSource } from '../../src/lp/crypto/provider.ts';
import { DEFAULT_LIFETIMES, type Lifetimes } from '../../src/lp/responder-context.ts';
import { createKemKey, encodeKemBody, type KemKeyMaterial, signedKemMessage } from '../../src/lp/v2/kem-key.ts';
import { isSessionIndex, receiverIndex } from '../../src/lp/wire/packet.ts';
import {
  ADMIT,
  InboundWriter,
  type OutboundHandler,
  type PacketEnvelope,
  type ReleaseKind,
  readOutbound,
} from '../../src/shard/messages.ts';
import { packKemKey } from '../../src/shard/payloads.ts';
import { Shard } from '../../src/shard/shard.ts';
import { readStats, type StatsSnapshot } from '../../src/shard/stats.ts';

export const ALL_SLOTS = Array.from({ length: 256 }, (_, slot) => slot);
const ADMIT_ALL = ADMIT.token | ADMIT.session | ADMIT.record;

export type Effect =
  | { kind: 'reply'; connection: number; valid: boolean; packet: Uint8Array }
  | { kind: 'valid'; connection: number }
  | { kind: 'request'; key: number; family: number; source: number; request: number; body: Uint8Array }
  | { kind: 'indexTaken'; index: number; live: boolean }
  | { kind: 'indexFree'; index: number }
  | { kind: 'noAnswer'; connection: number; failed: boolean }
  | { kind: 'release'; release: ReleaseKind; source: number }
  | { kind: 'familyEnded'; family: number };

export interface HarnessOptions {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly gatewaySeed: Uint8Array;
  readonly unixMs: number;
  readonly lifetimes?: Partial<Lifetimes>;
  readonly records?: number;
  readonly indices?: number;
  /** LP1 is admitted. */
  readonly lp1?: boolean;
}

export const LP1_SESSION_IDLE_MS = 86_400_000;

export class ShardHarness {
  readonly shard: Shard;
  readonly ed25519Public: Uint8Array;
  monotonicMs = 1_000_000;
  unixMs: number;
  private readonly options: HarnessOptions;

  constructor(options: HarnessOptions) {
    this.options = options;
    this.unixMs = options.unixMs;
    const { crypto, gatewaySeed } = options;
    this.ed25519Public = crypto.ed25519PublicKey(gatewaySeed);
    const x25519Secret = crypto.x25519SecretOfEd25519(gatewaySeed);
    this.shard = new Shard(
      {
        identity: {
          ed25519Public: this.ed25519Public,
          x25519Secret,
          x25519Public: crypto.x25519PublicKey(x25519Secret),
        },
        slots: ALL_SLOTS,
        lifetimes: { ...DEFAULT_LIFETIMES, ...options.lifetimes },
        records: options.records ?? 100_000,
        indices: options.indices ?? 100_000,
        sweepIntervalMs: 300_000,
        ...(options.lp1 === true && { lp1: { ed25519Seed: gatewaySeed.slice(), sessionIdleMs: LP1_SESSION_IDLE_MS } }),
      },
      { crypto, random: options.random, loopDelayMs: () => 0 },
    );
  }

  /** A key whose validity the vectors name. */
  addKemKey(kem: KemKeyMaterial['kem'], seed: Uint8Array, notBefore: number, notAfter: number): void {
    const { crypto, gatewaySeed } = this.options;
    const { publicKey } = crypto.kems[kem].secretKeyFromSeed(seed);
    const body = encodeKemBody(publicKey.bytes, notBefore, notAfter);
    const message = signedKemMessage(this.ed25519Public, crypto.kems[kem].id, body);
    this.add({ kem, seed: seed.slice(), body, signature: crypto.ed25519Sign(gatewaySeed, message) });
  }

  createKemKey(kem: KemKeyMaterial['kem'], seed: Uint8Array): void {
    const { crypto, gatewaySeed } = this.options;
    const identity = { ed25519Seed: gatewaySeed, ed25519Public: this.ed25519Public };
    this.add(createKemKey(crypto, kem, seed, identity, Math.floor(this.unixMs / 1_000), 86_400));
  }

  private add(material: KemKeyMaterial): void {
    const batch = new InboundWriter();
    batch.kemKey(packKemKey(material));
    this.shard.handle(batch.seal(this.now));
  }

  get now() {
    return { monotonicMs: this.monotonicMs, unixMs: this.unixMs };
  }

  later(ms: number): void {
    this.monotonicMs += ms;
    this.unixMs += ms;
  }

  packet(packet: Uint8Array, envelope: Partial<PacketEnvelope> = {}): Effect[] {
    const batch = new InboundWriter();
    // Admission reserves nothing for a packet of a live session.
    const live = this.options.lp1 !== true && packet.length >= 4 && isSessionIndex(receiverIndex(packet));
    const flags = live ? 0 : ADMIT_ALL;
    batch.packet({ connection: 1, source: 1, flags, retryAfterSeconds: 1, ...envelope }, packet);
    return this.handle(batch);
  }

  answer(key: number, kind: number, body: Uint8Array): Effect[] {
    const batch = new InboundWriter();
    batch.answer(key, kind, body);
    return this.handle(batch);
  }

  tick(): Effect[] {
    const batch = new InboundWriter();
    batch.tick();
    return this.handle(batch);
  }

  handle(batch: InboundWriter): Effect[] {
    const effects: Effect[] = [];
    readOutbound(this.shard.handle(batch.seal(this.now)), collect(effects));
    return effects;
  }

  /** The replies to one packet. */
  replies(packet: Uint8Array, envelope: Partial<PacketEnvelope> = {}): Uint8Array[] {
    return this.packet(packet, envelope).flatMap((effect) => (effect.kind === 'reply' ? [effect.packet] : []));
  }

  /** Counters and, as of the last tick, gauges. */
  get stats(): StatsSnapshot {
    return readStats(this.shard.stats.values);
  }

  get drops(): StatsSnapshot['drops'] {
    return this.stats.drops;
  }
}

function collect(effects: Effect[]): OutboundHandler {
  return {
    reply: (connection, valid, frame) => effects.push({ kind: 'reply', connection, valid, packet: frame.slice(2) }),
    valid: (connection) => effects.push({ kind: 'valid', connection }),
    request: (key, family, source, request, body) =>
      effects.push({ kind: 'request', key, family, source, request, body: body.slice() }),
    noAnswer: (connection, failed) => effects.push({ kind: 'noAnswer', connection, failed }),
    indexTaken: (index, live) => effects.push({ kind: 'indexTaken', index, live }),
    indexFree: (index) => effects.push({ kind: 'indexFree', index }),
    release: (release, source) => effects.push({ kind: 'release', release, source }),
    familyEnded: (family) => effects.push({ kind: 'familyEnded', family }),
    stats: () => undefined,
  };
}
