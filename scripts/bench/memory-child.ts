/**
 * Child (with --expose-gc): one shard and a router, loaded with sessions directly, so that nothing but a gateway's own state
 * grows here. Requests: `{load}` sessions, `{sweep}` so many rounds of the table, `{expire}` lets all sessions' time run out;
 * each is answered with the memory afterwards and the times of the ticks.
 */
import { KeyedHash } from '../../src/gateway/keyed-hash.ts';
import { Router } from '../../src/gateway/router.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { DEFAULT_LIFETIMES } from '../../src/lp/responder-context.ts';
import type { Now } from '../../src/lp/time.ts';
import { InboundWriter, readOutbound } from '../../src/shard/messages.ts';
import { readStats } from '../../src/shard/stats.ts';
import { systemRandom } from '../../src/system/random.ts';
import { serve } from './children.ts';
import { ignoredEffects } from './in-process.ts';
import { LoadedShard } from './loaded-shard.ts';
import type { MemoryRequest, MemoryState } from './memory.ts';
import { ownUs } from './own-time.ts';

const TICK_MS = 250;
const SWEEP_INTERVAL_MS = 300_000;
/** All sessions are swept once in so many. */
const TICKS = SWEEP_INTERVAL_MS / TICK_MS;
const LIMIT = 2_100_000;

const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);
const crypto = await loadProvider('auto');
const router = new Router(1, new KeyedHash(new Uint8Array(8).fill(1)));
const x25519Secret = new Uint8Array(32).fill(3);
const shard = new LoadedShard(
  {
    identity: {
      ed25519Public: crypto.ed25519PublicKey(x25519Secret),
      x25519Secret,
      x25519Public: crypto.x25519PublicKey(x25519Secret),
    },
    slots: Array.from({ length: 256 }, (_, slot) => slot),
    lifetimes: DEFAULT_LIFETIMES,
    records: LIMIT,
    indices: LIMIT,
    sweepIntervalMs: SWEEP_INTERVAL_MS,
  },
  { crypto, random: systemRandom, loopDelayMs: () => 0 },
);
const effects = {
  ...ignoredEffects,
  indexTaken: (index: number, live: boolean) => router.add(0, index, live),
  indexFree: (index: number) => router.remove(0, index),
};
let now: Now = { monotonicMs: 1_000, unixMs: 1_764_583_200_000 };

interface Tick {
  /** The shard's; the main thread's for what it brought. */
  readonly shardUs: number;
  readonly mainUs: number;
}

function pass(ms: number): void {
  now = { monotonicMs: now.monotonicMs + ms, unixMs: now.unixMs + ms };
}

function tick(): Tick {
  pass(TICK_MS);
  const batch = new InboundWriter();
  batch.tick();
  const bytes = batch.seal(now);
  const started = ownUs();
  const result = shard.handle(bytes);
  const handled = ownUs();
  readOutbound(result, effects);
  return { shardUs: handled - started, mainUs: ownUs() - handled };
}

const sessions = () => readStats(shard.stats.values).gauges.sessions;

function load(n: number): void {
  shard.load(n);
  while (shard.loading) tick();
}

/** Until none is left, as the sweep comes to them. */
function expire(): Tick[] {
  pass(DEFAULT_LIFETIMES.sessionIdleMs);
  const ticks: Tick[] = [];
  const most = TICKS + sessions();
  while (sessions() > 0) {
    if (ticks.length > most) throw new Error(`${sessions()} sessions do not expire`);
    ticks.push(tick());
  }
  return ticks;
}

function longestMs(ticks: readonly Tick[], of: (tick: Tick) => number): number {
  return Math.max(0, ...ticks.map(of)) / 1e3;
}

serve({}, (request: MemoryRequest): MemoryState => {
  let ticks: Tick[] = [];
  if (request.load !== undefined) load(request.load);
  if (request.sweep !== undefined) ticks = Array.from({ length: request.sweep * TICKS }, tick);
  if (request.expire === true) ticks = expire();
  for (let i = 0; i < 4; i++) collect();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    rss,
    live: heapUsed + arrayBuffers,
    sessions: sessions(),
    ticks: ticks.length,
    longestShardMs: longestMs(ticks, ({ shardUs }) => shardUs),
    longestMainMs: longestMs(ticks, ({ mainUs }) => mainUs),
  };
});
