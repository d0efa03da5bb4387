/**
 * From nothing to a session: attempts on fresh connections with fresh handshakes, until one is established or it makes no
 * sense to go on (lp2.md §4, §4.4). Hints are followed within what the caller allows: a suite only from the caller's list,
 * a told clock once and only for the next salts, never a key that was refused.
 */
import type { ClientHandshakeOptions, ProtocolVersion } from '../lp/client-handshake.ts';
import type {
  ClientHandshake,
  ClientReceived,
  ClientSession,
  HandshakeFailure,
  VersionTraits,
} from '../lp/client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from '../lp/crypto/provider.ts';
import type { Secret } from '../lp/crypto/secret.ts';
import type { Now } from '../lp/time.ts';
import { type AttemptOutcome, type AttemptStep, runAttempt } from './attempt.ts';
import type { Hop, LewesError, Step } from './errors.ts';
import { handshakeError, mayRetry } from './explain.ts';
import type { GatewayKeys } from './gateway-target.ts';
import type { KemKeyCache } from './key-cache.ts';
import type { Dialer, Transport } from './transport.ts';
import { reasonOf, sleep, type Time } from './wakeup.ts';

/** The first pause before another attempt; it doubles, and jitter of ±50 % keeps clients apart after an outage. */
const BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 8_000;
/** lp2.md §4.4. */
const MAX_CLOCK_OFFSET_MS = 86_400_000;

/** The protocol version that one gateway is spoken to in. */
export interface SpokenVersion {
  /** For errors; what it means, the traits say. */
  readonly number: ProtocolVersion;
  readonly traits: VersionTraits;
  createHandshake(options: ClientHandshakeOptions, now: Now): ClientHandshake;
}

export interface OpeningOptions {
  readonly hop: Hop;
  readonly version: SpokenVersion;
  readonly keys: GatewayKeys;
  /** In order of preference, at least one that the version has; none where it has none. */
  readonly kem: readonly KemName[];
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly clientSeed: Secret;
  readonly keyCache: KemKeyCache;
  readonly dialer: Dialer;
  readonly time: Time;
  readonly attempts: number;
  stepDone(step: Step, ms: number): void;
}

/** What the link does meanwhile. */
export interface OpeningHooks {
  /** Asked once per attempt: the frame that is to ride in its H3, empty for none. */
  earlyFrame(): Uint8Array;
  /** For the error of a deadline. */
  nowDoing(step: 'connect' | AttemptStep): void;
  h3Sent(): void;
  /** The attempt is over without a session: what rode in its H3 may or may not have been executed. */
  attemptLost(error: LewesError): void;
  /** No transport: it has ended, and the session goes on over the next one. */
  established(session: ClientSession, received: ClientReceived, transport: Transport | undefined): void;
}

interface Plan {
  readonly suites: KemName[];
  clockOffsetMs: number;
  clockFollowed: boolean;
  attempt: number;
}

/** Resolves when `established` has been called. Rejects with a LewesError; with the signal's reason when aborted. */
export async function openSession(options: OpeningOptions, hooks: OpeningHooks, signal: AbortSignal): Promise<void> {
  const plan: Plan = { suites: [...options.kem], clockOffsetMs: 0, clockFollowed: false, attempt: 1 };
  for (;;) {
    const transport = await dial(options, hooks, signal);
    const outcome = await attemptOn(transport, plan, options, hooks, signal);
    if (outcome.kind === 'established') return;
    transport.destroy();
    const { hop, version } = options;
    const error =
      outcome.kind === 'lost'
        ? outcome.failure.error
        : handshakeError(outcome.failure, hop, outcome.step, version.number);
    hooks.attemptLost(error);
    if (outcome.kind === 'refused' && followsAtOnce(plan, outcome.failure, options.time)) continue;
    const retry = outcome.kind === 'lost' ? outcome.failure.retry : mayRetry(outcome.failure);
    if (!retry || plan.attempt >= options.attempts) throw error;
    await sleep(backoffMs(plan.attempt++, options.random), options.time.timers, signal);
  }
}

async function dial(options: OpeningOptions, hooks: OpeningHooks, signal: AbortSignal): Promise<Transport> {
  hooks.nowDoing('connect');
  const startMs = options.time.clock.now().monotonicMs;
  const transport = await options.dialer.dial(signal);
  // In the turn between, the link may have been closed, and its secrets wiped.
  if (signal.aborted) {
    transport.destroy();
    throw reasonOf(signal);
  }
  if (!options.dialer.nested) options.stepDone('connect', options.time.clock.now().monotonicMs - startMs);
  return transport;
}

async function attemptOn(
  transport: Transport,
  plan: Plan,
  options: OpeningOptions,
  hooks: OpeningHooks,
  signal: AbortSignal,
): Promise<AttemptOutcome> {
  const { keyCache, keys, time } = options;
  const [kem] = plan.suites;
  const handshake = makeHandshake(kem, plan.clockOffsetMs, options, hooks.earlyFrame());
  hooks.nowDoing(handshake.usesKemKeys ? 'key' : 'handshake');
  try {
    return await runAttempt({
      handshake,
      toleratesRepeats: options.version.traits.toleratesRepeats,
      transport,
      time,
      signal,
      keyChanged: (key) => {
        if (key !== undefined) keyCache.set(keys.ed25519, key);
        else if (kem !== undefined) keyCache.delete(keys.ed25519, kem);
        hooks.nowDoing(key === undefined ? 'key' : 'handshake');
      },
      h3Sent: () => hooks.h3Sent(),
      established: (session, received, connected) =>
        hooks.established(session, received, connected ? transport : undefined),
      stepDone: (step, ms) => options.stepDone(step, ms),
    });
  } catch (error) {
    transport.destroy();
    throw error;
  }
}

function makeHandshake(
  kem: KemName | undefined,
  clockOffsetMs: number,
  options: OpeningOptions,
  earlyFrame: Uint8Array,
): ClientHandshake {
  const { crypto, random, clientSeed, keys, keyCache, time, version, dialer } = options;
  return version.createHandshake(
    {
      crypto,
      random,
      clientSeed: clientSeed.bytes,
      gatewayEd25519: keys.ed25519,
      gatewayX25519: keys.x25519,
      kem,
      kemKey: kem && keyCache.get(keys.ed25519, kem),
      pinnedHashes: keys.pinnedHashes,
      clockOffsetMs,
      earlyFrame,
      gatewayIp: dialer.gatewayIp,
    },
    time.clock.now(),
  );
}

/** A hint that changes the next attempt: it needs no pause, and each can be followed once only. */
function followsAtOnce(plan: Plan, failure: HandshakeFailure, time: Time): boolean {
  if (failure.reason === 'suite_not_offered' && plan.suites.length > 1) {
    plan.suites.shift();
    return true;
  }
  if (failure.reason !== 'clock' || plan.clockFollowed) return false;
  const offsetMs = failure.gatewayUnixMs - time.clock.now().unixMs;
  if (Math.abs(offsetMs) > MAX_CLOCK_OFFSET_MS) return false;
  plan.clockFollowed = true;
  plan.clockOffsetMs = offsetMs;
  return true;
}

function backoffMs(attempt: number, random: RandomSource): number {
  const jitter = new Uint8Array(1);
  random.fill(jitter);
  return Math.min(BACKOFF_MS * 2 ** (attempt - 1), MAX_BACKOFF_MS) * (0.5 + (jitter[0] ?? 0) / 256);
}
