/**
 * Which addresses of a CIDR can be leased, numbered 0 … capacity − 1. Never among them: the network's own address, an
 * IPv4 broadcast address, and the gateway's address. Operator's text comes in here and nowhere else (registration.md).
 */
import ipaddr from 'ipaddr.js';
import { RegistrationConfigError } from './config-error.ts';

/** Bounds the tables of a pool to about 9 MiB; more addresses than peers that one node can serve. */
const MAX_HOST_BITS = 20;
const MAX_HOSTS = 2 ** MAX_HOST_BITS;
const UNUSABLE_RANGES: readonly string[] = ['unspecified', 'loopback', 'multicast', 'broadcast', 'linkLocal'];

export interface PoolRange {
  readonly capacity: number;
  /** The gateway's own address in the pool. */
  readonly gateway: Uint8Array;
  /** A new array of 4 or 16 bytes. */
  addressAt(index: number): Uint8Array;
  /** `undefined` for an address that is not leased from here. */
  indexOf(address: Uint8Array): number | undefined;
}

type Family = 'ipv4' | 'ipv6';
const ADDRESS_BITS = { ipv4: 32, ipv6: 128 } as const;

/** `gateway` defaults to the first host. Throws {@link RegistrationConfigError}. */
export function parsePoolRange(family: Family, cidr: string, gateway?: string): PoolRange {
  const parsed = parseCidr(family, cidr);
  const { network, prefix } = parsed;
  const hostBits = ADDRESS_BITS[family] - prefix;
  if (hostBits < 2 || (family === 'ipv4' && hostBits > MAX_HOST_BITS)) {
    const range = family === 'ipv4' ? '/12 to /30' : '/0 to /126';
    throw new RegistrationConfigError('POOL_SIZE', `${cidr}: a pool is ${range}; choose another prefix length`);
  }
  // Offsets count from the network's own address, which is 0; the last one of IPv4 is broadcast.
  const inPool = 2 ** hostBits - (family === 'ipv4' ? 2 : 1);
  const hosts = Math.min(inPool, MAX_HOSTS);
  const gatewayBytes = gateway === undefined ? withOffset(network, 1) : parseGateway(family, cidr, gateway);
  const gatewayOffset = offsetIn(parsed, gatewayBytes);
  const isHost = gatewayOffset !== undefined && gatewayOffset !== 0 && (family === 'ipv6' || gatewayOffset <= inPool);
  if (!isHost) {
    throw new RegistrationConfigError('POOL_GATEWAY', `${gateway}: the gateway's address must be a host of ${cidr}`);
  }
  return rangeOf(parsed, hosts, gatewayOffset, gatewayBytes);
}

function rangeOf(parsed: Network, hosts: number, gatewayOffset: number, gateway: Uint8Array): PoolRange {
  // Indices leave the gateway's offset out; it may lie beyond the hosts that are used (IPv6).
  const capacity = gatewayOffset <= hosts ? hosts - 1 : hosts;
  return {
    capacity,
    gateway,
    addressAt: (index) => withOffset(parsed.network, index + 1 < gatewayOffset ? index + 1 : index + 2),
    indexOf: (address) => {
      const offset = offsetIn(parsed, address);
      if (offset === undefined || offset === 0 || offset === gatewayOffset || offset > hosts) return undefined;
      return offset < gatewayOffset ? offset - 1 : offset - 2;
    },
  };
}

interface Network {
  readonly network: Uint8Array;
  readonly prefix: number;
}

function parseCidr(family: Family, cidr: string): Network {
  const [, text, bits] = /^([^/%]+)\/([0-9]{1,3})$/.exec(cidr) ?? [];
  const network = text === undefined ? undefined : parseAddress(family, text);
  const prefix = Number(bits);
  if (network === undefined || prefix > ADDRESS_BITS[family]) {
    throw new RegistrationConfigError('POOL_UNREADABLE', `${cidr}: write an ${family} pool as address/length`);
  }
  const range = ipaddr.fromByteArray([...network]).range();
  if (UNUSABLE_RANGES.includes(range)) {
    throw new RegistrationConfigError('POOL_NOT_UNICAST', `${cidr}: no address of a ${range} range can be leased`);
  }
  if (network.some((byte, i) => byte & ~maskByte(prefix, i) & 0xff)) {
    throw new RegistrationConfigError('POOL_HOST_BITS', `${cidr}: bits beyond /${prefix} must be zero`);
  }
  return { network, prefix };
}

function parseGateway(family: Family, cidr: string, gateway: string): Uint8Array {
  const address = parseAddress(family, gateway);
  if (address !== undefined) return address;
  throw new RegistrationConfigError('POOL_GATEWAY', `${gateway}: write the gateway's ${family} address in ${cidr}`);
}

function parseAddress(family: Family, text: string): Uint8Array | undefined {
  if (family === 'ipv4') {
    return ipaddr.IPv4.isValidFourPartDecimal(text)
      ? Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray())
      : undefined;
  }
  return ipaddr.IPv6.isValid(text) && !text.includes('%')
    ? Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray())
    : undefined;
}

function maskByte(prefix: number, byte: number): number {
  const bits = Math.min(8, Math.max(0, prefix - 8 * byte));
  return (0xff << (8 - bits)) & 0xff;
}

/** The network has zeros where the offset goes, so no carry can arise. */
function withOffset(network: Uint8Array, offset: number): Uint8Array {
  const address = Uint8Array.from(network);
  for (let i = address.length - 1, rest = offset; rest > 0; i -= 1, rest = Math.floor(rest / 256)) {
    address[i] = (address[i] ?? 0) | (rest & 0xff);
  }
  return address;
}

/** Distance from the network's address; `undefined` outside the network. Rounded only far above the hosts that are used. */
function offsetIn({ network, prefix }: Network, address: Uint8Array): number | undefined {
  if (address.length !== network.length) return undefined;
  let offset = 0;
  for (let i = 0; i < network.length; i += 1) {
    const difference = (address[i] ?? 0) ^ (network[i] ?? 0);
    if ((difference & maskByte(prefix, i)) !== 0) return undefined;
    offset = offset * 256 + difference;
  }
  return offset;
}
