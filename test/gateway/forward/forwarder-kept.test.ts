/** Which connections are kept, for whom, and when they go. */
import { connect, Socket } from 'node:net';
import test from 'ava';
import { createAllowList } from '../../../src/gateway/forward/allow-list.ts';
import { type Bench, HELLO, IDENTITY, REPLY, REPLY_2, SEALED, setUp } from './bench.ts';
import { type ExitSide, FakeExit, frames, HANDSHAKE_INDEX, packet } from './fake-exit.ts';

/** One exchange that ends well on a new connection; returns the exit's side of it. */
async function onNew(
  { exit, forwarder, request }: Bench,
  changes: Parameters<Bench['request']>[0] = {},
): Promise<ExitSide> {
  const result = forwarder.forward(request(changes));
  const side = await exit.accept();
  await side.receive();
  side.send(REPLY);
  await result;
  return side;
}

/** One exchange that ends well on a connection that is there. */
async function onKept({ forwarder, request }: Bench, side: ExitSide, changes: Parameters<Bench['request']>[0] = {}) {
  const result = forwarder.forward(request(changes));
  await side.receive();
  side.send(REPLY);
  return result;
}

test('the next exchange of the family with the exit uses the kept connection', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  t.is((await onKept(bench, side)).status, 0);
  const ip = Uint8Array.of(127, 0, 0, 1);
  const byAddress = { identity: IDENTITY, family: 4, ip, port: bench.exit.port } as const;
  t.is((await onKept(bench, side, { target: byAddress })).status, 0);
  t.like(bench.forwarder.status(), { connectionsOpened: 1, connectionsReused: 2, keptConnections: 1 });
});

test('another family gets a connection of its own', async (t) => {
  const bench = await setUp(t);
  await onNew(bench);
  await onNew(bench, { family: 'b' });
  t.like(bench.forwarder.status(), { connectionsOpened: 2, connectionsReused: 0, keptConnections: 2 });
});

test('another target gets a connection of its own, also at the same address', async (t) => {
  const other = new Uint8Array(32).fill(9);
  const exit = await FakeExit.listen();
  t.teardown(() => exit.close());
  const entries = [IDENTITY, other].map((identity) => ({ identity, address: '127.0.0.1', port: exit.port }));
  const bench = { ...(await setUp(t, { allowList: createAllowList(entries) })), exit };
  await onNew(bench);
  await onNew(bench, { target: { ...bench.request().target, identity: other } });
  t.is(bench.forwarder.status().keptConnections, 2);
});

test('an exchange that is to be alone neither takes a kept connection nor leaves one', async (t) => {
  const bench = await setUp(t);
  await onNew(bench);
  const side = await onNew(bench, { alone: true });
  await side.closed;
  t.like(bench.forwarder.status(), { connectionsOpened: 2, connectionsReused: 0, keptConnections: 1 });
});

test('an exchange never shares its connection with another', async (t) => {
  const bench = await setUp(t);
  const first = await onNew(bench);
  const a = bench.forwarder.forward(bench.request());
  const b = bench.forwarder.forward(bench.request());
  const second = await bench.exit.accept();
  await first.receive();
  await second.receive();
  t.is(first.unread + second.unread, 0);
  second.send(REPLY_2);
  t.deepEqual((await b).packets, [new Uint8Array(REPLY_2)]);
  first.send(REPLY);
  t.deepEqual((await a).packets, [new Uint8Array(REPLY)]);
  await second.closed;
  t.is(bench.forwarder.status().keptConnections, 1);
});

test('frames that begin with index 0 get a new connection and close the kept one', async (t) => {
  const bench = await setUp(t);
  const old = await onNew(bench);
  const fresh = await onNew(bench, { packets: [HELLO, SEALED] });
  await old.closed;
  t.is((await onKept(bench, fresh)).status, 0);
});

test('frames that only go on with index 0 may use the kept connection', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  t.is((await onKept(bench, side, { packets: [packet(HANDSHAKE_INDEX, 1), HELLO] })).status, 0);
});

test('a connection in use when a handshake begins is not kept', async (t) => {
  const bench = await setUp(t);
  const { forwarder, exit, request } = bench;
  const before = forwarder.forward(request());
  const old = await exit.accept();
  const fresh = await onNew(bench, { packets: [HELLO] });
  old.send(REPLY);
  t.is((await before).status, 0);
  await old.closed;
  t.is((await onKept(bench, fresh)).status, 0);
});

test('a connection that begins beside a handshake is not kept in its place', async (t) => {
  const bench = await setUp(t);
  const { forwarder, exit, request } = bench;
  const handshake = forwarder.forward(request({ packets: [HELLO] }));
  const main = await exit.accept();
  await main.receive();
  const beside = await onNew(bench);
  await beside.closed;
  main.send(REPLY);
  await handshake;
  t.is((await onKept(bench, main)).status, 0);
});

test('a kept connection on which something comes is closed', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  side.send(REPLY_2);
  await side.closed;
  t.is(bench.forwarder.status().keptConnections, 0);
  await onNew(bench);
});

test('more packets than asked: the first ones are returned and the connection is not kept', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request());
  const side = await exit.accept();
  side.send(REPLY, REPLY_2);
  t.deepEqual(await result, { status: 0, packets: [new Uint8Array(REPLY)] });
  t.is(forwarder.status().keptConnections, 0);
  await side.closed;
});

