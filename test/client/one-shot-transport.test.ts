/** One packet per connection (lp1.md §1.1): order, answers, their absence, and that no socket is left behind. */
import test, { type ExecutionContext } from 'ava';
import type { LewesError } from '../../src/client/errors.ts';
import { OneShotDialer } from '../../src/client/tcp-way.ts';
import { CONTROL_LANE, type Exchange, type Transport, type TransportFailure } from '../../src/client/transport.ts';
import { FrameServer } from '../support/frame-server.ts';
import { SteppedTime, turns, until } from '../support/stepped-time.ts';

const packet = (fill: number, length = 40) => new Uint8Array(length).fill(fill);
const REQUEST: Exchange = { replies: 1, lane: 1, repeat: false, idempotent: false };

class Seen {
  readonly packets: number[] = [];
  readonly failures: { lane: number; failure: TransportFailure }[] = [];
  readonly order: string[] = [];
  onPacket: (packet: Uint8Array) => void = () => {};

  packet(bytes: Uint8Array): void {
    this.packets.push(bytes[0] ?? -1);
    this.order.push(`packet ${bytes[0]}`);
    this.onPacket(bytes);
  }

  exchangeFailed(lane: number, failure: TransportFailure): void {
    this.failures.push({ lane, failure });
    this.order.push(`failed ${lane}`);
  }

  closed(): void {
    this.order.push('closed');
  }
}

async function setUp(t: ExecutionContext, maxQueued = 100) {
  const time = new SteppedTime();
  const server = await FrameServer.listen();
  t.teardown(() => server.close());
  const options = {
    address: { host: '127.0.0.1', port: server.port },
    hop: 'direct',
    connectTimeoutMs: 10_000,
    localAddress: undefined,
    timers: time,
  } as const;
  const dialer = new OneShotDialer(options, maxQueued);
  const transport: Transport = await dialer.dial(new AbortController().signal);
  t.teardown(() => transport.destroy());
  const seen = new Seen();
  transport.attach(seen);
  return { time, server, dialer, transport, seen };
}

/** No socket, no timer. */
async function isGone(t: ExecutionContext, server: FrameServer, time: SteppedTime): Promise<void> {
  await until(() => server.open === 0);
  t.is(time.pending, 0);
}

test('the first packet takes the connection that dialling made, each later one its own, and each is ended', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet((arrival.packet[0] ?? 0) + 100));
  for (const fill of [1, 2, 3]) {
    transport.send([packet(fill)], { ...REQUEST, lane: fill });
    await until(() => seen.packets.length === fill);
  }
  t.deepEqual(seen.packets, [101, 102, 103]);
  t.deepEqual(
    server.arrivals.map(({ connection }) => connection),
    [1, 2, 3],
  );
  await isGone(t, server, time);
});

test('one exchange is under way at a time, in the order of sending', async (t) => {
  const { server, transport, seen } = await setUp(t);
  for (const lane of [1, 2, 3]) transport.send([packet(lane)], { ...REQUEST, lane });
  t.is(transport.backlog, 80);
  for (const n of [1, 2, 3]) {
    await until(() => server.arrivals.length === n);
    await turns();
    t.is(server.arrivals.length, n);
    server.arrivals[n - 1]!.reply(packet(100 + n));
  }
  await until(() => seen.packets.length === 3);
  t.deepEqual(seen.packets, [101, 102, 103]);
  t.is(transport.backlog, 0);
});

test('`sent` is called when the packet leaves, not when it waits', async (t) => {
  const { server, transport } = await setUp(t);
  const sent: number[] = [];
  for (const lane of [1, 2]) transport.send([packet(lane)], { ...REQUEST, lane, sent: () => sent.push(lane) });
  t.deepEqual(sent, [1]);
  await until(() => server.arrivals.length === 1);
  server.arrivals[0]!.reply(packet(9));
  await until(() => sent.length === 2);
});

for (const [how, end] of [
  ['ends', 'end'],
  ['resets', 'reset'],
] as const) {
  test(`a connection that the gateway ${how} without a frame fails the exchange as unanswered, and the next goes on`, async (t) => {
    const { time, server, transport, seen } = await setUp(t);
    server.onArrival = (arrival) => (arrival.packet[0] === 1 ? arrival[end]() : arrival.reply(packet(102)));
    transport.send([packet(1)], { ...REQUEST, lane: 7 });
    transport.send([packet(2)], { ...REQUEST, lane: 8 });
    await until(() => seen.order.length === 2);
    t.deepEqual(seen.order, ['failed 7', 'packet 102']);
    const { failure } = seen.failures[0]!;
    t.like(failure, { retry: true, unanswered: true });
    t.like(failure.error, { code: 'connection_lost', reason: 'no_answer' });
    await isGone(t, server, time);
  });
}

