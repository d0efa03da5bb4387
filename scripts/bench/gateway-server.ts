/**
 * Child: a whole gateway with limits out of the way. Argument: shards or "auto". Tells its port and identity, then its CPU times.
 */

import { Gateway } from '../../src/gateway/gateway.ts';
import { startRegistrarThread } from '../../src/gateway/registrar-thread.ts';
import { startShardThread } from '../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { loadConfig } from '../../src/ops/config/index.ts';
import { createLogger } from '../../src/ops/log.ts';
import { systemClock } from '../../src/system/clock.ts';
import { workerEntry } from '../../src/system/entry.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { serve } from './children.ts';
import { ownCpu } from './cpu.ts';

const loaded = loadConfig({
  file: undefined,
  listen: ['127.0.0.1:0'],
  set: [
    `gateway.shards=${process.argv[2] ?? 'auto'}`,
    'limits.handshakes_per_address=1000000',
    'limits.handshake_burst=1000000',
    'limits.records_per_address=1000000',
    'limits.records=1000000',
    'limits.sessions_per_address=1000000',
    'store.kind=memory',
    'credentials.kind=none',
  ],
});
if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
const crypto = await loadProvider('auto');
const seed = new Uint8Array(32);
systemRandom.fill(seed);
const publicKey = crypto.ed25519PublicKey(seed);
const gateway = new Gateway(
  loaded.config,
  { seed, publicKey },
  {
    crypto,
    random: systemRandom,
    clock: systemClock,
    timers: systemTimers,
    log: createLogger({ level: 'warn' }),
    startShard: (_shard, options) => startShardThread(workerEntry('shard'), { options, crypto: 'auto' }),
    startRegistrar: () => startRegistrarThread(workerEntry('registrar')),
    storePath: '',
    wireGuardSecret: () => new Uint8Array(32).fill(1),
  },
);
await gateway.start();
serve({ port: gateway.listening[0]?.port, identity: publicKey, crypto: crypto.name }, () => ({
  ...ownCpu(process.threadCpuUsage(), (name) => name === 'WorkerThread'),
  batches: gateway.batches.reduce((sum, batch) => sum + batch.count, 0),
}));
