/** Address pools: what is leased and what never is, against a model of sets. */
import test from 'ava';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { RegistrationConfigError } from '../../src/registration/config-error.ts';
import { AddressPool, TunnelLeases } from '../../src/registration/leases.ts';
import { parsePoolRange } from '../../src/registration/pool-range.ts';
import { seededRandom } from './fixture.ts';

const textOf = (address: Uint8Array | undefined) => address && ipaddr.fromByteArray([...address]).toString();
const pool = (family: 'ipv4' | 'ipv6', cidr: string, gateway?: string) =>
  new AddressPool(parsePoolRange(family, cidr, gateway), seededRandom(1));
const drain = (from: AddressPool) => {
  const taken: string[] = [];
  for (let next = from.hold(); next !== undefined; next = from.hold()) taken.push(textOf(next) ?? '');
  return taken;
};

test('an IPv4 pool leases every host but the gateway, once', (t) => {
  t.deepEqual(
    drain(pool('ipv4', '10.1.0.0/29', '10.1.0.3')).sort(),
    ['1', '2', '4', '5', '6'].map((host) => `10.1.0.${host}`),
  );
  t.deepEqual(drain(pool('ipv4', '10.1.0.0/30')), ['10.1.0.2']);
  t.deepEqual(drain(pool('ipv4', '10.1.0.0/30', '10.1.0.2')), ['10.1.0.1']);
});

test('an IPv6 pool leases its last address, but neither its first nor the gateway', (t) => {
  t.deepEqual(drain(pool('ipv6', 'fd00:1::/126')).sort(), ['fd00:1::2', 'fd00:1::3']);
  t.deepEqual(drain(pool('ipv6', 'fd00:1::/126', 'fd00:1::3')).sort(), ['fd00:1::1', 'fd00:1::2']);
});

const CAPACITIES: readonly (readonly ['ipv4' | 'ipv6', string, string | undefined, number])[] = [
  ['ipv4', '10.16.0.0/12', undefined, 2 ** 20 - 3],
  ['ipv6', 'fd00::/8', undefined, 2 ** 20 - 1],
  ['ipv6', 'fd00::/64', 'fd00::ffff:ffff:ffff', 2 ** 20],
  ['ipv6', 'fd00::/108', 'fd00::f:ffff', 2 ** 20 - 2],
];
for (const [family, cidr, gateway, capacity] of CAPACITIES) {
  test(`${cidr} with gateway ${gateway ?? 'of its own choice'} has ${capacity} addresses, the last of which can be named`, (t) => {
    const range = parsePoolRange(family, cidr, gateway);
    t.is(range.capacity, capacity);
    for (const index of [0, 1, 255, 256, 65_535, capacity - 1]) {
      t.is(range.indexOf(range.addressAt(index)), index);
    }
    t.is(range.indexOf(range.gateway), undefined);
    t.is(new AddressPool(range, seededRandom(1)).counts().free, capacity);
  });
}

const NONSENSE: readonly (readonly ['ipv4' | 'ipv6', string, string | undefined, string])[] = [
  ['ipv4', '10.0.0.0/31', undefined, 'POOL_SIZE'],
  ['ipv4', '10.0.0.0/32', undefined, 'POOL_SIZE'],
  ['ipv4', '10.0.0.0/11', undefined, 'POOL_SIZE'],
  ['ipv4', '10.0.0.0/33', undefined, 'POOL_UNREADABLE'],
  ['ipv4', '10.0.0.0', undefined, 'POOL_UNREADABLE'],
  ['ipv4', '10.0.0/24', undefined, 'POOL_UNREADABLE'],
  ['ipv4', 'fd00::/64', undefined, 'POOL_UNREADABLE'],
  ['ipv4', 'pool', undefined, 'POOL_UNREADABLE'],
  ['ipv4', '', undefined, 'POOL_UNREADABLE'],
  ['ipv4', '10.0.0.5/24', undefined, 'POOL_HOST_BITS'],
  ['ipv4', '127.0.0.0/8', undefined, 'POOL_NOT_UNICAST'],
  ['ipv4', '224.0.0.0/16', undefined, 'POOL_NOT_UNICAST'],
  ['ipv4', '10.0.0.0/24', '10.0.0.0', 'POOL_GATEWAY'],
  ['ipv4', '10.0.0.0/24', '10.0.0.255', 'POOL_GATEWAY'],
  ['ipv4', '10.0.0.0/24', '10.0.1.1', 'POOL_GATEWAY'],
  ['ipv4', '10.0.0.0/24', '9.255.255.255', 'POOL_GATEWAY'],
  ['ipv4', '10.0.0.0/24', 'fd00::1', 'POOL_GATEWAY'],
  ['ipv6', 'fd00::/127', undefined, 'POOL_SIZE'],
  ['ipv6', 'fd00::/128', undefined, 'POOL_SIZE'],
  ['ipv6', 'fd00::/129', undefined, 'POOL_UNREADABLE'],
  ['ipv6', '10.0.0.0/24', undefined, 'POOL_UNREADABLE'],
  ['ipv6', 'fe80::%eth0/64', undefined, 'POOL_UNREADABLE'],
  ['ipv6', 'fe80::/64', undefined, 'POOL_NOT_UNICAST'],
  ['ipv6', 'fd00::1/64', undefined, 'POOL_HOST_BITS'],
  ['ipv6', 'fd00::/64', 'fd00::', 'POOL_GATEWAY'],
  ['ipv6', 'fd00::/64', 'fd00:0:0:1::1', 'POOL_GATEWAY'],
];
for (const [family, cidr, gateway, code] of NONSENSE) {
  test(`${family} pool "${cidr}"${gateway === undefined ? '' : ` with gateway ${gateway}`} is ${code}`, (t) => {
    const error = t.throws(() => parsePoolRange(family, cidr, gateway), { instanceOf: RegistrationConfigError });
    t.is<string | undefined, string>(error?.code, code);
  });
}

