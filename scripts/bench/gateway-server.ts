/**
 * Child: a whole gateway with limits out of the way. Arguments: shards or "auto"; `paid` for registrations in a store on disk
 * that cost a token, `nym` for Nym's listener beside the other. Tells its port and identity, the issuer's private key or Nym's
 * port and public keys where it has them; then its state. The request `{exit}` lists an exit that clients may reach through it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Gateway } from '../../src/gateway/gateway.ts';
import { startRegistrarThread } from '../../src/gateway/registrar-thread.ts';
import { startShardThread } from '../../src/gateway/shard-thread.ts';
import { formatBlindKey, generateBlindKey } from '../../src/issuer/blind-key.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { loadConfig } from '../../src/ops/config/index.ts';
import { createLogger } from '../../src/ops/log.ts';
import { systemClock } from '../../src/system/clock.ts';
import { workerEntry } from '../../src/system/entry.ts';
import { monitorLoopDelay } from '../../src/system/loop-delay.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { serve } from './children.ts';
import { ThreadGroup } from './cpu.ts';
import type { ServerFacts, ServerRequest, ServerState } from './gateway.ts';
import { ISSUER_NAME } from './registrations.ts';

const paid = process.argv[3] === 'paid';
const nym = process.argv[3] === 'nym';
/** Not in memory: what a commit costs belongs to the figure. */
const directory = paid ? mkdtempSync(join(tmpdir(), 'lewes-bench-')) : undefined;
process.once('exit', () => directory !== undefined && rmSync(directory, { recursive: true, force: true }));
const REGISTRATIONS = paid
  ? [
      'store.kind=lmdb',
      'credentials.kind=privacy-pass',
      `credentials.issuer=https://${ISSUER_NAME}`,
      'registration.ipv4_pool=10.0.0.0/12',
      'registration.registrations=1000000',
    ]
  : ['store.kind=memory', 'credentials.kind=none'];
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
    'limits.connections_per_address=100000',
    ...REGISTRATIONS,
    ...(nym ? ['nym.listen=127.0.0.1:0', 'nym.connections=1000000'] : []),
  ],
});
if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
const crypto = await loadProvider('auto');
const seed = new Uint8Array(32);
systemRandom.fill(seed);
const publicKey = crypto.ed25519PublicKey(seed);
/** X25519 secret, and seed of ML-KEM-768. */
const NYM_KEYS = { lpSecret: new Uint8Array(32).fill(0x40), kemSeed: new Uint8Array(64).fill(2) };
const shards = new ThreadGroup();
const registrar = new ThreadGroup();
const gateway = new Gateway(
  loaded.config,
  { seed, publicKey },
  {
    crypto,
    random: systemRandom,
    clock: systemClock,
    timers: systemTimers,
    log: createLogger({ level: 'warn' }),
    startShard: (_shard, options) =>
      shards.start(() => startShardThread(workerEntry('shard'), { options, crypto: 'auto' })),
    startRegistrar: () => registrar.start(() => startRegistrarThread(workerEntry('registrar'))),
    storePath: directory === undefined ? '' : join(directory, 'store'),
    wireGuardSecret: () => new Uint8Array(32).fill(1),
    ...(nym && { nymKeys: NYM_KEYS }),
  },
);
const issuerKey = paid ? await generateBlindKey() : undefined;
if (issuerKey !== undefined) gateway.setIssuerKeys([{ spki: issuerKey.spki }]);
await gateway.start();
const loopDelay = monitorLoopDelay();
/** Longest of each tick, which is how often a shard tells. */
let shardDelaysMs: number[] = [];
const TOLD_EVERY_MS = 250;
setInterval(() => {
  for (const { snapshot } of gateway.hosts) if (snapshot) shardDelaysMs.push(snapshot.gauges.loop_delay_max_ms);
}, TOLD_EVERY_MS);

function state(): ServerState {
  const { user, system } = process.cpuUsage();
  const main = process.threadCpuUsage();
  const shardLoopDelayMs = Math.max(0, ...shardDelaysMs);
  shardDelaysMs = [];
  const outcomes = gateway.registrar.status().outcomes.filter(({ outcome }) => outcome === 'completed');
  return {
    process: user + system,
    main: main.user + main.system,
    shards: shards.cpu,
    registrar: registrar.cpu,
    loopDelayP99Ms: loopDelay.read().p99 * 1e3,
    shardLoopDelayMs,
    registered: outcomes.reduce((sum, { count }) => sum + count, 0),
    batches: gateway.batches.reduce((sum, batch) => sum + batch.count, 0),
  };
}

function allow({ identity, port }: { readonly identity: Uint8Array; readonly port: number }): void {
  const exit = { identity, address: '127.0.0.1', port };
  gateway.reload({ ...gateway.config, forward: { ...gateway.config.forward, allow: [exit] } });
}

function nymFacts(): ServerFacts['nym'] {
  const port = gateway.nym?.listening?.port;
  if (port === undefined) return undefined;
  const kemKey = crypto.kems['ml-kem-768'].secretKeyFromSeed(NYM_KEYS.kemSeed).publicKey.bytes;
  return { port, lpKey: crypto.x25519PublicKey(NYM_KEYS.lpSecret), kemDigest: crypto.blake3(kemKey) };
}

const facts = { port: gateway.listening[0]?.port, identity: publicKey, crypto: crypto.name, nym: nymFacts() };
serve({ ...facts, ...(issuerKey && { issuerKey: formatBlindKey(issuerKey) }) }, ({ exit }: ServerRequest) => {
  if (exit !== undefined) allow(exit);
  return state();
});
