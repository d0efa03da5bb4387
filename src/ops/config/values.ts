/**
 * The parsers behind keys that are more than a number or a word: each takes a raw TOML value and gives what the gateway
 * works with, or what is wrong. Total: any value is taken.
 */
import { parseKey } from '../base58.ts';
import {
  type Cidr,
  formatSocketAddress,
  isUnspecified,
  type Parsed,
  parseCidr,
  parseIp,
  parseSocketAddress,
  rangeOf,
  type SocketAddress,
} from './addresses.ts';
import { text } from './keys.ts';

const MAX_ADDRESSES = 16;
const MAX_URL = 2_048;
const LOOPBACK_HOST = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)$/;

/** ipaddr.js' ranges of which no address can be leased to a client. */
const UNLEASABLE: readonly string[] = ['unspecified', 'loopback', 'multicast', 'broadcast', 'linkLocal'];

/** One `ip:port` or a list of them, at least `min`, no repeats. */
function socketAddresses(raw: unknown, min: number): Parsed<readonly SocketAddress[]> {
  const list: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
  if (list.length < min || list.length > MAX_ADDRESSES) return { ok: false, error: '' };
  const addresses: SocketAddress[] = [];
  const seen = new Set<string>();
  for (const item of list) {
    if (typeof item !== 'string') return { ok: false, error: '' };
    const parsed = parseSocketAddress(item);
    if (!parsed.ok)
      return list.length === 1 ? parsed : { ...parsed, error: `: ${JSON.stringify(item)} ${parsed.error}` };
    const normal = formatSocketAddress(parsed.value);
    // Port 0 is another free port each time.
    if (seen.has(normal) && parsed.value.port !== 0) {
      return { ok: false, error: `names ${normal} twice`, remedy: 'remove one of them' };
    }
    seen.add(normal);
    addresses.push(parsed.value);
  }
  return { ok: true, value: addresses };
}

export function listenAddresses(raw: unknown): Parsed<readonly SocketAddress[]> {
  return socketAddresses(raw, 1);
}

/** Addresses that clients are told: each must be one that a client can send to. */
export function announcedAddresses(raw: unknown): Parsed<readonly string[]> {
  const parsed = socketAddresses(raw, 0);
  if (!parsed.ok) return parsed;
  for (const address of parsed.value) {
    const shown = formatSocketAddress(address);
    if (isUnspecified(address.host)) {
      const remedy = 'give the address under which clients reach the WireGuard port';
      return { ok: false, error: `names ${shown}, to which no client can send`, remedy };
    }
    if (address.port === 0) return { ok: false, error: `names ${shown}`, remedy: 'give the WireGuard port' };
  }
  return { ok: true, value: parsed.value.map(formatSocketAddress) };
}

/** `undefined` for "" and "off". */
export const adminAddress = text((raw): Parsed<SocketAddress | undefined> => {
  return raw === '' || raw === 'off' ? { ok: true, value: undefined } : parseSocketAddress(raw);
});

export const publicKey = text((raw): Parsed<Uint8Array> => {
  const parsed = parseKey(raw);
  return parsed.ok ? { ok: true, value: parsed.key } : { ok: false, error: parsed.reason };
});

/** An address to connect to. */
export const hostAddress = text((raw): Parsed<string> => {
  const parsed = parseIp(raw);
  if (!parsed.ok || !isUnspecified(parsed.value)) return parsed;
  return { ok: false, error: 'is the unspecified address', remedy: "give the exit gateway's own address" };
});

/** What Linux takes for a network interface, and UAPI for the name of a socket. */
export const interfaceName = text((raw): Parsed<string> => {
  const fits = /^[A-Za-z0-9_=+.-]{1,15}$/.test(raw) && raw !== '.' && raw !== '..';
  return fits ? { ok: true, value: raw } : { ok: false, error: '' };
});

/** `undefined` for "": the gateway's own issuer. Keys and access keys go over it, so plain HTTP stays on the machine. */
export const issuerUrl = text((raw): Parsed<string | undefined> => {
  if (raw === '') return { ok: true, value: undefined };
  const url = raw.length <= MAX_URL ? URL.parse(raw) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return { ok: false, error: '' };
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    return { ok: false, error: 'has more than a host and a path', remedy: 'give the address alone' };
  }
  if (url.protocol === 'http:' && !LOOPBACK_HOST.test(url.hostname)) {
    return { ok: false, error: 'is plain HTTP to another machine', remedy: 'give an https: address' };
  }
  return { ok: true, value: url.href };
});

export const issuerName = text((raw): Parsed<string> => {
  return /^[\x21-\x7e]{1,256}$/.test(raw) ? { ok: true, value: raw } : { ok: false, error: '' };
});

export const network = text((raw): Parsed<Cidr> => parseCidr(raw));

/** A pool of addresses that are leased to clients: `widest` bounds what an allocator has to number. */
export function pool(family: 4 | 6, widest: number, narrowest: number): (raw: unknown) => Parsed<Cidr> {
  return text((raw) => {
    const parsed = parseCidr(raw, family);
    if (!parsed.ok) return parsed;
    const { prefix, address } = parsed.value;
    const range = rangeOf(address);
    if (UNLEASABLE.includes(range)) {
      return {
        ok: false,
        error: `lies in the ${range} range`,
        remedy: 'give a network whose addresses clients can have',
      };
    }
    if (prefix >= widest && prefix <= narrowest) return parsed;
    const remedy = `give an IPv${family} network from /${widest} to /${narrowest}`;
    return { ok: false, error: `has the prefix /${prefix}`, remedy };
  });
}

/** An IP address of one family. */
export function addressOf(family: 4 | 6): (raw: unknown) => Parsed<string> {
  return text((raw) => parseIp(raw, family));
}

export const shardCount = (raw: unknown): Parsed<'auto' | number> => {
  const fits = raw === 'auto' || (typeof raw === 'number' && Number.isInteger(raw) && raw >= 1 && raw <= 64);
  return fits ? { ok: true, value: raw } : { ok: false, error: '' };
};

export const protocolVersion = (raw: unknown): Parsed<1 | 2> => {
  return raw === 1 || raw === 2 ? { ok: true, value: raw } : { ok: false, error: '' };
};

/**
 * A word of a list, where other words are known to the design but come with a later release: those get a message of
 * their own.
 */
export function kindOf<const T extends string>(
  here: readonly T[],
  later: readonly string[],
): (raw: unknown) => Parsed<T> {
  return text((raw) => {
    const found = here.find((word) => word === raw);
    if (found !== undefined) return { ok: true, value: found };
    if (!later.includes(raw)) return { ok: false, error: '' };
    const offered = here.map((word) => `"${word}"`).join(' or ');
    return { ok: false, error: 'is not in this release', remedy: `set it to ${offered}` };
  });
}
