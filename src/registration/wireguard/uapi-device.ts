/**
 * What an interface says of itself in a dump, compared with what it should be. Of the secrets in the dump nothing is kept but
 * whether the private key is ours.
 */
import { timingSafeEqual } from 'node:crypto';
import type { WireGuardError } from './backend.ts';
import type { DumpedDevice, DumpedPeer, DumpSink } from './uapi-answer.ts';
import type { Dialect } from './uapi-protocol.ts';

/** What the interface says of itself, changed by nobody. */
export type DeviceState =
  | { readonly kind: 'unreachable'; readonly error: WireGuardError }
  | {
      readonly kind: 'present';
      readonly key: 'ours' | 'other' | 'none';
      /** 0: none. */
      readonly listenPort: number;
      readonly peers: number;
      readonly dialect: Dialect;
    };

export interface OwnKeys {
  /** Clamped. */
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export class DeviceReader implements DumpSink {
  readonly #options: OwnKeys;
  readonly #readPeer: ((peer: DumpedPeer) => void) | undefined;
  key: 'ours' | 'other' | 'none' = 'none';
  listenPort = 0;
  peers = 0;
  isBoringtun = false;

  constructor(options: OwnKeys, readPeer?: (peer: DumpedPeer) => void) {
    this.#options = options;
    this.#readPeer = readPeer;
  }

  device({ privateKey, ownPublicKey, listenPort }: DumpedDevice): void {
    this.listenPort = listenPort;
    this.isBoringtun = ownPublicKey !== undefined;
    if (privateKey !== undefined) this.key = equal(privateKey, this.#options.privateKey);
    else if (ownPublicKey !== undefined) this.key = equal(ownPublicKey, this.#options.publicKey);
  }

  peer(peer: DumpedPeer): void {
    this.peers += 1;
    this.#readPeer?.(peer);
  }
}

function equal(a: Uint8Array, b: Uint8Array): 'ours' | 'other' {
  return timingSafeEqual(a, b) ? 'ours' : 'other';
}

/** As every implementation does with the key that it is given (RFC 7748 §5); what it shows would never equal another form. */
export function clamp(privateKey: Uint8Array): void {
  privateKey[0] = (privateKey[0] ?? 0) & 248;
  privateKey[31] = ((privateKey[31] ?? 0) & 127) | 64;
}
