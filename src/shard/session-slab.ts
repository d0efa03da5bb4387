/**
 * Memory of idle sessions: 256-byte places in slabs of 256 KiB, so that a session costs no buffer or view of its own.
 * Places are wiped before they come back. Slabs are kept for the life of the shard: the peak bounds them.
 */
import { TRANSPORT_BYTES, type TransportPlace } from '../lp/v2/transport.ts';

/** One allocation per thousand handshakes; a shard with few sessions wastes at most 256 KiB. */
const PLACES_PER_SLAB = 1_024;

export class SessionSlab {
  /** Places that came back, and the rest of the newest slab. */
  private readonly free: TransportPlace[] = [];
  private newest: Uint8Array | undefined;
  private used = PLACES_PER_SLAB;
  private slabs = 0;

  get bytes(): number {
    return this.slabs * PLACES_PER_SLAB * TRANSPORT_BYTES;
  }

  allocate(): TransportPlace {
    const place = this.free.pop();
    if (place !== undefined) return place;
    if (this.newest === undefined || this.used === PLACES_PER_SLAB) {
      this.newest = new Uint8Array(PLACES_PER_SLAB * TRANSPORT_BYTES);
      this.used = 0;
      this.slabs++;
    }
    return { memory: this.newest, offset: this.used++ * TRANSPORT_BYTES };
  }

  /** The place came from `allocate` and is zero again. */
  release(place: TransportPlace): void {
    this.free.push(place);
  }
}
