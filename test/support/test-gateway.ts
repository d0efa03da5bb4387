/**
 * A gateway for tests: on a free port of 127.0.0.1, no admin port, its log kept. Shards are real threads of any entry, or
 * the in-thread twin. Everything is closed when the test ends, whichever way it ends.
 */
import type { ExecutionContext } from 'ava';
import { Gateway, type GatewayDependencies } from '../../src/gateway/gateway.ts';
import {
  type RegistrarThread,
  startRegistrarInThread,
  startRegistrarThread,
} from '../../src/gateway/registrar-thread.ts';
import { startShardInThread, startShardThread } from '../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { type Config, formatConfigError, loadConfig } from '../../src/ops/config/index.ts';
import { createLogger } from '../../src/ops/log.ts';
import { systemClock } from '../../src/system/clock.ts';
import { workerEntry } from '../../src/system/entry.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { RawClient, type RawClientOptions, type RawTarget } from './raw-client.ts';

export interface TestGatewayOptions {
  /** `key=value`, as `--set` takes them. */
  readonly set?: readonly string[];
  /** Entry of every shard's thread; `workers/shard.ts` by default, `in-thread` for none. */
  readonly entry?: URL | 'in-thread';
  /** Entry of the registrar's thread; by default it has none and its store is in memory. */
  readonly registrar?: URL | 'in-thread';
  /** Where the durable store is, where the configuration asks for one. */
  readonly storePath?: string;
  /** Goes along with the worker data. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Partial<GatewayDependencies>;
  readonly seed?: Uint8Array;
  /** 0, a free one, by default. */
  readonly port?: number;
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly config: Config;
  readonly crypto: CryptoProvider;
  readonly target: RawTarget;
  /** Lines of the log. */
  readonly log: readonly LogLine[];
  /** A connected client that is closed when the test ends. */
  client(options?: Partial<RawClientOptions>): Promise<RawClient>;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly err?: { readonly message: string };
  readonly [field: string]: unknown;
}

/** Registrations without issuer and disk, for tests that are about other things. */
const TRIAL = ['store.kind=memory', 'credentials.kind=none'];

export function configOf(set: readonly string[] = [], port = 0): Config {
  const loaded = loadConfig({
    set: ['admin.listen=off', ...TRIAL, ...set],
    listen: [`127.0.0.1:${port}`],
    file: undefined,
  });
  if (!loaded.ok) throw new Error(loaded.errors.map(formatConfigError).join('\n'));
  return loaded.config;
}

/** Everything but the start. */
export async function makeGateway(t: ExecutionContext, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const config = configOf(options.set, options.port);
  const crypto = await loadProvider('auto');
  const seed = options.seed ?? new Uint8Array(32).fill(0x22);
  const ed25519 = crypto.ed25519PublicKey(seed);
  const x25519 = crypto.x25519PublicOfEd25519(ed25519);
  if (x25519 === undefined) throw new Error('the key does not convert');
  const log: LogLine[] = [];
  const entry = options.entry ?? workerEntry('shard');
  const gateway = new Gateway(
    config,
    { seed, publicKey: ed25519 },
    {
      crypto,
      random: systemRandom,
      clock: systemClock,
      timers: systemTimers,
      log: createLogger({ level: 'info', destination: { write: (line) => log.push(JSON.parse(line)) } }),
      startShard: (_, shardOptions) => {
        if (entry === 'in-thread') {
          return startShardInThread(shardOptions, { crypto, random: systemRandom, loopDelayMs: () => 0 });
        }
        const workerData = { options: shardOptions, crypto: 'auto' as const, ...options.extra };
        return startShardThread(entry, workerData);
      },
      startRegistrar: () => startRegistrar(options.registrar ?? 'in-thread'),
      storePath: options.storePath ?? '',
      wireGuardSecret: () => new Uint8Array(32).fill(0x33),
      ...options.dependencies,
    },
  );
  t.teardown(() => gateway.stop('at once'));
  const target = {
    host: '127.0.0.1',
    ed25519,
    x25519,
    get port() {
      return gateway.listening[0]?.port ?? 0;
    },
  };
  const client = async (clientOptions: Partial<RawClientOptions> = {}) => {
    const connected = await RawClient.connect({ target, crypto, ...clientOptions });
    t.teardown(() => connected.destroy());
    return connected;
  };
  return { gateway, config, crypto, target, log, client };
}

function startRegistrar(entry: URL | 'in-thread'): RegistrarThread {
  if (entry !== 'in-thread') return startRegistrarThread(entry);
  const defer = (action: () => void) => setImmediate(action);
  return startRegistrarInThread({ defer, clock: systemClock, timers: systemTimers, random: systemRandom });
}

export async function startGateway(t: ExecutionContext, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const made = await makeGateway(t, options);
  await made.gateway.start();
  return made;
}

const UNTIL_MS = 15_000;

/** Resolves when the condition holds: looks once per turn of the loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + UNTIL_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${UNTIL_MS} ms: ${what}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
