/**
 * What several keys say together. Runs on a whole configuration in which broken keys have their defaults; a finding that
 * involves a broken key is left out by the caller, so that one slip gives one message.
 */
import { formatCidr, formatSocketAddress, isHostOf, isUnspecified, type SocketAddress } from './addresses.ts';
import type { ConfigError } from './config-error.ts';
import type { ParsedConfig } from './schema.ts';

export interface Finding extends ConfigError {
  /** Keys that it follows from, as `group.key`. */
  readonly involves: readonly string[];
}

type Check = (config: ParsedConfig) => readonly Finding[];

const handshakeLife: Check = ({ lifetimes }) => {
  // lp2.md §3: a record must outlive every salt that the clock check would accept twice.
  if (lifetimes.handshake_ttl > 2 * lifetimes.clock_tolerance) return [];
  return [
    {
      path: 'lifetimes.handshake_ttl',
      problem: `${lifetimes.handshake_ttl} s is not more than twice lifetimes.clock_tolerance (${lifetimes.clock_tolerance} s)`,
      remedy: `raise it above ${2 * lifetimes.clock_tolerance} or lower lifetimes.clock_tolerance`,
      involves: ['lifetimes.handshake_ttl', 'lifetimes.clock_tolerance'],
    },
  ];
};

const sessionLife: Check = ({ lifetimes }) => {
  if (lifetimes.session_idle <= lifetimes.session_max) return [];
  return [
    {
      path: 'lifetimes.session_idle',
      problem: `${lifetimes.session_idle} s is more than lifetimes.session_max (${lifetimes.session_max} s), which ends every session before`,
      remedy: `lower it to at most ${lifetimes.session_max} or raise lifetimes.session_max`,
      involves: ['lifetimes.session_idle', 'lifetimes.session_max'],
    },
  ];
};

const forwardTimes: Check = ({ forward }) => {
  if (forward.connect_timeout <= forward.timeout) return [];
  return [
    {
      path: 'forward.connect_timeout',
      problem: `${forward.connect_timeout} s is more than forward.timeout (${forward.timeout} s), which covers connecting as well`,
      remedy: `lower it to at most ${forward.timeout} or raise forward.timeout`,
      involves: ['forward.connect_timeout', 'forward.timeout'],
    },
  ];
};

const exitsOnce: Check = ({ forward }) =>
  forward.allow.flatMap((exit, i) => {
    const first = forward.allow.findIndex(
      (other) =>
        other.port === exit.port &&
        other.address === exit.address &&
        Buffer.compare(other.identity, exit.identity) === 0,
    );
    if (first === i) return [];
    return [
      {
        path: `forward.allow[${i}]`,
        problem: `repeats forward.allow[${first}]`,
        remedy: 'remove one of them',
        involves: ['forward.allow'],
      },
    ];
  });

const listedOnce: Check = ({ limits }) =>
  limits.listed.flatMap((entry, i) => {
    const first = limits.listed.findIndex((other) => formatCidr(other.cidr) === formatCidr(entry.cidr));
    if (first === i) return [];
    return [
      {
        path: `limits.listed[${i}].cidr`,
        problem: `repeats limits.listed[${first}].cidr (${formatCidr(entry.cidr)})`,
        remedy: 'remove one of them',
        involves: ['limits.listed'],
      },
    ];
  });

const gatewaysInPools: Check = ({ registration }) =>
  ([4, 6] as const).flatMap((family) => {
    const address = registration[`ipv${family}_gateway`];
    const pool = registration[`ipv${family}_pool`];
    if (address === undefined || isHostOf(pool, address)) return [];
    return [
      {
        path: `registration.ipv${family}_gateway`,
        problem: `${address} is not a host address of registration.ipv${family}_pool (${formatCidr(pool)})`,
        remedy: 'give a host address of that pool, or remove the key for its first host',
        involves: [`registration.ipv${family}_gateway`, `registration.ipv${family}_pool`],
      },
    ];
  });

/** Two listeners of one port collide where their addresses are the same or one of them means all. */
function apart(
  path: string,
  address: SocketAddress | undefined,
  others: readonly { readonly path: string; readonly addresses: readonly (SocketAddress | undefined)[] }[],
): readonly Finding[] {
  if (address === undefined || address.port === 0) return [];
  return others.flatMap((other) => {
    const taken = other.addresses.find(
      (candidate) =>
        candidate !== undefined &&
        candidate.port === address.port &&
        (candidate.host === address.host || isUnspecified(candidate.host) || isUnspecified(address.host)),
    );
    if (taken === undefined) return [];
    return [
      {
        path,
        problem: `${formatSocketAddress(address)} collides with ${other.path} (${formatSocketAddress(taken)})`,
        remedy: 'give one of them another port',
        involves: [path, other.path],
      },
    ];
  });
}

