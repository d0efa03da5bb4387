/**
 * What a shard's thread is started with. It holds the gateway's static secret, which stays inside this process.
 */
import type { ShardOptions } from './shard.ts';

export interface ShardWorkerData {
  readonly options: ShardOptions;
  readonly crypto: 'auto' | 'native' | 'portable';
}
