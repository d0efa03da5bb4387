/**
 * The exits that clients may reach through this gateway (lp2.md §5): identity, address and port, without wildcards.
 * Invariant: what is not listed is never found, so private, loopback and link-local addresses only where the operator
 * wrote them. Addresses are compared as canonical bytes of their family; nothing of one family equals the other.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { ForwardTarget } from '../../lp/wire/application-frame.ts';

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

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function keyOf(identity: string, family: number, ip: Uint8Array, port: number): string {
  return `${identity}/${family}/${hex(ip)}/${port}`;
}

/** Throws AllowListError. An entry that is there twice counts once. */
export function createAllowList(entries: readonly AllowListEntry[]): AllowList {
  const exits = new Map<string, Exit>();
  const firstOf = new Map<string, Exit>();
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
    const identity = hex(entry.identity);
    const key = keyOf(identity, address.family, address.bytes, port);
    const exit: Exit = { key, address: address.text, port };
    if (!exits.has(key)) exits.set(key, exit);
    if (!firstOf.has(identity)) firstOf.set(identity, exit);
  }
  if (problems.length > 0) throw new AllowListError(problems);
  return {
    find(target) {
      const identity = hex(target.identity);
      if (target.family === 0) return target.ip.length === 0 ? firstOf.get(identity) : undefined;
      return exits.get(keyOf(identity, target.family, target.ip, target.port));
    },
  };
}
