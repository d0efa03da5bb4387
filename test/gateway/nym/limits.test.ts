/** What one source and all together may take, and that every wait ends (nym.md §15 B30–B32, issue of limits: lp2.md §4.5). */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { GatewayDependencies } from '../../../src/gateway/gateway.ts';
import { startShardInThread } from '../../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { encodeNymForward } from '../../../src/lp/nym/forward.ts';
import { steppedClock } from '../../../src/system/clock.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { until } from '../../support/test-gateway.ts';
import { initial, type NymTestClient, type NymWorld, startNym } from './world.ts';

const key32 = () => Uint8Array.from(randomBytes(32));
const dropsOf = ({ gateway }: NymWorld) => gateway.nym!.acceptor.counts.drops;
const closedOf = ({ gateway }: NymWorld) => gateway.nym!.acceptor.counts.closed;

async function refused(client: NymTestClient): Promise<void> {
  const error = await client.handshake().then(
    () => undefined,
    (reason: Error) => reason,
  );
  if (error === undefined) throw new Error('it got a session');
  await client.closed;
}

test('a source that has used its handshakes up is closed without a word, others are not', async (t) => {
  const set = ['limits.handshake_burst=3', 'limits.handshakes_per_address=0.001'];
  const world = await startNym(t, { set });
  for (let i = 0; i < 3; i++) await world.meet();
  const client = await world.dial();
  await refused(client);
  t.is(client.received, 0);
  t.is(dropsOf(world).no_token, 1);
  await world.meet({ localAddress: '127.0.0.2' });
  t.is(world.gateway.admission.sessions, 4);
});

test('handshakes that stop half way hold a record each, up to the bound of their source, and give it back', async (t) => {
  const world = await startNym(t, { set: ['limits.records_per_address=2'] });
  const { gateway, dial, meet } = world;
  const half = async () => {
    const client = await dial();
    const step = client.initiator.start({ monotonicMs: 0, unixMs: 0 });
    client.sendStep(step);
    t.is((await client.message())?.length, 1_207);
    return client;
  };
  const first = await half();
  await half();
  const third = await dial();
  await refused(third);
  t.is(dropsOf(world).record_limit, 1);
  first.socket.destroy();
  const source = gateway.admission.known('127.0.0.1');
  await until(() => source?.places('record') === 1, 'the record is given back');
  await meet();
});

test('sessions are bounded per source and in all, and those that end make room', async (t) => {
  const world = await startNym(t, { set: ['limits.sessions_per_address=2', 'limits.sessions=3'] });
  const { gateway, dial, meet } = world;
  const first = await meet();
  await meet();
  await refused(await dial());
  await meet({ localAddress: '127.0.0.2' });
  await refused(await dial({ localAddress: '127.0.0.3' }));
  t.is(dropsOf(world).session_limit, 2);
  first.socket.destroy();
  await until(() => gateway.admission.sessions === 2, 'a session has ended');
  await meet({ localAddress: '127.0.0.3' });
});

test('connections are bounded per source and in all: those beyond are closed at once', async (t) => {
  const world = await startNym(t, { set: ['limits.connections_per_address=2', 'nym.connections=3'] });
  const { gateway, dial } = world;
  const first = await dial();
  await dial();
  await (await dial()).closed;
  await dial({ localAddress: '127.0.0.2' });
  await (await dial({ localAddress: '127.0.0.3' })).closed;
  t.is(gateway.nym?.acceptor.counts.refused, 2);
  t.is(gateway.nym?.acceptor.open, 3);
  first.socket.destroy();
  await until(() => gateway.nym?.acceptor.open === 2, 'it is gone');
  await dial();
});

