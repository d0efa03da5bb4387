/** The proxy of the chaos runner between real sockets: it keeps its address, and passes on what its policy lets through. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Framing, Policy } from '../../scripts/chaos/mangle.ts';
import { ChaosProxy } from '../../scripts/chaos/proxy.ts';
import { Prng } from '../support/prng.ts';
import { until } from '../support/stepped-time.ts';

const MESSAGE = Buffer.concat([Buffer.of(0x0f, 0xa0), Buffer.alloc(4_000, 7)]);

/** A server that sends back what it gets, behind a proxy. */
async function worldOf(
  t: ExecutionContext,
  framing: Framing = 'frames',
): Promise<{ proxy: ChaosProxy; dial: () => Promise<Socket> }> {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await ChaosProxy.listen(new Prng(1), framing);
  proxy.target = (server.address() as AddressInfo).port;
  const sockets: Socket[] = [];
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await proxy.close();
    server.close();
  });
  const dial = async () => {
    const socket = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  return { proxy, dial };
}

async function readAll(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let got = 0;
  while (got < length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    chunks.push(chunk);
    got += chunk.length;
  }
  return Buffer.concat(chunks);
}

const HARMLESS: readonly Policy[] = [
  { kind: 'calm' },
  { kind: 'delay', minMs: 1, maxMs: 5 },
  { kind: 'split', maxBytes: 900, gapMs: 1 },
  { kind: 'merge', everyMs: 5 },
];
for (const policy of HARMLESS) {
  test(`with "${policy.kind}" the bytes are the same at both ends`, async (t) => {
    const { proxy, dial } = await worldOf(t);
    proxy.policy = policy;
    const socket = await dial();
    socket.write(MESSAGE);
    t.deepEqual(await readAll(socket, MESSAGE.length), MESSAGE);
    socket.end();
    await once(socket, 'close');
  });
}

test('cutting all ends every connection, and the next one works', async (t) => {
  const { proxy, dial } = await worldOf(t);
  const socket = await dial();
  socket.write(MESSAGE);
  await readAll(socket, MESSAGE.length);
  const closed = once(socket, 'close');
  t.is(proxy.cutAll(), 1);
  await closed;
  t.is(proxy.connections, 0);
  const next = await dial();
  next.write(MESSAGE);
  t.deepEqual(await readAll(next, MESSAGE.length), MESSAGE);
});

test('it says since when bytes of a stream of unknown framing may have been harmed', async (t) => {
  for (const framing of ['frames', 'stream'] as const) {
    const { proxy, dial } = await worldOf(t, framing);
    const socket = await dial();
    socket.write(MESSAGE);
    await readAll(socket, MESSAGE.length);
    t.false(proxy.harmedSince(0));
    const beganMs = performance.now();
    proxy.policy = { kind: 'duplicate', frames: 1, echoBytes: 0 };
    socket.write(MESSAGE);
    await readAll(socket, MESSAGE.length);
    t.is(proxy.harmedSince(beganMs), framing === 'stream');
    t.false(proxy.harmedSince(performance.now() + 1));
  }
});

test('without anything behind it connections are ended', async (t) => {
  const { proxy, dial } = await worldOf(t);
  proxy.target = undefined;
  const socket = await dial();
  await once(socket, 'close');
  t.is(proxy.connections, 0);
});

test('a half-close ends one direction and the connection with it', async (t) => {
  const { proxy, dial } = await worldOf(t);
  proxy.policy = { kind: 'halfClose', chance: 1 };
  const socket = await dial();
  socket.write(MESSAGE);
  socket.resume();
  await once(socket, 'close');
  await until(() => proxy.connections === 0);
  t.pass();
});
