/**
 * Memory of idle sessions: 256-byte places cut from slabs of 256 KiB, so that a session costs one view and no buffer of
 * its own. Places are wiped before they come back. Slabs are kept for the life of the shard: the peak bounds them.
 */
import { TRANSPORT_BYTES } from '../lp/v2/transport.ts';

/** 1,024 places: one allocation per thousand handshakes; a shard with few sessions wastes at most 256 KiB. */
const PLACES_PER_SLAB = 1_024;

export class SessionSlab {
  private readonly free: Uint8Array[] = [];
  private places = 0;

  get bytes(): number {
    return this.places * TRANSPORT_BYTES;
  }

  allocate(): Uint8Array {
    return this.free.pop() ?? this.grow();
  }

  /** `memory` came from `allocate` and is zero again. */
  release(memory: Uint8Array): void {
    this.free.push(memory);
  }

  private grow(): Uint8Array {
    const slab = new ArrayBuffer(PLACES_PER_SLAB * TRANSPORT_BYTES);
    this.places += PLACES_PER_SLAB;
    for (let i = PLACES_PER_SLAB - 1; i > 0; i--)
      this.free.push(new Uint8Array(slab, i * TRANSPORT_BYTES, TRANSPORT_BYTES));
    return new Uint8Array(slab, 0, TRANSPORT_BYTES);
  }
}
