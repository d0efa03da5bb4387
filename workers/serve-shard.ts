/**
 * The thread of a shard: builds the actor from the worker data, then handles batch after batch until the thread is ended.
 */
import { workerData } from 'node:worker_threads';
import { loadProvider } from '../src/lp/crypto/load.ts';
import { serveBatches } from '../src/shard/batch-channel.ts';
import { Shard } from '../src/shard/shard.ts';
import type { ShardWorkerData } from '../src/shard/worker-data.ts';
import { systemRandom } from '../src/system/random.ts';

/** Called before each batch, with it: tests put their faults here. */
type BeforeBatch = (batch: Uint8Array) => void;

export async function serveShard(before?: BeforeBatch): Promise<never> {
  const { options, crypto, memory, port } = workerData as ShardWorkerData;
  const busy = new BusyTime();
  const shard = new Shard(options, {
    crypto: await loadProvider(crypto),
    random: systemRandom,
    loopDelayMs: () => busy.takeLongestMs(),
  });
  return serveBatches(memory, port, (batch) => {
    before?.(batch);
    const startedMs = performance.now();
    const result = shard.handle(batch);
    busy.add(performance.now() - startedMs);
    return result;
  });
}

/** The thread looks for work after each batch, so the longest one is what its loop was delayed at most. */
class BusyTime {
  private longestMs = 0;

  add(ms: number): void {
    if (ms > this.longestMs) this.longestMs = ms;
  }

  takeLongestMs(): number {
    const ms = this.longestMs;
    this.longestMs = 0;
    return ms;
  }
}
