/**
 * Addresses as an operator writes them: `127.0.0.1:41264`, `[::1]:41264`, `10.64.0.0/16`. IP addresses only: a name would
 * be resolved behind the operator's back. Parsers are total and give a value or what is wrong with the text.
 */
import ipaddr from 'ipaddr.js';

export interface SocketAddress {
  /** Normal form: IPv6 compressed and without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface Cidr {
  readonly family: 4 | 6;
  /** The network's first address in normal form. */
  readonly address: string;
  readonly prefix: number;
}

/** `error` continues the sentence "<the text> …"; `remedy` says what to do. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: string; readonly remedy?: string };

const MAX_PORT = 65_535;

export function parseSocketAddress(text: string): Parsed<SocketAddress> {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) {
    const bare = ipaddr.IPv6.isValid(text) ? text : undefined;
    return {
      ok: false,
      error: 'is not ADDRESS:PORT',
      remedy:
        bare === undefined ? 'write it like "127.0.0.1:41264" or "[::1]:41264"' : `write it like "[${bare}]:41264"`,
    };
  }
  const ip = parseIp(match[1] ?? match[2] ?? '', match[1] === undefined ? 4 : 6);
  if (!ip.ok) return ip;
  const port = Number(match[3]);
  if (port > MAX_PORT) return { ok: false, error: `has the port ${port}`, remedy: `ports end at ${MAX_PORT}` };
  return { ok: true, value: { host: ip.value, port } };
}

export function formatSocketAddress(address: SocketAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** One IP address in normal form. */
export function parseIp(text: string, family?: 4 | 6): Parsed<string> {
  if (family !== 6 && ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return { ok: true, value: ipaddr.IPv4.parse(text).toString() };
  }
  // A zone belongs to one machine's interfaces, and no key here means one.
  if (family !== 4 && !text.includes('%') && ipaddr.IPv6.isValid(text))
    return { ok: true, value: ipaddr.IPv6.parse(text).toString() };
  if (text === 'localhost') {
    return { ok: false, error: 'has a name instead of an IP address', remedy: 'write 127.0.0.1 or [::1]' };
  }
  const kind = family === undefined ? 'IP' : `IPv${family}`;
  return { ok: false, error: `has no ${kind} address`, remedy: 'names are not resolved here: give the address itself' };
}

/** ipaddr.js' name of the range that an address lies in: 'unicast', 'private', 'loopback', … */
export function rangeOf(host: string): string {
  return ipaddr.parse(host).range();
}

export function isUnspecified(host: string): boolean {
  return rangeOf(host) === 'unspecified';
}

/** A network. Host bits must be zero, so that a slip of the pen does not become another network. */
export function parseCidr(text: string, family?: 4 | 6): Parsed<Cidr> {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) {
    return {
      ok: false,
      error: 'is not NETWORK/PREFIX',
      remedy: 'write it like "10.64.0.0/16" (one address: /32 or /128)',
    };
  }
  const ip = parseIp(match[1] ?? '', family);
  if (!ip.ok) return ip;
  const prefix = Number(match[2]);
  const found = ip.value.includes(':') ? 6 : 4;
  const bits = found === 6 ? 128 : 32;
  if (prefix > bits)
    return { ok: false, error: `has the prefix /${prefix}`, remedy: `IPv${found} prefixes end at /${bits}` };
  const network = networkOf(ip.value, prefix);
  if (network !== ip.value) {
    return { ok: false, error: 'has bits set behind its prefix', remedy: `write "${network}/${prefix}"` };
  }
  return { ok: true, value: { family: found, address: network, prefix } };
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefix}`;
}

/** The first host of a network: its address plus one. */
export function firstHost(cidr: Cidr): string {
  const bytes = ipaddr.parse(cidr.address).toByteArray();
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1;
  return ipaddr.fromByteArray(bytes).toString();
}

/** Whether the address can be a host's: inside, not the network itself and, for IPv4, not its broadcast address. */
export function isHostOf(cidr: Cidr, address: string): boolean {
  const ip = ipaddr.parse(address);
  if ((ip.kind() === 'ipv4' ? 4 : 6) !== cidr.family) return false;
  const inside = ip.match(ipaddr.parse(cidr.address), cidr.prefix);
  if (!inside || ip.toString() === cidr.address) return false;
  return cidr.family === 6 || ip.toString() !== ipaddr.IPv4.broadcastAddressFromCIDR(formatCidr(cidr)).toString();
}

function networkOf(address: string, prefix: number): string {
  const bytes = ipaddr.parse(address).toByteArray();
  const masked = bytes.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, prefix - i * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return ipaddr.fromByteArray(masked).toString();
}
