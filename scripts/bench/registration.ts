/**
 * What a registration costs the whole gateway: handshake, token checked, LMDB, WireGuard in memory, against a handshake alone
 * at the same gateway, with rounds that alternate. The clients mint their tokens between the rounds.
 */
import type { Child } from './children.ts';
import { stopAll } from './children.ts';
import { type Figure, figure, ratioFigure, series } from './figures.ts';
import {
  CONCURRENCY,
  type Cost,
  costFigures,
  costOf,
  costSeries,
  handshakeScale,
  type Load,
  type ServerState,
  startGateway,
  startLoad,
  warmUp,
} from './gateway.ts';
import { apart, pinningFault } from './pinning.ts';

export async function registrationFigures(quick: boolean): Promise<Figure[]> {
  const scale = handshakeScale(quick, 9);
  const cores = apart();
  const { child: server, facts, target } = await startGateway(['1', 'paid'], cores.server);
  const client = await startLoad('handshake-client', ['lp2', ...target], cores.load);
  const round = async (n: number, paid: boolean): Promise<Cost> => {
    if (paid) await client.ask({ mint: n, issuerKey: facts.issuerKey });
    const before = await registered(server);
    const cost = await costOf(server, n, () => client.ask<Load>({ count: n, concurrency: CONCURRENCY }));
    const done = (await registered(server)) - before;
    if (done !== (paid ? n : 0)) throw new Error(`${done} of ${n} were registered`);
    return cost;
  };
  await warmUp((n) => round(n, false), scale);
  const count = await warmUp((n) => round(n, true), { ...scale, n: scale.n >> 2 });
  const costs = { alone: [] as Cost[], paid: [] as Cost[] };
  for (let i = 0; i < scale.rounds; i++) {
    costs.alone.push(await round(count, false));
    costs.paid.push(await round(count, true));
  }
  await stopAll(server, client);
  const cpu = (name: string, of: readonly Cost[]) => costSeries(name, of, ({ process }) => process);
  const time = (name: string, of: readonly Cost[]) => costSeries(name, of, ({ perSecond }) => 1e6 / perSecond);
  const own = { alone: 'handshake alone', paid: 'handshake, token, LMDB' };
  return [
    ratioFigure('gateway/registration-cpu-vs-handshake', cpu(own.paid, costs.paid), cpu(own.alone, costs.alone), {
      note: pinningFault(),
    }),
    ratioFigure('gateway/registration-time-vs-handshake', time(own.paid, costs.paid), time(own.alone, costs.alone)),
    ...costFigures('gateway/registration', costs.paid),
    figure(
      'gateway/registration-cpu-registrar',
      'us',
      series(
        '',
        'us',
        costs.paid.map((c) => c.registrar),
      ).rounds,
    ),
  ];
}

/** Registrations that the gateway has completed so far. */
async function registered(server: Child): Promise<number> {
  return (await server.ask<ServerState>({})).registered;
}
