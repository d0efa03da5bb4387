/**
 * Child (with --expose-gc): one shard and a router over toy cryptography, fed with batches by the parent, so that nothing
 * but a gateway's own state grows here. Requests: `{batch}` gives the outbound batch, `{measure}` the memory.
 */
import { KeyedHash } from '../../src/gateway/keyed-hash.ts';
import { Router } from '../../src/gateway/router.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { readOutbound } from '../../src/shard/messages.ts';
import { readStats } from '../../src/shard/stats.ts';
import { serve } from './children.ts';
import { InProcessGateway, ignoredEffects } from './in-process.ts';
import { toyCrypto } from './toy-crypto.ts';

const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);
const router = new Router(1, new KeyedHash(new Uint8Array(8).fill(1)));
const gateway = new InProcessGateway(toyCrypto(await loadProvider('native')));
const effects = {
  ...ignoredEffects,
  indexTaken: (index: number, live: boolean) => router.add(0, index, live),
  indexFree: (index: number) => router.remove(0, index),
};

serve({}, ({ batch }: { batch?: Uint8Array }) => {
  if (batch !== undefined) {
    const result = gateway.shard.handle(batch);
    readOutbound(result, effects);
    return { result };
  }
  for (let i = 0; i < 4; i++) collect();
  const { gauges } = readStats(gateway.shard.stats.values);
  return { ...process.memoryUsage(), sessions: gauges.sessions, records: gauges.records };
});
