/**
 * Bad input in small, deterministic amounts, each kind from one source and from many, while live clients work and a newcomer
 * comes: what the gateway keeps stays within its bounds, and nobody else notices. In large: `npm run bench -- flood`.
 */

import { randomFillSync } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import type { RawClient } from '../support/raw-client.ts';
import { until } from '../support/test-gateway.ts';
import { LIVE, type LoadedGateway, startLoaded } from './fixtures/loaded-gateway.ts';

const PACKETS = 600;
const MANY = 100;
/** A session's, by its bit 31. */
const UNKNOWN = 0xf654_3210;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Bytes of buffers that somebody still holds; what the first collection finds to be dead is freed by the second. */
async function keptBuffers(): Promise<number> {
  collectGarbage();
  await setImmediate();
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

/** Connections of one source, or of many with one each; the gateway has taken them all. */
async function connections(made: LoadedGateway, sources: number): Promise<RawClient[]> {
  const count = sources === 1 ? 10 : sources;
  const clients = await Promise.all(
    Array.from({ length: count }, (_, i) => made.from(`127.0.60.${1 + (i % sources)}`)),
  );
  await until(() => made.gateway.acceptor.open === LIVE + count, 'they are accepted');
  return clients;
}

/** What has come in is through acceptor and shards when the connections' own last packets are answered. */
async function sendAll(clients: readonly RawClient[], packets: (n: number) => readonly Uint8Array[]): Promise<void> {
  for (let n = 0; n < PACKETS; n++) clients[n % clients.length]?.send(packets(n));
  await until(() => clients.every(({ socket }) => socket.writableLength === 0), 'all is written');
}

async function newcomerGetsIn(made: LoadedGateway, address: string): Promise<number> {
  const newcomer = await made.from(address);
  await newcomer.open();
  return newcomer.hints.length;
}

for (const sources of [1, MANY]) {
  const whence = sources === 1 ? 'one source' : `${sources} sources`;

  test.serial(`a flood of hellos from ${whence} keeps its bound of records, and a newcomer gets in`, async (t) => {
    const set = ['limits.records_per_address=20', 'limits.handshake_burst=5', 'limits.queued_handshakes=32'];
    const made = await startLoaded(t, { set });
    const clients = await connections(made, sources);
    await sendAll(clients, (n) => [made.hello(1_000 + n)]);
    t.is(await newcomerGetsIn(made, '127.0.61.1'), 0);
    made.gateway.tick();
    await made.work();
    const records = made.gateway.hosts.reduce((sum, { snapshot }) => sum + (snapshot?.gauges.records ?? 0), 0);
    t.true(records <= 20 * sources + LIVE + 1, `${records} records`);
    t.true(records >= Math.min(20 * sources, 100), `${records} records`);
    // Nothing is left of hellos that were refused.
    t.true(made.gateway.router.size <= records + made.gateway.admission.sessions);
    await made.assertUntouched();
  });

  test.serial(
    `a flood of H1 that do not read from ${whence} costs its tokens and no more, and a newcomer gets in`,
    async (t) => {
      const made = await startLoaded(t, { set: ['limits.handshake_burst=5', 'limits.handshakes_per_address=0.5'] });
      const clients = await connections(made, sources);
      await sendAll(clients, () => {
        const { hello, unreadable } = made.handshake();
        return [hello, unreadable];
      });
      await newcomerGetsIn(made, '127.0.61.2');
      await made.work();
      const read = await made.drops('handshake_failed');
      t.true(read > 0 && read <= 5 * sources, `${read} were read`);
      await until(() => made.gateway.admission.sessions === LIVE + 1, 'their places are given back');
      await made.assertUntouched();
    },
  );

  test.serial(`frames of 65,535 bytes for unknown indices from ${whence} leave nothing behind`, async (t) => {
    const made = await startLoaded(t);
    const clients = await connections(made, sources);
    const large = encodeUnsealed(UNKNOWN, 5, TYPE.encryptedData, new Uint8Array(65_501));
    const before = await keptBuffers();
    for (const client of clients) for (let i = 0; i < 4; i++) client.send([large]);
    await made.untilDropped('unknown_index', 4 * clients.length);
    t.true((await keptBuffers()) - before < 8 * 2 ** 20);
    t.is(await newcomerGetsIn(made, '127.0.61.3'), 0);
    t.is(made.gateway.router.size, 2 * (LIVE + 1));
    await made.assertUntouched();
  });

  test.serial(`garbage from ${whence} closes its own connections only`, async (t) => {
    const made = await startLoaded(t);
    const clients = await connections(made, sources);
    for (const { socket } of clients) {
      // A frame that can be none, behind one that may be anything.
      socket.write(encodeFrames('be16', [randomFillSync(new Uint8Array(200))]));
      socket.write(Uint8Array.of(0, 1, 2, 3));
    }
    const { closed } = made.gateway.acceptor.counts;
    await until(() => closed.framing === clients.length, 'they are closed');
    t.is(await newcomerGetsIn(made, '127.0.61.4'), 0);
    await made.assertUntouched();
  });

  test.serial(`half-open connections and ones with a byte a second from ${whence} are gone after 30 s`, async (t) => {
    const made = await startLoaded(t);
    const clients = await connections(made, sources);
    const frame = encodeFrames('be16', [made.hello(77)]);
    for (let second = 0; second < 30; second++) {
      for (const [i, { socket }] of clients.entries())
        if (i % 2 === 1) socket.write(frame.subarray(second, second + 1));
      await made.pass(1_000);
    }
    const { closed } = made.gateway.acceptor.counts;
    await until(() => closed.unproven + closed.frame_timeout === clients.length, 'they are closed');
    t.is(closed.unproven, clients.length / 2);
    t.is(await newcomerGetsIn(made, '127.0.61.5'), 0);
    await made.assertUntouched();
  });

  test.serial(`clients that ask and never read from ${whence} are read no further than their bound`, async (t) => {
    const made = await startLoaded(t, { set: ['limits.handshake_burst=50'] });
    const clients = (await connections(made, sources)).slice(0, 10);
    await Promise.all(clients.map((client) => client.open()));
    for (const client of clients) {
      client.socket.pause();
      void Promise.allSettled(client.pipeline(Array.from({ length: 100 }, () => new Uint8Array(60_000))));
    }
    const unread = () => clients.reduce((sum, { socket }) => sum + socket.writableLength, 0);
    let left = -1;
    while (left !== unread()) {
      left = unread();
      await made.work(100);
    }
    const unsent = unsentOf(made);
    t.true(unsent.length >= clients.length);
    // 256 KiB is where reading stops; two batches may be on their way then and one be filled, each with a share and a packet.
    t.true(Math.max(...unsent) <= 262_144 + 3 * (262_144 + 65_536), `${Math.max(...unsent)} bytes`);
    t.is(await newcomerGetsIn(made, '127.0.61.6'), 0);
    await made.assertUntouched();
  });
}

function unsentOf({ gateway }: LoadedGateway): number[] {
  const inside = gateway.acceptor as unknown as { connections: Map<number, { socket: { writableLength: number } }> };
  return [...inside.connections.values()].map(({ socket }) => socket.writableLength);
}