test('a single byte behind the replies is enough not to keep the connection', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request());
  const side = await exit.accept();
  side.socket.write(Buffer.concat([frames(REPLY), Buffer.of(0)]));
  t.is((await result).status, 0);
  t.is(forwarder.status().keptConnections, 0);
});

test('an exit that closes a kept connection is noticed', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  side.socket.end();
  await side.closed;
  t.is(bench.forwarder.status().keptConnections, 0);
  await onNew(bench);
  t.is(bench.forwarder.status().retries, 0);
});

for (const how of ['end', 'resetAndDestroy'] as const) {
  test(`a kept connection that turns out closed (${how}) is tried once more on a new one`, async (t) => {
    const bench = await setUp(t);
    const { exit, forwarder, request } = bench;
    const old = await onNew(bench);
    // In one turn, so that the forwarder cannot have seen the end yet.
    old.socket[how]();
    const result = forwarder.forward(request({ packets: [SEALED, SEALED] }));
    t.is(forwarder.status().connectionsReused, 1);
    const side = await exit.accept();
    await side.receive();
    await side.receive();
    side.send(REPLY);
    t.deepEqual(await result, { status: 0, packets: [new Uint8Array(REPLY)] });
    t.is(forwarder.status().retries, 1);
  });
}

test('the second connection is not tried a third time', async (t) => {
  const bench = await setUp(t);
  const old = await onNew(bench);
  old.socket.end();
  const result = bench.forwarder.forward(bench.request());
  const side = await bench.exit.accept();
  side.socket.end();
  t.deepEqual(await result, { status: 6, packets: [] });
  t.is(bench.exit.sides.length, 2);
});

test('a kept connection that closes behind the first byte of a reply is not tried again', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  const result = bench.forwarder.forward(bench.request());
  await side.receive();
  side.socket.end(Buffer.of(0));
  t.deepEqual(await result, { status: 6, packets: [] });
  t.is(bench.forwarder.status().retries, 0);
});

test('a kept connection that stays silent is not tried again', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  const result = bench.forwarder.forward(bench.request());
  await side.receive();
  bench.timers.advance(10_000);
  t.is((await result).status, 3);
  t.is(bench.exit.sides.length, 1);
});

test('the second try has only what is left of the 10 s', async (t) => {
  const hung = Promise.withResolvers<void>();
  let first = true;
  const bench = await setUp(t, {
    connect: (to) => {
      if (first) {
        first = false;
        return connect(to);
      }
      hung.resolve();
      return new Socket();
    },
  });
  const { forwarder, request, timers } = bench;
  const side = await onNew(bench);
  const result = forwarder.forward(request());
  await side.receive();
  timers.advance(6_000);
  side.socket.end();
  await hung.promise;
  timers.advance(3_999);
  t.is(forwarder.status().inFlight, 1);
  timers.advance(1);
  t.deepEqual(await result, { status: 3, packets: [] });
});

test('without replies the kept connection is used and ended', async (t) => {
  const bench = await setUp(t);
  const side = await onNew(bench);
  t.is((await bench.forwarder.forward(bench.request({ replies: 0 }))).status, 0);
  t.deepEqual(await side.receive(), SEALED);
  await side.closed;
  t.like(bench.forwarder.status(), { keptConnections: 0, connectionsOpened: 1 });
});

test('without replies a kept connection that the exit has closed is not used', async (t) => {
  const bench = await setUp(t);
  const old = await onNew(bench);
  old.socket.end();
  await old.closed;
  t.is((await bench.forwarder.forward(bench.request({ replies: 0 }))).status, 0);
  t.deepEqual(await (await bench.exit.accept()).receive(), SEALED);
});

test('a kept connection goes after the idle limit, counted from its last use', async (t) => {
  const bench = await setUp(t, { keptIdleMs: 60_000 });
  const side = await onNew(bench);
  bench.timers.advance(59_999);
  await onKept(bench, side);
  bench.timers.advance(59_999);
  t.is(bench.forwarder.status().keptConnections, 1);
  bench.timers.advance(1);
  t.is(bench.forwarder.status().keptConnections, 0);
  await side.closed;
});

test('beyond the cap the longest idle connection goes', async (t) => {
  const bench = await setUp(t, { maxKept: 2 });
  const a = await onNew(bench, { family: 'a' });
  const b = await onNew(bench, { family: 'b' });
  await onKept(bench, a, { family: 'a' });
  await onNew(bench, { family: 'c' });
  await b.closed;
  t.is(bench.forwarder.status().keptConnections, 2);
  t.is((await onKept(bench, a, { family: 'a' })).status, 0);
});

test('with a cap of 0 nothing is kept', async (t) => {
  const bench = await setUp(t, { maxKept: 0 });
  await (await onNew(bench)).closed;
  t.is(bench.forwarder.status().keptConnections, 0);
});

test('endFamily closes the kept connections of that family only', async (t) => {
  const bench = await setUp(t);
  const a = await onNew(bench, { family: 'a' });
  const b = await onNew(bench, { family: 'b' });
  bench.forwarder.endFamily('a');
  bench.forwarder.endFamily('unknown');
  await a.closed;
  t.is((await onKept(bench, b, { family: 'b' })).status, 0);
  t.is(bench.forwarder.status().keptConnections, 1);
});

test('an exchange outlives its family, its connection does not', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request());
  const side = await exit.accept();
  forwarder.endFamily('a');
  side.send(REPLY);
  t.is((await result).status, 0);
  await side.closed;
  t.is(forwarder.status().keptConnections, 0);
});
