/** What counts as one source (§4.5). */
import test from 'ava';
import { ListedSources, sourceKey } from '../../src/gateway/source-key.ts';

const KEYS: readonly [address: string, key: string][] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '20010db800010002/64'],
  ['2001:db8:1:2::', '20010db800010002/64'],
  ['::1', '0000000000000000/64'],
  ['fe80::1%eth0', 'fe80000000000000/64'],
  ['', 'unknown'],
  ['no address', 'unknown'],
];

for (const [address, key] of KEYS) {
  test(`the source of "${address}" is ${key}`, (t) => t.is(sourceKey(address), key));
}

const entry = (cidr: string) => ({
  cidr,
  handshakesPerSecond: 1,
  burst: 1,
  sessions: 1,
  quotes: 1,
  records: 1,
  connections: 1,
});
const listed = new ListedSources(['10.1.0.0/16', '10.0.0.0/8', '2001:db8::/32', 'fe80::/10'].map(entry));

const FOUND: readonly [address: string, cidr: string | undefined][] = [
  ['10.1.2.3', '10.1.0.0/16'],
  ['10.2.2.3', '10.0.0.0/8'],
  ['::ffff:10.1.2.3', '10.1.0.0/16'],
  ['11.0.0.1', undefined],
  ['2001:db8:ffff::1', '2001:db8::/32'],
  ['2001:db9::1', undefined],
  ['fe80::1%eth0', 'fe80::/10'],
  ['fe80::1%1', 'fe80::/10'],
  ['', undefined],
];

for (const [address, cidr] of FOUND) {
  test(`"${address}" is listed as ${cidr ?? 'nothing'}`, (t) => t.is(listed.find(address)?.cidr, cidr));
}
