/**
 * Two hops: what a handshake with an exit costs the entry that forwards it (two Forwards and a connection to the exit), against
 * a handshake that the entry terminates itself. The sessions with the entry are there before.
 */
import { stopAll } from './children.ts';
import { type Figure, ratioFigure } from './figures.ts';
import {
  CONCURRENCY,
  type Cost,
  costFigures,
  costOf,
  costSeries,
  handshakeScale,
  type Load,
  startGateway,
  startLoad,
  warmUp,
} from './gateway.ts';
import { apart, pinningFault } from './pinning.ts';

/** Sessions with the entry, one forwarded handshake under way in each. */
const SESSIONS = 64;

export async function forwardFigures(quick: boolean): Promise<Figure[]> {
  const scale = handshakeScale(quick, 9);
  const cores = apart();
  // The exit is part of the load.
  const exit = await startGateway(['1'], cores.load);
  const entry = await startGateway(['1'], cores.server);
  await entry.child.ask({ exit: { identity: exit.facts.identity, port: exit.facts.port } });
  const own = await startLoad('handshake-client', ['lp2', ...entry.target], cores.load);
  const through = await startLoad('forward-client', [...entry.target, ...exit.target], cores.load);
  await through.ask({ prepare: SESSIONS });
  const terminate = (n: number) => costOf(entry.child, n, () => own.ask<Load>({ count: n, concurrency: CONCURRENCY }));
  const forward = (n: number) => costOf(entry.child, n, () => through.ask<Load>({ count: n }));
  await warmUp(terminate, scale);
  const count = await warmUp(forward, { ...scale, n: scale.n >> 1 });
  const costs = { forwarded: [] as Cost[], own: [] as Cost[] };
  for (let round = 0; round < scale.rounds; round++) {
    costs.forwarded.push(await forward(count));
    costs.own.push(await terminate(count));
  }
  await stopAll(through, own, entry.child, exit.child);
  return [
    ratioFigure(
      'gateway/forward-vs-own',
      costSeries('entry, forwarded handshake', costs.forwarded, ({ process }) => process),
      costSeries('entry, its own handshake', costs.own, ({ process }) => process),
      { note: pinningFault() },
    ),
    ...costFigures('gateway/forward', costs.forwarded),
  ];
}
