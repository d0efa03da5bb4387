/**
 * Thread entry of a shard in a chaos run: the actor as workers/shard.ts builds it, whose sealings are written down before a
 * batch leaves, and which obeys orders to fail.
 */
import { threadId, workerData } from 'node:worker_threads';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { serveBatches } from '../../../src/shard/batch-channel.ts';
import { Shard } from '../../../src/shard/shard.ts';
import type { ShardWorkerData } from '../../../src/shard/worker-data.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { obey, takeOrder } from '../orders.ts';
import { recordSeals, SealFile } from '../seal-record.ts';
import { countStreams } from '../stream-count.ts';
import type { ChaosShardData } from './thread-data.ts';

const { options, crypto, memory, port, orders, streams, sealPath, sealSalt } = workerData as ChaosShardData &
  ShardWorkerData;
const seals = new SealFile(`${sealPath}-${threadId}`);

const shard = new Shard(options, {
  crypto: recordSeals(await loadProvider(crypto), sealSalt, (record) => seals.note(record)),
  random: systemRandom,
  loopDelayMs: () => 0,
});

serveBatches(memory, port, (batch) => {
  const order = takeOrder(orders);
  if (order?.when === 'before') obey(order);
  const result = shard.handle(batch);
  seals.flush();
  countStreams(streams, shard.streams?.size ?? 0);
  if (order?.when === 'after') obey(order);
  return result;
});
