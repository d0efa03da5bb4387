/**
 * What the benchmarks of the whole gateway share: servers and clients as processes of their own over real TCP, and what a
 * load costs a server, by thread. Rounds alternate with the peer's; medians count.
 */
import { type Child, startChild } from './children.ts';
import { type Figure, figure, type Series, series } from './figures.ts';

export interface ServerFacts {
  readonly port: number;
  readonly identity?: Uint8Array;
  /** PEM. */
  readonly issuerKey?: string;
  /** Where Nym is spoken. */
  readonly nym?: { readonly port: number; readonly lpKey: Uint8Array; readonly kemDigest: Uint8Array };
}

export interface ServerRequest {
  readonly exit?: { readonly identity: Uint8Array; readonly port: number };
}

/** CPU times since the start in microseconds; delays since the request before. */
export interface ServerState {
  readonly process: number;
  /** The acceptor's. */
  readonly main: number;
  readonly shards: number;
  readonly registrar: number;
  readonly loopDelayP99Ms: number;
  /** The longest of any shard. */
  readonly shardLoopDelayMs: number;
  /** Registrations completed so far. */
  readonly registered: number;
  readonly batches: number;
}

/** What a load's process answers to its request. */
export interface Load {
  readonly seconds: number;
}

/** One round. CPU in microseconds per operation. */
export interface Cost {
  readonly process: number;
  readonly main: number;
  readonly shards: number;
  readonly registrar: number;
  readonly perSecond: number;
  readonly batches: number;
  readonly loopDelayP99Ms: number;
  readonly shardLoopDelayMs: number;
}

export const hexOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
/** Connections at once: a gateway under load. */
export const CONCURRENCY = 128;

/** What `operations` of a load cost the server. Bare servers tell of no threads but the main one. */
export async function costOf(server: Child, operations: number, load: () => Promise<Load>): Promise<Cost> {
  const before = await server.ask<ServerState>({});
  const { seconds } = await load();
  const after = await server.ask<ServerState>({});
  const per = (key: 'process' | 'main' | 'shards' | 'registrar' | 'batches') =>
    ((after[key] ?? 0) - (before[key] ?? 0)) / operations;
  return {
    process: per('process'),
    main: per('main'),
    shards: per('shards'),
    registrar: per('registrar'),
    batches: per('batches'),
    perSecond: operations / seconds,
    loopDelayP99Ms: after.loopDelayP99Ms ?? 0,
    shardLoopDelayMs: after.shardLoopDelayMs ?? 0,
  };
}

const FEWEST = 100;
const WARM_UP_CHUNKS = 4;
const WARM_UP_SECONDS = 5;

/**
 * Up to `n` operations before the first round, and fewer on a busy machine. Gives how many are to make a round: as many as
 * take a second or so, at most `most`.
 */
export async function warmUp(
  measure: (n: number) => Promise<Cost>,
  { n, most, seconds }: { readonly n: number; readonly most: number; readonly seconds: number },
): Promise<number> {
  const started = performance.now();
  let perSecond = 0;
  for (let chunk = 0; chunk < WARM_UP_CHUNKS; chunk++) {
    ({ perSecond } = await measure(Math.ceil(n / WARM_UP_CHUNKS)));
    if (performance.now() - started > WARM_UP_SECONDS * 1e3) break;
  }
  return Math.min(most, Math.max(FEWEST, Math.round(perSecond * seconds)));
}

/** Of a bench of handshakes: rounds, and how many handshakes are warm-up and make a round at most. */
export interface Scale {
  readonly rounds: number;
  readonly n: number;
  readonly most: number;
  readonly seconds: number;
}

export function handshakeScale(quick: boolean, rounds: number): Scale {
  return quick ? { rounds: 5, n: 800, most: 600, seconds: 0.5 } : { rounds, n: 4_000, most: 2_000, seconds: 1.5 };
}

/** Several loads at once, as one: its time is the longest. */
export async function together(loads: readonly Promise<Load>[]): Promise<Load> {
  const done = await Promise.all(loads);
  return { seconds: Math.max(...done.map(({ seconds }) => seconds)) };
}

export function costSeries(name: string, costs: readonly Cost[], of: (cost: Cost) => number): Series {
  return series(name, 'us', costs.map(of));
}

/** A load's cost by thread, its rate, and what it did to the loops. */
export function costFigures(name: string, costs: readonly Cost[]): Figure[] {
  const us = (what: string, of: (cost: Cost) => number) => figure(`${name}-${what}`, 'us', costs.map(of));
  return [
    us('cpu', ({ process }) => process),
    us('cpu-acceptor', ({ main }) => main),
    us('cpu-shards', ({ shards }) => shards),
    us('cpu-other-threads', (cost) => cost.process - cost.main - cost.shards),
    figure(
      `${name}-rate`,
      'per_s',
      costs.map(({ perSecond }) => perSecond),
    ),
    figure(
      `${name}-loop-delay-acceptor`,
      'ms',
      costs.map(({ loopDelayP99Ms }) => loopDelayP99Ms),
      { note: 'p99' },
    ),
    figure(
      `${name}-loop-delay-shards`,
      'ms',
      costs.map(({ shardLoopDelayMs }) => shardLoopDelayMs),
      { note: 'longest' },
    ),
  ];
}

export interface Gateway {
  readonly child: Child;
  readonly facts: ServerFacts;
  /** Arguments of a client: port and identity. */
  readonly target: readonly string[];
}

/** With LEWES_BENCH_PROFILE=DIR each gateway leaves a profile of its threads there; figures are then not to be used. */
export async function startGateway(args: readonly string[], cpus: string | undefined): Promise<Gateway> {
  const directory = process.env.LEWES_BENCH_PROFILE;
  const profile = directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`];
  const { child, first: facts } = await startChild<ServerFacts>('gateway-server', args, profile, cpus);
  return { child, facts, target: [String(facts.port), hexOf(facts.identity)] };
}

export async function startLoad(name: string, args: readonly string[], cpus: string | undefined): Promise<Child> {
  return (await startChild(name, args, [], cpus)).child;
}
