/**
 * A gateway of a chaos run, as a process of its own: the real composition root with the fixture entries of `workers/`, a clock
 * that the runner moves, and orders for its threads. It logs to standard output as any gateway does.
 */
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { Gateway } from '../../src/gateway/gateway.ts';
import { startRegistrarThread } from '../../src/gateway/registrar-thread.ts';
import { startShardThread } from '../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { formatConfigError, loadConfig } from '../../src/ops/config/index.ts';
import { createLogger } from '../../src/ops/log.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import {
  type Ask,
  type ChildSetup,
  type ChildStatus,
  type FromChild,
  REGISTRAR_THREAD,
  shardThread,
  type ToChild,
} from './child-messages.ts';
import { notEmpty } from './invariants.ts';
import { giveOrder, isOrderWaiting, makeOrders } from './orders.ts';
import { jump, makeClockMemory, sharedClock } from './shared-clock.ts';
import { makeStreamCount, streamsIn } from './stream-count.ts';
import type { ChaosShardData } from './workers/thread-data.ts';

const SETTLE_TICKS = 400;
const SETTLE_PAUSE_MS = 5;
const AGE_PAUSE_MS = 25;
const YOUNG_HEAP_MB = 8;

const clockMemory = makeClockMemory();
const clock = sharedClock(clockMemory);
const orders = new Map<string, SharedArrayBuffer>();
/** Of each shard, whichever thread it is on. */
const streams = new Map<number, SharedArrayBuffer>();
const log = createLogger({ level: 'info', destination: { write: (line) => process.stdout.write(line) } });

function ordersOf(thread: string): SharedArrayBuffer {
  const memory = orders.get(thread) ?? makeOrders();
  orders.set(thread, memory);
  return memory;
}

function streamsOf(shard: number): SharedArrayBuffer {
  const memory = streams.get(shard) ?? makeStreamCount();
  streams.set(shard, memory);
  return memory;
}

async function makeGateway(setup: ChildSetup): Promise<Gateway> {
  const loaded = loadConfig({ file: setup.configFile, set: [], listen: [] });
  if (!loaded.ok) throw new Error(loaded.errors.map(formatConfigError).join('\n'));
  const crypto = await loadProvider('auto');
  const { seed, sealPath, sealSalt, wireGuardSecret, nymKeys } = setup;
  const heap = { maxOldGenerationSizeMb: setup.shardHeapMb, maxYoungGenerationSizeMb: YOUNG_HEAP_MB };
  const gateway = new Gateway(
    loaded.config,
    { seed, publicKey: crypto.ed25519PublicKey(seed) },
    {
      crypto,
      random: systemRandom,
      clock,
      timers: systemTimers,
      log,
      startShard: (shard, options) => {
        const data: ChaosShardData = {
          options,
          crypto: 'auto',
          orders: ordersOf(shardThread(shard)),
          streams: streamsOf(shard),
          clock: clockMemory,
          sealPath: `${sealPath}-${process.pid}`,
          sealSalt,
        };
        return startShardThread(new URL('./workers/shard.ts', import.meta.url), data, heap);
      },
      startRegistrar: () => {
        const data = { orders: ordersOf(REGISTRAR_THREAD), clock: clockMemory };
        return startRegistrarThread(new URL('./workers/registrar.ts', import.meta.url), data);
      },
      storePath: setup.storePath,
      wireGuardSecret: () => Uint8Array.from(wireGuardSecret),
      nymKeys,
    },
  );
  if (setup.issuerSpki !== undefined) gateway.setIssuerKeys([{ spki: setup.issuerSpki }]);
  return gateway;
}

