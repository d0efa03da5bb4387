/**
 * Handshakes at the whole gateway, each on a new connection and with 256 bytes echoed: its CPU against Node's tls doing the
 * same, and against its floor, the primitives and a bare connection with the same reads and writes.
 */
import { type Child, startChild, stopAll } from './children.ts';
import { type Figure, ratioFigure, series } from './figures.ts';
import {
  CONCURRENCY,
  type Cost,
  costFigures,
  costOf,
  costSeries,
  handshakeScale,
  type Load,
  type ServerFacts,
  startGateway,
  startLoad,
  warmUp,
} from './gateway.ts';
import { apart, pinningFault } from './pinning.ts';

interface Side {
  readonly server: Child;
  readonly client: Child;
}

function measure({ server, client }: Side, n: number): Promise<Cost> {
  return costOf(server, n, () => client.ask<Load>({ count: n, concurrency: CONCURRENCY }));
}

async function startPeer(name: 'tls-server' | 'net-handshake-server', kind: string): Promise<Side> {
  const cores = apart();
  const { child: server, first } = await startChild<ServerFacts>(name, [], [], cores.server);
  return { server, client: await startLoad('handshake-client', [kind, String(first.port)], cores.load) };
}

export async function handshakeFigures(quick: boolean): Promise<Figure[]> {
  const scale = handshakeScale(quick, 9);
  const cores = apart();
  const gateway = await startGateway(['1'], cores.server);
  const client = await startLoad('handshake-client', ['lp2', ...gateway.target], cores.load);
  const lewes: Side = { server: gateway.child, client };
  const tls = await startPeer('tls-server', 'tls');
  const bare = await startPeer('net-handshake-server', 'net');
  const { child: primitives } = await startChild('primitives', [], [], cores.server);
  const sum = async (n: number) => (await primitives.ask<{ us: number }>({ n })).us;
  const count = await warmUp((n) => measure(lewes, n), scale);
  await warmUp((n) => measure(tls, n), { ...scale, n: scale.n >> 2 });
  await warmUp((n) => measure(bare, n), scale);
  await sum(500);
  const costs = { lewes: [] as Cost[], tls: [] as Cost[], bare: [] as Cost[] };
  const sums: number[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    costs.lewes.push(await measure(lewes, count));
    costs.tls.push(await measure(tls, count));
    sums.push(await sum(count >> 2));
    costs.bare.push(await measure(bare, count));
  }
  await stopAll(primitives, ...[lewes, tls, bare].flatMap(({ server, client: load }) => [server, load]));
  const whole = (name: string, of: readonly Cost[]) => costSeries(name, of, ({ process }) => process);
  const own = whole('whole gateway', costs.lewes);
  const connection = whole('bare connection', costs.bare);
  const floor = sums.map((us, i) => us + (connection.rounds[i] ?? 0));
  const note = pinningFault();
  const againstFloor = ratioFigure('gateway/handshake-vs-floor', own, series('primitives + connection', 'us', floor));
  return [
    ratioFigure('gateway/handshake-vs-tls', own, whole('Node tls, X25519MLKEM768', costs.tls), { note }),
    { ...againstFloor, parts: [...againstFloor.parts, series('primitives', 'us', sums), connection] },
    ...costFigures('gateway/handshake', costs.lewes),
  ];
}
