/**
 * Bytes of the store's tables: keys that sort as they are read, values with a version byte in front and a CRC32 over key
 * and value behind, so that neither a damaged value nor one under another's key passes. Decoding is total: any bytes give
 * a value or `undefined` (registration.md, rule 2). A change of the format is a new schema version.
 */
import { crc32 } from 'node:zlib';
import type { RegistrationName } from '../../lp/wire/registration-body.ts';
import { PresharedKey } from '../preshared-key.ts';
import { dueAt, type Registration, type RegistrationPhase, type SpentToken } from './store.ts';

const VALUE_VERSION = 1;
const MODES = { dvpn: 1, mixnet: 2 } as const;
const PHASES = { active: 0, grace: 1 } as const;

const NAME_LENGTH = 32;
const HASH_LENGTH = 32;
const PRESHARED_KEY_LENGTH = 32;
const IPV4_LENGTH = 4;
const IPV6_LENGTH = 16;
const COUNTER_LENGTH = 8;
const CRC_LENGTH = 4;
const SECOND_LENGTH = 8;
/** Token ids are hashes; the bound keeps keys far below LMDB's own (1978 bytes). */
const MAX_TOKEN_ID_LENGTH = 64;
const MAX_PAYER_LENGTH = 256;

/** Where a registration's fields stand: version, mode and phase are one byte each. */
const AT = { mode: 1, phase: 2, bandwidth: 3, expires: 11, until: 19, ownerHash: 27, tunnel: 59 } as const;
const TUNNEL = {
  ipv4: AT.tunnel + PRESHARED_KEY_LENGTH,
  ipv6: AT.tunnel + PRESHARED_KEY_LENGTH + IPV4_LENGTH,
  received: AT.tunnel + PRESHARED_KEY_LENGTH + IPV4_LENGTH + IPV6_LENGTH,
  sent: AT.tunnel + PRESHARED_KEY_LENGTH + IPV4_LENGTH + IPV6_LENGTH + COUNTER_LENGTH,
} as const;
const MIXNET_LENGTH = AT.tunnel + CRC_LENGTH;
const DVPN_LENGTH = TUNNEL.sent + COUNTER_LENGTH + CRC_LENGTH;

/** A token's: version, second, payer. */
const PAYER_AT = 1 + SECOND_LENGTH;

/** Mode and name: the key of a registration. */
export function encodeName(name: RegistrationName): Buffer {
  const bytes = name.mode === 'dvpn' ? name.wgPublicKey : name.clientId;
  check(bytes.length === NAME_LENGTH, 'a registration name has 32 bytes');
  const key = Buffer.alloc(1 + NAME_LENGTH);
  key[0] = MODES[name.mode];
  key.set(bytes, 1);
  return key;
}

/** Holds the preshared key: whoever keeps it wipes it. */
export function encodeRegistration(key: Uint8Array, registration: Registration): Buffer {
  const { phase, ownerHash, bandwidth, expires } = registration;
  check(ownerHash.length === HASH_LENGTH, 'an owner hash has 32 bytes');
  // Never from the pool: its slab lives on, and wiping must reach all there is.
  const value = Buffer.alloc(registration.mode === 'dvpn' ? DVPN_LENGTH : MIXNET_LENGTH);
  value[0] = VALUE_VERSION;
  value[AT.mode] = MODES[registration.mode];
  value[AT.phase] = PHASES[phase.kind];
  writeInteger(value, bandwidth, AT.bandwidth);
  writeInteger(value, expires, AT.expires);
  writeInteger(value, phase.kind === 'grace' ? phase.until : 0, AT.until);
  value.set(ownerHash, AT.ownerHash);
  if (registration.mode === 'dvpn') {
    const { ipv4, ipv6 } = registration.addresses;
    check(ipv4.length === IPV4_LENGTH && ipv6.length === IPV6_LENGTH, 'addresses have 4 and 16 bytes');
    value.set(ipv4, TUNNEL.ipv4);
    value.set(ipv6, TUNNEL.ipv6);
    writeInteger(value, registration.charged.received, TUNNEL.received);
    writeInteger(value, registration.charged.sent, TUNNEL.sent);
    // Last: nothing above may throw with the key in hand.
    value.set(registration.presharedKey.bytes, AT.tunnel);
  }
  return sealed(key, value);
}

