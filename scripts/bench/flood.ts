/**
 * Floods against a whole gateway process, with live sessions that echo and honest newcomers beside each: what they notice, and
 * how much memory the flood takes against the bound that follows from the configuration. Limits are the defaults.
 */
import { loadConfig } from '../../src/ops/config/index.ts';
import { startChild, stopAll } from './children.ts';
import { type Figure, figure } from './figures.ts';
import { boundOf, FLOOD_KINDS, type FloodKind, type FloodReport, type MemoryBound } from './flood-kinds.ts';
import type { NewcomersReport } from './flood-newcomers.ts';
import type { EchoReport } from './overload-echo.ts';
import { type GatewayState, hexOf, startLoadedGateway } from './overload-state.ts';
import { quantile } from './statistics.ts';

const SHARDS = 1;
const LIVE_SESSIONS = 32;
const ECHOES_PER_SECOND = 200;
const NEWCOMERS_PER_S = 20;
const MANY_SOURCES = 4_000;
/** Slow clients are as many as one source may have connections; floods that pour need fewer. */
const CONNECTIONS_ALONE: Readonly<Partial<Record<FloodKind, number>>> = {
  'slow readers': 500,
  'slow writers': 1_000,
  'half open': 1_000,
};
/** A handshake each takes its time: from many sources as many as the flood can make. */
const SLOW_READERS = 1_000;

export interface FloodRound {
  readonly kind: FloodKind;
  readonly sources: number;
  readonly flood: FloodReport;
  readonly echo: EchoReport;
  readonly newcomers: NewcomersReport;
  readonly before: GatewayState;
  /** At the end of the flood. */
  readonly after: GatewayState;
  /** Bytes. */
  readonly growth: number;
  readonly bound: readonly MemoryBound[];
}

function defaultConfig() {
  const loaded = loadConfig({ file: undefined, listen: ['127.0.0.1:0'], set: [] });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  return loaded.config;
}

/** A gateway of its own for each flood: what one leaves behind is not the next one's. */
export async function floodRound(kind: FloodKind, sources: number, seconds: number): Promise<FloodRound> {
  const gateway = await startLoadedGateway([`gateway.shards=${SHARDS}`]);
  const target = [String(gateway.facts.port), hexOf(gateway.facts.identity)];
  const [{ child: echo }, { child: comers }, { child: flooder }] = await Promise.all([
    startChild('overload-echo', [...target, String(LIVE_SESSIONS)]),
    startChild('flood-newcomers', target),
    startChild('flood-client', target),
  ]);
  try {
    await echo.ask({ rate: ECHOES_PER_SECOND });
    await comers.ask<NewcomersReport>({ rate: NEWCOMERS_PER_S, seconds: 1 });
    await echo.ask({ report: true });
    const before = await gateway.state();
    const alone = CONNECTIONS_ALONE[kind];
    const connections = sources === 1 ? alone : kind === 'slow readers' ? SLOW_READERS : undefined;
    const flooding = flooder.ask<FloodReport>({ kind, sources, seconds, connections });
    const coming = comers.ask<NewcomersReport>({ rate: NEWCOMERS_PER_S, seconds: seconds / 2 });
    const flood = await flooding;
    const after = await gateway.state();
    const report = await echo.ask<EchoReport>({ report: true });
    const newcomers = await coming;
    await flooder.ask({ end: true });
    return {
      kind,
      sources,
      flood,
      echo: report,
      newcomers,
      before,
      after,
      growth: after.memory.rss - before.memory.rss,
      bound: boundOf(kind, sources, flood.connections, defaultConfig(), SHARDS),
    };
  } finally {
    await stopAll(echo, comers, flooder, gateway.child);
  }
}

export async function floodRounds(seconds: number, kinds: readonly FloodKind[] = FLOOD_KINDS): Promise<FloodRound[]> {
  const rounds: FloodRound[] = [];
  for (const kind of kinds)
    for (const sources of [1, MANY_SOURCES]) rounds.push(await floodRound(kind, sources, seconds));
  return rounds;
}

export async function floodFigures(quick: boolean): Promise<Figure[]> {
  const rounds = await floodRounds(quick ? 3 : 8);
  return rounds.flatMap((round) => {
    const { kind, sources, echo, newcomers, growth, bound, after } = round;
    const name = `flood/${kind.replaceAll(' ', '-')}-from-${sources}`;
    const total = bound.reduce((sum, { bytes }) => sum + bytes, 0);
    const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    return [
      figure(`${name}/newcomers`, 'ratio', [newcomers.gotIn / newcomers.came], {
        better: 'higher',
        note: `${newcomers.atOnce} of ${newcomers.came} at once`,
      }),
      figure(`${name}/echo-p99`, 'ms', [echo.p99Ms], { note: `p50 ${echo.p50Ms.toFixed(1)} ms, ${echo.lost} lost` }),
      figure(`${name}/rss-growth-vs-bound`, 'ratio', [growth / total], {
        note: `${mib(growth)} of ${mib(total)}: ${bound.map(({ what }) => what).join(', ')}`,
      }),
      figure(`${name}/loop-delay-p99`, 'ms', [after.loopDelay.p99 * 1e3]),
    ];
  });
}

export function formatFloodRound({
  kind,
  sources,
  flood,
  echo,
  newcomers,
  growth,
  bound,
  before,
  after,
}: FloodRound): string {
  const total = bound.reduce((sum, { bytes }) => sum + bytes, 0);
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  const times = newcomers.timesMs;
  return [
    `${kind}, ${sources} sources: ${flood.connections} connections (${flood.closed} closed), ${mib(flood.sent)} MiB sent`,
    `  live: ${echo.answered}/${echo.sent} echoes, p50 ${echo.p50Ms.toFixed(1)} ms, p99 ${echo.p99Ms.toFixed(1)} ms, ${echo.closed} closed`,
    `  newcomers: ${newcomers.gotIn}/${newcomers.came} in, ${newcomers.atOnce} at once, p99 ${(quantile(times, 0.99) / 1e3).toFixed(1)} s`,
    `  memory: +${mib(growth)} MiB of ${mib(total)} (RSS ${mib(before.memory.rss)} → ${mib(after.memory.rss)}): ${bound.map(({ what, bytes }) => `${what} = ${mib(bytes)}`).join('; ')}`,
    `  loop delay: p50 ${(after.loopDelay.p50 * 1e3).toFixed(1)} ms, p99 ${(after.loopDelay.p99 * 1e3).toFixed(1)} ms; records ${after.gauges.records ?? 0}, sources ${after.sources}, busy ${after.busy - before.busy}, refused ${after.refused - before.refused}`,
  ].join('\n');
}
