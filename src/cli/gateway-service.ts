/**
 * The gateway as a process: data directory and identity, the composition root, the admin port, signals. Everything that
 * was opened is closed again, in reverse, whichever way it ends.
 */
import { existsSync } from 'node:fs';
import closeWithGrace from 'close-with-grace';
import { Gateway } from '../gateway/gateway.ts';
import { registerGatewayMetrics } from '../gateway/metrics.ts';
import type { NymKeys } from '../gateway/nym/nym-service.ts';
import { nymRoutes } from '../gateway/nym/routes.ts';
import { startRegistrarThread } from '../gateway/registrar-thread.ts';
import { startShardThread } from '../gateway/shard-thread.ts';
import { gatewayStatus } from '../gateway/status.ts';
import { loadProvider } from '../lp/crypto/load.ts';
import { type AdminServer, startAdmin } from '../ops/admin.ts';
import { encodeBase58 } from '../ops/base58.ts';
import { type Config, formatConfigError, formatSocketAddress, type LoadedConfig } from '../ops/config/index.ts';
import { type DataDir, defaultDataDir, openDataDir } from '../ops/data-dir.ts';
import { createIdentity, type Identity, readIdentity } from '../ops/keys.ts';
import { createLogger, flushLog, type Logger } from '../ops/log.ts';
import { createRegistry } from '../ops/metrics.ts';
import { ensureNymKey, type NymKeyKind, readNymKey } from '../ops/nym-keys.ts';
import { OperatorError } from '../ops/operator-error.ts';
import { ensureWireGuardKey, readWireGuardKey } from '../ops/wireguard-key.ts';
import { systemClock } from '../system/clock.ts';
import { workerEntry } from '../system/entry.ts';
import { systemRandom } from '../system/random.ts';
import { systemTimers } from '../system/timers.ts';
import { type GatewayIssuer, openIssuer } from './own-issuer.ts';
import { packageVersion } from './version.ts';

/** Beyond `lifetimes.drain`: threads and sockets close in milliseconds; a process that hangs is ended. */
const EXIT_MARGIN_MS = 5_000;
const REPEATED_SIGNAL_MS = 1_000;

export interface ServiceOptions {
  readonly config: Config;
  readonly dataDir: string | undefined;
  /** Reads the configuration again, for SIGHUP. */
  readonly reload: () => LoadedConfig;
}

/** Resolves when the gateway runs; the process then ends by a signal. */
export async function runService({ config, dataDir, reload }: ServiceOptions): Promise<void> {
  const log = createLogger({ level: config.log.level });
  const directory = openDataDir(dataDir ?? defaultDataDir());
  const opened: Opened = { directory, gateway: undefined, admin: undefined, issuer: undefined };
  try {
    await open(config, log, opened);
  } catch (error) {
    await close(opened, 'at once');
    throw told(error);
  }
  const grace = closeWithGrace(
    { delay: config.lifetimes.drain * 1_000 + EXIT_MARGIN_MS, logger: false, skip: ['SIGHUP'] },
    async ({ signal, err }) => {
      forgiveRepeatedSignals();
      if (err === undefined) log.info({ signal }, 'stopping');
      else log.fatal({ err }, 'the gateway cannot go on');
      await close(opened, err === undefined ? 'drain' : 'at once');
      log.info('stopped');
      await flushLog(log);
      if (err !== undefined) process.exitCode = 1;
    },
  );
  process.on('SIGHUP', () => applyReload(reload(), opened.gateway, log));
  opened.gateway?.failed.catch((error: Error) => {
    log.fatal({ err: error }, 'a shard cannot be kept running');
    process.exitCode = 1;
    grace.close();
  });
}

/**
 * Ctrl-C in a terminal, and `timeout`, signal the whole process group, and npm passes the signal on: the same wish comes
 * twice within milliseconds. Only a later one means "at once".
 */
function forgiveRepeatedSignals(): void {
  const since = performance.now();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.on(signal, () => {
      if (performance.now() - since > REPEATED_SIGNAL_MS) process.exit(1);
    });
  }
}

interface Opened {
  readonly directory: DataDir;
  gateway: Gateway | undefined;
  admin: AdminServer | undefined;
  issuer: GatewayIssuer | undefined;
}