test('two pools with other random bytes lease in another order', (t) => {
  const range = parsePoolRange('ipv4', '10.0.0.0/24');
  const [one, other] = [1, 2].map((seed) => drain(new AddressPool(range, seededRandom(seed))));
  t.is(new Set(one).size, 253);
  t.notDeepEqual(one, other);
  t.deepEqual(one?.toSorted(), other?.toSorted());
});

test('any sequence of leases and releases agrees with a model of sets', (t) => {
  const command = fc.record({ op: fc.constantFrom('hold', 'allocate', 'release', 'releaseHeld'), pick: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), fc.nat(), (commands, seed) => {
      const range = parsePoolRange('ipv4', '10.0.0.0/28', '10.0.0.9');
      const leases = new AddressPool(range, seededRandom(seed));
      const all = Array.from({ length: range.capacity }, (_, i) => range.addressAt(i));
      const model = new Map(all.map((address) => [textOf(address), 'free']));
      for (const { op, pick } of commands) {
        const address = all[pick % all.length]!;
        const state = model.get(textOf(address));
        if (op === 'hold') {
          const held = leases.hold();
          if (held === undefined) t.false([...model.values()].includes('free'));
          else t.is(model.get(textOf(held)), 'free');
          if (held !== undefined) model.set(textOf(held), 'held');
        } else if (op === 'allocate') {
          leases.allocate(address);
          model.set(textOf(address), 'allocated');
        } else if (op === 'release') {
          leases.release(address);
          model.set(textOf(address), 'free');
        } else {
          leases.releaseHeld(address);
          if (state === 'held') model.set(textOf(address), 'free');
        }
      }
      const states = [...model.values()];
      const numberOf = (state: string) => states.filter((each) => each === state).length;
      t.deepEqual(leases.counts(), {
        allocated: numberOf('allocated'),
        held: numberOf('held'),
        free: numberOf('free'),
      });
      for (const address of all) t.is(leases.stateOf(address), model.get(textOf(address)) as never);
    }),
    { numRuns: 150 },
  );
});

test('an address that is not of the pool is left alone', (t) => {
  const leases = pool('ipv4', '10.0.0.0/29');
  for (const address of ['10.0.0.0', '10.0.0.1', '10.0.0.7', '10.0.1.2', 'fd00::2']) {
    const bytes = Uint8Array.from(ipaddr.parse(address).toByteArray());
    leases.allocate(bytes);
    leases.release(bytes);
    t.is(leases.stateOf(bytes), undefined);
  }
  t.deepEqual(leases.counts(), { allocated: 0, held: 0, free: 5 });
});

test('a tunnel takes both addresses or none', (t) => {
  const leases = new TunnelLeases(pool('ipv4', '10.0.0.0/29'), pool('ipv6', 'fd00::/126'));
  const first = leases.hold();
  t.truthy(first);
  t.truthy(leases.hold());
  t.is(leases.hold(), undefined);
  t.deepEqual(leases.counts(), {
    ipv4: { allocated: 0, held: 2, free: 3 },
    ipv6: { allocated: 0, held: 2, free: 0 },
  });
});
