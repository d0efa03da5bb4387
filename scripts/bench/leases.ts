/**
 * Lease and release of an address in a pool of a million against one of four thousand: neither may depend on the pool's size,
 * but for what memory that no longer fits the caches costs. Half of each pool is taken.
 */
import { AddressPool } from '../../src/registration/leases.ts';
import { parsePoolRange } from '../../src/registration/pool-range.ts';
import { systemRandom } from '../../src/system/random.ts';
import { type Figure, ratioFigure, series } from './figures.ts';
import { ownUs } from './own-time.ts';

export function leaseFigures(quick: boolean): Figure[] {
  const [rounds, operations] = quick ? [5, 50_000] : [11, 200_000];
  const [small, large] = [halfTaken('10.0.0.0/20'), halfTaken('10.16.0.0/12')];
  for (const bench of [small, large]) bench(operations);
  const pairs = Array.from({ length: rounds }, () => ({ small: small(operations), large: large(operations) }));
  return [
    ratioFigure(
      'micro/lease-large-vs-small',
      series(
        'of a /12',
        'ns',
        pairs.map((pair) => pair.large),
      ),
      series(
        'of a /20',
        'ns',
        pairs.map((pair) => pair.small),
      ),
      // Caches hold one and not the other; a pass over the pool would be 256 times as much.
      { note: 'one address taken and one freed' },
    ),
  ];
}

/** Nanoseconds for an address taken and another one freed. */
function halfTaken(cidr: string): (operations: number) => number {
  const range = parsePoolRange('ipv4', cidr, undefined);
  const pool = new AddressPool(range, systemRandom);
  const taken: Uint8Array[] = [];
  const take = () => {
    const address = pool.hold();
    if (address === undefined) throw new Error('the pool is empty');
    pool.allocate(address);
    return address;
  };
  while (taken.length < range.capacity >> 1) taken.push(take());
  let at = 0;
  return (operations) => {
    const started = ownUs();
    for (let n = 0; n < operations; n++) {
      const freed = taken[at];
      if (freed !== undefined) pool.release(freed);
      taken[at] = take();
      at = (at + 1) % taken.length;
    }
    return ((ownUs() - started) * 1e3) / operations;
  };
}