const adminApart: Check = ({ gateway, admin, nym }) => [
  ...apart('admin.listen', admin.listen, [{ path: 'gateway.listen', addresses: gateway.listen }]),
  ...apart('nym.listen', nym.listen, [
    { path: 'gateway.listen', addresses: gateway.listen },
    { path: 'admin.listen', addresses: [admin.listen] },
  ]),
];

const nymLife: Check = ({ nym }) => {
  if (nym.session_idle <= nym.session_max) return [];
  return [
    {
      path: 'nym.session_idle',
      problem: `${nym.session_idle} s is more than nym.session_max (${nym.session_max} s), which ends every session before`,
      remedy: `lower it to at most ${nym.session_max} or raise nym.session_max`,
      involves: ['nym.session_idle', 'nym.session_max'],
    },
  ];
};

const somebodyIssues: Check = ({ credentials, admin }) => {
  const { kind, issuer, keys } = credentials;
  if (kind === 'none' || issuer !== undefined || keys.length > 0 || admin.listen !== undefined) return [];
  return [
    {
      path: 'credentials.kind',
      problem: 'is "privacy-pass", and nobody issues tokens: credentials.issuer is empty and admin.listen is "off"',
      remedy:
        'give an issuer or a file with its key, or serve one on the admin port, or set credentials.kind to "none"',
      involves: ['credentials.kind', 'credentials.issuer', 'credentials.keys', 'admin.listen'],
    },
  ];
};

const CHECKS: readonly Check[] = [
  handshakeLife,
  sessionLife,
  forwardTimes,
  exitsOnce,
  listedOnce,
  gatewaysInPools,
  adminApart,
  nymLife,
  somebodyIssues,
];

export function crossCheck(config: ParsedConfig): readonly Finding[] {
  return CHECKS.flatMap((check) => check(config));
}

/** What works, but hardly as meant. */
export function warningsOf(config: ParsedConfig): readonly ConfigError[] {
  const { gateway, registration, lifetimes, admin, nym, credentials } = config;
  const warnings: ConfigError[] = [...unused(config)];
  if (gateway.min_protocol_version === 1) {
    warnings.push({
      path: 'gateway.min_protocol_version',
      problem: 'is 1: LP1 is served beside LP2, and its key exchange is classical only',
      remedy: 'set it to 2 as soon as no client needs LP1',
    });
  }
  if (registration.endpoints.length === 0 && gateway.listen.some(({ host }) => isUnspecified(host))) {
    warnings.push({
      path: 'registration.endpoints',
      problem: 'is empty while gateway.listen means all addresses: clients are told a loopback address',
      remedy: 'give the address under which clients reach the WireGuard port',
    });
  }
  if (nym.listen !== undefined && credentials.kind !== 'none' && nym.credentials === 'off') {
    warnings.push({
      path: 'nym.credentials',
      problem: 'is "off" while registrations have a price: clients of the Nym network can register nothing',
      remedy: 'set it to "mock" for trials, or credentials.kind to "none" for free registrations',
    });
  }
  if (lifetimes.rekey_after >= lifetimes.session_max) {
    warnings.push({
      path: 'lifetimes.rekey_after',
      problem: `${lifetimes.rekey_after} s is not below lifetimes.session_max, so sessions end before rekeying is asked for`,
      remedy: `lower it below ${lifetimes.session_max}`,
    });
  }
  if (admin.listen !== undefined && isUnspecified(admin.listen.host)) {
    warnings.push({
      path: 'admin.listen',
      problem: 'means all addresses, and the admin port has no access control',
      remedy: 'give a private address, or keep the port behind a firewall',
    });
  }
  return warnings;
}

/** Keys that the chosen kind does not look at: whoever gave them may have meant another kind. */
function unused({ store, wireguard, credentials, nym }: ParsedConfig): readonly ConfigError[] {
  const found: ConfigError[] = [];
  const check = (group: string, kind: string, keys: Readonly<Record<string, boolean>>) => {
    for (const [key, given] of Object.entries(keys)) {
      if (!given) continue;
      const problem = `has no effect with ${group}.kind = "${kind}"`;
      found.push({ path: `${group}.${key}`, problem, remedy: `remove it, or set ${group}.kind to another` });
    }
  };
  if (store.kind === 'memory') check('store', store.kind, { path: store.path !== undefined });
  if (wireguard.kind === 'memory') check('wireguard', wireguard.kind, { socket: wireguard.socket !== undefined });
  if (credentials.kind === 'none') {
    const { kind, issuer, issuer_name, keys } = credentials;
    const given = { issuer: issuer !== undefined, issuer_name: issuer_name !== undefined, keys: keys.length > 0 };
    check('credentials', kind, given);
    if (nym.credentials !== 'off') {
      const problem = 'has no effect with credentials.kind = "none"';
      found.push({ path: 'nym.credentials', problem, remedy: 'remove it, or give registrations a price' });
    }
  }
  return found;
}
