/**
 * Packets of live sessions at the whole gateway with one shard: 64 connections, packets sealed beforehand, one or 32 of each
 * connection under way. CPU by thread, against a bare `net` server that writes back what it reads.
 */
import { type Child, startChild, stopAll } from './children.ts';
import { type Figure, figure, ratioFigure } from './figures.ts';
import {
  type Cost,
  costFigures,
  costOf,
  costSeries,
  type Load,
  type ServerFacts,
  startGateway,
  startLoad,
} from './gateway.ts';
import { apart, pinningFault } from './pinning.ts';

export const CONNECTIONS = 64;
const PIPELINED = 32;

interface Side {
  readonly server: Child;
  readonly client: Child;
}

/** `packets` of each connection. */
async function measure({ server, client }: Side, packets: number, depth: number): Promise<Cost> {
  await client.ask({ prepare: packets, connections: CONNECTIONS });
  return costOf(server, packets * CONNECTIONS, () => client.ask<Load>({ depth }));
}

interface Costs {
  readonly lewes: Cost[];
  readonly bare: Cost[];
}

async function alternate(rounds: number, packets: number, depth: number): Promise<Costs> {
  const cores = apart();
  const gateway = await startGateway(['1'], cores.server);
  const { child: net, first } = await startChild<ServerFacts>('net-echo-server', [], [], cores.server);
  const lewes: Side = {
    server: gateway.child,
    client: await startLoad('echo-client', ['lp2', ...gateway.target], cores.load),
  };
  const bare: Side = {
    server: net,
    client: await startLoad('echo-client', ['net', String(first.port)], cores.load),
  };
  const costs: Costs = { lewes: [], bare: [] };
  for (let round = -1; round < rounds; round++) {
    const a = await measure(lewes, packets, depth);
    const b = await measure(bare, packets, depth);
    // The first is warm-up.
    if (round < 0) continue;
    costs.lewes.push(a);
    costs.bare.push(b);
  }
  await stopAll(lewes.server, lewes.client, bare.server, bare.client);
  return costs;
}

export async function echoFigures(quick: boolean): Promise<Figure[]> {
  const [rounds, packets] = quick ? [4, 400] : [11, 1_000];
  const { lewes, bare } = await alternate(rounds, packets, 1);
  const main = (name: string, costs: readonly Cost[]) => costSeries(name, costs, (cost) => cost.main);
  const ratio = ratioFigure('gateway/echo-acceptor-vs-net', main('acceptor', lewes), main('bare net echo', bare), {
    note: pinningFault(),
  });
  const shard = costSeries('', lewes, ({ shards }) => shards);
  return [ratio, figure('gateway/echo-shard', 'us', shard.rounds), ...costFigures('gateway/echo', lewes)];
}

export async function pipelinedFigures(quick: boolean): Promise<Figure[]> {
  const [rounds, packets] = quick ? [4, 1_200] : [9, 4_000];
  const { lewes, bare } = await alternate(rounds, packets, PIPELINED);
  const us = (name: string, of: (cost: Cost) => number) => figure(name, 'us', lewes.map(of));
  const peer = costSeries('bare net echo', bare, ({ main }) => main);
  const [note] = [pinningFault() ?? 'gateway on one core: the rate is both threads’ work in turn'];
  const figures = costFigures('gateway/pipelined', lewes).map((each) =>
    each.name === 'gateway/pipelined-rate' ? { ...each, note } : each,
  );
  return [
    us('gateway/pipelined-shard', ({ shards }) => shards),
    us('gateway/pipelined-acceptor', ({ main }) => main),
    ratioFigure(
      'gateway/pipelined-acceptor-vs-net',
      costSeries('acceptor', lewes, ({ main }) => main),
      peer,
    ),
    ...figures,
  ];
}