test('a packet without a reply has arrived when its connection ends; the next leaves only then', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  transport.send([packet(1)], { ...REQUEST, replies: 0, lane: CONTROL_LANE });
  transport.send([packet(2)], REQUEST);
  await until(() => server.arrivals.length === 1);
  await turns();
  t.is(server.accepted, 1);
  server.arrivals[0]!.end();
  await until(() => server.arrivals.length === 2);
  server.arrivals[1]!.reply(packet(102));
  await until(() => seen.packets.length === 1);
  t.deepEqual(seen.order, ['packet 102']);
  await isGone(t, server, time);
});

test('a connection that is not ended after a packet without a reply is given up after 2 s', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  transport.send([packet(1)], { ...REQUEST, replies: 0, lane: CONTROL_LANE });
  transport.send([packet(2)], REQUEST);
  await until(() => server.arrivals.length === 1);
  time.advance(1_999);
  await turns();
  t.is(server.arrivals.length, 1);
  time.advance(1);
  await until(() => server.arrivals.length === 2);
  t.deepEqual(seen.order, []);
});

test('the packets of one exchange go one after the other, each with its reply', async (t) => {
  const { server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet((arrival.packet[0] ?? 0) + 100));
  transport.send([packet(1), packet(2)], { ...REQUEST, replies: 2 });
  await until(() => seen.packets.length === 2);
  t.deepEqual(seen.packets, [101, 102]);
  t.is(server.accepted, 2);
});

test('with fewer replies than packets, the first ones have none', async (t) => {
  const { server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => (arrival.packet[0] === 1 ? arrival.end() : arrival.reply(packet(102)));
  transport.send([packet(1), packet(2)], REQUEST);
  await until(() => seen.packets.length === 1);
  t.deepEqual(seen.order, ['packet 102']);
});

test('when a packet of an exchange is not answered, the rest does not follow', async (t) => {
  const { server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => (arrival.packet[0] === 1 ? arrival.end() : arrival.reply(packet(103)));
  transport.send([packet(1), packet(2)], { ...REQUEST, replies: 2, lane: 5 });
  transport.send([packet(3)], { ...REQUEST, lane: 6 });
  await until(() => seen.order.length === 2);
  t.deepEqual(seen.order, ['failed 5', 'packet 103']);
  t.is(transport.backlog, 0);
  t.is(server.arrivals.length, 2);
});

test('of several frames on a connection the first is taken', async (t) => {
  const { server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet(101), packet(102));
  transport.send([packet(1)], REQUEST);
  await until(() => server.open === 0);
  t.deepEqual(seen.packets, [101]);
});

test('what is no frame fails the exchange, and says nothing of the packet', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.write(new Uint8Array(8));
  transport.send([packet(1)], REQUEST);
  await until(() => seen.failures.length === 1);
  const { failure } = seen.failures[0]!;
  t.false(failure.unanswered);
  t.is(failure.error.reason, 'broken_stream');
  await isGone(t, server, time);
});

test('a later connection that is refused fails its exchange alone', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet(101));
  transport.send([packet(1)], REQUEST);
  await until(() => seen.packets.length === 1);
  server.refuse();
  transport.send([packet(2)], { ...REQUEST, lane: 3 });
  await until(() => seen.failures.length === 1);
  const { lane, failure } = seen.failures[0]!;
  t.is(lane, 3);
  t.like(failure, { retry: true, unanswered: false });
  t.like(failure.error, { code: 'connect_failed', reason: 'ECONNREFUSED' });
  await isGone(t, server, time);
});

test('a first connection that the gateway has ended meanwhile is replaced by a new one', async (t) => {
  const { server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet(101));
  await until(() => server.open === 1);
  server.endConnections();
  await until(() => server.open === 0);
  transport.send([packet(1)], REQUEST);
  await until(() => seen.packets.length === 1);
  t.is(server.accepted, 2);
});

test('a repeat is left out while its lane waits', async (t) => {
  const { server, transport, seen } = await setUp(t);
  transport.send([packet(1)], REQUEST);
  transport.send([packet(1)], { ...REQUEST, repeat: true });
  transport.send([packet(2)], { ...REQUEST, lane: 2 });
  transport.send([packet(2)], { ...REQUEST, lane: 2, repeat: true });
  server.onArrival = (arrival) => arrival.reply(packet(101));
  await until(() => seen.packets.length === 2);
  await turns();
  t.is(server.arrivals.length, 2);
});

