/**
 * What a shard's thread is started with. It holds the gateway's static secret, which stays inside this process.
 */
import type { MessagePort } from 'node:worker_threads';
import type { BatchMemory } from './batch-channel.ts';
import type { ShardOptions } from './shard.ts';

export interface ShardThreadOptions {
  readonly options: ShardOptions;
  readonly crypto: 'auto' | 'native' | 'portable';
}

export interface ShardWorkerData extends ShardThreadOptions {
  readonly memory: BatchMemory;
  /** For batches that do not fit the memory. */
  readonly port: MessagePort;
}