test('a connection without a whole message, a message without an end and a handshake without one have their time', async (t) => {
  const world = await startNym(t);
  const { gateway, dial } = world;
  const { acceptor } = gateway.nym!;
  const now = () => performance.now();
  const silent = await dial();
  await until(() => acceptor.open === 1, 'it is accepted');
  acceptor.sweep(now() + 29_000);
  acceptor.sweep(now() + 30_000);
  await silent.closed;
  t.is(closedOf(world).handshake_timeout, 1);

  const slow = await dial();
  slow.socket.write(randomBytes(50));
  await until(() => acceptor.open === 1, 'it is accepted');
  const { sweep } = acceptor;
  await until(() => {
    sweep.call(acceptor, now() + 10_000);
    return closedOf(world).frame_timeout === 1;
  }, 'what began has not ended in ten seconds');
  await slow.closed;

  const half = await dial();
  half.sendStep(half.initiator.start({ monotonicMs: 0, unixMs: 0 }));
  await half.message();
  acceptor.sweep(now() + 89_000);
  t.is(acceptor.open, 1);
  acceptor.sweep(now() + 90_000);
  await half.closed;
  t.is(closedOf(world).handshake_timeout, 2);
  const source = gateway.admission.known('127.0.0.1');
  await until(() => source?.places('record') === 0, 'the record is given back');
});

test('sessions end when they are not used, when they are idle, and when they are old', async (t) => {
  const clock = steppedClock({ unixMs: Date.now() });
  const set = ['nym.unused_session=30', 'nym.session_idle=600', 'nym.session_max=1800'];
  const world = await startNym(t, { set, dependencies: { clock } });
  const { gateway, meet } = world;
  const { acceptor } = gateway.nym!;
  const pass = async (ms: number) => {
    clock.advance(ms);
    // Every connection is looked at within sixteen ticks.
    for (let i = 0; i < 17; i++) {
      gateway.tick();
      await until(() => gateway.hosts.every(({ mailbox }) => mailbox.idle), 'the tick is through');
    }
  };
  const use = async (client: NymTestClient) => {
    const time = BigInt(Math.floor(clock.now().unixMs / 1_000));
    t.like(await client.register({ ...initial(key32()), time }), { kind: 'completed' });
  };
  const [unused, idle, old] = [await meet(), await meet(), await meet()];
  await use(idle);
  await use(old);
  await pass(29_000);
  t.is(acceptor.sessions, 3);
  await pass(1_000);
  await unused.closed;
  t.is(acceptor.sessions, 2);
  await pass(300_000);
  await use(old);
  await pass(300_000);
  await idle.closed;
  t.is(acceptor.sessions, 1);
  await use(old);
  for (let i = 0; i < 3; i++) {
    await pass(350_000);
    await use(old);
  }
  await pass(350_000);
  await old.closed;
  t.is(closedOf(world).expired, 3);
  await until(() => gateway.admission.sessions === 0, 'their places are given back');
});

