/**
 * Child (with --expose-gc): a whole gateway whose shards are loaded with sessions as it starts. Arguments: shards and sessions in
 * all. Tells its state at each request: sessions loaded so far, and the memory of the process.
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

export interface LoadedState {
  readonly sessions: number;
  readonly emptyRss: number;
  /** With all garbage collected; 0 until all sessions are there. */
  readonly rss: number;
}

const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);
const [shards = 1, sessions = 0] = process.argv.slice(2).map(Number);
const loaded = loadConfig({
  file: undefined,
  listen: ['127.0.0.1:0'],
  set: [
    `gateway.shards=${shards}`,
    `limits.sessions=${sessions}`,
    'store.kind=memory',
    'credentials.kind=none',
    'admin.listen=off',
  ],
});
if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
const crypto = await loadProvider('auto');
const seed = new Uint8Array(32).fill(3);
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
    startShard: (_shard, options) => {
      const data = { options, crypto: 'auto', sessions: sessions / shards } as const;
      return startShardThread(new URL('./loaded-shard-thread.ts', import.meta.url), data);
    },
    startRegistrar: () => startRegistrarThread(workerEntry('registrar')),
    storePath: '',
    wireGuardSecret: () => new Uint8Array(32).fill(1),
  },
);
await gateway.start();
const emptyRss = process.memoryUsage.rss();

const TICK_MS = 250;
const total = () => gateway.hosts.reduce((sum, { snapshot }) => sum + (snapshot?.gauges.sessions ?? 0), 0);
/** Ticks are answered once the shards are done with what they do beside. */
const TICKS_MORE = 4;

serve({}, async (): Promise<LoadedState> => {
  await pause(TICK_MS);
  if (total() < sessions) return { sessions: total(), emptyRss, rss: 0 };
  do await pause(TICKS_MORE * TICK_MS);
  while (gateway.hosts.some(({ mailbox }) => !mailbox.idle));
  for (let i = 0; i < 4; i++) collect();
  await pause(TICKS_MORE * TICK_MS);
  return { sessions: total(), emptyRss, rss: process.memoryUsage.rss() };
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
