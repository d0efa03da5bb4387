/**
 * Goodput beyond the peak: gateway and load on a core each, every handshake on a new connection, hello and H1 made before
 * the run. First the peak with a closed loop, then three times as much is offered, whatever becomes of it; sessions
 * count that came within a client's first pause. Live sessions have echoes meanwhile.
 */

import { type Child, startChild, stopAll } from './children.ts';
import { type Figure, figure, ratioFigure, series } from './figures.ts';
import type { EchoReport } from './overload-echo.ts';
import type { OfferedLoad, RunResult } from './overload-load.ts';
import {
  type GatewayState,
  hexOf,
  type LoadedGateway,
  NO_SOURCE_LIMITS,
  startLoadedGateway,
} from './overload-state.ts';
import { apart, pinningFault } from './pinning.ts';
import { quantile } from './statistics.ts';

/** A client repeats after 1 s: what takes longer was asked for twice. */
const PATIENCE_MS = 1_000;
const OVERLOAD = 3;
/** Clients of the closed loop, of which the best counts. */
const CONCURRENCIES = [32, 128, 256];
const SOURCES = 1_000;
const LIVE_SESSIONS = 64;
const ECHOES_PER_SECOND = 500;
/** More than a core can do, for as long as the closed loop runs. */
const PEAK_GUESS_PER_S = 5_000;
/** A hello's salt may be 30 s old: as many as one core makes in less. */
const MAX_PREPARED = 60_000;

interface Sides {
  readonly gateway: LoadedGateway;
  readonly load: Child;
  readonly echo: Child;
}

interface Peak {
  readonly rate: number;
  /** Of the gateway's CPU: what other processes of the machine took is not in it. */
  readonly perCpuSecond: number;
}

export interface OverloadRound {
  readonly peak: number;
  /** Sessions per second of the gateway's CPU, at the peak and beyond it. */
  readonly peakPerCpuS: number;
  readonly goodputPerCpuS: number;
  readonly offered: number;
  readonly goodput: number;
  readonly echo: EchoReport;
  readonly result: RunResult;
  readonly before: GatewayState;
  readonly after: GatewayState;
}

async function start(set: readonly string[]): Promise<Sides> {
  const cores = apart();
  const gateway = await startLoadedGateway(['gateway.shards=1', ...NO_SOURCE_LIMITS, ...set], cores.server);
  const target = [String(gateway.facts.port), hexOf(gateway.facts.identity)];
  const { child: load } = await startChild('overload-client', target, [], cores.load);
  const { child: echo } = await startChild('overload-echo', [...target, String(LIVE_SESSIONS)], [], cores.load);
  await echo.ask({ rate: ECHOES_PER_SECOND });
  return { gateway, load, echo };
}

/** Sessions per second of the best closed loop. */
async function peakOf({ gateway, load }: Sides, seconds: number): Promise<Peak> {
  let best: Peak = { rate: 0, perCpuSecond: 0 };
  for (const concurrency of CONCURRENCIES) {
    await load.ask({ prepare: Math.ceil(PEAK_GUESS_PER_S * seconds) });
    const before = await gateway.state();
    const offered: OfferedLoad = { kind: 'closed', seconds, concurrency, sources: SOURCES, patienceMs: 30_000 };
    const result = await load.ask<RunResult>(offered);
    const cpuS = ((await gateway.state()).cpu.process - before.cpu.process) / 1e6;
    const rate = result.done / result.seconds;
    if (rate > best.rate) best = { rate, perCpuSecond: result.done / cpuS };
  }
  return best;
}

async function overload({ gateway, load, echo }: Sides, peak: Peak, seconds: number): Promise<OverloadRound> {
  const rate = OVERLOAD * peak.rate;
  await load.ask({ prepare: Math.min(MAX_PREPARED, Math.ceil(rate * seconds)) });
  await echo.ask({ report: true });
  const before = await gateway.state();
  const offered: OfferedLoad = { kind: 'open', seconds, rate, sources: SOURCES, patienceMs: PATIENCE_MS };
  const result = await load.ask<RunResult>(offered);
  const after = await gateway.state();
  const report = await echo.ask<EchoReport>({ report: true });
  return {
    peak: peak.rate,
    peakPerCpuS: peak.perCpuSecond,
    goodputPerCpuS: (result.done * 1e6) / (after.cpu.process - before.cpu.process),
    offered: result.started / result.seconds,
    goodput: result.done / result.seconds,
    echo: report,
    result,
    before,
    after,
  };
}

/** Rounds of peak and overload after each other, so that both saw the same machine. */
export async function overloadRounds(
  rounds: number,
  seconds: number,
  set: readonly string[] = [],
): Promise<OverloadRound[]> {
  const sides = await start(set);
  try {
    await peakOf(sides, Math.min(1, seconds));
    const measured: OverloadRound[] = [];
    for (let round = 0; round < rounds; round++) {
      const peak = await peakOf(sides, seconds / 3);
      measured.push(await overload(sides, peak, seconds));
    }
    return measured;
  } finally {
    await stopAll(sides.echo, sides.load, sides.gateway.child);
  }
}

export async function overloadFigures(quick: boolean): Promise<Figure[]> {
  const rounds = await overloadRounds(quick ? 1 : 3, quick ? 3 : 6);
  const of = (value: (round: OverloadRound) => number) => rounds.map(value);
  const goodput = series(
    'goodput at 3 × the peak',
    'per_s',
    of(({ goodput }) => goodput),
  );
  const peak = series(
    'peak of a closed loop',
    'per_s',
    of(({ peak }) => peak),
  );
  const short = rounds.some(({ offered, peak }) => offered < 0.95 * OVERLOAD * peak);
  const note = pinningFault() ?? (short ? 'the load could not offer three times the peak' : undefined);
  return [
    ratioFigure('overload/goodput', goodput, peak, { better: 'higher', note }),
    ratioFigure(
      'overload/goodput-per-cpu',
      series(
        'sessions per second of CPU at 3 × the peak',
        'per_s',
        of(({ goodputPerCpuS }) => goodputPerCpuS),
      ),
      series(
        'at the peak',
        'per_s',
        of(({ peakPerCpuS }) => peakPerCpuS),
      ),
      { better: 'higher', note: 'what other processes of the machine take is not in it' },
    ),
    figure(
      'overload/echo-p99',
      'ms',
      of(({ echo }) => echo.p99Ms),
    ),
    figure(
      'overload/loop-delay-p99',
      'ms',
      of(({ after }) => after.loopDelay.p99 * 1e3),
    ),
    figure(
      'overload/handshake-p99',
      'ms',
      of(({ result }) => quantile(result.timesMs, 0.99)),
      {
        note: 'of those that were done',
      },
    ),
  ];
}