async function generousExit(t: ExecutionContext, { gateway, config }: NymWorld): Promise<number> {
  const server = createServer((socket) => {
    t.teardown(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write(Buffer.alloc(65_000)));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const allow = [{ identity: key32(), address: '127.0.0.1', port }];
  gateway.reload({ ...config, forward: { ...config.forward, allow } });
  return port;
}

test('a client that does not read is not read either, and closed after thirty seconds without taking anything', async (t) => {
  const world = await startNym(t);
  const { gateway, meet } = world;
  const port = await generousExit(t, world);
  const client = await meet();
  client.socket.pause();
  const target = { family: 4, ip: Uint8Array.of(127, 0, 0, 1), port } as const;
  const content = encodeNymForward({ target, replyLength: 65_000, bytes: Uint8Array.of(1) });
  // A session of its own making would stop at sixteen; this client sends on.
  const { channel } = client.session as unknown as { channel: { seal(kind: number, content: Uint8Array): Uint8Array } };
  const wires = Array.from({ length: 400 }, () => channel.seal(2, content).slice());
  client.socket.write(Buffer.concat(wires));
  const { forwarder, acceptor } = gateway.nym!;
  // Some megabytes lie in the system's buffers; then everything stands.
  let [served, turns] = [0, 0];
  const stands = () => {
    turns = served > 0 && forwarder.results.ok === served && forwarder.inFlight === 0 ? turns + 1 : 0;
    served = forwarder.results.ok;
    return turns === 2_000;
  };
  await until(stands, 'nothing moves any more');
  t.true(served < 400, 'not all was served');
  acceptor.sweep(performance.now() + 29_000);
  t.is(acceptor.open, 1);
  acceptor.sweep(performance.now() + 31_000);
  t.is(closedOf(world).not_reading, 1);
  await until(() => acceptor.open === 0 && forwarder.connections === 0, 'nothing is left of it');
});

test('a client that reads late gets all that it has asked for, in order', async (t) => {
  const world = await startNym(t);
  const port = await generousExit(t, world);
  const client = await world.meet();
  const target = { family: 4, ip: Uint8Array.of(127, 0, 0, 1), port } as const;
  const content = encodeNymForward({ target, replyLength: 65_000, bytes: Uint8Array.of(1) });
  client.socket.pause();
  for (let i = 0; i < 16; i++) client.send('forward', content);
  await until(() => world.gateway.nym!.forwarder.results.ok > 3, 'some are served');
  client.socket.resume();
  for (let i = 0; i < 16; i++) t.is((await client.answer())?.length, 65_000);
});

test('a flood of bad handshakes from one source leaves others their handshakes', async (t) => {
  const world = await startNym(t, { set: ['limits.handshake_burst=50'] });
  const { gateway, dial, meet } = world;
  const flood = Array.from({ length: 200 }, async () => {
    const client = await dial({ localAddress: '127.0.0.66' });
    client.socket.write(randomBytes(91));
    await client.closed;
    return client.received;
  });
  const honest = await Promise.all([meet(), meet({ localAddress: '127.0.0.2' })]);
  for (const client of honest) t.like(await client.register(initial(key32())), { kind: 'completed' });
  t.deepEqual(new Set(await Promise.all(flood)), new Set([0]));
  const { mask, no_token: noToken } = dropsOf(world);
  t.is(mask + noToken, 200);
  t.true(noToken >= 140);
  await until(() => gateway.nym?.acceptor.open === 2, 'only the honest ones are left');
});

test('handshakes that find no room with a busy shard are closed without a word, and cost their source nothing', async (t) => {
  let gate: Promise<void> = Promise.resolve();
  const crypto = await loadProvider('auto');
  const startShard: GatewayDependencies['startShard'] = (_, options) => {
    const thread = startShardInThread(options, { crypto, random: systemRandom, loopDelayMs: () => 0 });
    return {
      ...thread,
      async run(batch) {
        const own = batch.slice();
        await gate;
        return thread.run(own);
      },
    };
  };
  const set = ['limits.queued_handshakes=4', 'limits.handshakes_per_address=0.001', 'limits.handshake_burst=60'];
  const world = await startNym(t, { set, dependencies: { startShard } });
  const { gateway, dial, meet } = world;
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  const clients = await Promise.all(Array.from({ length: 40 }, () => dial()));
  const { acceptor } = gateway.nym!;
  const outcomes = clients.map((client) =>
    client.handshake().then(
      () => 'session',
      () => `closed after ${client.received} bytes`,
    ),
  );
  await until(() => acceptor.counts.messages === 40, 'all have sent their KKT request');
  const full = acceptor.counts.drops.mailbox_full;
  t.true(full >= 30 && full < 40, String(full));
  gate = Promise.resolve();
  resolve();
  const counted = Object.groupBy(await Promise.all(outcomes), (outcome) => outcome);
  t.is(counted['closed after 0 bytes']?.length, full);
  // A lane as short as this one may have no room for message 1 either.
  const begun = (counted.session?.length ?? 0) + (counted['closed after 1207 bytes']?.length ?? 0);
  t.is(begun, 40 - full);
  t.true((counted.session?.length ?? 0) > 0);
  const source = gateway.admission.known('127.0.0.1');
  await until(() => source?.places('record') === 0, 'the records are given back');
  // 60 at the beginning, one for each that got in: those that were refused have theirs again.
  for (let i = 0; i < 60 - begun; i++) await meet();
  await refused(await dial());
  t.is(acceptor.counts.drops.no_token, 1);
});
