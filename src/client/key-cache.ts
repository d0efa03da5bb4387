/**
 * KEM keys that were learnt from gateways (lp2.md §4.1): with one a handshake saves a round trip. They are public and
 * signed, and checked again before every use, so a cache needs no protection; an outdated entry costs a round trip.
 */
import type { KnownKemKey } from '../lp/client-session.ts';
import type { KemName } from '../lp/crypto/provider.ts';

/** What is worth keeping of a key, also in a file: plain bytes. `notAfter`: unix seconds. */
export type CachedKemKey = KnownKemKey;

/** Keyed by the gateway's Ed25519 identity (32 bytes) and the suite. A client asks at the start of each handshake. */
export interface KemKeyCache {
  get(gateway: Uint8Array, kem: KemName): CachedKemKey | undefined;
  set(gateway: Uint8Array, key: CachedKemKey): void;
  /** The gateway does not know this key any more, or it has expired. */
  delete(gateway: Uint8Array, kem: KemName): void;
}

/** About 1.4 KiB each. */
const DEFAULT_MAX_KEYS = 1_024;

/** In memory, bounded, the least recently learnt leaves first. Share one between clients to save round trips. */
export class MemoryKemKeyCache implements KemKeyCache {
  readonly #keys = new Map<string, CachedKemKey>();
  readonly #maxKeys: number;

  constructor(maxKeys: number = DEFAULT_MAX_KEYS) {
    this.#maxKeys = Math.max(1, maxKeys);
  }

  get size(): number {
    return this.#keys.size;
  }

  get(gateway: Uint8Array, kem: KemName): CachedKemKey | undefined {
    return this.#keys.get(nameOf(gateway, kem));
  }

  set(gateway: Uint8Array, key: CachedKemKey): void {
    const name = nameOf(gateway, key.kem);
    this.#keys.delete(name);
    this.#keys.set(name, key);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > this.#maxKeys && oldest !== undefined) this.#keys.delete(oldest);
  }

  delete(gateway: Uint8Array, kem: KemName): void {
    this.#keys.delete(nameOf(gateway, kem));
  }
}

function nameOf(gateway: Uint8Array, kem: KemName): string {
  return `${kem}/${Buffer.from(gateway.buffer, gateway.byteOffset, gateway.byteLength).toString('hex')}`;
}
