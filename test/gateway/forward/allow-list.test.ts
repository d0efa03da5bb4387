import test from 'ava';
import { type AllowListEntry, AllowListError, createAllowList } from '../../../src/gateway/forward/allow-list.ts';
import type { ForwardTarget } from '../../../src/lp/wire/application-frame.ts';

const A = new Uint8Array(32).fill(1);
const B = new Uint8Array(32).fill(2);
const STRANGER = new Uint8Array(32).fill(3);

const LIST = createAllowList([
  { identity: A, address: '192.0.2.1', port: 41264 },
  { identity: A, address: '2001:DB8:0::0001', port: 41264 },
  { identity: B, address: '10.0.0.1', port: 1 },
]);

const V4 = [192, 0, 2, 1];
const V6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...V4];
const NAT64 = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ...V4];
const LOOPBACK_6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

function target(identity: Uint8Array, family: 0 | 4 | 6, ip: number[] = [], port = 0): ForwardTarget {
  return { identity, family, ip: Uint8Array.from(ip), port };
}

const FOUND: [title: string, target: ForwardTarget, address: string, port: number][] = [
  ['family 0 names the first address of its identity', target(A, 0), '192.0.2.1', 41264],
  ['a listed IPv4 address with its identity and port is found', target(A, 4, V4, 41264), '192.0.2.1', 41264],
  ['a listed IPv6 address is found in whatever form it is listed', target(A, 6, V6, 41264), '2001:db8::1', 41264],
  ['a listed private address is found', target(B, 4, [10, 0, 0, 1], 1), '10.0.0.1', 1],
];

const NOT_FOUND: [title: string, target: ForwardTarget][] = [
  ['an unlisted identity', target(STRANGER, 0)],
  ['an unlisted identity at a listed address', target(STRANGER, 4, V4, 41264)],
  ["another listed identity's address", target(B, 4, V4, 41264)],
  ['another port', target(A, 4, V4, 41265)],
  ['port 0', target(A, 4, V4, 0)],
  ['another address', target(A, 4, [192, 0, 2, 2], 41264)],
  ['the IPv4-mapped form of a listed address', target(A, 6, MAPPED, 41264)],
  ['the NAT64 form of a listed address', target(A, 6, NAT64, 41264)],
  ['IPv4 loopback', target(A, 4, [127, 0, 0, 1], 41264)],
  ['the unspecified IPv4 address', target(A, 4, [0, 0, 0, 0], 41264)],
  ['IPv6 loopback', target(A, 6, LOOPBACK_6, 41264)],
  ['IPv4 link-local', target(A, 4, [169, 254, 169, 254], 80)],
  ['IPv4 bytes under family 6', target(A, 6, V4, 41264)],
  ['IPv6 bytes under family 4', target(A, 4, V6, 41264)],
  ['a shortened address', target(A, 4, V4.slice(0, 3), 41264)],
  ['no address under family 4', target(A, 4, [], 41264)],
  ['an address under family 0', target(A, 0, V4, 41264)],
  ['a shortened identity', target(A.subarray(0, 31), 0)],
  ['no identity', target(new Uint8Array(0), 0)],
];

for (const [title, asked, address, port] of FOUND) {
  test(title, (t) => {
    const exit = LIST.find(asked);
    t.is(exit?.address, address);
    t.is(exit?.port, port);
  });
}

for (const [title, asked] of NOT_FOUND) {
  test(`${title} is not found`, (t) => t.is(LIST.find(asked), undefined));
}

test('an empty list finds nothing', (t) => {
  t.is(createAllowList([]).find(target(A, 0)), undefined);
});

test('family 0 and the address itself name the same exit', (t) => {
  t.is(LIST.find(target(A, 0))?.key, LIST.find(target(A, 4, V4, 41264))?.key);
});

test('two identities at one address are two exits', (t) => {
  const list = createAllowList([
    { identity: A, address: '192.0.2.1', port: 5 },
    { identity: B, address: '192.0.2.1', port: 5 },
    { identity: A, address: '192.0.2.1', port: 5 },
  ]);
  t.not(list.find(target(A, 0))?.key, list.find(target(B, 0))?.key);
});

const REFUSED: [title: string, entry: AllowListEntry][] = [
  ['a name', { identity: A, address: 'exit.example', port: 1 }],
  ['an empty address', { identity: A, address: '', port: 1 }],
  ['a wildcard', { identity: A, address: '*', port: 1 }],
  ['a network', { identity: A, address: '192.0.2.0/24', port: 1 }],
  ['a number for an address', { identity: A, address: '3221225985', port: 1 }],
  ['a hexadecimal address', { identity: A, address: '0x7f.1', port: 1 }],
  ['leading zeros', { identity: A, address: '192.000.002.001', port: 1 }],
  ['the unspecified IPv4 address', { identity: A, address: '0.0.0.0', port: 1 }],
  ['the unspecified IPv6 address', { identity: A, address: '::', port: 1 }],
  ['an IPv4-mapped address', { identity: A, address: '::ffff:192.0.2.1', port: 1 }],
  ['an address with a zone', { identity: A, address: 'fe80::1%lo', port: 1 }],
  ['port 0', { identity: A, address: '192.0.2.1', port: 0 }],
  ['port 65536', { identity: A, address: '192.0.2.1', port: 65_536 }],
  ['a broken port', { identity: A, address: '192.0.2.1', port: 1.5 }],
  ['a short identity', { identity: A.subarray(1), address: '192.0.2.1', port: 1 }],
];

for (const [title, entry] of REFUSED) {
  test(`a list with ${title} is refused`, (t) => {
    const error = t.throws(() => createAllowList([entry]), { instanceOf: AllowListError });
    t.is(error?.code, 'FORWARD_ALLOW_INVALID');
    t.is(error?.problems.length, 1);
  });
}

test('a refused list names all its problems', (t) => {
  const entry = { identity: A.subarray(1), address: 'x', port: -1 };
  const error = t.throws(() => createAllowList([entry, entry]), { instanceOf: AllowListError });
  t.is(error?.problems.length, 6);
});
