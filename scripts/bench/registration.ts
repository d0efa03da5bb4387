/**
 * What a registration costs the whole gateway: handshake, token checked, LMDB, WireGuard in memory, against a handshake alone
 * at the same gateway, with rounds that alternate. The clients mint their tokens between the rounds.
 */
import { type Child, startChild } from './children.ts';
import { type Figure, median, us } from './figures.ts';
import { CONCURRENCY, cpuOf, hexOf, type Load, type ServerFacts, WARM_UP } from './gateway.ts';

export async function registrationFigures(rounds: number, count: number): Promise<Figure[]> {
  const { child: server, first } = await startChild<ServerFacts>('gateway-server', ['auto', 'paid']);
  const { issuerKey } = first;
  const args = ['lp2', String(first.port), hexOf(first.identity)];
  const { child: client } = await startChild('handshake-client', args);
  const round = async (n: number, paid: boolean): Promise<Round> => {
    if (paid) await client.ask({ mint: n, issuerKey });
    const before = await registered(server);
    let seconds = 0;
    const cpu = await cpuOf(server, async () => {
      ({ seconds } = await client.ask<Load>({ count: n, concurrency: CONCURRENCY }));
    });
    const done = (await registered(server)) - before;
    if (done !== (paid ? n : 0)) throw new Error(`${done} of ${n} were registered`);
    return { us: cpu.process / n, perSecond: n / seconds };
  };
  await round(WARM_UP, false);
  await round(WARM_UP >> 1, true);
  const pairs: { alone: Round; paid: Round }[] = [];
  for (let i = 0; i < rounds; i++) pairs.push({ alone: await round(count, false), paid: await round(count, true) });
  await Promise.all([server.stop(), client.stop()]);
  const of = (what: (pair: { alone: Round; paid: Round }) => number) => median(pairs.map(what));
  return [
    {
      name: 'whole gateway: CPU per registration (handshake, token, LMDB)',
      measured: us(of(({ paid }) => paid.us)),
      against: `${us(of(({ alone }) => alone.us))} (handshake alone)`,
      value: of(({ paid, alone }) => paid.us / alone.us),
      bound: 1.8,
      unit: 'ratio',
    },
    {
      name: `whole gateway: time per registration, ${CONCURRENCY} connections`,
      measured: `${of(({ paid }) => paid.perSecond).toFixed(0)}/s`,
      against: `${of(({ alone }) => alone.perSecond).toFixed(0)}/s (handshake alone)`,
      value: of(({ paid, alone }) => alone.perSecond / paid.perSecond),
      bound: 2.5,
      unit: 'ratio',
    },
  ];
}

interface Round {
  /** CPU of the gateway for each. */
  readonly us: number;
  readonly perSecond: number;
}

/** Registrations that the gateway has completed so far. */
async function registered(server: Child): Promise<number> {
  return (await server.ask<{ registered: number }>({})).registered;
}