/** Copies; the caller wipes the value. */
export function decodeRegistration(key: Uint8Array, value: Buffer): Registration | undefined {
  if (value.length !== DVPN_LENGTH && value.length !== MIXNET_LENGTH) return undefined;
  if (!isIntact(key, value) || key.length !== 1 + NAME_LENGTH || value[AT.mode] !== key[0]) return undefined;
  const phase = decodePhase(value);
  const bandwidth = readInteger(value, AT.bandwidth);
  const expires = readInteger(value, AT.expires);
  if (phase === undefined || bandwidth === undefined || expires === undefined) return undefined;
  const name = Uint8Array.from(key.subarray(1));
  const ownerHash = slice(value, AT.ownerHash, HASH_LENGTH);
  if (value[AT.mode] === MODES.mixnet && value.length === MIXNET_LENGTH) {
    return { mode: 'mixnet', clientId: name, ownerHash, bandwidth, expires, phase };
  }
  if (value[AT.mode] !== MODES.dvpn || value.length !== DVPN_LENGTH) return undefined;
  const received = readInteger(value, TUNNEL.received);
  const sent = readInteger(value, TUNNEL.sent);
  if (received === undefined || sent === undefined) return undefined;
  return {
    mode: 'dvpn',
    wgPublicKey: name,
    presharedKey: new PresharedKey(value.subarray(AT.tunnel, TUNNEL.ipv4)),
    addresses: { ipv4: slice(value, TUNNEL.ipv4, IPV4_LENGTH), ipv6: slice(value, TUNNEL.ipv6, IPV6_LENGTH) },
    charged: { received, sent },
    ownerHash,
    bandwidth,
    expires,
    phase,
  };
}

/** {@link dueAt} of a stored value, without a copy of its key. */
export function dueOfValue(key: Uint8Array, value: Buffer): number | undefined {
  const registration = decodeRegistration(key, value);
  if (registration?.mode === 'dvpn') registration.presharedKey.wipe();
  return registration && dueAt(registration);
}

export function encodeTokenId(id: Uint8Array): Buffer {
  check(id.length > 0 && id.length <= MAX_TOKEN_ID_LENGTH, 'a token id has 1 to 64 bytes');
  return Buffer.from(id);
}

export function encodeToken({ id, payer, keepUntil }: SpentToken): Buffer {
  const text = Buffer.from(payer);
  check(text.length <= MAX_PAYER_LENGTH, 'a payer has at most 256 bytes');
  const value = Buffer.alloc(PAYER_AT + text.length + CRC_LENGTH);
  value[0] = VALUE_VERSION;
  writeInteger(value, keepUntil, 1);
  value.set(text, PAYER_AT);
  return sealed(id, value);
}

export function decodeToken(id: Uint8Array, value: Buffer): SpentToken | undefined {
  if (value.length < PAYER_AT + CRC_LENGTH || !isIntact(id, value)) return undefined;
  const keepUntil = readInteger(value, 1);
  if (keepUntil === undefined) return undefined;
  return { id: Uint8Array.from(id), payer: value.toString('utf8', PAYER_AT, value.length - CRC_LENGTH), keepUntil };
}

/** Key of an index by time: big-endian second, then the key that is due. */
export function encodeTimeKey(second: number, key: Uint8Array): Buffer {
  const timeKey = Buffer.alloc(SECOND_LENGTH + key.length);
  writeInteger(timeKey, second, 0);
  timeKey.set(key, SECOND_LENGTH);
  return timeKey;
}

/** What {@link encodeTimeKey} appended; the index is only ever read up to a second. */
export function keyOfTimeKey(timeKey: Buffer): Buffer {
  return timeKey.subarray(SECOND_LENGTH);
}

/** The first key after all that are due at `now`. */
export function endOfTime(now: number): Buffer {
  const end = Buffer.alloc(SECOND_LENGTH);
  const second = Math.min(Math.max(Math.floor(now), -1), Number.MAX_SAFE_INTEGER - 1);
  writeInteger(end, second + 1, 0);
  return end;
}

function decodePhase(value: Buffer): RegistrationPhase | undefined {
  const until = readInteger(value, AT.until);
  if (value[AT.phase] === PHASES.active) return until === 0 ? { kind: 'active' } : undefined;
  return value[AT.phase] === PHASES.grace && until !== undefined ? { kind: 'grace', until } : undefined;
}

function sealed(key: Uint8Array, value: Buffer): Buffer {
  value.writeUInt32BE(checksum(key, value), value.length - CRC_LENGTH);
  return value;
}

function isIntact(key: Uint8Array, value: Buffer): boolean {
  return value[0] === VALUE_VERSION && value.readUInt32BE(value.length - CRC_LENGTH) === checksum(key, value);
}

function checksum(key: Uint8Array, value: Buffer): number {
  return crc32(value.subarray(0, value.length - CRC_LENGTH), crc32(key));
}

function slice(value: Buffer, at: number, length: number): Uint8Array {
  return Uint8Array.from(value.subarray(at, at + length));
}

function writeInteger(target: Buffer, value: number, at: number): void {
  check(Number.isSafeInteger(value) && value >= 0, 'stored numbers are integers from 0 to 2^53 - 1');
  target.writeBigUInt64BE(BigInt(value), at);
}

function readInteger(source: Buffer, at: number): number | undefined {
  const value = Number(source.readBigUInt64BE(at));
  return Number.isSafeInteger(value) ? value : undefined;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`assertion: ${what}`);
}
