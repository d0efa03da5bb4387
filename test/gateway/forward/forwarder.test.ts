/** What one exchange gives: every status, and when the wait ends. */
import { AssertionError } from 'node:assert';
import { connect, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { FORWARD_STATUS } from '../../../src/lp/wire/application-frame.ts';
import { HELLO, IDENTITY, REPLY, REPLY_2, SEALED, setUp } from './bench.ts';
import { FakeExit, frames, HANDSHAKE_INDEX, packet, SESSION_INDEX, unsealed } from './fake-exit.ts';

const bytes = (...packets: Uint8Array[]) => packets.map((p) => new Uint8Array(p));

test('packets go out in order and the replies come back with status 0', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request({ packets: [HELLO, SEALED], replies: 2 }));
  const side = await exit.accept();
  t.deepEqual(await side.receive(), HELLO);
  t.deepEqual(await side.receive(), SEALED);
  side.send(REPLY, REPLY_2);
  t.deepEqual(await result, { status: 0, packets: bytes(REPLY, REPLY_2) });
  t.is(forwarder.status().results[0], 1);
});

test('a target that names address and port reaches the listed exit', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const target = { identity: IDENTITY, family: 4, ip: Uint8Array.of(127, 0, 0, 1), port: exit.port } as const;
  const result = forwarder.forward(request({ target }));
  (await exit.accept()).send(REPLY);
  t.is((await result).status, 0);
});

test('the caller may reuse the memory of its packets', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const mine = Buffer.from(SEALED);
  const result = forwarder.forward(request({ packets: [mine] }));
  mine.fill(0);
  const side = await exit.accept();
  t.deepEqual(await side.receive(), SEALED);
  side.send(REPLY);
  await result;
});

test('a target that is not listed gives status 1 and touches no network', async (t) => {
  const { forwarder, request } = await setUp(t, {
    connect: () => {
      throw new Error('connected');
    },
  });
  const target = { identity: IDENTITY, family: 4, ip: Uint8Array.of(127, 0, 0, 1), port: 9 } as const;
  t.deepEqual(await forwarder.forward(request({ target })), { status: 1, packets: [] });
  t.is(forwarder.status().connectionsOpened, 0);
});

test('a refused connection gives status 2', async (t) => {
  const closed = await FakeExit.listen();
  const { port } = closed;
  await closed.close();
  const { forwarder, request } = await setUp(t, { connect: ({ host }) => connect({ host, port }) });
  t.deepEqual(await forwarder.forward(request()), { status: 2, packets: [] });
});

test('a system that gives no socket gives status 2', async (t) => {
  const { forwarder, request } = await setUp(t, {
    connect: () => {
      throw new Error('no socket');
    },
  });
  t.deepEqual(await forwarder.forward(request()), { status: 2, packets: [] });
});

test('a connection that takes 5 s gives status 2', async (t) => {
  const sockets: Socket[] = [];
  const { forwarder, request, timers } = await setUp(t, {
    connect: () => {
      const socket = new Socket();
      sockets.push(socket);
      return socket;
    },
  });
  const result = forwarder.forward(request());
  timers.advance(4_999);
  t.is(forwarder.status().inFlight, 1);
  timers.advance(1);
  t.deepEqual(await result, { status: 2, packets: [] });
  t.true(sockets[0]!.destroyed);
});

test('an exit that is silent for 10 s in all gives status 3', async (t) => {
  const { exit, forwarder, request, timers } = await setUp(t);
  const result = forwarder.forward(request());
  const side = await exit.accept();
  await side.receive();
  timers.advance(9_999);
  t.is(forwarder.status().inFlight, 1);
  timers.advance(1);
  t.deepEqual(await result, { status: 3, packets: [] });
  await side.closed;
});

test('the end of the time gives what came until then', async (t) => {
  const sent = Buffer.concat([frames(REPLY), frames(REPLY_2).subarray(0, 20)]);
  const arrived = Promise.withResolvers<void>();
  let bytesRead = 0;
  const { exit, forwarder, request, timers } = await setUp(t, {
    connect: (to) =>
      connect({
        ...to,
        onread: {
          buffer: to.onread!.buffer,
          callback(length, buffer) {
            to.onread!.callback(length, buffer);
            bytesRead += length;
            if (bytesRead === sent.length) arrived.resolve();
            return true;
          },
        },
      }),
  });
  const result = forwarder.forward(request({ replies: 2 }));
  (await exit.accept()).socket.write(sent);
  await arrived.promise;
  timers.advance(10_000);
  t.deepEqual(await result, { status: 3, packets: bytes(REPLY) });
});

test('replies that do not fit into a ForwardResponse give status 4 without packets', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request({ replies: 2 }));
  const side = await exit.accept();
  side.send(packet(SESSION_INDEX, 1, 40_000), packet(SESSION_INDEX, 2, 40_000));
  t.deepEqual(await result, { status: 4, packets: [] });
  await side.closed;
  t.is(forwarder.status().keptConnections, 0);
});

