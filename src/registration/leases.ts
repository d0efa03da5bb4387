/**
 * Address leases: each address of a pool is free, held (for a quote, which knows its own expiry) or allocated (to a
 * registration), and none is handed out twice. Lease and release take constant time in random order, so an address
 * says nothing about how many clients there are or who came next (registration.md, rules 2 and 3).
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import type { TunnelAddresses } from '../lp/wire/registration-body.ts';
import type { PoolRange } from './pool-range.ts';

export interface LeaseCounts {
  readonly allocated: number;
  readonly held: number;
  readonly free: number;
}

export type LeaseState = 'free' | 'held' | 'allocated';
const STATES: readonly LeaseState[] = ['free', 'held', 'allocated'];
const FREE = 0;
const HELD = 1;
const ALLOCATED = 2;

/**
 * A Fisher–Yates shuffle that stops after each card: slots 0 … free − 1 contain the free indices, the others the taken
 * ones. Both tables begin as zeros that mean "itself" (values are stored plus one), so a new pool costs no pass over
 * its addresses and untouched pages cost no memory.
 */
export class AddressPool {
  readonly #range: PoolRange;
  readonly #random: RandomSource;
  readonly #indexAtSlot: Uint32Array;
  readonly #slotOfIndex: Uint32Array;
  readonly #state: Uint8Array;
  readonly #draw = new Uint8Array(6);
  #free: number;
  #held = 0;

  constructor(range: PoolRange, random: RandomSource) {
    this.#range = range;
    this.#random = random;
    this.#indexAtSlot = new Uint32Array(range.capacity);
    this.#slotOfIndex = new Uint32Array(range.capacity);
    this.#state = new Uint8Array(range.capacity);
    this.#free = range.capacity;
  }

  /** Takes a random free address and holds it; `undefined` when there is none. */
  hold(): Uint8Array | undefined {
    if (this.#free === 0) return undefined;
    const index = this.#indexAt(this.#randomBelow(this.#free));
    this.#take(index);
    this.#state[index] = HELD;
    this.#held += 1;
    return this.#range.addressAt(index);
  }

  /**
   * Free or held becomes allocated. An address that the pool does not contain is left alone: it was leased under an
   * earlier configuration and lives on with its registration.
   */
  allocate(address: Uint8Array): void {
    const index = this.#range.indexOf(address);
    if (index === undefined) return;
    if (this.#state[index] === FREE) this.#take(index);
    else if (this.#state[index] === HELD) this.#held -= 1;
    this.#state[index] = ALLOCATED;
  }

  /** Frees the address unless it has been allocated since it was held. */
  releaseHeld(address: Uint8Array): void {
    if (this.stateOf(address) === 'held') this.release(address);
  }

  /** Makes the address free; one that is free already stays so. */
  release(address: Uint8Array): void {
    const index = this.#range.indexOf(address);
    if (index === undefined || this.#state[index] === FREE) return;
    if (this.#state[index] === HELD) this.#held -= 1;
    this.#state[index] = FREE;
    this.#swap(this.#slotOf(index), this.#free);
    this.#free += 1;
  }

  stateOf(address: Uint8Array): LeaseState | undefined {
    const index = this.#range.indexOf(address);
    return index === undefined ? undefined : STATES[this.#state[index] ?? FREE];
  }

  counts(): LeaseCounts {
    return { allocated: this.#range.capacity - this.#free - this.#held, held: this.#held, free: this.#free };
  }

  #take(index: number): void {
    this.#free -= 1;
    this.#swap(this.#slotOf(index), this.#free);
  }

  #swap(a: number, b: number): void {
    const indexA = this.#indexAt(a);
    const indexB = this.#indexAt(b);
    this.#indexAtSlot[a] = indexB + 1;
    this.#indexAtSlot[b] = indexA + 1;
    this.#slotOfIndex[indexB] = a + 1;
    this.#slotOfIndex[indexA] = b + 1;
  }

  #indexAt(slot: number): number {
    return (this.#indexAtSlot[slot] || slot + 1) - 1;
  }

  #slotOf(index: number): number {
    return (this.#slotOfIndex[index] || index + 1) - 1;
  }

  /** 48 bits modulo at most 2²⁰: the bias is below 2⁻²⁸, and no loop depends on what the source gives. */
  #randomBelow(bound: number): number {
    this.#random.fill(this.#draw);
    let value = 0;
    for (const byte of this.#draw) value = value * 256 + byte;
    return value % bound;
  }
}

/** The two addresses of a tunnel, leased together or not at all. */
export class TunnelLeases {
  readonly #ipv4: AddressPool;
  readonly #ipv6: AddressPool;

  constructor(ipv4: AddressPool, ipv6: AddressPool) {
    this.#ipv4 = ipv4;
    this.#ipv6 = ipv6;
  }

  hold(): TunnelAddresses | undefined {
    const ipv4 = this.#ipv4.hold();
    if (ipv4 === undefined) return undefined;
    const ipv6 = this.#ipv6.hold();
    if (ipv6 !== undefined) return { ipv4, ipv6 };
    this.#ipv4.release(ipv4);
    return undefined;
  }

  allocate(addresses: TunnelAddresses): void {
    this.#ipv4.allocate(addresses.ipv4);
    this.#ipv6.allocate(addresses.ipv6);
  }

  releaseHeld(addresses: TunnelAddresses): void {
    this.#ipv4.releaseHeld(addresses.ipv4);
    this.#ipv6.releaseHeld(addresses.ipv6);
  }

  release(addresses: TunnelAddresses): void {
    this.#ipv4.release(addresses.ipv4);
    this.#ipv6.release(addresses.ipv6);
  }

  isAllocated(addresses: TunnelAddresses): boolean {
    return this.#ipv4.stateOf(addresses.ipv4) === 'allocated' || this.#ipv6.stateOf(addresses.ipv6) === 'allocated';
  }

  counts(): { readonly ipv4: LeaseCounts; readonly ipv6: LeaseCounts } {
    return { ipv4: this.#ipv4.counts(), ipv6: this.#ipv6.counts() };
  }
}
