/**
 * Configuration files for wg-quick(8) from registrations: one for a gateway, or two for an exit that is reached through an
 * entry's tunnel. Invariants: secrets stand in these files alone, which have mode 0600 and replace nothing; the packets of the
 * outer tunnel never enter the inner one.
 */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createFile } from '../ops/atomic-file.ts';
import { OperatorError, reasonOf } from '../ops/operator-error.ts';
import { UsageError } from './exit.ts';

export interface Tunnel {
  /** The client's WireGuard key; secret, like the next two. */
  readonly secretKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  /** With it the registration can be read, topped up and released; none where the protocol version has no such thing. */
  readonly owner?: Uint8Array;
  /** The client's addresses in the tunnel. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly gatewayKey: Uint8Array;
  /** `ip:port`; the first is used. */
  readonly endpoints: readonly string[];
  /** Seconds; 0 for none. */
  readonly keepalive: number;
  /** Base58, for the comment. */
  readonly identity: string;
}

export interface WgQuickFile {
  readonly path: string;
  readonly text: string;
}

/** What Ethernet leaves of 1500 bytes after IPv6, UDP and WireGuard's 32, with room for padding. */
const OUTER_MTU = 1_420;
/** The same once more, inside the outer tunnel. */
const INNER_MTU = 1_340;
/**
 * wg-quick sends everything into a tunnel with a default route except packets with this mark, which by its habit is also the
 * number of the routing table. Both tunnels bear it, so that the outer one's packets do not loop through the inner one.
 */
const MARK = 51_820;
const EVERYTHING = '0.0.0.0/0, ::/0';
/** Linux allows 15 characters in the name of an interface, and wg-quick takes it from the file. */
const INTERFACE = /^[A-Za-z0-9_=+.-]{1,15}$/;

/** Where the files go: `FILE`, or with an entry `NAME-entry.conf` and `NAME-exit.conf`. Throws UsageError or OperatorError. */
export function wgQuickPaths(file: string, hops: 1 | 2): readonly string[] {
  const name = basename(file, '.conf');
  const names = hops === 1 ? [name] : [`${name}-entry`, `${name}-exit`];
  if (!file.endsWith('.conf') || !names.every((each) => INTERFACE.test(each))) {
    throw new UsageError(
      `--wg-quick "${file}" cannot be the name of an interface`,
      `give NAME.conf with a NAME of at most ${hops === 1 ? 15 : 9} letters and digits`,
    );
  }
  const paths = names.map((each) => join(dirname(file), `${each}.conf`));
  for (const path of paths) {
    if (existsSync(path)) throw fileError(`${path} is there already and was left as it is`, 'give another name');
  }
  const directory = statSync(dirname(file), { throwIfNoEntry: false });
  if (directory?.isDirectory() === true) return paths;
  throw fileError(`${dirname(file)} is no directory`, 'make it first');
}

/** Of the entry and the exit, or of the only gateway. Throws OperatorError ERR_WG_QUICK where no tunnel can be made of it. */
export function wgQuickFiles(tunnels: readonly Tunnel[], paths: readonly string[]): readonly WgQuickFile[] {
  const [outer, inner] = tunnels;
  const [outerPath = '', innerPath = ''] = paths;
  if (outer === undefined) return [];
  if (inner === undefined) {
    return [{ path: outerPath, text: configOf(outer, { mtu: OUTER_MTU, allowed: EVERYTHING }) }];
  }
  const exit = endpointOf(inner);
  const host = hostOf(exit);
  if (host === hostOf(endpointOf(outer)) && !isLoopback(host)) {
    throw new OperatorError(
      'ERR_WG_QUICK',
      `entry and exit have the same WireGuard address ${host}, so one cannot be reached through the other`,
      'take gateways on two machines',
    );
  }
  const allowed = `${host}/${host.includes(':') ? 128 : 32}`;
  return [
    { path: outerPath, text: configOf(outer, { mtu: OUTER_MTU, allowed, mark: MARK }) },
    { path: innerPath, text: configOf(inner, { mtu: INNER_MTU, allowed: EVERYTHING, mark: MARK }) },
  ];
}

/** Writes all; what is there stays. Throws OperatorError. */
export function writeWgQuick(files: readonly WgQuickFile[]): void {
  for (const { path, text } of files) {
    try {
      createFile(path, text);
    } catch (cause) {
      throw fileError(`${path} cannot be written (${reasonOf(cause)})`, 'give another place', cause);
    }
  }
}

interface Role {
  readonly mtu: number;
  readonly allowed: string;
  readonly mark?: number;
}

function configOf(tunnel: Tunnel, { mtu, allowed, mark }: Role): string {
  const { secretKey, presharedKey, owner, gatewayKey, ipv4, ipv6, keepalive, identity } = tunnel;
  const lines = [
    `# Lewes gateway ${identity}`,
    owner === undefined ? undefined : `# Owner secret of the registration: ${base64(owner)}`,
    '[Interface]',
    `PrivateKey = ${base64(secretKey)}`,
    `Address = ${ipv4}/32, ${ipv6}/128`,
    `MTU = ${mtu}`,
    mark === undefined ? undefined : `FwMark = ${mark}`,
    '',
    '[Peer]',
    `PublicKey = ${base64(gatewayKey)}`,
    `PresharedKey = ${base64(presharedKey)}`,
    `Endpoint = ${endpointOf(tunnel)}`,
    `AllowedIPs = ${allowed}`,
    keepalive === 0 ? undefined : `PersistentKeepalive = ${keepalive}`,
  ];
  return `${lines.filter((line) => line !== undefined).join('\n')}\n`;
}

function endpointOf({ endpoints, identity }: Tunnel): string {
  const [first] = endpoints;
  if (first !== undefined) return first;
  throw new OperatorError(
    'ERR_WG_QUICK',
    `the gateway ${identity} tells no WireGuard endpoint`,
    'ask its operator for registration.endpoints',
  );
}

function hostOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
}

/** Of a network on this machine, whose tunnels lead nowhere else. */
function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function fileError(what: string, remedy: string, cause?: unknown): OperatorError {
  return new OperatorError('ERR_WG_QUICK_FILE', what, remedy, { cause });
}
