/** What the fixture entries of a chaos run are started with, besides what the real ones get. */
import type { ShardThreadOptions } from '../../../src/shard/worker-data.ts';

export interface ChaosThreadData {
  readonly orders: SharedArrayBuffer;
  readonly clock: SharedArrayBuffer;
}

export interface ChaosShardData extends ShardThreadOptions, ChaosThreadData {
  /** Where sealings are written down: the path of a file, but for what tells threads apart. */
  readonly sealPath: string;
  readonly sealSalt: Uint8Array;
  /** How many of Nym's connections it knows. */
  readonly streams: SharedArrayBuffer;
}
