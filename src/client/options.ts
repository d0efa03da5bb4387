/**
 * What a caller of `connect` may say, with the defaults, and the checks that are made before anything is sent.
 */
import { isIP } from 'node:net';
import { DEFAULT_PROTOCOL, type ProtocolVersion, traitsOf } from '../lp/client-handshake.ts';
import type { VersionTraits } from '../lp/client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from '../lp/crypto/provider.ts';
import type { Clock } from '../system/clock.ts';
import type { Timers } from '../system/timers.ts';
import type { Client } from './client.ts';
import { type Hop, invalidOption, type Step } from './errors.ts';
import type { KemKeyCache } from './key-cache.ts';
import type { RegisterRequest } from './registration.ts';
import type { TokenSource } from './token-source.ts';

export interface GatewayOptions {
  /**
   * `host:port`, IPv6 as `[address]:port`. With `via` it is what the entry connects to: an IP address; without one the entry
   * takes the address that it lists for the identity.
   */
  readonly address?: string;
  /** The gateway's Ed25519 key: base58, 64 hex digits, or 32 bytes. */
  readonly identity: string | Uint8Array;
  /**
   * The protocol version to speak with it, default 2. Version 1 (LP1) is for gateways that have no other: it is not
   * post-quantum, has no early requests, echoes, standing registrations or tokens, and by default one packet per connection.
   * The WireGuard preshared key of what it registers is the gateway's identity (lp1.md §8.6), not the request's.
   */
  readonly protocol?: ProtocolVersion;
  /** BLAKE3 hashes (32 bytes) of the KEM keys to accept, from an authentic source; none: any that the identity signed. */
  readonly kemKeyHashes?: readonly Uint8Array[];
  /** Registers on the way, without a round trip of its own. The answer is the client's `registration`. */
  readonly register?: RegisterRequest;
  /** Pays for registrations at this gateway; default: that of all. With it, `register` is done as `Client.enrol` does. */
  readonly tokenSource?: TokenSource;
  /** Any one request that is to ride in the handshake. The answer is the client's `early`. Not together with `register`. */
  readonly early?: { readonly kind: number; readonly body: Uint8Array };
}

export interface Timeouts {
  /** TCP connect. Default 10,000. */
  readonly connectMs: number;
  /** From nothing to a session, all attempts included. Default 45,000. */
  readonly openMs: number;
  /** A request, from its leaving to its answer. Default 10,000. */
  readonly requestMs: number;
  /** A Forward, and any request that needs one. Default 15,000. */
  readonly forwardMs: number;
}

export interface StepEvent {
  readonly hop: Hop;
  /** `key` at first contact only, and with version 2. `handshake` ends with the reply to H3, which may carry the answer to an early request. */
  readonly step: Step;
  readonly ms: number;
}

export interface ConnectOptions {
  readonly gateway: GatewayOptions;
  /**
   * The entry: `gateway` is then the exit, and reached through it. Given as options, the entry belongs to the new client
   * (`client.entry`) and is closed with it; a client that is there already stays its owner's.
   */
  readonly via?: GatewayOptions | Client;
  /** Pays for registrations where a gateway asks for it: see `httpTokenSource`, `fileTokenSource`. Default: none. */
  readonly tokenSource?: TokenSource;
  /** The KEM suites to use, the preferred one first. Default: X-Wing, then ML-KEM-768. */
  readonly kem?: readonly KemName[];
  /**
   * With version 1: all packets over one connection, which Lewes gateways allow and others do not. Default false. Version 2
   * always keeps its connection.
   */
  readonly keepConnections?: boolean;
  /** Default: the native provider where it loads, else the portable one. */
  readonly crypto?: CryptoProvider;
  /** Default: one that lives as long as the client. Share a MemoryKemKeyCache to save round trips. */
  readonly keyCache?: KemKeyCache;
  /**
   * Seed of the client's Ed25519 key, 32 bytes, copied; both gateways see the key. Default: a fresh random one per gateway,
   * so that nothing links them.
   */
  readonly clientSeed?: Uint8Array;
  /** Ends the connecting; afterwards it means nothing. */
  readonly signal?: AbortSignal;
  readonly timeouts?: Partial<Timeouts>;
  /** Handshake attempts per session. Default 3. */
  readonly attempts?: number;
  /** Whether a session that was lost is followed by a new handshake at the next request. Default true; else it closes. */
  readonly reconnect?: boolean;
  /** Whether rekeys that the gateway asks for bring a fresh ML-KEM exchange where the version has one. Default true. */
  readonly ratchet?: boolean;
  /** Unanswered requests per gateway at once, 1 … 65,536. Default 256. */
  readonly maxInFlight?: number;
  /** Requests are refused while more is waiting to be written. Default 4 MiB. */
  readonly maxWriteBufferBytes?: number;
  /** Source address of the TCP connection. */
  readonly localAddress?: string;
  /** Called when a step is done. It must not throw. */
  readonly onStep?: (event: StepEvent) => void;
  /** For tests. */
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly random?: RandomSource;
}

