import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { nymNodeByHand, nymNodeFromAnnouncement, registerNym } from '../../../src/client/index.ts';
import { dialledAddress } from '../../../src/client/nym/node-data.ts';
import { errorOf, nodeFor, optionsFor, wallet } from './fixture.ts';

test('a node that announces itself over HTTP is registered with', async (t) => {
  const node = await nodeFor(t);
  const from = await node.announce();
  const data = await nymNodeFromAnnouncement({ from, identity: node.identity, allowPrivate: true });
  t.deepEqual(data.address, { host: '127.0.0.1', port: node.port });
  t.is(data.source, 'fetched');
  t.true(Math.abs(data.clockHintS ?? 99) <= 2);
  const { entry } = await registerNym(optionsFor(data, { credentials: wallet() }));
  t.is(entry.ipv4, '10.1.0.5');
});

test('a Date that is off is a hint of the clock of the node', async (t) => {
  const node = await nodeFor(t);
  const from = await node.announce(node.announcement(), { date: new Date(Date.now() + 90_000).toUTCString() });
  const { clockHintS = 0 } = await nymNodeFromAnnouncement({ from, identity: node.identity, allowPrivate: true });
  t.true(Math.abs(clockHintS - 90) <= 2);
});

test('a file serves as well, with an address beside it, in the spelling of a directory too', async (t) => {
  const node = await nodeFor(t);
  const directory = mkdtempSync(join(tmpdir(), 'lewes-nym-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const from = join(directory, 'node.json');
  writeFileSync(from, node.announcement().replace('"data"', '"content"'));
  const options = { from, identity: node.identity, allowPrivate: true } as const;
  const bare = await nymNodeFromAnnouncement({ ...options, address: '127.0.0.1' });
  t.deepEqual(bare.address, { host: '127.0.0.1', port: node.port });
  t.is(bare.source, 'stored');
  const six = await nymNodeFromAnnouncement({ ...options, address: '::1' });
  t.deepEqual(six.address, { host: '::1', port: node.port });
  const other = await nymNodeFromAnnouncement({ ...options, address: '[::1]:9' });
  t.deepEqual(other.address, { host: '::1', port: 9 });
  t.is((await errorOf(t, nymNodeFromAnnouncement(options))).code, 'invalid_option');
  const missing = await errorOf(
    t,
    nymNodeFromAnnouncement({ ...options, from: join(directory, 'no'), address: '::1' }),
  );
  t.like(missing, { code: 'announcement', reason: 'file' });
});

test('an announcement that is of no use is refused, and told why', async (t) => {
  const node = await nodeFor(t);
  const good = node.announcement();
  const cases: readonly (readonly [reason: string, document: string])[] = [
    ['signature', good.replace(String(node.port), '41264')],
    ['not_json', 'hello'],
    ['malformed', '{}'],
    ['malformed', '{"data":{"enabled":true},"signature":"1"}'],
    ['kem', node.announcement({ kemKeys: new Map() })],
    ['disabled', node.announcement({ enabled: false })],
    ['too_long', ' '.repeat(70_000)],
  ];
  for (const [reason, document] of cases) {
    const from = await node.announce(document);
    const error = await errorOf(t, nymNodeFromAnnouncement({ from, identity: node.identity, allowPrivate: true }));
    t.like(error, { code: 'announcement', step: 'announcement', reason });
  }
  const from = await node.announce(good);
  const identity = new Uint8Array(32).fill(9);
  t.is((await errorOf(t, nymNodeFromAnnouncement({ from, identity, allowPrivate: true }))).reason, 'signature');
  const nowhere = await errorOf(t, nymNodeFromAnnouncement({ from: `${from}/other`, identity: node.identity }));
  t.is(nowhere.reason, 'http_status');
  t.is(node.accepted, 0);
});

test('an announcement that cannot be fetched is told apart from a node that cannot be reached', async (t) => {
  const node = await nodeFor(t);
  const { address } = node;
  await node.close();
  const error = await errorOf(t, nymNodeFromAnnouncement({ from: `http://${address}`, identity: node.identity }));
  t.like(error, { code: 'announcement', reason: 'unreachable' });
  t.regex(error.message, /ECONNREFUSED.*HTTP port is closed/);
  const abort = AbortSignal.abort(new Error('enough'));
  const options = { from: `http://${address}`, identity: node.identity, signal: abort };
  t.is((await errorOf(t, nymNodeFromAnnouncement(options))).code, 'aborted');
});

test('private and local addresses are refused unless they are allowed', async (t) => {
  const node = await nodeFor(t);
  const from = await node.announce();
  const { identity } = node;
  for (const address of [
    undefined,
    '10.0.0.7',
    '192.168.1.2:41264',
    '[fd00::1]:41264',
    '::ffff:127.0.0.1',
    '169.254.1.1',
  ]) {
    const options = { from, identity, ...(address !== undefined && { address }) };
    const error = await errorOf(t, nymNodeFromAnnouncement(options));
    t.like(error, { code: 'address', reason: 'private', step: 'announcement' });
    t.regex(error.message, /private or local address/);
  }
  const open = await nymNodeFromAnnouncement({ from, identity, address: '1.1.1.1' });
  t.deepEqual(await dialledAddress(open, 'direct'), { host: '1.1.1.1', port: node.port });
  const named = { ...open, address: { host: 'localhost', port: 1 } };
  t.is((await errorOf(t, dialledAddress(named, 'direct'))).code, 'address');
});

test('data by hand is checked before anything is sent', async (t) => {
  const lpKey = new Uint8Array(32).fill(7);
  const kemDigest = 'ab'.repeat(32);
  const address = '127.0.0.1:41264';
  t.deepEqual(nymNodeByHand({ address, lpKey, kemDigest }).kemDigest, {
    hash: 'blake3',
    digest: new Uint8Array(32).fill(0xab),
  });
  t.is(nymNodeByHand({ address, lpKey, kemDigest: `SHA256:${kemDigest}` }).kemDigest.hash, 'sha256');
  const wrong = [
    { address: '127.0.0.1', lpKey, kemDigest },
    { address, lpKey: 'xyz0', kemDigest },
    { address, lpKey, kemDigest: 'ab' },
    { address, lpKey, kemDigest: `md5:${kemDigest}` },
    { address, lpKey, kemDigest: new Uint8Array(31) },
  ];
  for (const data of wrong) {
    const error = t.throws(() => nymNodeByHand(data), { code: 'invalid_option' });
    t.notRegex(error?.message ?? '', /identity/);
  }
  const exit = nymNodeByHand({ address: 'node.example:41264', lpKey, kemDigest });
  const node = await nodeFor(t);
  const options = optionsFor(node.data(), { exit: { node: exit, wgPublicKey: lpKey } });
  t.is((await errorOf(t, registerNym(options))).code, 'invalid_option');
  t.is((await errorOf(t, registerNym(optionsFor(node.data(), { retries: -1 })))).code, 'invalid_option');
});
