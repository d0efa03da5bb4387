/**
 * The configuration that the gateway works with: what the schema gave, and the defaults that follow from other keys
 * (lp2.md §4.5: a source address may hold as many records as its bucket gives in one record's life).
 */
import { firstHost, formatCidr, formatSocketAddress, isUnspecified, type SocketAddress } from './addresses.ts';
import type { ParsedConfig } from './schema.ts';

type Filled<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]-?: Exclude<T[P], undefined> };
type ParsedListed = ParsedConfig['limits']['listed'][number];

export type ListedLimits = Filled<ParsedListed, 'records' | 'connections'>;
export type Limits = Filled<Omit<ParsedConfig['limits'], 'listed'>, 'records_per_address'> & {
  readonly listed: readonly ListedLimits[];
};
export type Registration = Filled<
  Omit<ParsedConfig['registration'], 'ipv4_pool' | 'ipv6_pool'>,
  'ipv4_gateway' | 'ipv6_gateway'
> & {
  /** `10.64.0.0/16`, in normal form. */
  readonly ipv4_pool: string;
  readonly ipv6_pool: string;
};
export type Credentials = Filled<ParsedConfig['credentials'], 'issuer_name'>;
export type Config = Readonly<Omit<ParsedConfig, 'limits' | 'registration' | 'credentials'>> & {
  readonly limits: Readonly<Limits>;
  readonly registration: Readonly<Registration>;
  readonly credentials: Readonly<Credentials>;
};

export function resolveConfig(parsed: ParsedConfig): Config {
  const { limits, registration } = parsed;
  const bucket = (rate: number, burst: number) => Math.ceil(rate * parsed.lifetimes.handshake_ttl + burst);
  const endpoints = registration.endpoints.length > 0 ? registration.endpoints : defaultEndpoints(parsed);
  return {
    ...parsed,
    limits: {
      ...limits,
      records_per_address: limits.records_per_address ?? bucket(limits.handshakes_per_address, limits.handshake_burst),
      listed: limits.listed.map((entry) => ({
        ...entry,
        records: entry.records ?? bucket(entry.handshakes_per_second, entry.burst),
        connections: entry.connections ?? limits.connections,
      })),
    },
    registration: {
      ...registration,
      ipv4_pool: formatCidr(registration.ipv4_pool),
      ipv6_pool: formatCidr(registration.ipv6_pool),
      ipv4_gateway: registration.ipv4_gateway ?? firstHost(registration.ipv4_pool),
      ipv6_gateway: registration.ipv6_gateway ?? firstHost(registration.ipv6_pool),
      endpoints,
    },
    credentials: { ...parsed.credentials, issuer_name: parsed.credentials.issuer_name ?? defaultIssuerName(parsed) },
  };
}

/** What a client would call it that knows no more than the issuer's address. */
function defaultIssuerName({ credentials, admin }: ParsedConfig): string {
  if (credentials.issuer !== undefined) return new URL(credentials.issuer).host;
  // Port 0 is another one each time, and a name must not change.
  return admin.listen === undefined || admin.listen.port === 0 ? 'localhost' : formatSocketAddress(admin.listen);
}

/** The listen addresses with WireGuard's port; the loopback of its family for one that means "all addresses". */
function defaultEndpoints(parsed: ParsedConfig): readonly string[] {
  const shown = parsed.gateway.listen.map((address) =>
    formatSocketAddress({ host: announcedHost(address), port: parsed.wireguard.port }),
  );
  return [...new Set(shown)];
}

function announcedHost({ host }: SocketAddress): string {
  if (!isUnspecified(host)) return host;
  return host.includes(':') ? '::1' : '127.0.0.1';
}
