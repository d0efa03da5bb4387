/** The UAPI backend against a process that obeys, refuses, misbehaves or is not there (registration.md, rule 2). */
import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import test from 'ava';
import { WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createUapiWireGuard, type UapiWireGuardOptions } from '../../src/registration/wireguard/uapi.ts';
import { unreachableError } from '../../src/registration/wireguard/uapi-errors.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { turns, until } from '../support/stepped-time.ts';
import { type Misbehaviour, OWN_PUBLIC_KEY } from './fake-uapi.ts';
import { bytes32 } from './fixture.ts';
import { collect, createWorld, nthPeer, nthPeers, PORT, PRIVATE_KEY, peer, stream } from './uapi-world.ts';

const UNAVAILABLE = { instanceOf: WireGuardError, code: 'WIREGUARD_UNAVAILABLE' } as const;
const REFUSED = { instanceOf: WireGuardError, code: 'WIREGUARD_REFUSED' } as const;
const CLOSED = { instanceOf: WireGuardError, code: 'WIREGUARD_CLOSED' } as const;

test('a fresh interface gets key and port, one that has them is left as it is', async (t) => {
  const { fake, wireguard, states } = await createWorld(t);
  t.deepEqual(await wireguard.check(), {
    kind: 'present',
    key: 'none',
    listenPort: 0,
    peers: 0,
    dialect: 'wireguard-go',
  });
  await wireguard.configure();
  t.is(fake.port, PORT);
  t.deepEqual(fake.sets, [0]);
  t.like(await wireguard.check(), { key: 'ours', listenPort: PORT });
  await wireguard.configure();
  t.deepEqual(fake.sets, [0]);
  t.deepEqual(states, [{ kind: 'ready', dialect: 'wireguard-go' }]);
});

test('another private key is replaced and reported', async (t) => {
  const { fake, wireguard, events } = await createWorld(t);
  fake.privateKey = '40'.repeat(32);
  fake.port = PORT;
  t.like(await wireguard.check(), { key: 'other' });
  await wireguard.configure();
  t.like(await wireguard.check(), { key: 'ours' });
  t.deepEqual(events, [{ kind: 'keyReplaced' }]);
});

test('a peer is made with its keys and addresses, changed in place, and removed', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  const a = peer('a', ['10.0.0.2/32', 'fd00::2/128']);
  await wireguard.upsert(a);
  t.like(fake.peer(a.publicKey), { presharedKey: Buffer.from(bytes32('psk of a')).toString('hex'), keepalive: 25 });
  t.deepEqual(fake.routesOf(a.publicKey), ['10.0.0.2/32', 'fd00::2/128']);
  const session = fake.peer(a.publicKey)?.session;
  await wireguard.upsert(peer('a', ['10.0.0.3/32'], 'another'));
  t.like(fake.peer(a.publicKey), { presharedKey: Buffer.from(bytes32('another')).toString('hex'), session });
  t.deepEqual(fake.routesOf(a.publicKey), ['10.0.0.3/32']);
  await wireguard.remove(a.publicKey);
  await wireguard.remove(a.publicKey);
  t.is(fake.peers.size, 0);
  t.is(fake.routes.size, 0);
});

test('what is asked in one turn goes into sets of at most 256 peers, one connection at a time', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await wireguard.configure();
  await Promise.all(nthPeers(600).map((each) => wireguard.upsert(each)));
  t.deepEqual(fake.sets, [0, 256, 256, 88]);
  t.is(fake.peers.size, 600);
  t.is(fake.mostAtOnce, 1);
});

test('changes of one peer in one turn are carried out in their order', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  const { publicKey } = nthPeer(0);
  await Promise.all([wireguard.upsert(nthPeer(0)), wireguard.remove(publicKey)]);
  t.is(fake.peers.size, 0);
  await Promise.all([wireguard.remove(publicKey), wireguard.upsert(nthPeer(0))]);
  t.is(fake.peers.size, 1);
});

test('the preshared key is read during the call only', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  const a = peer('a', ['10.0.0.2/32']);
  const done = wireguard.upsert(a);
  a.presharedKey.wipe();
  await done;
  t.is(fake.peer(a.publicKey)?.presharedKey, Buffer.from(bytes32('psk of a')).toString('hex'));
});

test('peers that are refused fail alone', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  const bad = [3, 4, 200].map((i) => nthPeer(i).publicKey);
  for (const key of bad) fake.refused.add(Buffer.from(key).toString('hex'));
  const outcomes = await Promise.allSettled(nthPeers(256).map((each) => wireguard.upsert(each)));
  t.deepEqual(
    outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : [])),
    [3, 4, 200],
  );
  t.is(fake.peers.size, 253);
  t.true(fake.sets.length < 60, `${fake.sets.length} sets`);
  await t.throwsAsync(wireguard.remove(bad[0]!), REFUSED);
});

