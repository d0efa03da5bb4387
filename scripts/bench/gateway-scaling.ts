/**
 * Gateways with 1, 2 and 4 shards under the same loads in rounds that alternate: what an operation costs, and how many there
 * are in a second. Server and load have the cores together where there are fewer than four, so that rates are what both do.
 */
import { type Child, stopAll } from './children.ts';
import { type Figure, figure, ratioFigure, type Series, series } from './figures.ts';
import {
  CONCURRENCY,
  type Cost,
  costOf,
  handshakeScale,
  type Load,
  startGateway,
  startLoad,
  together,
  warmUp,
} from './gateway.ts';
import { CONNECTIONS } from './gateway-echo.ts';
import { halves } from './pinning.ts';

const SHARDS = [1, 2, 4] as const;
const PIPELINED = 32;
/** Clients' processes: one alone would be what bounds two shards. */
const LOADS = 2;

interface Scaled {
  readonly shards: number;
  readonly server: Child;
  readonly handshakers: readonly Child[];
  readonly echoers: readonly Child[];
  readonly handshakes: Cost[];
  readonly packets: Cost[];
}

async function start(shards: number): Promise<Scaled> {
  const cores = halves();
  const { child: server, target } = await startGateway([String(shards)], cores.server);
  const loads = (name: string) =>
    Promise.all(Array.from({ length: LOADS }, () => startLoad(name, ['lp2', ...target], cores.load)));
  const handshakers = await loads('handshake-client');
  return { shards, server, handshakers, echoers: await loads('echo-client'), handshakes: [], packets: [] };
}

function handshakeRound({ server, handshakers }: Scaled, n: number): Promise<Cost> {
  const share = { count: Math.ceil(n / LOADS), concurrency: CONCURRENCY / LOADS };
  const load = () => together(handshakers.map((client) => client.ask<Load>(share)));
  return costOf(server, share.count * LOADS, load);
}

async function echoRound({ server, echoers }: Scaled, packets: number): Promise<Cost> {
  const connections = CONNECTIONS / LOADS;
  await Promise.all(echoers.map((client) => client.ask({ prepare: packets, connections })));
  const load = () => together(echoers.map((client) => client.ask<Load>({ depth: PIPELINED })));
  return costOf(server, packets * CONNECTIONS, load);
}

export async function scalingFigures(quick: boolean): Promise<Figure[]> {
  const scale = handshakeScale(quick, 7);
  const packets = quick ? 500 : 1_500;
  const all = await Promise.all(SHARDS.map(start));
  let count = scale.most;
  for (const each of all) {
    count = await warmUp((n) => handshakeRound(each, n), { ...scale, most: count });
    await echoRound(each, packets);
  }
  for (let round = 0; round < scale.rounds; round++) {
    for (const each of all) each.handshakes.push(await handshakeRound(each, count));
    for (const each of all) each.packets.push(await echoRound(each, packets));
  }
  await stopAll(...all.flatMap(({ server, handshakers, echoers }) => [server, ...handshakers, ...echoers]));
  return [
    ...costsOf('handshake', all, ({ handshakes }) => handshakes),
    ...costsOf('packet', all, ({ packets: costs }) => costs),
  ];
}

function costsOf(what: string, all: readonly Scaled[], costs: (of: Scaled) => readonly Cost[]): Figure[] {
  const of = (shards: number, value: (cost: Cost) => number, unit: 'us' | 'per_s'): Series => {
    const scaled = all.find((each) => each.shards === shards);
    return series(`${shards} shards`, unit, scaled === undefined ? [] : costs(scaled).map(value));
  };
  const cpu = (shards: number) => of(shards, ({ process }) => process, 'us');
  const rate = (shards: number) => of(shards, ({ perSecond }) => perSecond, 'per_s');
  const perBatch = (shards: number) => of(shards, ({ batches }) => 1 / batches, 'us').rounds;
  const higher = { better: 'higher' } as const;
  return [
    ratioFigure(`gateway/scaling-${what}s-4-vs-2`, rate(4), rate(2), higher),
    ratioFigure(`gateway/scaling-${what}s-2-vs-1`, rate(2), rate(1), higher),
    ratioFigure(`gateway/scaling-${what}-cpu-2-vs-1`, cpu(2), cpu(1)),
    ratioFigure(`gateway/scaling-${what}-cpu-4-vs-1`, cpu(4), cpu(1)),
    ...SHARDS.map((shards) =>
      figure(`gateway/scaling-${what}s-per-batch-${shards}`, 'count', perBatch(shards), higher),
    ),
  ];
}
