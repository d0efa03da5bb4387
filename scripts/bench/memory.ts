/**
 * Memory of sessions, and what sweeping them takes. `idle`, `sweep` and `churn` have a process that holds nothing but a shard
 * and the router; `million` is a whole gateway process with its threads. All are loaded directly.
 */
import { type Child, startChild } from './children.ts';
import { type Figure, figure, series } from './figures.ts';
import type { LoadedState } from './loaded-server.ts';
import { apart } from './pinning.ts';
import { theilSen } from './statistics.ts';

export interface MemoryRequest {
  readonly load?: number;
  /** Rounds of the whole table. */
  readonly sweep?: number;
  readonly expire?: boolean;
}

export interface MemoryState {
  readonly rss: number;
  /** Bytes of live objects and their buffers. */
  readonly live: number;
  readonly sessions: number;
  readonly ticks: number;
  /** Of any tick, in the shard; and for what it brought, in the main thread. */
  readonly longestShardMs: number;
  readonly longestMainMs: number;
}

const MILLION = 1_000_000;
const MIB = 2 ** 20;
/** What is there once, and not for each session, is there by then. */
const FIRST = 20_000;
/** Rounds of the table until what can come to rest has. */
const SETTLED = 3;

/** Idle sessions, then sweeps over a million of them, then their end. */
export async function idleFigures(quick: boolean): Promise<Figure[]> {
  const { child } = await startChild('memory-child', [], ['--expose-gc'], apart().server);
  const ask = (request: MemoryRequest) => child.ask<MemoryState>(request);
  // Compiles what expiring takes, too.
  await ask({ load: FIRST });
  await ask({ expire: true });
  await ask({ load: FIRST });
  const before = await ask({ sweep: SETTLED });
  await ask({ load: MILLION - FIRST });
  const after = await ask({ sweep: SETTLED });
  const added = after.sessions - before.sessions;
  if (added !== MILLION - FIRST) throw new Error(`the table was not filled: ${JSON.stringify(after)}`);
  const idle: MemoryState[] = [];
  for (let round = 0; round < (quick ? 3 : 7); round++) idle.push(await ask({ sweep: 1 }));
  const expiring: MemoryState[] = [await ask({ expire: true })];
  for (let round = 1; round < (quick ? 1 : 3); round++) {
    await ask({ load: MILLION });
    await ask({ sweep: SETTLED });
    expiring.push(await ask({ expire: true }));
  }
  await child.stop();
  return [
    figure('memory/idle-session', 'B', [(after.live - before.live) / added], {
      note: `live objects and buffers, ${MILLION.toLocaleString('en')} sessions at one shard, router included`,
    }),
    figure('memory/rss-per-session', 'B', [(after.rss - before.rss) / added]),
    stallFigure('memory/sweep-idle', idle, 'longest tick of a round of the table'),
    stallFigure('memory/sweep-expiring', expiring, 'longest tick while all of them expire'),
  ];
}

function stallFigure(name: string, states: readonly MemoryState[], note: string): Figure {
  const shard = states.map(({ longestShardMs }) => longestShardMs);
  const main = states.map(({ longestMainMs }) => longestMainMs);
  const longest = shard.map((ms, i) => Math.max(ms, main[i] ?? 0));
  const parts = [series('shard', 'ms', shard), series('main thread', 'ms', main)];
  return figure(name, 'ms', longest, { parts, note });
}

/** A million sessions in a whole gateway: what the system sees of its process. */
export async function millionFigures(): Promise<Figure[]> {
  const shards = 2;
  const { child } = await startChild('loaded-server', [String(shards), String(MILLION)], ['--expose-gc']);
  const state = await untilLoaded(child);
  await child.stop();
  return [
    figure('memory/million-rss', 'MiB', [state.rss / MIB], {
      parts: [series('empty', 'MiB', [state.emptyRss / MIB])],
      note: `a whole gateway process with ${shards} shards, garbage collected`,
    }),
  ];
}

async function untilLoaded(child: Child): Promise<LoadedState> {
  for (;;) {
    const state = await child.ask<LoadedState>({});
    if (state.sessions === MILLION) return state;
  }
}

/** Sessions that come and go, again and again: what stays of each. */
export async function churnFigures(quick: boolean): Promise<Figure[]> {
  const [cycles, sessions] = quick ? [6, 20_000] : [12, 60_000];
  const warmUp = 3;
  const { child } = await startChild('memory-child', [], ['--expose-gc'], apart().server);
  const states: MemoryState[] = [];
  for (let cycle = 0; cycle < warmUp + cycles; cycle++) {
    await child.ask({ load: sessions });
    const state = await child.ask<MemoryState>({ expire: true });
    if (cycle >= warmUp) states.push(state);
  }
  await child.stop();
  const slope = (name: string, of: (state: MemoryState) => number): Figure => {
    const passed = states.map((_, i) => i * sessions);
    const { low, slope: median, high } = theilSen(passed, states.map(of));
    return figure(name, 'B', [low, median, high], {
      note: `bytes that stay of each session that ends: slope and its interval of 95 %, ${cycles} × ${sessions.toLocaleString('en')} sessions`,
    });
  };
  return [slope('memory/churn-live', ({ live }) => live), slope('memory/churn-rss', ({ rss }) => rss)];
}