function statusOf(gateway: Gateway): ChildStatus {
  const { hosts, acceptor, admission, router, forwarder, registrar } = gateway;
  const registrarStatus = registrar.status();
  const forwards = forwarder.status();
  const sum = (read: (host: (typeof hosts)[number]) => number) => hosts.reduce((total, host) => total + read(host), 0);
  const gauge = (name: 'records' | 'sessions' | 'families' | 'pending_requests' | 'pending_early_replies') =>
    sum((host) => host.snapshot?.gauges[name] ?? 0);
  return {
    rssBytes: process.memoryUsage.rss(),
    monotonicMs: clock.now().monotonicMs,
    tables: {
      connections: acceptor.open,
      records: gauge('records'),
      sessions: gauge('sessions'),
      families: gauge('families'),
      'waiting requests': gauge('pending_requests'),
      'early replies': gauge('pending_early_replies'),
      mailboxes: sum(({ mailbox }) => mailbox.queuedPackets + mailbox.queuedHandshakes),
      indices: router.size,
      'admitted sessions': admission.sessions,
      sources: admission.sources,
      forwards: forwards.inFlight,
      'forwarder connections': forwards.openConnections,
      'registrar requests': registrarStatus.queueLength,
      quotes: registrarStatus.quotes,
      ...nymTables(gateway),
    },
    ready: gateway.ready.ready,
    epochs: hosts.map(({ epoch }) => epoch),
    registrarEpoch: registrarStatus.epoch,
    alarms: registrarStatus.alarms.map(({ part }) => part),
    registrations: registrarStatus.registrations.dvpn.active,
    stored: registrarStatus.stored?.registrations ?? 0,
    ordersWaiting: [...orders].filter(([, memory]) => isOrderWaiting(memory)).map(([thread]) => thread),
  };
}

function nymTables({ nym }: Gateway): Readonly<Record<string, number>> {
  if (nym === undefined) throw new Error('assertion: gateways of a run listen for Nym');
  const { acceptor, forwarder } = nym;
  return {
    'nym connections': acceptor.open,
    'nym receiver indices': acceptor.sessions,
    'nym handshakes and sessions of shards': [...streams.values()].reduce((sum, memory) => sum + streamsIn(memory), 0),
    'nym forwards': forwarder.inFlight,
    'nym exit connections': forwarder.connections,
  };
}

async function settle(gateway: Gateway): Promise<ChildStatus> {
  for (let left = SETTLE_TICKS; left > 0 && notEmpty(statusOf(gateway).tables).length > 0; left--) {
    gateway.tick();
    await wait(SETTLE_PAUSE_MS);
  }
  return statusOf(gateway);
}

/** Whoever works has a turn in between; whoever hangs grows old. */
async function age(gateway: Gateway, seconds: number): Promise<void> {
  for (let left = seconds; left > 0; left--) {
    jump(clockMemory, { monotonicMs: 1_000, unixMs: 0 });
    gateway.tick();
    await wait(AGE_PAUSE_MS);
  }
}

async function answer(gateway: Gateway, ask: Ask): Promise<unknown> {
  switch (ask.ask) {
    case 'status':
      return statusOf(gateway);
    case 'order':
      giveOrder(ordersOf(ask.argument.thread), ask.argument.order);
      return undefined;
    case 'jump':
      jump(clockMemory, ask.argument);
      return undefined;
    case 'age':
      await age(gateway, ask.argument.seconds);
      return undefined;
    case 'settle':
      jump(clockMemory, ask.argument);
      return settle(gateway);
    case 'stop':
      await gateway.stop();
      return undefined;
  }
}

function tell(message: FromChild): Promise<void> {
  return new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function begin(setup: ChildSetup): Promise<Gateway | undefined> {
  try {
    const gateway = await makeGateway(setup);
    gateway.failed.catch((error: Error) => {
      log.fatal({ err: error }, 'a shard cannot be kept running');
      process.exit(1);
    });
    await gateway.start();
    const nymPort = gateway.nym?.listening?.port ?? 0;
    await tell({ kind: 'ready', port: gateway.listening[0]?.port ?? 0, nymPort });
    return gateway;
  } catch (error) {
    await tell({ kind: 'failed', id: 0, reason: reasonOf(error) });
    process.exit(1);
  }
}

let running: Promise<Gateway | undefined> = Promise.resolve(undefined);
// Whoever ends the runner ends its gateways.
process.on('disconnect', () => process.exit(0));
process.on('message', async (message: ToChild) => {
  if (message.kind === 'setup') {
    running = begin(message.setup);
    return;
  }
  const { ask } = message;
  const gateway = await running;
  if (gateway === undefined) return;
  try {
    await tell({ kind: 'answer', id: ask.id, value: await answer(gateway, ask) });
  } catch (error) {
    await tell({ kind: 'failed', id: ask.id, reason: reasonOf(error) });
  }
  if (ask.ask === 'stop') process.exit(0);
});
