/**
 * Which version a client's handshake speaks: outside the versions' own folders, the one place that asks (client-hello.ts is
 * the gateway's). Everything else knows the interfaces of client-session.ts.
 */
import type { ClientHandshake, KnownKemKey, VersionTraits } from './client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from './crypto/provider.ts';
import type { Now } from './time.ts';
import { InitiatorV1 } from './v1/initiator.ts';
import { TRAITS_V1 } from './v1/traits.ts';
import { Initiator } from './v2/initiator.ts';
import { TRAITS_V2 } from './v2/traits.ts';

export type ProtocolVersion = 1 | 2;

export const DEFAULT_PROTOCOL: ProtocolVersion = 2;

export interface ClientHandshakeOptions {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  /** The client's Ed25519 key. Stays the caller's. */
  readonly clientSeed: Uint8Array;
  readonly gatewayEd25519: Uint8Array;
  /** The gateway's Ed25519 key converted; the caller has checked that it converts. */
  readonly gatewayX25519: Uint8Array;
  /** One of the version's suites; `undefined` where it has none. */
  readonly kem: KemName | undefined;
  /** A key of this suite that was learnt before. */
  readonly kemKey: KnownKemKey | undefined;
  readonly pinnedHashes: readonly Uint8Array[];
  /** Added to the own clock where the handshake tells the time. */
  readonly clockOffsetMs: number;
  /** At most as long as the version's traits say; empty for none. */
  readonly earlyFrame: Uint8Array;
  /** The gateway's IP address as it was dialled, 4 or 16 bytes; empty where it is not known. */
  readonly gatewayIp: Uint8Array;
}

export function traitsOf(version: ProtocolVersion): VersionTraits {
  return version === 1 ? TRAITS_V1 : TRAITS_V2;
}

export function createClientHandshake(
  version: ProtocolVersion,
  options: ClientHandshakeOptions,
  now: Now,
): ClientHandshake {
  const { kem, kemKey, pinnedHashes, earlyFrame, gatewayIp, ...common } = options;
  if (version === 1) return new InitiatorV1({ ...common, gatewayIp }, now);
  if (kem === undefined) throw new Error('assertion: a handshake of this version has a KEM suite');
  return new Initiator({ ...common, kem, kemKey, pinnedHashes, earlyFrame }, now);
}
