/**
 * From the configuration (seconds, text) to what the rooms of the gateway take.
 */
import { availableParallelism } from 'node:os';
import type { Lifetimes } from '../lp/responder-context.ts';
import { VERSION_2 } from '../lp/wire/packet.ts';
import { type Config, formatCidr } from '../ops/config/index.ts';
import type { IssuerPublicKey } from '../registration/credentials/privacy-pass.ts';
import type { RegistrarOptions } from '../registration/registrar.ts';
import type {
  CredentialChoice,
  RegistrarInit,
  StoreChoice,
  WireGuardChoice,
} from '../registration/registrar-messages.ts';
import { PLACES } from '../shard/batch-channel.ts';
import type { AcceptorOptions } from './acceptor.ts';
import type { AdmissionLimits } from './admission.ts';
import type { ForwarderLimits } from './forward/types.ts';
import type { MailboxLimits } from './mailbox.ts';

const MAX_SHARDS = 64;
export const REGISTRAR_QUEUE = 1_024;
/** What has run out counts as ended at every lookup; its peer may stand so much longer. */
const MAX_SWEEP_S = 5;
const MAX_SPENT_TOKENS = 1_000_000;
const QUOTES_PER_SESSION = 4;
/** An exit closes a silent connection after 300 s; kept ones go well before. */
const KEPT_IDLE_MS = 60_000;
const ENDING_MS = 5_000;
const MAX_ENDING = 256;

/** By default one core is left to the acceptor. */
export function shardCount(config: Config): number {
  const { shards } = config.gateway;
  return shards === 'auto' ? Math.min(MAX_SHARDS, Math.max(1, availableParallelism() - 1)) : shards;
}

export function lp1Admitted({ gateway }: Config): boolean {
  return gateway.min_protocol_version < VERSION_2;
}

/** Seconds between the registrar's sweeps: at most 5, and such that one comes whenever the counters are to be read. */
export function sweepSecondsOf({ metering: { interval } }: Config): number {
  return interval / Math.ceil(interval / MAX_SWEEP_S);
}

export function lifetimesOf({ lifetimes }: Config): Lifetimes {
  return {
    handshakeTtlMs: lifetimes.handshake_ttl * 1_000,
    clockToleranceS: lifetimes.clock_tolerance,
    sessionIdleMs: lifetimes.session_idle * 1_000,
    sessionMaxMs: lifetimes.session_max * 1_000,
    unusedSessionMs: lifetimes.unused_session * 1_000,
    demotedSessionMs: lifetimes.demoted_session_ttl * 1_000,
    rekeyAfterMs: lifetimes.rekey_after * 1_000,
  };
}

export function admissionLimitsOf({ limits }: Config): AdmissionLimits {
  return {
    handshakesPerSecond: limits.handshakes_per_address,
    burst: limits.handshake_burst,
    recordsPerSource: limits.records_per_address,
    sessionsPerSource: limits.sessions_per_address,
    quotesPerSource: limits.quotes_per_address,
    connectionsPerSource: limits.connections_per_address,
    sessions: limits.sessions,
    listed: limits.listed.map((entry) => ({
      cidr: formatCidr(entry.cidr),
      handshakesPerSecond: entry.handshakes_per_second,
      burst: entry.burst,
      sessions: entry.sessions,
      quotes: entry.quotes,
      records: entry.records,
      connections: entry.connections,
    })),
  };
}

export function acceptorOptionsOf(config: Config): AcceptorOptions {
  const { limits, lifetimes } = config;
  return {
    lp1: lp1Admitted(config),
    connections: limits.connections,
    timeouts: {
      frameMs: lifetimes.frame_timeout * 1_000,
      unprovenMs: lifetimes.connection_unproven * 1_000,
      idleMs: lifetimes.connection_idle * 1_000,
    },
  };
}

export function mailboxLimitsOf({ limits }: Config): MailboxLimits {
  return {
    queuedHandshakes: limits.queued_handshakes,
    queuedPackets: limits.queued_packets,
    queuedBytes: limits.queued_bytes,
    batches: PLACES,
  };
}

export function forwarderLimitsOf({ forward, limits }: Config): ForwarderLimits {
  return {
    connectTimeoutMs: forward.connect_timeout * 1_000,
    exchangeTimeoutMs: forward.timeout * 1_000,
    keptIdleMs: KEPT_IDLE_MS,
    endingMs: ENDING_MS,
    maxInFlight: limits.forwards,
    maxInFlightPerFamily: limits.forwards_per_session,
    maxKept: Math.max(1, limits.forward_connections - limits.forwards),
    maxEnding: MAX_ENDING,
  };
}

/** What the configuration does not say of a registrar. */
export interface RegistrarContext {
  /** The gateway's identity in base58. */
  readonly originInfo: string;
  readonly keys: readonly IssuerPublicKey[];
  readonly storePath: string;
  readonly wireGuard: { readonly secret: Uint8Array<ArrayBuffer>; readonly publicKey: Uint8Array };
}

export function registrarInitOf(config: Config, context: RegistrarContext): RegistrarInit {
  return {
    options: registrarOptionsOf(config, context.wireGuard.publicKey),
    crypto: config.gateway.crypto,
    store: storeOf(config, context),
    wireguard: wireGuardOf(config, context),
    credentials: credentialsOf(config, context),
  };
}

function storeOf({ store, registration }: Config, { storePath }: RegistrarContext): StoreChoice {
  const bounds = { maxRegistrations: registration.registrations, maxTokens: MAX_SPENT_TOKENS };
  return store.kind === 'memory'
    ? { kind: 'memory', ...bounds }
    : { kind: 'lmdb', path: store.path ?? storePath, ...bounds };
}

function wireGuardOf({ wireguard }: Config, { wireGuard }: RegistrarContext): WireGuardChoice {
  if (wireguard.kind === 'memory') return { kind: 'memory' };
  return {
    kind: 'uapi',
    interfaceName: wireguard.interface,
    ...(wireguard.socket !== undefined && { socketPath: wireguard.socket }),
    listenPort: wireguard.port,
    privateKey: wireGuard.secret,
  };
}

function credentialsOf({ credentials, registration, nym }: Config, context: RegistrarContext): CredentialChoice {
  if (credentials.kind === 'none') return { kind: 'none' };
  const { originInfo, keys } = context;
  const { bandwidth, lifetime } = registration;
  const price = { tokens: 1, bandwidth, lifetime } as const;
  return {
    kind: 'privacy-pass',
    zkNym: credentials.zk_nym,
    nym: nym.credentials,
    issuerName: credentials.issuer_name,
    originInfo,
    keys,
    price,
  };
}

function registrarOptionsOf({ registration, metering }: Config, wireGuardPublicKey: Uint8Array): RegistrarOptions {
  return {
    modes: registration.modes,
    ipv4: { cidr: registration.ipv4_pool, gateway: registration.ipv4_gateway },
    ipv6: { cidr: registration.ipv6_pool, gateway: registration.ipv6_gateway },
    endpoints: registration.endpoints,
    wireGuardPublicKey,
    keepaliveSeconds: registration.keepalive,
    grant: { bandwidth: registration.bandwidth, lifetimeSeconds: registration.lifetime },
    quoteHoldSeconds: registration.quote_hold,
    quotesPerSession: QUOTES_PER_SESSION,
    registrationsLimit: registration.registrations,
    graceSeconds: registration.grace,
    queueLength: REGISTRAR_QUEUE,
    meteringSeconds: metering.interval,
  };
}
