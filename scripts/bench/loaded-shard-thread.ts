/**
 * Thread entry of a shard that loads its share of sessions with its first ticks, and then lets them come to rest. Beside its
 * options the worker data has how many.
 */
import { workerData } from 'node:worker_threads';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { serveBatches } from '../../src/shard/batch-channel.ts';
import type { ShardWorkerData } from '../../src/shard/worker-data.ts';
import { systemRandom } from '../../src/system/random.ts';
import { LoadedShard, TICKS_BETWEEN_LOADS } from './loaded-shard.ts';

const TICK_MS = 250;
/** Rounds of the table. */
const SETTLED = 3;

const { options, crypto, memory, port, sessions } = workerData as ShardWorkerData & { readonly sessions: number };
const shard = new LoadedShard(options, {
  crypto: await loadProvider(crypto),
  random: systemRandom,
  loopDelayMs: () => 0,
});
shard.load(sessions);
const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);
let settled = false;
await serveBatches(memory, port, (batch) => {
  if (shard.loading) shard.idle(TICKS_BETWEEN_LOADS, TICK_MS);
  else if (!settled) {
    settled = true;
    shard.idle((SETTLED * options.sweepIntervalMs) / TICK_MS, TICK_MS);
    collect();
  }
  return shard.handle(batch);
});