async function open(config: Config, log: Logger, opened: Opened): Promise<void> {
  const identity = identityOf(config, opened.directory);
  const wireGuardKeyFile = wireGuardKeyOf(config, opened.directory);
  const nymKeys = nymKeysOf(config, opened.directory);
  const crypto = await loadProvider(config.gateway.crypto);
  const facts = { version: packageVersion(), identity: encodeBase58(identity.publicKey), crypto: crypto.name };
  const registry = createRegistry();
  const issuer = await openIssuer(config, opened.directory.path, log);
  opened.issuer = issuer;
  // Before the gateway, whose challenges name the issuer, and that is the admin port where no other is configured.
  if (config.admin.listen !== undefined) {
    opened.admin = await startAdmin(config.admin.listen, {
      registry,
      ready: () => opened.gateway?.ready ?? { ready: false, reasons: ['starting'] },
      status: () => (opened.gateway === undefined ? facts : gatewayStatus(opened.gateway, facts)),
      routes: async (server) => {
        if (issuer.routes !== undefined) await server.register(issuer.routes);
        await server.register(nymRoutes(() => opened.gateway?.nym?.announcement));
      },
    });
  }
  const gateway = new Gateway(
    issuer.configFor(opened.admin?.address),
    { seed: identity.seed.bytes, publicKey: identity.publicKey },
    {
      crypto,
      random: systemRandom,
      clock: systemClock,
      timers: systemTimers,
      log,
      startShard: (_shard, options) =>
        startShardThread(workerEntry('shard'), { options, crypto: config.gateway.crypto }),
      startRegistrar: () => startRegistrarThread(workerEntry('registrar')),
      storePath: opened.directory.storePath,
      wireGuardSecret: () => readWireGuardKey(wireGuardKeyFile),
      nymKeys,
    },
  );
  identity.seed.wipe();
  nymKeys?.lpSecret.fill(0);
  nymKeys?.kemSeed.fill(0);
  issuer.supply(gateway);
  await gateway.start();
  opened.gateway = gateway;
  registerGatewayMetrics(registry, gateway);
  if (opened.admin !== undefined) opened.directory.writeAdmin({ url: opened.admin.url, pid: process.pid });
  warnOfTrials(config, log);
  log.info(
    {
      identity: facts.identity,
      listen: gateway.listening.map(formatSocketAddress),
      ...(gateway.nym?.listening && { nym: { listen: formatSocketAddress(gateway.nym.listening) } }),
      admin: opened.admin === undefined ? undefined : formatSocketAddress(opened.admin.address),
      shards: gateway.hosts.length,
      crypto: facts.crypto,
      version: facts.version,
    },
    'ready',
  );
}

/** What is right for a trial and hardly ever for a service is said at each start. */
function warnOfTrials({ credentials, wireguard, store, nym }: Config, log: Logger): void {
  if (credentials.kind === 'none') {
    log.warn('registrations are free: credentials.kind is "none", so anybody who reaches this gateway may register');
  }
  if (credentials.kind !== 'none' && credentials.zk_nym === 'mock') {
    log.warn('LP1 registrations are free: credentials.zk_nym is "mock", so every zk-nym is taken unchecked');
  }
  if (credentials.kind !== 'none' && nym.listen !== undefined && nym.credentials === 'mock') {
    log.warn('Nym registrations are free: nym.credentials is "mock", so every zk-nym is taken unchecked');
  }
  if (wireguard.kind === 'memory') {
    log.warn('tunnels carry no traffic: wireguard.kind is "memory", so clients register and no interface is driven');
  }
  if (store.kind === 'memory') {
    log.warn('registrations and spent tokens end with this process: store.kind is "memory"');
  }
}

async function close({ directory, gateway, admin, issuer }: Opened, how: 'drain' | 'at once'): Promise<void> {
  issuer?.close();
  await gateway?.stop(how);
  await admin?.close();
  directory.release();
}

function identityOf(config: Config, directory: DataDir): Identity {
  if (config.gateway.identity !== undefined) return readIdentity(config.gateway.identity);
  return existsSync(directory.identityFile)
    ? readIdentity(directory.identityFile)
    : createIdentity(directory.identityFile);
}

function wireGuardKeyOf({ wireguard }: Config, directory: DataDir): string {
  if (wireguard.private_key !== undefined) return wireguard.private_key;
  ensureWireGuardKey(directory.wireGuardKeyFile);
  return directory.wireGuardKeyFile;
}

/** In memory while Nym is spoken, and nowhere otherwise. */
function nymKeysOf({ nym }: Config, directory: DataDir): NymKeys | undefined {
  if (nym.listen === undefined) return undefined;
  const read = (kind: NymKeyKind, given: string | undefined, own: string) => {
    if (given === undefined) ensureNymKey(own, kind);
    return readNymKey(given ?? own, kind);
  };
  return {
    lpSecret: read('lp', nym.lp_key, directory.nymLpKeyFile),
    kemSeed: read('kem', nym.kem_key, directory.nymKemKeyFile),
  };
}

/** What changes without a restart: the allow-list of exits and the log level. */
function applyReload(loaded: LoadedConfig, gateway: Gateway | undefined, log: Logger): void {
  if (!loaded.ok) {
    log.error({ errors: loaded.errors.map(formatConfigError) }, 'configuration not re-read: it has errors');
    return;
  }
  gateway?.reload(loaded.config);
  log.level = loaded.config.log.level;
  log.info('configuration re-read: forward.allow and log.level are in force; other keys need a restart');
}

const REMEDIES: Readonly<Record<string, string>> = {
  SHARD_START_FAILED: 'see the reason above; gateway.crypto = "portable" avoids native modules',
  REGISTRAR_START_FAILED: 'see the reason above; store.kind = "memory" avoids native modules',
  STORE_IN_USE: 'stop the process that has it, or give this gateway a store of its own with store.path',
  STORE_NEWER: 'start the version that wrote it, or restore a copy that is older',
  STORE_DAMAGED: 'restore a copy (lewes backup makes them), or move the directory away for an empty store',
  STORE_FULL: 'make room on its disk, or give another place with store.path',
  STORE_UNAVAILABLE: 'give this user the right to it, or another place with store.path',
};

/** Errors of the rooms below carry a code and a whole message; here they get what to do. */
function told(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof OperatorError) return error;
  if (!('code' in error) || typeof error.code !== 'string' || 'remedy' in error) return error;
  const remedy = REMEDIES[error.code] ?? 'change the configuration and start again';
  return new OperatorError(error.code, error.message, remedy, { cause: error });
}
