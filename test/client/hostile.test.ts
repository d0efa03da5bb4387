/** Whatever a peer sends, a client ends in bounded time with an error that it names, and goes on where it can. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { connect, type LewesErrorCode } from '../../src/client/index.ts';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { receiverIndex } from '../../src/lp/wire/packet.ts';
import { SteppedTime, until } from '../support/stepped-time.ts';
import { clientFor, errorOf, gatewayFor, steppedSetUp } from './fixture.ts';

/** A server that does this to each connection when the first bytes have come. */
async function hostile(t: ExecutionContext, act: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.once('data', () => act(socket));
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, sockets };
}

const ATTACKS: Readonly<Record<string, { act: (socket: Socket) => void; code: LewesErrorCode }>> = {
  'zeros, which are no frame': { act: (socket) => socket.write(new Uint8Array(64)), code: 'connection_lost' },
  'a frame that is too short for a packet': {
    act: (socket) => socket.write(Uint8Array.of(0, 33)),
    code: 'connection_lost',
  },
  'an HTTP answer': { act: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), code: 'connection_lost' },
  'the end of the connection in the middle of a frame': {
    act: (socket) => socket.end(Uint8Array.of(0xff, 0xff, 1, 2, 3)),
    code: 'connection_lost',
  },
  'a reset': { act: (socket) => socket.resetAndDestroy(), code: 'connection_lost' },
  silence: { act: () => {}, code: 'timeout' },
  'packets that nobody asked for': {
    act: (socket) => socket.write(encodeFrames('be16', Array(500).fill(new Uint8Array(100).fill(7)))),
    code: 'timeout',
  },
};

for (const [what, { act, code }] of Object.entries(ATTACKS)) {
  test(`${what} ends the attempts with ${code}`, async (t) => {
    const time = new SteppedTime();
    const { address, sockets } = await hostile(t, act);
    const gateway = { address, identity: (await gatewayFor(t)).identity };
    const error = await errorOf(t, time.drive(connect({ gateway, clock: time.clock, timers: time, attempts: 2 })));
    t.is(error.code, code);
    await until(() => sockets.size === 0);
    await until(() => time.pending === 0);
  });
}

test('every packet of a handshake may be mangled: the client ends or goes on, and never throws', async (t) => {
  for (const at of [0, 4, 12, 16, 18, 20, 25, 40, 90, 600]) {
    let mangled = 0;
    const { time, base } = await steppedSetUp(t, {
      reply: (packet) => {
        const copy = packet.slice();
        if (mangled++ < 4 && at < copy.length) copy[at] = (copy[at] ?? 0) ^ 0x41;
        return [copy];
      },
    });
    const outcome = await time.drive(
      connect({ ...base, timeouts: { openMs: 100_000 } }).catch((error: Error) => error.name),
    );
    if (typeof outcome === 'string') t.is(outcome, 'LewesError');
    else {
      t.deepEqual(await outcome.echo(Uint8Array.of(at)), Uint8Array.of(at));
      await outcome.close();
    }
  }
});

test('replayed, mangled and foreign packets between answers change nothing', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  gateway.reply = (packet) => {
    const mangled = packet.slice();
    mangled[20] = (mangled[20] ?? 0) ^ 1;
    const foreign = packet.slice();
    foreign[0] = (foreign[0] ?? 0) ^ 1;
    const old = packet.slice();
    old.fill(0xff, 4, 12);
    return [mangled, foreign, old, new Uint8Array(34), packet, packet];
  };
  for (let i = 0; i < 5; i++) t.deepEqual(await client.echo(Uint8Array.of(i)), Uint8Array.of(i));
  t.is(gateway.accepted, 1);
});

test('a stream that breaks in a session costs the connection, not the session', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  let broken = 0;
  gateway.reply = (packet) => (receiverIndex(packet) >= 2 ** 31 && broken++ === 0 ? [new Uint8Array(0)] : [packet]);
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.is(gateway.accepted, 2);
  t.is(gateway.stats.counters.h3_accepted, 1);
});
