/** The common ground of scenario tests: a shard with a KEM key, native crypto, randomness that is the same in every run. */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { decodeFailure, decodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { type ClientOptions, type Established, establish, initiatorFor } from './handshake.ts';
import { Prng } from './prng.ts';
import { type Effect, type HarnessOptions, ShardHarness } from './shard-harness.ts';

export const crypto: CryptoProvider = await loadProvider('native');

export function shard(options: Partial<HarnessOptions> = {}): { harness: ShardHarness; prng: Prng } {
  const prng = new Prng(7);
  const harness = new ShardHarness({
    crypto,
    random: prng.source(),
    gatewaySeed: prng.bytes(32),
    unixMs: 1_764_583_200_000,
    ...options,
  });
  harness.createKemKey('ml-kem-768', prng.bytes(64));
  return { harness, prng };
}

export function connect(harness: ShardHarness, prng: Prng, more: Partial<ClientOptions> = {}): Established {
  return establish(harness, { crypto, random: prng.source(), ...more });
}

/** A key that a client has in its cache, so that hello and H1 leave together. */
export function cachedKey(harness: ShardHarness, prng: Prng): KemAnnouncement {
  return connect(harness, prng).initiator.kemKey!;
}

/** Hello and H1 of a new client. */
export function firstPackets(harness: ShardHarness, prng: Prng, kemKey: KemAnnouncement, earlyFrame?: Uint8Array) {
  const early = earlyFrame === undefined ? {} : { earlyFrame };
  const initiator = initiatorFor(harness, { crypto, random: prng.source(), kemKey, ...early });
  const step = initiator.start(harness.now);
  if (step.kind !== 'send') throw new Error(step.kind);
  const [hello, h1] = step.packets as [Uint8Array, Uint8Array];
  return { initiator, hello, h1 };
}

/** A client whose H3 is ready and not sent. */
export function readyForH3(harness: ShardHarness, prng: Prng, kemKey: KemAnnouncement, earlyFrame?: Uint8Array) {
  const { initiator, hello, h1 } = firstPackets(harness, prng, kemKey, earlyFrame);
  harness.packet(hello.slice());
  const [h2] = harness.replies(h1.slice());
  const step = initiator.receive(h2!, harness.now);
  if (step.kind !== 'send') throw new Error(step.kind);
  return { initiator, h3: step.packets[0]! };
}

export function kinds(effects: readonly Effect[]): string[] {
  return effects.map((effect) => effect.kind).sort();
}

export function replyPackets(effects: readonly Effect[]): Uint8Array[] {
  return effects.flatMap((effect) => (effect.kind === 'reply' ? [effect.packet] : []));
}

export function requestKeys(effects: readonly Effect[]): number[] {
  return effects.flatMap((effect) => (effect.kind === 'request' ? [effect.key] : []));
}

/** A Failure's code, or the kind of another frame. */
export function failureOf(frame: Uint8Array): number | string {
  const decoded = decodeFrame(frame)!;
  if (decoded.kind !== KIND.failure) return `kind ${decoded.kind}`;
  return decodeFailure(decoded.body)?.code ?? 'malformed';
}
