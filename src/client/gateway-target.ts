/**
 * A gateway as the caller names it: address and identity key as text or bytes, checked before anything is sent. The
 * identity is the one thing that a handshake trusts, so it must be a key that converts (lp1.md §3.1).
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import type { ForwardTarget } from '../lp/wire/application-frame.ts';
import { type Hop, invalidOption, type LewesError } from './errors.ts';

const KEY_LENGTH = 32;
const HASH_LENGTH = 32;

export interface Address {
  /** An IP address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

/** What a link needs to know of its gateway. */
export interface GatewayKeys {
  readonly ed25519: Uint8Array;
  readonly x25519: Uint8Array;
  /** Accepted hashes of its KEM key; empty: any that its identity signed. */
  readonly pinnedHashes: readonly Uint8Array[];
}

/** `host:port`, with an IPv6 address in brackets. */
export function parseAddress(text: string, hop: Hop): Address {
  const [, bracketed, plain, digits] = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw invalidOption(`the address ${JSON.stringify(text)} is not host:port (IPv6: [address]:port)`, hop);
  }
  return { host, port };
}

export function resolveKeys(
  crypto: CryptoProvider,
  identity: string | Uint8Array,
  kemKeyHashes: readonly Uint8Array[],
  hop: Hop,
): GatewayKeys {
  const ed25519 = parseIdentity(identity, hop);
  const x25519 = crypto.x25519PublicOfEd25519(ed25519);
  if (x25519 === undefined) throw identityError('is no Ed25519 key; is a digit wrong?', hop);
  for (const hash of kemKeyHashes) {
    if (hash.length !== HASH_LENGTH) throw invalidOption('each of kemKeyHashes is a BLAKE3 hash of 32 bytes', hop);
  }
  return { ed25519, x25519, pinnedHashes: kemKeyHashes.map((hash) => Uint8Array.from(hash)) };
}

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
/** 32 bytes have 32 to 44 characters in base58, so they are never taken for 64 hex digits. */
const MAX_BASE58_LENGTH = 44;

/** An Ed25519 key as text or bytes; 32 bytes, copied. */
export function parseIdentity(identity: string | Uint8Array, hop: Hop): Uint8Array {
  const key = typeof identity === 'string' ? decodeKey(identity, hop) : Uint8Array.from(identity);
  if (key.length !== KEY_LENGTH) throw identityError(`has ${key.length} bytes instead of 32`, hop);
  return key;
}

function decodeKey(text: string, hop: Hop): Uint8Array {
  if (/^[0-9a-f]{64}$/i.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'));
  if (text.length > MAX_BASE58_LENGTH) throw identityError('is neither 64 hex digits nor base58 of 32 bytes', hop);
  let value = 0n;
  for (const character of text) {
    const digit = BASE58.indexOf(character);
    if (digit < 0) throw identityError(`has the character ${JSON.stringify(character)}, which base58 has not`, hop);
    value = value * 58n + BigInt(digit);
  }
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  const digits = value === 0n ? '' : value.toString(16);
  const tail = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return Uint8Array.from([...new Uint8Array(zeros), ...tail]);
}

function identityError(what: string, hop: Hop): LewesError {
  return invalidOption(`the identity ${what}`, hop);
}

/** The exit as a Forward names it; without an address the entry takes the one it lists for this identity. */
export function forwardTarget(identity: Uint8Array, address: Address | undefined, hop: Hop): ForwardTarget {
  if (address === undefined) return { identity, family: 0, ip: new Uint8Array(0), port: 0 };
  const family = isIP(address.host);
  if (family === 0) throw invalidOption(`an entry reaches an exit by its IP address, not by ${address.host}`, hop);
  const ip = Uint8Array.from(ipaddr.parse(address.host).toByteArray());
  return { identity, family: family === 4 ? 4 : 6, ip, port: address.port };
}
