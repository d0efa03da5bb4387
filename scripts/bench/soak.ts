/**
 * Soak: minutes of a mixed load whose clients close their sessions, against a whole gateway process whose memory is sampled.
 * What it shows is a slope of RSS over time with its interval, after everything that fills up by itself has filled up; an
 * interval that holds 0 shows no leak larger than its width.
 */
import { startChild, stopAll } from './children.ts';
import { type Figure, figure, series } from './figures.ts';
import { type GatewayState, hexOf, NO_SOURCE_LIMITS, startLoadedGateway } from './overload-state.ts';
import type { SoakReport } from './soak-client.ts';
import { quantile, type Slope, theilSen } from './statistics.ts';

/** Far below what a core does: the machine's other work must not turn it into an overload. */
const SESSIONS_PER_S = 40;
const SAMPLE_MS = 1_000;
/** Handshake records live 90 s, the heap grows to its working size with them, and collects itself some minutes later. */
const WARM_UP_S = 180;
const WARM_UP_PART = 0.25;
/** Shorter than that the heap's own ups and downs look like a slope. */
const MIN_MEASURED_S = 600;
/** Garbage makes neighbouring samples alike; blocks of a minute are nearly independent, and so the interval is honest. */
const BLOCKS = 15;
const MIN_BLOCK_SAMPLES = 5;
const MIB = 2 ** 20;
const HOUR_S = 3_600;

export interface SoakSample {
  readonly atS: number;
  readonly rss: number;
  readonly heapUsed: number;
  readonly outside: number;
}

export interface SoakRun {
  readonly samples: readonly SoakSample[];
  readonly report: SoakReport;
  /** When all sessions are closed. */
  readonly after: GatewayState;
}

/** Bytes per hour, with the interval of 95 %; of the lower quartile of each block, which is what is left after garbage. */
export function slopeOf(samples: readonly SoakSample[], value: (sample: SoakSample) => number): Slope {
  const blocks = Math.max(2, Math.min(BLOCKS, Math.floor(samples.length / MIN_BLOCK_SAMPLES)));
  const size = samples.length / blocks;
  const cut = Array.from({ length: blocks }, (_, i) => samples.slice(Math.round(i * size), Math.round((i + 1) * size)));
  const x = cut.map((block) =>
    quantile(
      block.map(({ atS }) => atS),
      0.5,
    ),
  );
  const y = cut.map((block) => quantile(block.map(value), 0.25));
  const { slope, low, high } = theilSen(x, y);
  return { slope: slope * HOUR_S, low: low * HOUR_S, high: high * HOUR_S };
}

/** Those after the warm-up. */
export function settled(samples: readonly SoakSample[], minutes: number): readonly SoakSample[] {
  const warmUpS = Math.max(WARM_UP_S, WARM_UP_PART * minutes * 60);
  return samples.filter(({ atS }) => atS >= warmUpS);
}

export async function soak(minutes: number, sessionsPerS: number = SESSIONS_PER_S): Promise<SoakRun> {
  const gateway = await startLoadedGateway(['gateway.shards=2', ...NO_SOURCE_LIMITS]);
  const { child: load } = await startChild('soak-client', [String(gateway.facts.port), hexOf(gateway.facts.identity)]);
  try {
    await load.ask<SoakReport>({ rate: sessionsPerS });
    const samples: SoakSample[] = [];
    const began = performance.now();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      const { memory } = await gateway.state();
      const atS = (performance.now() - began) / 1e3;
      samples.push({ atS, rss: memory.rss, heapUsed: memory.heapUsed, outside: memory.external });
      if (atS >= minutes * 60) break;
    }
    const report = await load.ask<SoakReport>({ end: true });
    return { samples, report, after: await gateway.state() };
  } finally {
    await stopAll(load, gateway.child);
  }
}

function verdictOf({ slope, low, high }: Slope): string {
  if (low <= 0 && high >= 0) return 'indistinguishable from 0';
  return slope > 0 ? 'RSS grows' : 'RSS still shrinks';
}

export async function soakFigures(minutes: number): Promise<Figure[]> {
  const { samples, report, after } = await soak(minutes);
  const late = settled(samples, minutes);
  const rss = slopeOf(late, (sample) => sample.rss / MIB);
  const heap = slopeOf(late, (sample) => sample.heapUsed / MIB);
  const outside = slopeOf(late, (sample) => sample.outside / MIB);
  const verdict = late.length * (SAMPLE_MS / 1e3) < MIN_MEASURED_S ? 'too short to say' : verdictOf(rss);
  const total = `${report.finished} sessions, ${report.echoes} echoes, ${report.rekeys} rekeys, ${report.registrations} registrations`;
  const measured = `${late.length} s after warm-up`;
  return [
    figure('soak/rss-slope', 'MiB', [rss.low, rss.high], {
      note: `per hour, 95 %: ${verdict}; ${measured}; ${total}`,
      parts: [
        series('slope', 'MiB', [rss.slope]),
        series('heap of the main thread', 'MiB', [heap.low, heap.high]),
        series('outside the heap', 'MiB', [outside.low, outside.high]),
      ],
    }),
    figure(
      'soak/rss',
      'MiB',
      [
        quantile(
          late.map((sample) => sample.rss / MIB),
          0.5,
        ),
      ],
      { note: 'median after warm-up' },
    ),
    figure('soak/failed', 'count', [report.failed], { note: report.reasons.join('; ') || 'sessions that failed' }),
    figure('soak/left-open', 'count', [after.open], { note: 'connections when all sessions are closed' }),
  ];
}
