/**
 * A WireGuard interface that exists in memory only: for tests, and for nodes that show registration without tunnels. It
 * forwards nothing, so its counters stay as they were set. Preshared keys are kept like a real interface keeps them, and
 * wiped.
 */
import { NO_TRANSFER, type Transfer } from '../store/store.ts';
import { type Peer, type PeerCounters, type WireGuardBackend, WireGuardError } from './backend.ts';

export interface MemoryWireGuard extends WireGuardBackend {
  /** The peer as it was last set; its preshared key stays the backend's. */
  peer(publicKey: Uint8Array): Peer | undefined;
  readonly size: number;
  /** What its counters show from now on; a peer that is not there stays so. */
  setCounters(publicKey: Uint8Array, counters: Transfer): void;
  /** As after a restart of the interface: no peers. */
  restart(): void;
}

interface Standing {
  readonly peer: Peer;
  counters: Transfer;
}

export function createMemoryWireGuard(): MemoryWireGuard {
  return new MemoryPeers();
}

class MemoryPeers implements MemoryWireGuard {
  readonly #peers = new Map<string, Standing>();
  #closed = false;

  get size(): number {
    return this.#peers.size;
  }

  peer(publicKey: Uint8Array): Peer | undefined {
    return this.#peers.get(keyOf(publicKey))?.peer;
  }

  async upsert(peer: Peer): Promise<void> {
    this.#assertOpen();
    const key = keyOf(peer.publicKey);
    const counters = this.#peers.get(key)?.counters ?? NO_TRANSFER;
    this.#drop(key);
    const kept = { ...peer, publicKey: Uint8Array.from(peer.publicKey), presharedKey: peer.presharedKey.copy() };
    this.#peers.set(key, { peer: kept, counters });
  }

  setCounters(publicKey: Uint8Array, { received, sent }: Transfer): void {
    const standing = this.#peers.get(keyOf(publicKey));
    if (standing !== undefined) standing.counters = { received, sent };
  }

  restart(): void {
    for (const key of [...this.#peers.keys()]) this.#drop(key);
  }

  async remove(publicKey: Uint8Array): Promise<void> {
    this.#assertOpen();
    this.#drop(keyOf(publicKey));
  }

  async resync(peers: AsyncIterable<Peer>): Promise<void> {
    const stray = new Set(this.#peers.keys());
    for await (const peer of peers) {
      await this.upsert(peer);
      stray.delete(keyOf(peer.publicKey));
    }
    for (const key of stray) this.#drop(key);
  }

  async *list(): AsyncIterable<PeerCounters> {
    this.#assertOpen();
    for (const { peer, counters } of this.#peers.values()) yield { publicKey: peer.publicKey, ...counters };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.restart();
  }

  #drop(key: string): void {
    this.#peers.get(key)?.peer.presharedKey.wipe();
    this.#peers.delete(key);
  }

  #assertOpen(): void {
    if (this.#closed) throw new WireGuardError('WIREGUARD_CLOSED', 'the WireGuard backend in memory has been closed');
  }
}

function keyOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('base64');
}
