/** Hostile exits, caps and the end. */
import test from 'ava';
import { REPLY, SEALED, setUp } from './bench.ts';
import { frames, packet, SESSION_INDEX } from './fake-exit.ts';

const BAD_LENGTHS: [title: string, length: number][] = [
  ['0', 0],
  ['33', 33],
  ['65536', 65_536],
  ['2³²−1', 0xffff_ffff],
];

for (const [title, length] of BAD_LENGTHS) {
  test(`an exit that announces ${title} bytes gives status 6 with what came and is cut off`, async (t) => {
    const { exit, forwarder, request } = await setUp(t);
    const result = forwarder.forward(request({ replies: 2 }));
    const side = await exit.accept();
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(length);
    side.socket.write(Buffer.concat([frames(REPLY), prefix]));
    t.deepEqual(await result, { status: 6, packets: [new Uint8Array(REPLY)] });
    await side.closed;
  });
}

test('an exit that sends packets without end gets the asked number read and is cut off', async (t) => {
  const { exit, forwarder, request } = await setUp(t);
  const result = forwarder.forward(request({ replies: 255 }));
  const side = await exit.accept();
  const flood = frames(...Array.from({ length: 1000 }, () => packet(SESSION_INDEX, 3)));
  const pour = () => {
    while (!side.socket.destroyed && side.socket.write(flood));
  };
  side.socket.on('drain', pour);
  pour();
  const { status, packets } = await result;
  t.is(status, 0);
  t.is(packets.length, 255);
  await side.closed;
});

test('an exit that pours bytes on a connection without replies is cut off in time', async (t) => {
  const { exit, forwarder, request, timers } = await setUp(t, { halfOpenExit: true });
  await forwarder.forward(request({ replies: 0 }));
  const side = await exit.accept();
  const drained = new Promise((resolve) => side.socket.once('drain', resolve));
  const pour = () => {
    while (!side.socket.destroyed && side.socket.write(Buffer.alloc(65_536)));
  };
  side.socket.on('drain', pour);
  pour();
  await drained;
  t.is(forwarder.status().endingConnections, 1);
  timers.advance(5_000);
  t.is(forwarder.status().endingConnections, 0);
  await side.closed;
});

test('an exit that announces a packet and then is silent gives status 3', async (t) => {
  const { exit, forwarder, request, timers } = await setUp(t);
  const result = forwarder.forward(request());
  const side = await exit.accept();
  await side.receive();
  side.socket.write(Buffer.of(0, 0, 0, 34));
  timers.advance(10_000);
  t.deepEqual(await result, { status: 3, packets: [] });
});

test('a node beyond its exchanges answers busy, and takes the next when one has ended', async (t) => {
  const { exit, forwarder, request } = await setUp(t, { maxInFlight: 2 });
  const a = forwarder.forward(request({ family: 'a' }));
  const b = forwarder.forward(request({ family: 'b' }));
  t.deepEqual(await forwarder.forward(request({ family: 'c' })), { status: 5, packets: [] });
  const sides = [await exit.accept(), await exit.accept()];
  for (const side of sides) side.send(REPLY);
  await Promise.all([a, b]);
  const c = forwarder.forward(request({ family: 'c' }));
  (await exit.accept()).send(REPLY);
  t.is((await c).status, 0);
});

test('a family beyond its exchanges is busy, another is not', async (t) => {
  const { exit, forwarder, request } = await setUp(t, { maxInFlightPerFamily: 1 });
  const a = forwarder.forward(request({ family: 'a' }));
  t.is((await forwarder.forward(request({ family: 'a' }))).status, 5);
  const b = forwarder.forward(request({ family: 'b' }));
  for (const side of [await exit.accept(), await exit.accept()]) side.send(REPLY);
  t.is((await a).status, 0);
  t.is((await b).status, 0);
  t.is(forwarder.status().inFlight, 0);
});

test('beyond the cap on ending connections the oldest is destroyed', async (t) => {
  const { exit, forwarder, request } = await setUp(t, { maxEnding: 1, halfOpenExit: true });
  await forwarder.forward(request({ replies: 0 }));
  const first = await exit.accept();
  t.deepEqual(await first.receive(), SEALED);
  await forwarder.forward(request({ replies: 0 }));
  t.is(forwarder.status().endingConnections, 1);
  t.deepEqual(await (await exit.accept()).receive(), SEALED);
});

test('many exchanges on one connection leave no listeners behind, and one timer for each kind of deadline', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const { exit, forwarder, request, timers } = await setUp(t);
  let side: Awaited<ReturnType<typeof exit.accept>> | undefined;
  for (let i = 0; i < 30; i++) {
    const result = forwarder.forward(request());
    side ??= await exit.accept();
    await side.receive();
    side.send(REPLY);
    t.is((await result).status, 0);
  }
  t.deepEqual(warnings, []);
  t.is(forwarder.status().connectionsOpened, 1);
  // Connecting, exchanges and kept connections.
  t.is(timers.pending, 3);
});

test('close ends what is connecting, in flight, kept and ending', async (t) => {
  const { exit, forwarder, request, timers } = await setUp(t, { halfOpenExit: true });
  const kept = forwarder.forward(request({ family: 'kept' }));
  (await exit.accept()).send(REPLY);
  await kept;
  await forwarder.forward(request({ family: 'ending', replies: 0 }));
  await exit.accept();
  const inFlight = forwarder.forward(request({ family: 'in flight', replies: 2 }));
  await (await exit.accept()).receive();
  const connecting = forwarder.forward(request({ family: 'connecting' }));
  t.like(forwarder.status(), { inFlight: 2, keptConnections: 1, endingConnections: 1, openConnections: 4 });
  await forwarder.close();
  t.deepEqual(await inFlight, { status: 6, packets: [] });
  t.deepEqual(await connecting, { status: 6, packets: [] });
  t.like(forwarder.status(), { inFlight: 0, keptConnections: 0, endingConnections: 0, openConnections: 0 });
  t.is(timers.pending, 0);
});

test('a closed forwarder answers closed and connects nowhere', async (t) => {
  const { forwarder, request } = await setUp(t);
  await forwarder.close();
  await forwarder.close();
  t.deepEqual(await forwarder.forward(request()), { status: 6, packets: [] });
  t.is(forwarder.status().connectionsOpened, 0);
});
