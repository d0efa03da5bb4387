/**
 * ML-KEM keys of nodes that were met before (nym.md §12): with one, a pipelining client's handshake takes a round trip less.
 * They are public and checked against the announced digest before every use, so an outdated one only costs that.
 */

/** Keyed by the node's LP key, 32 bytes. */
export interface NymKemKeyCache {
  /** 1,184 bytes. */
  get(lpKey: Uint8Array): Uint8Array | undefined;
  set(lpKey: Uint8Array, kemKey: Uint8Array): void;
  /** Whether the node was seen to refuse what pipelining sends; then it is not tried again. */
  refusesPipelining(lpKey: Uint8Array): boolean;
  noteRefusal(lpKey: Uint8Array): void;
}

/** About 1.3 KiB each. */
const DEFAULT_MAX_NODES = 1_024;

interface Entry {
  readonly kemKey: Uint8Array | undefined;
  readonly refuses: boolean;
}

/** In memory, bounded; the node that was noted longest ago leaves first. */
export class MemoryNymKemKeyCache implements NymKemKeyCache {
  readonly #nodes = new Map<string, Entry>();
  readonly #maxNodes: number;

  constructor(maxNodes: number = DEFAULT_MAX_NODES) {
    this.#maxNodes = Math.max(1, maxNodes);
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(lpKey: Uint8Array): Uint8Array | undefined {
    return this.#nodes.get(nameOf(lpKey))?.kemKey;
  }

  set(lpKey: Uint8Array, kemKey: Uint8Array): void {
    this.#note(lpKey, { kemKey: kemKey.slice(), refuses: this.refusesPipelining(lpKey) });
  }

  refusesPipelining(lpKey: Uint8Array): boolean {
    return this.#nodes.get(nameOf(lpKey))?.refuses ?? false;
  }

  noteRefusal(lpKey: Uint8Array): void {
    this.#note(lpKey, { kemKey: this.get(lpKey), refuses: true });
  }

  #note(lpKey: Uint8Array, entry: Entry): void {
    const name = nameOf(lpKey);
    this.#nodes.delete(name);
    this.#nodes.set(name, entry);
    const [oldest] = this.#nodes.keys();
    if (this.#nodes.size > this.#maxNodes && oldest !== undefined) this.#nodes.delete(oldest);
  }
}

function nameOf(lpKey: Uint8Array): string {
  return Buffer.from(lpKey.buffer, lpKey.byteOffset, lpKey.byteLength).toString('hex');
}
