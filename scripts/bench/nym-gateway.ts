/**
 * Nym handshakes at the whole gateway, each on a new connection: CPU by thread, and against the floor, which is the primitives
 * and a bare connection with the same reads and writes.
 */
import { startChild, stopAll } from './children.ts';
import { type Figure, ratioFigure, series } from './figures.ts';
import {
  CONCURRENCY,
  type Cost,
  costFigures,
  costOf,
  costSeries,
  handshakeScale,
  hexOf,
  type Load,
  type ServerFacts,
  startGateway,
  startLoad,
  warmUp,
} from './gateway.ts';
import { apart, pinningFault } from './pinning.ts';

export async function nymGatewayFigures(quick: boolean): Promise<Figure[]> {
  const scale = handshakeScale(quick, 9);
  const cores = apart();
  const { child: server, facts } = await startGateway(['1', 'nym'], cores.server);
  const { nym } = facts;
  if (nym === undefined) throw new Error('the gateway has no listener for Nym');
  const client = await startLoad(
    'nym-handshake-client',
    ['nym', String(nym.port), hexOf(nym.lpKey), hexOf(nym.kemDigest)],
    cores.load,
  );
  const { child: bare, first } = await startChild<ServerFacts>('net-handshake-server', ['nym'], [], cores.server);
  const bareClient = await startLoad('nym-handshake-client', ['net', String(first.port)], cores.load);
  const { child: primitives } = await startChild('primitives', ['nym'], [], cores.server);
  const sum = async (n: number) => (await primitives.ask<{ us: number }>({ n })).us;
  const measure = (n: number) => costOf(server, n, () => client.ask<Load>({ count: n, concurrency: CONCURRENCY }));
  const measureBare = (n: number) =>
    costOf(bare, n, () => bareClient.ask<Load>({ count: n, concurrency: CONCURRENCY }));
  const count = await warmUp(measure, scale);
  await warmUp(measureBare, scale);
  await sum(500);
  const costs: Cost[] = [];
  const bareCosts: Cost[] = [];
  const sums: number[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    costs.push(await measure(count));
    sums.push(await sum(count >> 2));
    bareCosts.push(await measureBare(count));
  }
  await stopAll(primitives, server, client, bare, bareClient);
  const connection = costSeries('bare connection', bareCosts, ({ process }) => process);
  const floor = sums.map((us, i) => us + (connection.rounds[i] ?? 0));
  const own = costSeries('whole gateway', costs, ({ process }) => process);
  const note = pinningFault();
  const againstFloor = ratioFigure(
    'gateway/nym-handshake-vs-floor',
    own,
    series('primitives + connection', 'us', floor),
    {
      note,
    },
  );
  return [
    { ...againstFloor, parts: [...againstFloor.parts, series('primitives', 'us', sums), connection] },
    ...costFigures('gateway/nym-handshake', costs),
  ];
}
