/**
 * What both reports say of a result beyond its fields: the headline, what has to be told before any figure, and the rows
 * of plan, machine and generator. Pure functions of the result. A scenario is about its own operation; others that it
 * needs on the way are shown, but do not count against the offered load.
 */
import type {
  GeneratorResult,
  LoadInterval,
  LoadPlanFacts,
  LoadResult,
  OperationName,
  OperationResult,
  Scenario,
} from '../result.ts';
import {
  capitalized,
  formatBytes,
  formatCount,
  formatDecimal,
  formatMs,
  formatPercent,
  formatRate,
  formatSeconds,
  formatShare,
  plain,
} from './format.ts';

export type Row = readonly [name: string, value: string];

/** Something to know before reading the figures. */
export interface Notice {
  readonly kind: 'generator' | 'empty' | 'interrupted';
  readonly title: string;
  readonly points: readonly string[];
}

export interface Overview {
  /** Mean of the measured seconds; absent in a closed loop. */
  readonly offeredPerSecond?: number;
  readonly completedPerSecond: number;
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  /** Of the operations that the scenario is about, the one with the greatest p99; absent when nothing was completed. */
  readonly slowest?: OperationResult & { readonly latencyMs: NonNullable<OperationResult['latencyMs']> };
}

/** From this share on the target has kept up: Poisson arrivals and the last second's operations move the rest. */
const KEPT_UP = 0.99;

const PLURALS: Readonly<Record<OperationName, string>> = {
  handshake: 'handshakes',
  echo: 'echoes',
  register: 'registrations',
  rekey: 'rekeys',
  forward: 'forwarded packets',
  initial: 'Initials',
};

export function plural(scenario: Scenario): string {
  return scenario === 'mixed' ? 'operations' : PLURALS[scenario];
}

/** Those that the scenario is about. */
export function mainOperations<T extends { readonly name: OperationName }>(
  scenario: Scenario,
  operations: readonly T[],
): readonly T[] {
  return scenario === 'mixed' ? operations : operations.filter(({ name }) => name === scenario);
}

