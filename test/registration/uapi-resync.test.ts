/** A full resync, and what leads to it: the restart of the WireGuard process (registration.md, rules 2 and 5). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { PeersRefusedError } from '../../src/registration/wireguard/peers-refused.ts';
import { until } from '../support/stepped-time.ts';
import { OWN_PUBLIC_KEY } from './fake-uapi.ts';
import { createWorld, nthPeer, nthPeers, PORT, peer, stream } from './uapi-world.ts';

const UNAVAILABLE = { instanceOf: WireGuardError, code: 'WIREGUARD_UNAVAILABLE' } as const;

test('a resync makes the wanted peers the only ones, in sets of at most 256', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await wireguard.resync(stream(nthPeers(700)));
  t.deepEqual(fake.sets, [0, 256, 256, 188]);
  await wireguard.resync(stream(nthPeers(300)));
  t.is(fake.peers.size, 300);
  t.deepEqual(fake.sets.slice(4), [256, 144]);
  await wireguard.resync(stream([]));
  t.is(fake.peers.size, 0);
});

test('a resync does not touch peers that are as wanted, and changes others in place', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await wireguard.resync(stream(nthPeers(500)));
  Object.assign(fake.peer(nthPeer(1).publicKey)!, { rx: 5, tx: 6 });
  const sessions = [...fake.peers.values()].map(({ session }) => session);
  const wanted = nthPeers(500);
  wanted[2] = { ...peer('peer 2', nthPeer(2).allowedIps, 'new'), keepaliveSeconds: 25 };
  wanted[3] = { ...nthPeer(3), keepaliveSeconds: 0 };
  wanted[4] = { ...nthPeer(4), allowedIps: ['10.9.9.9/32'] };
  wanted[5] = { ...nthPeer(5), allowedIps: nthPeer(5).allowedIps.toReversed() };
  await wireguard.resync(stream(wanted));
  t.deepEqual(fake.sets.slice(3), [3]);
  t.deepEqual(
    [...fake.peers.values()].map(({ session }) => session),
    sessions,
  );
  t.like(fake.peer(nthPeer(1).publicKey), { rx: 5, tx: 6, touched: 1 });
  t.deepEqual(fake.routesOf(nthPeer(4).publicKey), ['10.9.9.9/32']);
});

test('each peer is read only until the next is asked for', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  async function* wiping() {
    for (const each of nthPeers(300)) {
      yield each;
      each.presharedKey.wipe();
    }
  }
  await wireguard.resync(wiping());
  await wireguard.resync(stream(nthPeers(300)));
  t.deepEqual(fake.sets, [0, 256, 44]);
});

test('of two wanted peers with one address the one whose tunnel works keeps it, whatever the order', async (t) => {
  const holder = peer('a', ['10.0.0.2/32']);
  const other = peer('b', ['10.0.0.2/32']);
  for (const wanted of [
    [holder, other, nthPeer(9)],
    [other, holder, nthPeer(9)],
  ]) {
    const { fake, wireguard } = await createWorld(t);
    await wireguard.resync(stream([holder]));
    fake.onOperation = () => {
      if (fake.operations.length > 3) t.deepEqual(fake.routesOf(holder.publicKey), ['10.0.0.2/32']);
    };
    const error = await t.throwsAsync(wireguard.resync(stream(wanted)), { instanceOf: PeersRefusedError });
    t.is(error?.count, 1);
    t.deepEqual(error?.publicKeys, [other.publicKey]);
    t.deepEqual(fake.routesOf(holder.publicKey), ['10.0.0.2/32']);
    t.is(fake.peer(holder.publicKey)?.touched, 1);
    t.is(fake.peers.size, 2);
  }
});

test('an address goes from a peer that is not wanted any more to the one that is', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await wireguard.resync(stream([peer('a', ['10.0.0.2/32']), peer('z', ['10.0.0.9/32'])]));
  await wireguard.resync(stream([peer('b', ['10.0.0.2/32']), peer('z', ['10.0.0.9/32'])]));
  t.deepEqual(fake.routesOf(peer('b', []).publicKey), ['10.0.0.2/32']);
  t.is(fake.peers.size, 2);
  t.is(fake.peer(peer('z', []).publicKey)?.touched, 1);
});

test('peers that exchange their addresses both get what they want', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  const [x, y] = [['10.0.0.2/32'], ['10.0.0.3/32']];
  await wireguard.resync(stream([peer('a', x), peer('b', y)]));
  await wireguard.resync(stream([peer('a', y), peer('b', x)]));
  t.deepEqual(fake.routesOf(peer('a', []).publicKey), y);
  t.deepEqual(fake.routesOf(peer('b', []).publicKey), x);
});

test('a peer that is refused fails no other', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  fake.refused.add(Buffer.from(nthPeer(100).publicKey).toString('hex'));
  const own = { ...nthPeer(5_000), publicKey: OWN_PUBLIC_KEY };
  const error = await t.throwsAsync(wireguard.resync(stream([own, ...nthPeers(300)])), {
    instanceOf: PeersRefusedError,
    code: 'WIREGUARD_REFUSED',
    message: /^2 peers were refused, the first because/,
  });
  t.deepEqual(error?.publicKeys, [OWN_PUBLIC_KEY, nthPeer(100).publicKey]);
  t.is(fake.peers.size, 299);
});

test('changes that are asked for during a resync come after it, and win', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  let removed: Promise<void> | undefined;
  async function* peers() {
    removed = wireguard.remove(nthPeer(0).publicKey);
    await nextTurn();
    yield* nthPeers(300);
  }
  await wireguard.resync(peers());
  t.is(fake.peers.size, 300);
  await removed;
  t.is(fake.peers.size, 299);
});

test('a source that fails leaves the interface as far as it came, and the next resync works', async (t) => {
  const { fake, wireguard } = await createWorld(t);
  await wireguard.resync(stream([peer('a', ['10.0.0.2/32'])]));
  async function* failing() {
    yield nthPeer(1);
    throw new Error('the store is away');
  }
  await t.throwsAsync(wireguard.resync(failing()), { message: 'the store is away' });
  t.is(fake.peers.size, 1);
  await wireguard.resync(stream([nthPeer(1)]));
  t.is(fake.peers.size, 1);
});

test('after a restart the interface is found within tenths of a second, set up, and its peers asked for', async (t) => {
  const { fake, time, wireguard, states, events } = await createWorld(t);
  await wireguard.configure();
  let resets = 0;
  let resynced: Promise<void> | undefined;
  wireguard.onReset(() => {
    resets += 1;
    resynced = wireguard.resync(stream(nthPeers(300)));
  });
  await wireguard.resync(stream(nthPeers(300)));
  fake.kill();
  await until(() => wireguard.state.kind === 'unavailable');
  await t.throwsAsync(wireguard.upsert(nthPeer(0)), { ...UNAVAILABLE, message: /has ended/ });
  await fake.start();
  t.is(fake.peers.size, 0);
  time.advance(100);
  await until(() => resets === 1);
  t.is(fake.port, PORT);
  await resynced;
  t.is(fake.peers.size, 300);
  t.is(time.pending, 0);
  t.deepEqual(
    states.map(({ kind }) => kind),
    ['ready', 'unavailable', 'ready'],
  );
  t.deepEqual(events, [{ kind: 'reset' }]);
});

test('an interface that stays away is looked for less often, down to once a second, and told once', async (t) => {
  const { fake, time, wireguard, states } = await createWorld(t);
  wireguard.onReset(() => undefined);
  fake.kill();
  await t.throwsAsync(wireguard.configure(), UNAVAILABLE);
  const delays: number[] = [];
  for (let poll = 0; poll < 8; poll += 1) {
    await until(() => time.pending === 1);
    const before = time.nowMs;
    while (time.pending === 1) time.advance(50);
    delays.push(time.nowMs - before);
    await until(() => wireguard.state.kind === 'unavailable' && time.pending === 1);
  }
  t.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
  t.is(states.length, 1);
});

test('nobody looks for an interface that nobody waits for, and who asks does so once a second', async (t) => {
  const { fake, time, wireguard } = await createWorld(t);
  await wireguard.configure();
  fake.kill();
  await until(() => wireguard.state.kind === 'unavailable');
  t.is(time.pending, 0);
  time.advance(1_000);
  await t.throwsAsync(wireguard.upsert(nthPeer(0)), { ...UNAVAILABLE, message: /ECONNREFUSED/ });
  await fake.start();
  time.advance(999);
  await t.throwsAsync(wireguard.upsert(nthPeer(0)), { ...UNAVAILABLE, message: /ECONNREFUSED/ });
  time.advance(1);
  await wireguard.upsert(nthPeer(0));
  t.is(fake.peers.size, 1);
});

test('a process that dies during a resync does not get the second half of it', async (t) => {
  const { fake, time, wireguard } = await createWorld(t);
  await wireguard.configure();
  fake.onOperation = () => {
    if (fake.sets.length === 2) fake.next.push('die');
  };
  await t.throwsAsync(time.drive(wireguard.resync(stream(nthPeers(700)))), UNAVAILABLE);
  fake.onOperation = undefined;
  await fake.start();
  time.advance(1_000);
  await wireguard.resync(stream(nthPeers(700)));
  t.is(fake.peers.size, 700);
  t.is(fake.port, PORT);
});

test('an interface that silently lost its key is set up anew, and its peers asked for', async (t) => {
  const { fake, time, wireguard } = await createWorld(t);
  let resets = 0;
  wireguard.onReset(() => {
    resets += 1;
  });
  await wireguard.resync(stream([nthPeer(0)]));
  fake.privateKey = undefined;
  await t.throwsAsync(wireguard.resync(stream([nthPeer(0)])), { ...UNAVAILABLE, message: /lost its key/ });
  time.advance(100);
  await until(() => resets === 1);
  await wireguard.resync(stream([nthPeer(0)]));
  t.like(await wireguard.check(), { key: 'ours', peers: 1 });
});

test('the turns of the loop go on during a resync of many equal peers', async (t) => {
  const { wireguard } = await createWorld(t);
  const wanted = nthPeers(2_000);
  await wireguard.resync(stream(wanted));
  let count = 0;
  let done = false;
  const resynced = wireguard.resync(stream(wanted)).then(() => {
    done = true;
  });
  while (!done) {
    await nextTurn();
    count += 1;
  }
  await resynced;
  t.true(count >= 2_000 / 256, `${count} turns`);
});
