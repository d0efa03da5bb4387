/**
 * Thread entry of a shard: builds the actor from the worker data, then handles one batch per task.
 */
import { move, workerData } from 'piscina';
import { loadProvider } from '../src/lp/crypto/load.ts';
import { Shard } from '../src/shard/shard.ts';
import type { ShardWorkerData } from '../src/shard/worker-data.ts';
import { monitorLoopDelay } from '../src/system/loop-delay.ts';
import { systemRandom } from '../src/system/random.ts';

const { options, crypto } = workerData as ShardWorkerData;
const loopDelay = monitorLoopDelay();

const shard = new Shard(options, {
  crypto: await loadProvider(crypto),
  random: systemRandom,
  loopDelayMs: () => loopDelay.read().max * 1e3,
});

export default function handle(batch: Uint8Array): unknown {
  return move(shard.handle(batch));
}
