/**
 * The gateway's WireGuard interface as the registrar drives it: peers by public key. The store says which peers there
 * should be; a backend only follows, and can be told everything anew (registration.md, rules 2 and 5).
 */
import type { PresharedKey } from '../preshared-key.ts';

export interface Peer {
  readonly publicKey: Uint8Array;
  /** The backend reads it during the call only; one that keeps it keeps a copy. */
  readonly presharedKey: PresharedKey;
  /** Host routes, `10.0.0.2/32` and `fd00::2/128`; the only ones of this peer. */
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
}

export interface PeerCounters {
  readonly publicKey: Uint8Array;
  /** Bytes since the peer was made: what came from it and what went to it. Whole numbers, 2⁵³ − 1 where there are more. */
  readonly received: number;
  readonly sent: number;
}

/** Every method rejects with {@link WireGuardError} when the interface cannot be reached or refuses. */
export interface WireGuardBackend {
  /** Makes the peer or changes it in place: the session and counters of a standing peer go on. */
  upsert(peer: Peer): Promise<void>;
  /** A peer that is not there is no error. */
  remove(publicKey: Uint8Array): Promise<void>;
  /** Makes these peers the only ones. Each is the backend's to read until it asks for the next. */
  resync(peers: AsyncIterable<Peer>): Promise<void>;
  /** All peers there are. */
  list(): AsyncIterable<PeerCounters>;
  close(): Promise<void>;
}

export type WireGuardErrorCode = 'WIREGUARD_UNAVAILABLE' | 'WIREGUARD_REFUSED' | 'WIREGUARD_CLOSED';

export class WireGuardError extends Error {
  readonly code: WireGuardErrorCode;

  constructor(code: WireGuardErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WireGuardError';
    this.code = code;
  }
}