test('what a handler sends in answer leaves next', async (t) => {
  const { server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet((arrival.packet[0] ?? 0) + 100));
  seen.onPacket = (bytes) => {
    if (bytes[0] === 101) transport.send([packet(2)], { ...REQUEST, lane: 2 });
  };
  transport.send([packet(1)], REQUEST);
  await until(() => seen.packets.length === 2);
  t.deepEqual(seen.packets, [101, 102]);
});

test('more exchanges than the bound fail, and those before them do not', async (t) => {
  const { server, transport, seen } = await setUp(t, 2);
  server.onArrival = (arrival) => arrival.reply(packet(101));
  // One is on its way and two wait.
  for (const lane of [1, 2, 3, 4]) transport.send([packet(lane)], { ...REQUEST, lane });
  await until(() => seen.packets.length === 3);
  t.deepEqual(
    seen.failures.map(({ lane, failure }) => [lane, failure.error.code]),
    [[4, 'too_much']],
  );
});

test('what is no request waits 15 s for its answer and no longer, a request as long as its sender', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  transport.send([packet(1)], { ...REQUEST, lane: CONTROL_LANE });
  transport.send([packet(2)], REQUEST);
  await until(() => server.arrivals.length === 1);
  time.advance(15_000);
  t.like(seen.failures[0]?.failure, { retry: true, unanswered: false });
  await until(() => server.arrivals.length === 2);
  time.advance(600_000);
  await turns();
  t.is(seen.failures.length, 1);
  server.arrivals[1]!.reply(packet(102));
  await until(() => seen.packets.length === 1);
});

const STATES: readonly (readonly [string, (made: Awaited<ReturnType<typeof setUp>>) => unknown])[] = [
  ['idle, with the first connection', () => {}],
  [
    'idle, without a connection',
    async ({ server, transport, seen }) => {
      server.onArrival = (arrival) => arrival.reply(packet(101));
      transport.send([packet(1)], REQUEST);
      await until(() => seen.packets.length === 1);
    },
  ],
  [
    'connecting',
    async ({ server, transport, seen }) => {
      server.onArrival = (arrival) => arrival.reply(packet(101));
      transport.send([packet(1)], REQUEST);
      await until(() => seen.packets.length === 1);
      transport.send([packet(2)], REQUEST);
    },
  ],
  [
    'waiting for an answer, with others behind',
    async ({ server, transport }) => {
      for (const lane of [1, 2, 3]) transport.send([packet(lane)], { ...REQUEST, lane });
      await until(() => server.arrivals.length === 1);
    },
  ],
  [
    'waiting for the end of the stream',
    async ({ server, transport }) => {
      transport.send([packet(1)], { ...REQUEST, replies: 0 });
      await until(() => server.arrivals.length === 1);
    },
  ],
];

for (const [state, reach] of STATES) {
  for (const way of ['destroy', 'close'] as const) {
    test(`${way} leaves no socket and tells nothing: ${state}`, async (t) => {
      const made = await setUp(t);
      const { time, server, transport, seen } = made;
      await reach(made);
      const told = seen.order.length;
      await time.drive(Promise.resolve(transport[way]()));
      await until(() => server.open === 0);
      transport.send([packet(9)], REQUEST);
      await turns();
      t.is(seen.order.length, told);
      t.is(time.pending, 0);
      t.true(server.arrivals.every((arrival) => arrival.packet[0] !== 9));
    });
  }
}

test('destroying from a handler ends it there', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => arrival.reply(packet(101));
  seen.onPacket = () => transport.destroy();
  transport.send([packet(1), packet(2)], { ...REQUEST, replies: 2 });
  transport.send([packet(3)], { ...REQUEST, lane: 2 });
  await until(() => seen.packets.length === 1);
  await isGone(t, server, time);
  t.is(server.arrivals.length, 1);
});

test('close lets a packet leave that has begun to', async (t) => {
  const { time, server, transport, seen } = await setUp(t);
  server.onArrival = (arrival) => (arrival.packet[0] === 1 ? arrival.reply(packet(101)) : arrival.end());
  transport.send([packet(1)], REQUEST);
  await until(() => seen.packets.length === 1);
  transport.send([packet(2)], { ...REQUEST, replies: 0 });
  await transport.close();
  await until(() => server.arrivals.length === 2);
  await isGone(t, server, time);
});

test('dialling fails where nobody listens', async (t) => {
  const { time, server, dialer } = await setUp(t);
  server.refuse();
  const error = await t.throwsAsync<LewesError>(dialer.dial(new AbortController().signal));
  t.like(error, { code: 'connect_failed', reason: 'ECONNREFUSED' });
  t.is(time.pending, 0);
});
