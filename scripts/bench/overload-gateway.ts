/**
 * Child: a whole gateway that is to be loaded beyond what it can do. Arguments: `key=value` of its configuration. Tells its
 * port, identity and crypto; every request is answered with its state, and the loop delay since the request before.
 */
import { Gateway } from '../../src/gateway/gateway.ts';
import { startRegistrarThread } from '../../src/gateway/registrar-thread.ts';
import { startShardThread } from '../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { loadConfig } from '../../src/ops/config/index.ts';
import { createLogger } from '../../src/ops/log.ts';
import { systemClock } from '../../src/system/clock.ts';
import { workerEntry } from '../../src/system/entry.ts';
import { monitorLoopDelay } from '../../src/system/loop-delay.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { serve } from './children.ts';
import { ownCpu } from './cpu.ts';
import type { GatewayState } from './overload-state.ts';

const loaded = loadConfig({
  file: undefined,
  listen: ['127.0.0.1:0'],
  set: ['admin.listen=off', 'store.kind=memory', 'credentials.kind=none', ...process.argv.slice(2)],
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
const delay = monitorLoopDelay();

function state(): GatewayState {
  const { acceptor, admission, router, hosts } = gateway;
  const counters: Record<string, number> = {};
  const drops: Record<string, number> = {};
  const gauges: Record<string, number> = {};
  const add = (to: Record<string, number>, from: Readonly<Record<string, number>>) => {
    for (const [name, value] of Object.entries(from)) if (value > 0) to[name] = (to[name] ?? 0) + value;
  };
  add(drops, acceptor.counts.drops);
  for (const { snapshot } of hosts) {
    if (snapshot === undefined) continue;
    add(counters, snapshot.counters);
    add(drops, snapshot.drops);
    add(gauges, snapshot.gauges);
  }
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  return {
    cpu: ownCpu(process.threadCpuUsage(), (name) => name === 'WorkerThread'),
    memory: { rss, heapUsed, external, arrayBuffers },
    loopDelay: delay.read(),
    open: acceptor.open,
    accepted: acceptor.counts.accepted,
    refused: acceptor.counts.refused,
    busy: acceptor.counts.busy,
    closed: { ...acceptor.counts.closed },
    sources: admission.sources,
    sessions: admission.sessions,
    indices: router.size,
    queuedHandshakes: hosts.reduce((sum, host) => sum + host.mailbox.queuedHandshakes, 0),
    counters,
    drops,
    gauges,
  };
}

serve({ port: gateway.listening[0]?.port, identity: publicKey, crypto: crypto.name }, state);