test("the interface's own key is refused as a peer's", async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await t.throwsAsync(wireguard.upsert({ ...peer('a', ['10.0.0.2/32']), publicKey: OWN_PUBLIC_KEY }), REFUSED);
  t.is(fake.operations.length, 0);
});

test('a trouble that passes is tried again and reported', async (t) => {
  const { fake, time, wireguard, events } = await createWorld(t);
  await wireguard.configure();
  for (const trouble of ['EIO', 'hang up', 'garbage', 'oversized', 'break off'] as const) {
    fake.next.push(trouble);
    await time.drive(wireguard.upsert(nthPeer(0)), 50);
    t.like(events.at(-1), { kind: 'retried', attempt: 1 });
  }
  t.is(events.length, 5);
  fake.next.push('break off', 'garbage');
  t.is((await time.drive(collect(wireguard.list()), 50)).length, 1);
});

const LASTING: readonly (readonly [Misbehaviour, number, RegExp])[] = [
  ['EIO', 3, /EIO/],
  ['hang up', 3, /ended early|connection lost/],
  ['garbage', 3, /line malformed/],
  ['oversized', 3, /too long/],
  ['silence', 1, /timed out/],
];

for (const [trouble, attempts, message] of LASTING) {
  test(`after ${attempts} times ${trouble} the interface is unavailable, and others learn it at once`, async (t) => {
    const { fake, time, wireguard, states } = await createWorld(t);
    await wireguard.configure();
    const before = fake.operations.length;
    fake.next.push(...new Array<Misbehaviour>(attempts).fill(trouble));
    const asked = Promise.allSettled([wireguard.upsert(nthPeer(0)), wireguard.upsert(nthPeer(1))]);
    for (const outcome of await time.drive(asked, 50)) {
      t.is(outcome.status, 'rejected');
      if (outcome.status === 'rejected') t.regex(outcome.reason.message, message);
    }
    t.is(fake.operations.length - before, attempts);
    t.is(states.at(-1)?.kind, 'unavailable');
    await t.throwsAsync(wireguard.upsert(nthPeer(0)), { message });
    t.is(fake.operations.length - before, attempts);
    time.advance(1_000);
    await wireguard.upsert(nthPeer(0));
    t.is(states.at(-1)?.kind, 'ready');
  });
}

test('an interface that is away is unavailable, with what to do', async (t) => {
  const { fake, time, wireguard } = await createWorld(t);
  fake.kill();
  await t.throwsAsync(wireguard.upsert(nthPeer(0)), { ...UNAVAILABLE, message: /ECONNREFUSED.*start wireguard-go/ });
  const away = await createWorld(t, { socketPath: `${tempDir(t)}/none.sock` });
  await t.throwsAsync(away.wireguard.resync(stream([])), { ...UNAVAILABLE, message: /ENOENT.*start wireguard-go/ });
  t.like(await away.wireguard.check(), { kind: 'unreachable', error: { code: 'WIREGUARD_UNAVAILABLE' } });
  const file = `${tempDir(t)}/file.sock`;
  writeFileSync(file, '');
  const noSocket = await createWorld(t, { socketPath: file });
  await t.throwsAsync(collect(noSocket.wireguard.list()), { ...UNAVAILABLE, message: /ECONNREFUSED|ENOTSOCK/ });
  t.is(time.pending, 0);
});

test('the hint for a forbidden socket warns of chmod', (t) => {
  t.regex(unreachableError('/run/x.sock', 'EACCES').message, /same user.*chmod or chgrp.*makes wireguard-go end/);
});

test('a port that is taken is refused with its number, and set again although the interface shows it', async (t) => {
  const { fake, time, wireguard } = await createWorld(t);
  fake.portTaken = true;
  await t.throwsAsync(wireguard.configure(), { ...REFUSED, message: /UDP port 51820 is taken/ });
  t.is(fake.port, PORT);
  fake.portTaken = false;
  time.advance(1_000);
  await wireguard.upsert(nthPeer(0));
  t.deepEqual(fake.sets, [0, 0, 1]);
});