/** The scenario's own operation first, otherwise in the order of the result. */
export function orderedOperations({ plan, operations }: LoadResult): readonly OperationResult[] {
  const isMain = ({ name }: OperationResult) => name === plan.scenario;
  return [...operations.filter(isMain), ...operations.filter((operation) => !isMain(operation))];
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Greatest of any number of values; spread arguments would fail with very many. */
export function greatest(values: Iterable<number>): number {
  let found = 0;
  for (const value of values) if (value > found) found = value;
  return found;
}

function measuredIntervals({ intervals }: LoadResult): readonly LoadInterval[] {
  return intervals.filter(({ phase }) => phase === 'measured');
}

export function overviewOf(result: LoadResult): Overview {
  const main = mainOperations(result.plan.scenario, result.operations);
  const offered = measuredIntervals(result).flatMap(({ offered: asked }) => (asked === undefined ? [] : [asked]));
  const slowest = main
    .flatMap((operation) =>
      operation.latencyMs === undefined ? [] : [{ ...operation, latencyMs: operation.latencyMs }],
    )
    .toSorted((a, b) => b.latencyMs.p99 - a.latencyMs.p99)[0];
  return {
    ...(offered.length > 0 && { offeredPerSecond: sum(offered) / offered.length }),
    completedPerSecond: sum(main.map(({ completedPerSecond }) => completedPerSecond)),
    started: sum(main.map(({ started }) => started)),
    completed: sum(main.map(({ completed }) => completed)),
    failed: sum(main.map(({ failed }) => failed)),
    ...(slowest !== undefined && { slowest }),
  };
}

/** The run in two or three sentences, for someone who reads nothing else. */
export function headline(result: LoadResult): string {
  const { plan } = result;
  const { offeredPerSecond, completedPerSecond, completed, failed, started, slowest } = overviewOf(result);
  if (slowest === undefined) return `Not one of ${formatCount(started)} ${plural(plan.scenario)} was completed.`;
  const rate = formatRate(completedPerSecond);
  const kept =
    offeredPerSecond === undefined
      ? `${rate} ${plural(plan.scenario)} per second were completed.`
      : completedPerSecond >= KEPT_UP * offeredPerSecond
        ? `The target kept up with the offered load: ${rate} ${plural(plan.scenario)} per second.`
        : `${rate} of ${formatRate(offeredPerSecond)} ${plural(plan.scenario)} offered per second were completed, ${formatShare(completedPerSecond, offeredPerSecond)} of the load.`;
  const { p50, p99 } = slowest.latencyMs;
  const of = plan.scenario === 'mixed' ? ` of the slowest operation (${slowest.name})` : '';
  const latency = `Half${of} took up to ${formatMs(p50)} ms, 99 of 100 up to ${formatMs(p99)} ms.`;
  const failures = failed === 0 ? 'None failed.' : `${formatShare(failed, completed + failed)} failed.`;
  return `${kept} ${latency} ${failures}`;
}

/** In the order of their weight: first what makes the figures doubtful. */
export function noticesOf(result: LoadResult): readonly Notice[] {
  const { generator, operations, plan, measuredSeconds, interrupted } = result;
  const main = mainOperations(plan.scenario, operations);
  const notices: Notice[] = [];
  if (generator.bottlenecks.length > 0) {
    const title = 'The generator was a bottleneck: these figures may be its own, not the target’s.';
    notices.push({ kind: 'generator', title, points: generator.bottlenecks.map((text) => plain(text)) });
  }
  if (main.every(({ completed }) => completed === 0)) {
    const title = `No ${plan.scenario === 'mixed' ? 'operation' : plan.scenario} was completed: there is no latency to report.`;
    notices.push({ kind: 'empty', title, points: [] });
  }
  if (interrupted) {
    const title = `Stopped before its time: ${formatSeconds(measuredSeconds)} of ${formatSeconds(plan.durationSeconds)} were measured.`;
    notices.push({ kind: 'interrupted', title, points: [] });
  }
  return notices;
}

export function loadText({ loop }: LoadPlanFacts): string {
  if (loop.kind === 'open') {
    const arrivals = loop.arrivals === 'poisson' ? 'Poisson arrivals' : 'fixed intervals';
    return `open loop, ${formatRate(loop.rate)} per second, ${arrivals}`;
  }
  const pause = loop.thinkMs === 0 ? 'no pause' : `${formatMs(loop.thinkMs)} ms pause`;
  return `closed loop, ${formatCount(loop.clients)} ${loop.clients === 1 ? 'client' : 'clients'}, ${pause} between operations`;
}

export function phasesText({ rampSeconds, warmUpSeconds, durationSeconds }: LoadPlanFacts): string {
  const before = [
    ...(rampSeconds > 0 ? [`ramp ${formatSeconds(rampSeconds)}`] : []),
    ...(warmUpSeconds > 0 ? [`warm-up ${formatSeconds(warmUpSeconds)}`] : []),
  ];
  return [...before, `measured ${formatSeconds(durationSeconds)}`].join(', ');
}

export function planRows({ plan, startedAt }: LoadResult): readonly Row[] {
  return [
    ['Target', plain(plan.target)],
    ...(plan.identity === undefined ? [] : [['Identity', plain(plan.identity)] as const]),
    ...nymRows(plan),
    ...(plan.via === undefined ? [] : [['Through', plain(plan.via)] as const]),
    ['Protocol', plain(plan.protocol)],
    ['Scenario', plan.scenario],
    ['Load', loadText(plan)],
    ['Time', phasesText(plan)],
    ...(plan.nym === undefined ? [['Payload', formatBytes(plan.payloadBytes)] as const] : []),
    ['Sources', `${formatCount(plan.sources)} ${plan.sources === 1 ? 'address' : 'addresses'}`],
    ['Generator', `${formatCount(plan.threads)} ${plan.threads === 1 ? 'thread' : 'threads'}`],
    ['Started', plain(startedAt)],
  ];
}

function nymRows({ nym }: LoadPlanFacts): readonly Row[] {
  if (nym === undefined) return [];
  const { lpKey, kemDigest, source, pipelined } = nym;
  return [
    ['LP key', plain(lpKey)],
    ['KEM digest', plain(kemDigest)],
    ['Keys from', KEYS_FROM[source]],
    ['Handshake', pipelined ? 'both messages at once' : 'one message after the other'],
  ];
}

const KEYS_FROM = {
  fetched: 'the announcement',
  stored: 'an announcement in a file',
  given: 'the command line',
} as const;

export function machineRows({ machine }: LoadResult): readonly Row[] {
  return [
    ['Processor', plain(machine.cpu)],
    ['Cores', formatCount(machine.cores)],
    ['Memory', formatBytes(machine.memoryBytes)],
    ['Node.js', plain(machine.node)],
    ['Cryptography', plain(machine.crypto)],
  ];
}

export function generatorRows(generator: GeneratorResult): readonly Row[] {
  const { cpuCores, busiestThread, loopDelayP99Ms, sendDelayP99Ms, bottlenecks } = generator;
  return [
    ['Verdict', bottlenecks.length > 0 ? 'a bottleneck, see above' : 'not the bottleneck'],
    ['Processor', `${formatDecimal(cpuCores)} cores`],
    ['Busiest thread', `${formatPercent(busiestThread)} of the time`],
    ['Loop delay, p99', `${formatMs(loopDelayP99Ms)} ms`],
    ...(sendDelayP99Ms === undefined ? [] : [['Sent late, p99', `${formatMs(sendDelayP99Ms)} ms`] as const]),
  ];
}

/** With fewer operations than this, the percentile is the maximum. */
const TAIL_SAMPLES = [
  ['p99', 100],
  ['p99.9', 1_000],
  ['p99.99', 10_000],
] as const;

/** Where the counts are too small for a percentile to differ from the maximum. */
export function sampleNotes(result: LoadResult): readonly string[] {
  return orderedOperations(result).flatMap(({ name, completed }) => {
    const unsupported = TAIL_SAMPLES.filter(([, samples]) => completed < samples);
    if (completed === 0 || unsupported.length === 0) return [];
    const names = unsupported.map(([label]) => label).join(', ');
    return [`${capitalized(name)}: ${formatCount(completed)} completed are too few for ${names}; read the maximum.`];
  });
}
