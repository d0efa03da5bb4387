/**
 * The thread of one shard, or its in-thread twin for tests. A batch goes in and a batch comes out, in order; at most
 * `PLACES` are under way: the mailbox sees to that. What crosses is in shard/batch-channel.ts.
 */
import { MessageChannel, type ResourceLimits, Worker } from 'node:worker_threads';
import { BatchSender, createBatchMemory } from '../shard/batch-channel.ts';
import { Shard, type ShardDependencies, type ShardOptions } from '../shard/shard.ts';
import type { ShardThreadOptions, ShardWorkerData } from '../shard/worker-data.ts';

export interface ShardThread {
  /** The batch is copied, the result is the caller's. */
  run(batch: Uint8Array): Promise<Uint8Array>;
  /** Called at most once, when the thread ended without being asked to. */
  onLost(lost: (reason: Error) => void): void;
  /** Ends the thread, whatever it does. */
  destroy(): Promise<void>;
}

export function startShardThread(entry: URL, options: ShardThreadOptions, heap: ResourceLimits = {}): ShardThread {
  const memory = createBatchMemory();
  const { port1, port2 } = new MessageChannel();
  const workerData: ShardWorkerData = { ...options, memory, port: port2 };
  const worker = new Worker(entry, { workerData, transferList: [port2], resourceLimits: heap });
  const sender = new BatchSender(memory, port1);
  let ended = false;
  let lost: (reason: Error) => void = () => undefined;
  const end = (reason: Error) => {
    if (ended) return;
    ended = true;
    sender.end(reason);
    lost(reason);
  };
  worker.on('error', (error: unknown) => end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', (code) => end(new Error(`the thread ended with code ${code}`)));
  return {
    run: (batch) => sender.run(batch),
    onLost(callback) {
      lost = callback;
    },
    async destroy() {
      ended = true;
      sender.end(new Error('the thread was ended'));
      port1.close();
      await worker.terminate();
    },
  };
}

/** The same interface on the caller's thread: batches are handled in a microtask of their own. */
export function startShardInThread(options: ShardOptions, dependencies: ShardDependencies): ShardThread {
  const shard = new Shard(options, dependencies);
  return {
    async run(batch) {
      const own = batch.slice();
      await Promise.resolve();
      const result = shard.handle(own).slice();
      own.fill(0);
      return result;
    },
    onLost: () => undefined,
    destroy: async () => undefined,
  };
}
