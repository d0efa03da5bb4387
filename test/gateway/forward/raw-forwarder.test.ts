/** The raw way to Nym's exits, against exits that do what a test tells them to (nym.md §9.4). */
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { RawConnect, RawFailure, RawOutcome } from '../../../src/gateway/forward/raw-exit.ts';
import { RawForwarder, type RawForwarderOptions } from '../../../src/gateway/forward/raw-forwarder.ts';
import { until } from '../../support/test-gateway.ts';
import { SteppedTimers } from './stepped-timers.ts';

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const HELLO = Buffer.from('hello');
const packet = (length: number, fill = 7) => {
  const wire = Buffer.alloc(4 + length, fill);
  wire.writeUInt32LE(length);
  return wire;
};

interface World {
  readonly forwarder: RawForwarder;
  readonly timers: SteppedTimers;
  /** The exit's end of each connection, in order. */
  readonly sides: Socket[];
  /** The outcome, with a copy of the bytes. */
  forward(client: number, replyLength: number, bytes?: Uint8Array): Promise<RawOutcome>;
}

/** `exit` is told each chunk of a connection, and says what comes back. */
async function world(
  t: ExecutionContext,
  exit: (socket: Socket, chunk: Buffer) => void,
  options: Partial<RawForwarderOptions> = {},
  connect?: RawConnect,
): Promise<World> {
  const sides: Socket[] = [];
  const server = createServer((socket) => {
    sides.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => exit(socket, chunk));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const timers = new SteppedTimers();
  const forwarder = new RawForwarder(
    {
      find: (target) => (target.port === port ? { key: '', address: '127.0.0.1', port } : undefined),
      maxConnections: 8,
      connectMs: 5_000,
      exchangeMs: 30_000,
      ...options,
    },
    { timers, ...(connect && { connect }) },
  );
  t.teardown(async () => {
    for (const side of sides) side.destroy();
    server.close();
    await forwarder.close();
  });
  const forward = (client: number, replyLength: number, bytes: Uint8Array = HELLO) =>
    new Promise<RawOutcome>((resolve) => {
      const target = { family: 4, ip: LOOPBACK, port } as const;
      forwarder.forward(client, { target, replyLength, bytes }, (outcome) =>
        resolve(outcome.kind === 'reply' ? { kind: 'reply', bytes: Uint8Array.from(outcome.bytes) } : outcome),
      );
    });
  return { forwarder, timers, sides, forward };
}

const failed = (reason: RawFailure) => ({ kind: 'failed', reason }) as const;

test('bytes go out verbatim, and as many come back as were asked for, on one connection', async (t) => {
  const got: Buffer[] = [];
  const { forwarder, forward, sides, timers } = await world(t, (socket, chunk) => {
    got.push(chunk);
    socket.write(chunk);
  });
  t.deepEqual(await forward(1, 5), { kind: 'reply', bytes: Uint8Array.from(HELLO) });
  t.deepEqual(await forward(1, 3, Uint8Array.of(1, 2, 3)), { kind: 'reply', bytes: Uint8Array.of(1, 2, 3) });
  t.deepEqual(Buffer.concat(got), Buffer.concat([HELLO, Buffer.of(1, 2, 3)]));
  t.is(sides.length, 1);
  t.deepEqual([forwarder.connections, forwarder.inFlight, timers.pending], [1, 0, 0]);
  t.is(forwarder.results.ok, 2);
});

test('a packet comes back without its length, in whatever pieces it came', async (t) => {
  const wire = packet(300);
  const { forward } = await world(t, async (socket) => {
    for (const byte of wire.subarray(0, 8)) {
      socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(wire.subarray(8));
  });
  t.deepEqual(await forward(1, 0), { kind: 'reply', bytes: Uint8Array.from(wire.subarray(4)) });
});

test('the greatest packet that a client can be given comes back whole', async (t) => {
  const { forward } = await world(t, (socket) => socket.write(packet(65_476)));
  const outcome = await forward(1, 0);
  t.is(outcome.kind === 'reply' ? outcome.bytes.length : 0, 65_476);
});

test('each client has a connection of its own, which ends with it', async (t) => {
  const { forwarder, forward, sides } = await world(t, (socket, chunk) => socket.write(chunk));
  await Promise.all([forward(1, 5), forward(2, 5)]);
  t.is(sides.length, 2);
  const ended = Promise.all(sides.map((side) => once(side, 'close')));
  forwarder.end(1);
  forwarder.end(2);
  forwarder.end(2);
  await ended;
  await until(() => forwarder.connections === 0, 'both are closed');
  t.is(forwarder.results.closed, 0);
});

const LIES: readonly (readonly [what: string, replyLength: number, says: Uint8Array, reason: RawFailure])[] = [
  ['more bytes than were asked for', 4, HELLO, 'unasked'],
  ['a packet and more', 0, Buffer.concat([packet(12), HELLO]), 'unasked'],
  ['a packet of 0 bytes', 0, Buffer.alloc(4), 'length'],
  ['a packet of 11 bytes', 0, packet(11), 'length'],
  ['a packet of 65,477 bytes', 0, packet(65_477).subarray(0, 100), 'length'],
  ['a packet of 2³²−1 bytes', 0, Buffer.alloc(4, 0xff), 'length'],
];

for (const [what, replyLength, says, reason] of LIES) {
  test(`an exit that says ${what} is cut off, and stays so`, async (t) => {
    const { forward, forwarder, sides, timers } = await world(t, (socket) => socket.write(says));
    t.deepEqual(await forward(1, replyLength), failed(reason));
    t.deepEqual(await forward(1, replyLength), failed(reason));
    t.is(sides.length, 1, 'there is no second connection');
    await until(() => forwarder.connections === 0, 'the connection is closed');
    t.is(timers.pending, 0);
  });
}

test('an exit that speaks without being asked is cut off, and the next forward fails', async (t) => {
  const { forward, forwarder, sides } = await world(t, (socket, chunk) => socket.write(chunk));
  t.like(await forward(1, 5), { kind: 'reply' });
  sides[0]!.write('more');
  await until(() => forwarder.connections === 0, 'the connection is closed');
  t.deepEqual(await forward(1, 5), failed('unasked'));
});

test('an exit that ends instead of answering fails the forward', async (t) => {
  const { forward } = await world(t, (socket) => socket.end(HELLO.subarray(0, 3)));
  t.deepEqual(await forward(1, 5), failed('closed'));
});

test('an exit that never answers, or never ends an answer, has thirty seconds', async (t) => {
  for (const part of [0, 3]) {
    const { forward, timers, sides } = await world(t, (socket) => socket.write(HELLO.subarray(0, part)));
    const outcome = forward(1, 5);
    await until(() => sides[0] !== undefined && sides[0].bytesRead === 5, 'the exit has the bytes');
    // The connection is established on both sides now, and the clock of the exchange runs.
    await until(() => timers.pending === 1, 'one clock');
    timers.advance(29_999);
    timers.advance(1);
    t.deepEqual(await outcome, failed('timeout'));
    t.is(timers.pending, 0);
  }
});

test('an exit that cannot be reached fails at once; one that does not answer the connection, after five seconds', async (t) => {
  const refused = await world(t, () => undefined, { find: () => ({ key: '', address: '127.0.0.1', port: 1 }) });
  t.deepEqual(await refused.forward(1, 5), failed('connect'));
  const silent = await world(
    t,
    () => undefined,
    {},
    () => new Socket(),
  );
  const outcome = silent.forward(1, 5);
  silent.timers.advance(5_000);
  t.deepEqual(await outcome, failed('connect'));
});

test('what is not listed is not connected to, nor what is not listed any more', async (t) => {
  const listed = new Set<number>();
  const { forward, forwarder, sides } = await world(t, (socket, chunk) => socket.write(chunk), {
    find: ({ port }) => (listed.has(port) ? { key: '', address: '127.0.0.1', port } : undefined),
  });
  t.deepEqual(await forward(1, 5), failed('not_allowed'));
  t.is(forwarder.connections, 0);
  for (let port = 1; port <= 65_535; port++) listed.add(port);
  t.like(await forward(1, 5), { kind: 'reply' });
  listed.clear();
  t.deepEqual(await forward(1, 5), failed('not_allowed'));
  t.is(sides.length, 1);
});

test('connections are bounded for their whole life', async (t) => {
  const { forward, forwarder } = await world(t, (socket, chunk) => socket.write(chunk), { maxConnections: 2 });
  await Promise.all([forward(1, 5), forward(2, 5)]);
  t.deepEqual(await forward(3, 5), failed('busy'));
  forwarder.end(1);
  await until(() => forwarder.connections === 1, 'one is closed');
  t.like(await forward(3, 5), { kind: 'reply' });
});

test('closing ends every connection, tells nobody, and refuses what comes after', async (t) => {
  const { forward, forwarder, timers, sides } = await world(t, () => undefined);
  const never = forward(1, 5);
  await until(() => sides[0] !== undefined && sides[0].bytesRead === 5, 'the exit has the bytes');
  await forwarder.close();
  t.deepEqual([forwarder.connections, forwarder.inFlight, timers.pending], [0, 0, 0]);
  t.deepEqual(await forward(2, 5), failed('closed'));
  t.is(await Promise.race([never, Promise.resolve('silent')]), 'silent');
});
