/**
 * A WireGuard interface that exists in memory only: for tests, and for nodes that show registration without tunnels. It
 * forwards nothing, so its counters stay at zero. Preshared keys are kept like a real interface keeps them, and wiped.
 */
import { type Peer, type PeerCounters, type WireGuardBackend, WireGuardError } from './backend.ts';

export interface MemoryWireGuard extends WireGuardBackend {
  /** The peer as it was last set; its preshared key stays the backend's. */
  peer(publicKey: Uint8Array): Peer | undefined;
  readonly size: number;
}

export function createMemoryWireGuard(): MemoryWireGuard {
  return new MemoryPeers();
}

class MemoryPeers implements MemoryWireGuard {
  readonly #peers = new Map<string, Peer>();
  #closed = false;

  get size(): number {
    return this.#peers.size;
  }

  peer(publicKey: Uint8Array): Peer | undefined {
    return this.#peers.get(keyOf(publicKey));
  }

  async upsert(peer: Peer): Promise<void> {
    this.#assertOpen();
    this.#drop(keyOf(peer.publicKey));
    this.#peers.set(keyOf(peer.publicKey), {
      ...peer,
      publicKey: Uint8Array.from(peer.publicKey),
      presharedKey: peer.presharedKey.copy(),
    });
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
    for (const peer of this.#peers.values()) yield { publicKey: peer.publicKey, received: 0, sent: 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const key of [...this.#peers.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    this.#peers.get(key)?.presharedKey.wipe();
    this.#peers.delete(key);
  }

  #assertOpen(): void {
    if (this.#closed) throw new WireGuardError('WIREGUARD_CLOSED', 'the WireGuard backend in memory has been closed');
  }
}

function keyOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('base64');
}
