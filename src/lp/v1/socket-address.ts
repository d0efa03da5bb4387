/**
 * `ip:port` as Rust's SocketAddr reads it (lp1.md §2.4): `1.2.3.4:41264`, `[2001:db8::1]:41264`. No names, no zones, no
 * leading zeros in an octet or the port. Parsing is total and gives one meaning to a text.
 */
import ipaddr from 'ipaddr.js';

export interface IpAddress {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, as the family says. */
  readonly ip: Uint8Array;
}

export interface SocketAddress extends IpAddress {
  readonly port: number;
}

/** Bytes of the longest address with brackets and port: six groups, an IPv4 tail, five digits. */
export const MAX_SOCKET_ADDRESS_LENGTH = 53;
const OCTET = /^(?:0|[1-9][0-9]{0,2})$/;
const GROUP = /^[0-9a-fA-F]{1,4}$/;
const GROUPS = 8;

/** IPv6 in the short form of RFC 5952. */
export function formatSocketAddress(address: SocketAddress): string {
  const { family, ip, port } = address;
  return family === 4 ? `${ip.join('.')}:${port}` : `[${new ipaddr.IPv6([...ip]).toRFC5952String()}]:${port}`;
}

export function parseSocketAddress(text: string): SocketAddress | undefined {
  if (text.length > MAX_SOCKET_ADDRESS_LENGTH) return undefined;
  const [, ipv6, ipv4, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(0|[1-9][0-9]{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) return undefined;
  const ip = ipv4 !== undefined ? parseIpv4(ipv4) : parseIpv6(ipv6 ?? '');
  return ip && { family: ipv4 !== undefined ? 4 : 6, ip: Uint8Array.from(ip), port };
}

export function isUnspecified(address: IpAddress): boolean {
  return address.ip.every((byte) => byte === 0);
}

function parseIpv4(text: string): number[] | undefined {
  const octets = text.split('.');
  if (octets.length !== 4 || !octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)) return undefined;
  return octets.map(Number);
}

/** `::` stands for one group at least, and at most once. */
function parseIpv6(text: string): number[] | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  if (tail === undefined) {
    const whole = parseGroups(head, true);
    return whole?.length === 2 * GROUPS ? whole : undefined;
  }
  const before = parseGroups(head, false);
  const after = parseGroups(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const gap = 2 * GROUPS - before.length - after.length;
  return gap >= 2 ? [...before, ...new Array<number>(gap).fill(0), ...after] : undefined;
}

/** Bytes of groups with a colon between them; the last two may be an IPv4 address where the text ends. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  const bytes: number[] = [];
  if (text === '') return bytes;
  const groups = text.split(':');
  for (const [i, group] of groups.entries()) {
    const ipv4 = atEnd && i === groups.length - 1 ? parseIpv4(group) : undefined;
    if (ipv4 !== undefined) bytes.push(...ipv4);
    else if (GROUP.test(group)) bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff);
    else return undefined;
  }
  return bytes;
}
