/**
 * Two hops: what a handshake with an exit costs the entry that forwards it (two Forwards and a connection to the exit), against
 * a handshake that the entry terminates itself. The sessions with the entry are there before. Both loads are closed loops of
 * as many clients, and keep the entry busy. For the forwarded ones client and exit send the bytes of a recorded handshake,
 * which are the same to the entry: computing one takes them several times as long as forwarding it, so the entry would
 * mostly sleep, and wake up for each packet; that cost stands beside it, and a bare relay of the same bytes as the floor.
 */
import { startChild, stopAll } from './children.ts';
import { type Figure, figure, ratioFigure } from './figures.ts';
import type { RecordedForward } from './forward-client.ts';
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

/** A forwarded handshake takes the entry a third of its own, and rounds are to be as long. */
const FORWARDS_PER_HANDSHAKE = 3;

/** All of it, started and ready: what costs how much, for so many operations. */
async function start() {
  const cores = apart();
  const exit = await startGateway(['1'], cores.load);
  const entry = await startGateway(['1'], cores.server);
  const replica = await startChild<ServerFacts>('forward-exit', [], [], cores.load);
  const relay = await startChild<ServerFacts>('forward-relay', [], [], cores.server);
  const own = await startLoad('handshake-client', ['lp2', ...entry.target], cores.load);
  const through = await startLoad('forward-client', [...entry.target, ...exit.target], cores.load);
  const leadTo = (port: number) => entry.child.ask({ exit: { identity: exit.facts.identity, port } });
  await leadTo(exit.facts.port);
  await through.ask({ prepare: CONCURRENCY });
  const { handshake } = await through.ask<{ handshake: readonly RecordedForward[] }>({ record: true });
  await replica.child.ask({ handshake });
  await relay.child.ask({ exit: replica.first.port, handshake });
  await through.ask({ relay: relay.first.port });
  const load = (count: number, what: object) => through.ask<Load>({ count, ...what });
  return {
    terminated: (n: number) => costOf(entry.child, n, () => own.ask<Load>({ count: n, concurrency: CONCURRENCY })),
    relayed: (n: number) => costOf(relay.child, n, () => load(n, { handshake, bare: true })),
    async forwarded(n: number) {
      await leadTo(replica.first.port);
      return await costOf(entry.child, n, () => load(n, { handshake }));
    },
    async unhurried(n: number) {
      await leadTo(exit.facts.port);
      return await costOf(entry.child, n, () => load(n, {}));
    },
    stop: () => stopAll(through, own, relay.child, replica.child, entry.child, exit.child),
  };
}

export async function forwardFigures(quick: boolean): Promise<Figure[]> {
  const scale = handshakeScale(quick, 9);
  const { terminated, relayed, forwarded, unhurried, stop } = await start();
  const many = { ...scale, n: FORWARDS_PER_HANDSHAKE * scale.n, most: FORWARDS_PER_HANDSHAKE * scale.most };
  await warmUp(terminated, scale);
  const counts = {
    relayed: await warmUp(relayed, many),
    unhurried: await warmUp(unhurried, { ...scale, n: scale.n >> 1 }),
    forwarded: await warmUp(forwarded, { ...many, n: 3 * many.n }),
  };
  // As many handshakes as keep the entry about as long.
  const own = Math.ceil(counts.forwarded / FORWARDS_PER_HANDSHAKE);
  const costs = { forwarded: [] as Cost[], own: [] as Cost[], relayed: [] as Cost[], unhurried: [] as Cost[] };
  for (let round = 0; round < scale.rounds; round++) {
    costs.forwarded.push(await forwarded(counts.forwarded));
    costs.own.push(await terminated(own));
    costs.relayed.push(await relayed(counts.relayed));
    costs.unhurried.push(await unhurried(counts.unhurried));
  }
  await stop();
  const process = ({ process }: Cost) => process;
  const forward = costSeries('entry, forwarded handshake', costs.forwarded, process);
  return [
    ratioFigure('gateway/forward-vs-own', forward, costSeries('entry, its own handshake', costs.own, process), {
      note: pinningFault(),
    }),
    ratioFigure('gateway/forward-vs-relay', forward, costSeries('bare relay', costs.relayed, process)),
    ...costFigures('gateway/forward', costs.forwarded),
    figure('gateway/forward-unhurried-cpu', 'us', costs.unhurried.map(process), {
      note: 'clients and exit compute, so the entry mostly sleeps',
    }),
  ];
}
