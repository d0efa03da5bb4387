/**
 * Figures of the whole gateway process over real TCP: CPU per handshake against Node's tls, and CPU per echoed packet
 * against a bare `net` server. Servers and clients are processes of their own; rounds alternate, medians count.
 */
import { type Child, startChild } from './children.ts';
import type { CpuTimes } from './cpu.ts';
import { type Figure, median, us } from './figures.ts';

export interface ServerFacts {
  readonly port: number;
  readonly identity?: Uint8Array;
  /** PEM. */
  readonly issuerKey?: string;
}
export interface Load {
  readonly seconds: number;
}

export async function cpuOf(server: Child, load: () => Promise<unknown>): Promise<CpuTimes> {
  const before = await server.ask<CpuTimes>({});
  await load();
  const after = await server.ask<CpuTimes>({});
  return {
    process: after.process - before.process,
    main: after.main - before.main,
    workers: after.workers - before.workers,
  };
}

export const hexOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
/** Connections at once: a gateway under load. */
export const CONCURRENCY = 128;
/** Handshakes before the first round: what is hot is compiled by then. */
export const WARM_UP = 4_000;

export async function handshakeFigure(rounds: number, count: number): Promise<Figure> {
  const lewes = await startChild<ServerFacts>('gateway-server', ['auto']);
  const tls = await startChild<ServerFacts>('tls-server', []);
  const { child: lewesClient } = await startChild('handshake-client', [
    'lp2',
    String(lewes.first.port),
    hexOf(lewes.first.identity),
  ]);
  const { child: tlsClient } = await startChild('handshake-client', ['tls', String(tls.first.port)]);
  const measure = async (server: Child, client: Child, n: number) =>
    (await cpuOf(server, () => client.ask<Load>({ count: n, concurrency: CONCURRENCY }))).process / n;
  await measure(lewes.child, lewesClient, WARM_UP);
  await measure(tls.child, tlsClient, WARM_UP >> 2);
  const own: number[] = [];
  const peer: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const a = await measure(lewes.child, lewesClient, count);
    const b = await measure(tls.child, tlsClient, count);
    own.push(a);
    peer.push(b);
    ratios.push(a / b);
  }
  await Promise.all([lewes.child, tls.child, lewesClient, tlsClient].map((child) => child.stop()));
  return {
    name: 'whole gateway: CPU per handshake, new connection, echo answered',
    measured: us(median(own)),
    against: `${us(median(peer))} (Node tls, X25519MLKEM768)`,
    value: median(ratios),
    bound: 0.55,
    unit: 'ratio',
  };
}

const CONNECTIONS = 64;

export async function echoFigures(rounds: number, packets: number): Promise<Figure[]> {
  const lewes = await startChild<ServerFacts>('gateway-server', ['1']);
  const bare = await startChild<ServerFacts>('net-echo-server', []);
  const clients = {
    lewes: await startChild('echo-client', ['lp2', String(lewes.first.port), hexOf(lewes.first.identity)]),
    bare: await startChild('echo-client', ['net', String(bare.first.port)]),
  };
  const measure = async (server: Child, client: Child) => {
    await client.ask({ prepare: packets, connections: CONNECTIONS });
    const cpu = await cpuOf(server, () => client.ask<Load>({}));
    const n = packets * CONNECTIONS;
    return { main: cpu.main / n, workers: cpu.workers / n };
  };
  const acceptor: number[] = [];
  const floor: number[] = [];
  const shard: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const a = await measure(lewes.child, clients.lewes.child);
    const b = await measure(bare.child, clients.bare.child);
    if (round === 0) continue;
    acceptor.push(a.main);
    shard.push(a.workers);
    floor.push(b.main);
    ratios.push(a.main / b.main);
  }
  const all = [lewes.child, bare.child, clients.lewes.child, clients.bare.child];
  await Promise.all(all.map((child) => child.stop()));
  return [
    {
      name: `echo, ${CONNECTIONS} connections: acceptor's CPU per packet`,
      measured: us(median(acceptor)),
      against: `${us(median(floor))} (bare net echo)`,
      value: median(ratios),
      bound: 1.67,
      unit: 'ratio',
    },
    {
      name: `echo, ${CONNECTIONS} connections: shard's CPU per packet`,
      measured: us(median(shard)),
      against: '–',
      value: median(shard),
      bound: 5,
      unit: 'us',
    },
  ];
}
