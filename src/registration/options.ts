/** What configures a registrar, checked once: everything that reads `RegistrarSettings` may trust it (registration.md). */
import {
  isAnnouncedEndpoint,
  MAX_ENDPOINTS,
  REGISTRATION_MODES,
  type RegistrationMode,
} from '../lp/wire/registration-body.ts';
import { RegistrationConfigError } from './config-error.ts';
import type { Grant } from './credentials/verifier.ts';
import { type PoolRange, parsePoolRange } from './pool-range.ts';

export interface PoolOptions {
  /** `address/length`: IPv4 /12 to /30, IPv6 up to /126 (of which the first 2²⁰ hosts are leased). */
  readonly cidr: string;
  /** The gateway's own address in the pool, never leased; default the first host. */
  readonly gateway?: string;
}

export interface RegistrarOptions {
  readonly modes: readonly RegistrationMode[];
  readonly ipv4: PoolOptions;
  readonly ipv6: PoolOptions;
  /** `ip:port`, IPv6 as `[ip]:port`: where clients reach this gateway's WireGuard. At least one where dvpn is offered. */
  readonly endpoints: readonly string[];
  /** The gateway's WireGuard key, 32 bytes. */
  readonly wireGuardPublicKey: Uint8Array;
  readonly keepaliveSeconds: number;
  /** What a registration gets where there is no price. */
  readonly grant: Grant;
  readonly quoteHoldSeconds: number;
  /** Quotes that one session family holds at once; the number per source address comes with each request. */
  readonly quotesPerSession: number;
  /** Registrations and quotes of this node together. */
  readonly registrationsLimit: number;
  readonly graceSeconds: number;
  /** How often transfer counters are read and charged, as far as the sweep comes so often; default 30. */
  readonly meteringSeconds?: number;
  /** Requests that wait or run at once; what comes besides is told to try later. */
  readonly queueLength: number;
}

export interface RegistrarSettings extends RegistrarOptions {
  readonly meteringSeconds: number;
  readonly ranges: { readonly ipv4: PoolRange; readonly ipv6: PoolRange };
}

/** WireGuard's persistent keepalive is a 16-bit number of seconds. */
const MAX_KEEPALIVE_S = 65_535;
/** What a peer may move beyond its balance, against a dump of all peers each time (10,000: 0.1 s). */
const DEFAULT_METERING_S = 30;
/** A hundred years: beyond it a number of seconds is a mistake, and sums with unix time stay far below 2⁵³. */
const MAX_SECONDS = 100 * 366 * 86_400;

/** Throws {@link RegistrationConfigError}. */
export function checkOptions(options: RegistrarOptions): RegistrarSettings {
  requireRange('keepalive', options.keepaliveSeconds, 0, MAX_KEEPALIVE_S);
  requireRange('bandwidth', options.grant.bandwidth, 1, Number.MAX_SAFE_INTEGER);
  requireRange('lifetime', options.grant.lifetimeSeconds, 1, MAX_SECONDS);
  requireRange('quote hold', options.quoteHoldSeconds, 1, MAX_SECONDS);
  requireRange('quotes per session', options.quotesPerSession, 1, 2 ** 20);
  requireRange('registrations limit', options.registrationsLimit, 1, 2 ** 24);
  requireRange('grace', options.graceSeconds, 0, MAX_SECONDS);
  const { meteringSeconds = DEFAULT_METERING_S } = options;
  requireRange('metering', meteringSeconds, 1, MAX_SECONDS);
  requireRange('queue length', options.queueLength, 1, 2 ** 20);
  for (const mode of options.modes) {
    if (!REGISTRATION_MODES.includes(mode)) throw new RegistrationConfigError('OPTION_RANGE', `unknown mode ${mode}`);
  }
  checkTunnel(options);
  return {
    ...options,
    meteringSeconds,
    ranges: {
      ipv4: parsePoolRange('ipv4', options.ipv4.cidr, options.ipv4.gateway),
      ipv6: parsePoolRange('ipv6', options.ipv6.cidr, options.ipv6.gateway),
    },
  };
}

function checkTunnel(options: RegistrarOptions): void {
  if (options.wireGuardPublicKey.length !== 32) {
    throw new RegistrationConfigError('WIREGUARD_KEY', "the gateway's WireGuard key has 32 bytes");
  }
  for (const endpoint of options.endpoints) {
    if (isAnnouncedEndpoint(endpoint)) continue;
    throw new RegistrationConfigError('ENDPOINT_INVALID', `${endpoint}: announce ip:port that clients can reach`);
  }
  const least = options.modes.includes('dvpn') ? 1 : 0;
  if (options.endpoints.length < least || options.endpoints.length > MAX_ENDPOINTS) {
    throw new RegistrationConfigError('ENDPOINT_INVALID', `announce 1 to ${MAX_ENDPOINTS} endpoints for mode dvpn`);
  }
}

function requireRange(name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RegistrationConfigError('OPTION_RANGE', `${name}: ${value} is not a whole number of ${least} to ${most}`);
}