test('the largest replies that fit are returned', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const largest = packet(SESSION_INDEX, 1, 65_493);
  const result = forwarder.forward(request());
  (await exit.accept()).send(largest);
  t.deepEqual(await result, { status: 0, packets: bytes(largest) });
});

test('the end of the stream gives status 6 with what came', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request({ replies: 3 }));
  const side = await exit.accept();
  side.socket.end(frames(REPLY, REPLY_2));
  t.deepEqual(await result, { status: 6, packets: bytes(REPLY, REPLY_2) });
});

test('the end of the stream inside a frame gives status 6 with the whole packets before', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request({ replies: 2 }));
  (await exit.accept()).socket.end(Buffer.concat([frames(REPLY), frames(REPLY_2).subarray(0, 30)]));
  t.deepEqual(await result, { status: 6, packets: bytes(REPLY) });
});

test('an exit that only closes its sending half gives status 6 and loses the connection', async (t) => {
  const { exit, forwarder, request } = await setUp(t, { halfOpenExit: true });
  const result = forwarder.forward(request());
  const side = await exit.accept();
  side.socket.end();
  t.deepEqual(await result, { status: 6, packets: [] });
  await side.ended;
});

test('a reset connection gives status 6', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request());
  const side = await exit.accept();
  await side.receive();
  side.socket.resetAndDestroy();
  t.deepEqual(await result, { status: 6, packets: [] });
});

for (const [name, type, version] of [
  ['Error', 0x000e, 2],
  ['Busy', 0x0000, 2],
  ['Collision', 0x0007, 2],
  ['Collision of version 1', 0x0007, 1],
] as const) {
  test(`an unsealed ${name} ends the wait with status 0 and what came`, async (t) => {
    const { exit, forwarder, request } = await setUp(t);
    const ack = unsealed(HANDSHAKE_INDEX, 0x0008);
    const last = unsealed(HANDSHAKE_INDEX, type, version, 52);
    const result = forwarder.forward(request({ packets: [HELLO], replies: 3 }));
    const side = await exit.accept();
    side.send(ack, last);
    t.deepEqual(await result, { status: 0, packets: bytes(ack, last) });
    await side.closed;
    t.is(forwarder.status().keptConnections, 0);
  });
}

test('ciphertext that looks like an Error does not end the wait', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const lookalike = unsealed(SESSION_INDEX, 0x000e);
  const result = forwarder.forward(request({ replies: 2 }));
  (await exit.accept()).send(lookalike, REPLY);
  t.deepEqual(await result, { status: 0, packets: bytes(lookalike, REPLY) });
});

test('replies in single bytes are put together', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request({ replies: 2 }));
  const side = await exit.accept();
  for (const byte of frames(REPLY, REPLY_2)) {
    side.socket.write(Uint8Array.of(byte));
    await nextTurn();
  }
  t.deepEqual(await result, { status: 0, packets: bytes(REPLY, REPLY_2) });
});

test('without replies the result comes when the packets are written, and the connection is ended gently', async (t) => {
  const { exit, forwarder, request } = await setUp(t, { halfOpenExit: true });
  const large = packet(SESSION_INDEX, 1, 65_000);
  t.deepEqual(await forwarder.forward(request({ replies: 0, packets: [large] })), { status: 0, packets: [] });
  t.like(forwarder.status(), { inFlight: 0, keptConnections: 0, endingConnections: 1, openConnections: 1 });
  const side = await exit.accept();
  t.deepEqual(await side.receive(), large);
  await side.ended;
  side.socket.end(frames(REPLY));
  await side.closed;
});

test('an exit that does not end a connection without replies loses it after 5 s', async (t) => {
  const closed = Promise.withResolvers<void>();
  const { exit, forwarder, request, timers } = await setUp(t, {
    halfOpenExit: true,
    connect: (to) => connect(to).on('close', () => closed.resolve()),
  });
  await forwarder.forward(request({ replies: 0 }));
  const side = await exit.accept();
  await side.ended;
  timers.advance(4_999);
  t.is(forwarder.status().endingConnections, 1);
  timers.advance(1);
  t.is(forwarder.status().endingConnections, 0);
  await closed.promise;
});

test('a request that no Forward can be is an assertion', async (t) => {
  const { forwarder, request } = await setUp(t);
  for (const wrong of [
    { packets: [] },
    { packets: [SEALED.subarray(0, 33)] },
    { packets: [Buffer.alloc(65_536)] },
    { replies: 256 },
    { replies: -1 },
  ]) {
    t.throws(() => forwarder.forward(request(wrong)), { instanceOf: AssertionError });
  }
  t.is(forwarder.status().inFlight, 0);
});

test('the results are counted by status', async (t) => {
  const { forwarder, request } = await setUp(t, { maxInFlight: 0 });
  await forwarder.forward(request());
  await forwarder.forward(request());
  await forwarder.forward(request({ target: { ...request().target, identity: new Uint8Array(32) } }));
  t.deepEqual(forwarder.status().results, { 0: 0, [FORWARD_STATUS.notAllowed]: 1, 2: 0, 3: 0, 4: 0, 5: 2, 6: 0 });
});
