/**
 * Memory of sessions: places of 256 bytes for keys and window, and eight numbers for each, in slabs of a thousand, so that
 * a session costs no buffer or view of its own. Free places are zero but for their first number, the next free one. Slabs
 * are kept for the life of the shard: the peak bounds them.
 */
import { TRANSPORT_BYTES, type TransportPlace } from '../lp/v2/transport.ts';

/** One allocation per thousand handshakes; a shard with few sessions wastes at most 320 KiB. */
const SLAB_BITS = 10;
const PLACES_PER_SLAB = 1 << SLAB_BITS;
const PLACE_MASK = PLACES_PER_SLAB - 1;
/** Of a session at rest. */
export const NUMBERS_PER_PLACE = 8;

export interface Slab {
  readonly memory: Uint8Array;
  readonly numbers: Float64Array;
}

export class SessionSlab {
  private readonly slabs: Slab[] = [];
  /** Slot + 1 of the place that came back last; 0 when none is free. A list of its own would stall as it grows. */
  private free = 0;
  private used = 0;

  /** Slots that were ever in use: all are below this. */
  get slots(): number {
    return this.used;
  }

  get bytes(): number {
    return this.slabs.length * PLACES_PER_SLAB * (TRANSPORT_BYTES + 8 * NUMBERS_PER_PLACE);
  }

  allocate(): TransportPlace {
    const slot = this.takeFree() ?? this.used++;
    if (slot === this.slabs.length * PLACES_PER_SLAB) {
      this.slabs.push({
        memory: new Uint8Array(PLACES_PER_SLAB * TRANSPORT_BYTES),
        numbers: new Float64Array(PLACES_PER_SLAB * NUMBERS_PER_PLACE),
      });
    }
    return this.place(slot);
  }

  /** The place came from `allocate` and is zero again. */
  release(slot: number): void {
    this.slabOf(slot).numbers[this.numbersAt(slot)] = this.free;
    this.free = slot + 1;
  }

  wipe(slot: number): void {
    const at = offsetOf(slot);
    this.slabOf(slot).memory.fill(0, at, at + TRANSPORT_BYTES);
  }

  place(slot: number): TransportPlace {
    return { memory: this.slabOf(slot).memory, offset: offsetOf(slot), slot };
  }

  slabOf(slot: number): Slab {
    const slab = this.slabs[slot >>> SLAB_BITS];
    if (slab === undefined) throw new Error('assertion: a slot has a slab');
    return slab;
  }

  /** Where the slot's numbers begin in its slab. */
  numbersAt(slot: number): number {
    return (slot & PLACE_MASK) * NUMBERS_PER_PLACE;
  }

  private takeFree(): number | undefined {
    if (this.free === 0) return undefined;
    const slot = this.free - 1;
    const { numbers } = this.slabOf(slot);
    const at = this.numbersAt(slot);
    this.free = numbers[at] ?? 0;
    numbers[at] = 0;
    return slot;
  }
}

function offsetOf(slot: number): number {
  return (slot & PLACE_MASK) * TRANSPORT_BYTES;
}