export const DEFAULT_TIMEOUTS: Timeouts = { connectMs: 10_000, openMs: 45_000, requestMs: 10_000, forwardMs: 15_000 };
export const DEFAULT_KEM: readonly KemName[] = ['x-wing', 'ml-kem-768'];
export const DEFAULT_ATTEMPTS = 3;
export const DEFAULT_MAX_IN_FLIGHT = 256;
export const DEFAULT_MAX_WRITE_BUFFER_BYTES = 4 * 1_024 * 1_024;
const MAX_IN_FLIGHT = 65_536;
/** What timers can hold. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Throws `invalid_option`. `entry`: the `via` where it is given as options. */
export function checkOptions(options: ConnectOptions, entry?: GatewayOptions): void {
  const { kem = DEFAULT_KEM, clientSeed, localAddress } = options;
  if (kem.length === 0 || !kem.every((name) => DEFAULT_KEM.includes(name))) {
    throw invalidOption(`kem has to name suites of ${DEFAULT_KEM.join(', ')}`);
  }
  checkVersions(options, entry);
  if (clientSeed !== undefined && clientSeed.length !== 32) throw invalidOption('clientSeed has to be 32 bytes');
  if (localAddress !== undefined && isIP(localAddress) === 0)
    throw invalidOption('localAddress has to be an IP address');
  checkNumber('attempts', options.attempts, 100);
  checkNumber('maxInFlight', options.maxInFlight, MAX_IN_FLIGHT);
  checkNumber('maxWriteBufferBytes', options.maxWriteBufferBytes, Number.MAX_SAFE_INTEGER);
  for (const [name, ms] of Object.entries(options.timeouts ?? {})) checkNumber(`timeouts.${name}`, ms, MAX_TIMEOUT_MS);
}

/** What a version cannot do is better said before anything is sent. */
function checkVersions({ gateway, via, kem }: ConnectOptions, entry: GatewayOptions | undefined): void {
  checkVersion(gateway, via === undefined ? 'direct' : 'exit');
  if (entry !== undefined) checkVersion(entry, 'entry');
  const withKem = [gateway, entry].some((each) => each !== undefined && traitsFor(each).kemSuites.length > 0);
  if (kem !== undefined && !withKem) throw invalidOption('kem is given, but LP1 has no KEM suites; leave it out');
}

function checkVersion(gateway: GatewayOptions, hop: Hop): void {
  const { protocol, kemKeyHashes, early } = gateway;
  if (protocol !== undefined && protocol !== 1 && protocol !== 2) throw invalidOption('protocol is 1 or 2', hop);
  const { kemSuites, requestKinds, maxEarlyFrameLength } = traitsFor(gateway);
  if (kemKeyHashes !== undefined && kemSuites.length === 0) {
    throw invalidOption('kemKeyHashes is given, but LP1 has no KEM keys; leave it out', hop);
  }
  // A version that has early frames takes every kind: what it does not know, the gateway answers.
  if (early !== undefined && maxEarlyFrameLength === 0 && !requestKinds.includes(early.kind)) {
    throw invalidOption(`early is of kind ${early.kind}, which LP1 does not carry`, hop);
  }
}

export function protocolOf(gateway: GatewayOptions): ProtocolVersion {
  return gateway.protocol ?? DEFAULT_PROTOCOL;
}

function traitsFor(gateway: GatewayOptions): VersionTraits {
  return traitsOf(protocolOf(gateway));
}

function checkNumber(name: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) return;
  throw invalidOption(`${name} has to be a whole number from 1 to ${max}`);
}
