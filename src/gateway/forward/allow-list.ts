/**
 * The exits that clients may reach through this gateway (lp2.md §5): identity, address and port, without wildcards.
 * Invariant: what is not listed is never found, so private, loopback and link-local addresses only where the operator
 * wrote them. Addresses are compared as canonical bytes of their family; nothing of one family equals the other.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { ForwardTarget } from '../../lp/wire/application-frame.ts';
import { readLe32 } from '../../lp/wire/bytes.ts';

const IDENTITY_LENGTH = 32;

export interface AllowListEntry {
  /** The exit's Ed25519 key, 32 bytes. */
  readonly identity: Uint8Array;
  /** An IPv4 or IPv6 address; names are refused, for what they mean is not in the operator's hand. */
  readonly address: string;
  readonly port: number;
}

/** A listed exit: the only thing that is ever connected to. */
export interface Exit {
  /** Equal for equal (identity, address, port), and for nothing else. */
  readonly key: string;
  /** Canonical text of the address. */
  readonly address: string;
  readonly port: number;
}

export interface AllowList {
  /** The listed exit that the target names; for family 0 the first one that is listed with its identity. */
  find(target: ForwardTarget): Exit | undefined;
  /** The first listed exit of this address and port, whatever its identity: Nym's clients name none. */
  findAddress(address: Pick<ForwardTarget, 'family' | 'ip' | 'port'>): Exit | undefined;
}

/** The configuration is wrong; `problems` says where, all at once. */
export class AllowListError extends Error {
  readonly code = 'FORWARD_ALLOW_INVALID';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`forward.allow: ${problems.join('; ')}`);
    this.name = 'AllowListError';
    this.problems = problems;
  }
}

type ParsedAddress =
  | { readonly kind: 'address'; readonly family: 4 | 6; readonly bytes: Uint8Array; readonly text: string }
  | { readonly kind: 'refused'; readonly reason: string };

function parseAddress(text: string): ParsedAddress {
  if (isIP(text) === 0) return { kind: 'refused', reason: 'is no IPv4 or IPv6 address' };
  if (text.includes('%')) return { kind: 'refused', reason: 'has a zone, which a Forward cannot name' };
  const parsed = ipaddr.parse(text);
  // The system connects such an address to this machine itself, so it would be a hidden way in.
  if (parsed.range() === 'unspecified') return { kind: 'refused', reason: 'is the unspecified address' };
  const bytes = Uint8Array.from(parsed.toByteArray());
  if (parsed instanceof ipaddr.IPv6) {
    // Reaches the IPv4 address under a second name; with one name each, a target cannot choose the name.
    if (parsed.isIPv4MappedAddress()) return { kind: 'refused', reason: 'is IPv4-mapped: write the IPv4 address' };
    return { kind: 'address', family: 6, bytes, text: parsed.toRFC5952String() };
  }
  return { kind: 'address', family: 4, bytes, text: parsed.toString() };
}

interface Listed {
  readonly identity: Uint8Array;
  readonly family: 4 | 6;
  readonly ip: Uint8Array;
  readonly exit: Exit;
}

/** Nothing here is secret: who asks knows the target. */
function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function keyOf({ identity, ...address }: Omit<Listed, 'exit'> & { readonly port: number }): string {
  return `${Buffer.from(identity).toString('hex')}/${addressKey(address)}`;
}

function addressKey({ family, ip, port }: Pick<ForwardTarget, 'family' | 'ip' | 'port'>): string {
  return `${family}/${Buffer.from(ip).toString('hex')}/${port}`;
}

/** Keys are random in every byte, so these four tell nearly all of them apart. */
const shortOf = (identity: Uint8Array) => readLe32(identity, 0);

/** Throws AllowListError. An entry that is there twice counts once. */
export function createAllowList(entries: readonly AllowListEntry[]): AllowList {
  const byIdentity = new Map<number, Listed[]>();
  const byAddress = new Map<string, Exit>();
  const problems: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const { port } = entry;
    const address = parseAddress(entry.address);
    if (entry.identity.length !== IDENTITY_LENGTH) problems.push(`entry ${index}: identity is not 32 bytes`);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) problems.push(`entry ${index}: port is not 1..65535`);
    if (address.kind === 'refused') {
      problems.push(`entry ${index}: address ${JSON.stringify(entry.address)} ${address.reason}`);
      continue;
    }
    if (entry.identity.length !== IDENTITY_LENGTH) continue;
    const listed = { identity: entry.identity.slice(), family: address.family, ip: address.bytes };
    const key = keyOf({ ...listed, port });
    const short = shortOf(entry.identity);
    const others = byIdentity.get(short) ?? [];
    byIdentity.set(short, others);
    if (others.some(({ exit }) => exit.key === key)) continue;
    const exit = { key, address: address.text, port };
    others.push({ ...listed, exit });
    const named = addressKey({ ...listed, port });
    if (!byAddress.has(named)) byAddress.set(named, exit);
  }
  if (problems.length > 0) throw new AllowListError(problems);
  return {
    find({ identity, family, ip, port }) {
      if (identity.length !== IDENTITY_LENGTH || (family === 0 && ip.length > 0)) return undefined;
      for (const listed of byIdentity.get(shortOf(identity)) ?? []) {
        if (!equal(listed.identity, identity)) continue;
        // In the order of the list: the first one where the target names no address.
        if (family === 0) return listed.exit;
        if (listed.family === family && listed.exit.port === port && equal(listed.ip, ip)) return listed.exit;
      }
      return undefined;
    },
    findAddress: (address) => byAddress.get(addressKey(address)),
  };
}