test('boringtun is known by what it shows, and gets one peer at a time, made anew when it changes', async (t) => {
  const { fake, wireguard, states } = await createWorld(t, {}, 'boringtun');
  await Promise.all([wireguard.upsert(nthPeer(0)), wireguard.upsert(nthPeer(1))]);
  await wireguard.upsert(peer('peer 0', ['10.9.9.9/32']));
  t.deepEqual(states, [{ kind: 'ready', dialect: 'boringtun' }]);
  t.deepEqual(fake.sets, [0, 1, 1, 1, 1, 1, 1]);
  t.deepEqual(fake.routesOf(nthPeer(0).publicKey), ['10.9.9.9/32']);
  await until(() => fake.connections === 0);
});

test('boringtun is known by the sign of its errors where it shows nothing', async (t) => {
  const { fake, wireguard } = await createWorld(t, { publicKey: new Uint8Array(32) }, 'boringtun');
  // Shows the private key, as no boringtun does, so that only the errors are left to tell.
  Object.assign(fake, { dialect: 'wireguard-go' });
  await wireguard.configure();
  Object.assign(fake, { dialect: 'boringtun' });
  await Promise.all([wireguard.remove(bytes32('x')), wireguard.upsert(nthPeer(0))]);
  t.is(fake.peers.size, 1);
  t.is(Math.max(...fake.sets.slice(2)), 1);
  await until(() => fake.connections === 0);
});

test('counters are those of the interface, and may be acted upon while they are read', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await Promise.all(nthPeers(300).map((each) => wireguard.upsert(each)));
  Object.assign(fake.peer(nthPeer(7).publicKey)!, { rx: 70, tx: 2 ** 40 });
  let seen = 0;
  for await (const { publicKey, received, sent } of wireguard.list()) {
    seen += 1;
    if (received > 0) t.deepEqual([received, sent], [70, 2 ** 40]);
    if (received > 0) await wireguard.remove(publicKey);
  }
  t.is(seen, 300);
  t.is(fake.peers.size, 299);
});

test('closing ends what is under way and refuses what comes', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await wireguard.configure();
  fake.next.push('silence');
  const pending = [wireguard.upsert(nthPeer(0)), wireguard.remove(bytes32('x')), collect(wireguard.list())];
  const settled = Promise.allSettled(pending);
  await until(() => fake.operations.length === 4);
  await wireguard.close();
  for (const outcome of await settled) t.like(outcome, { status: 'rejected', reason: { code: 'WIREGUARD_CLOSED' } });
  await t.throwsAsync(wireguard.upsert(nthPeer(0)), CLOSED);
  await t.throwsAsync(wireguard.resync(stream([])), CLOSED);
  await t.throwsAsync(collect(wireguard.list()), CLOSED);
  await t.throwsAsync(wireguard.check(), CLOSED);
  await t.throwsAsync(wireguard.configure(), CLOSED);
  await until(() => fake.connections === 0);
  await wireguard.close();
});

test('closing during a pause before a repetition ends the pause', async (t) => {
  const { fake, time, wireguard, events } = await createWorld(t);
  await wireguard.configure();
  fake.next.push('EIO');
  const asked = t.throwsAsync(wireguard.upsert(nthPeer(0)), CLOSED);
  await until(() => events.length === 1);
  await turns();
  await wireguard.close();
  await asked;
  t.is(time.pending, 0);
});

test('too many changes at once are refused instead of kept', async (t) => {
  const { wireguard } = await createWorld(t);
  const asked = Array.from({ length: 4_097 }, () => wireguard.remove(bytes32('x')));
  await t.throwsAsync(asked.at(-1)!, { ...UNAVAILABLE, message: /4096 changes/ });
  await Promise.all(asked.slice(0, -1));
});

test('the backend shows no key when it is printed', async (t) => {
  const { wireguard } = await createWorld(t);
  const shown = inspect(wireguard, { depth: 10, showHidden: true }) + JSON.stringify(wireguard);
  t.notRegex(shown, new RegExp(`${PRIVATE_KEY[5]}, ${PRIVATE_KEY[6]}, ${PRIVATE_KEY[7]}`));
});

test('options that cannot work are assertions', async (t) => {
  const { time } = await createWorld(t);
  const good: UapiWireGuardOptions = {
    interfaceName: 'wg0',
    privateKey: { bytes: PRIVATE_KEY },
    publicKey: OWN_PUBLIC_KEY,
    listenPort: PORT,
    timers: time,
    clock: time.clock,
  };
  const wrong: readonly Partial<UapiWireGuardOptions>[] = [
    { interfaceName: '../wg0' },
    { interfaceName: '..' },
    { interfaceName: 'sixteen-letters-' },
    { listenPort: 0 },
    { privateKey: { bytes: new Uint8Array(31) } },
  ];
  for (const each of wrong) t.throws(() => createUapiWireGuard({ ...good, ...each }), { message: /^assertion/ });
});
