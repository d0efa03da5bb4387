/**
 * The thread of one shard: a single-thread piscina pool, or its in-thread twin for tests. A batch goes in and a batch
 * comes out; both buffers are transferred. One batch is in flight at most: the mailbox sees to that.
 */
import type { ResourceLimits } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { Shard, type ShardDependencies, type ShardOptions } from '../shard/shard.ts';
import type { ShardWorkerData } from '../shard/worker-data.ts';

export interface ShardThread {
  run(batch: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** Called at most once, when the thread ended without being asked to. */
  onLost(lost: (reason: Error) => void): void;
  /** Ends the thread, whatever it does. */
  destroy(): Promise<void>;
}

type RunOptions = Parameters<Piscina['run']>[1];

/** Why each option: `atomics: 'sync'` freezes an idle worker's loop, the queue is not FIFO without `stricterFIFO`. */
export function startShardThread(entry: URL, workerData: ShardWorkerData, heap: ResourceLimits = {}): ShardThread {
  const pool = new Piscina({
    filename: entry.href,
    workerData,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    concurrentTasksPerWorker: 1,
    atomics: 'disabled',
    stricterFIFO: true,
    recordTiming: false,
    resourceLimits: heap,
  });
  let ended = false;
  let lost: (reason: Error) => void = () => undefined;
  const end = (reason: Error) => {
    if (ended) return;
    ended = true;
    lost(reason);
  };
  pool.on('error', (error: unknown) => end(asError(error)));
  // It is told of before its reason is, and while the pool still lists the worker, which `destroy` would then wait for
  // without end: one turn later both are settled.
  pool.on('workerDestroy', () => setImmediate(() => end(new Error('the thread ended'))));
  return {
    // The declared type of `transferList` follows another overload of postMessage than the one that piscina calls.
    run: (batch) => pool.run(batch, { transferList: [batch.buffer] } as unknown as RunOptions) as Promise<Uint8Array>,
    onLost(callback) {
      lost = callback;
    },
    async destroy() {
      ended = true;
      await pool.destroy();
    },
  };
}

/** The same interface on the caller's thread: batches are handled in a microtask of their own. */
export function startShardInThread(options: ShardOptions, dependencies: ShardDependencies): ShardThread {
  const shard = new Shard(options, dependencies);
  return {
    async run(batch) {
      await Promise.resolve();
      return shard.handle(batch);
    },
    onLost: () => undefined,
    destroy: async () => undefined,
  };
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
