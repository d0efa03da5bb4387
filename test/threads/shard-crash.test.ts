/** A shard that fails loses what was its own, and nothing else (design §2; facts §2). */
import test, { type ExecutionContext } from 'ava';
import type { GatewayDependencies } from '../../src/gateway/gateway.ts';
import { registerGatewayMetrics } from '../../src/gateway/metrics.ts';
import { startShardThread } from '../../src/gateway/shard-thread.ts';
import { gatewayStatus } from '../../src/gateway/status.ts';
import { createRegistry } from '../../src/ops/metrics.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startGateway, type TestGateway, type TestGatewayOptions, until } from '../support/test-gateway.ts';
import { magicPacket } from './fixtures/magic.ts';

const CLIENTS = 16;
const PATIENCE_MS = 150;
const FACTS = { version: '0', identity: '', crypto: '' };

function fixture(name: string): URL {
  return new URL(`./fixtures/${name}.ts`, import.meta.url);
}

/** Clients on both shards, in the shards' statistics. */
async function clientsOf(made: TestGateway): Promise<{ victims: RawClient[]; others: RawClient[] }> {
  const { gateway, client } = made;
  const clients: RawClient[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    const made = await client({ localAddress: `127.0.1.${i + 1}`, kemKey: clients[0]?.kemKey });
    await made.open();
    clients.push(made);
  }
  const sessions = () => gateway.hosts.reduce((sum, host) => sum + (host.snapshot?.gauges.sessions ?? 0), 0);
  await until(() => sessions() === CLIENTS, 'all sessions in the statistics');
  const on = (shard: number) => clients.filter((c) => gateway.router.shardOf(c.family.index) === shard);
  return { victims: on(0), others: on(1) };
}

async function metrics({ gateway }: TestGateway): Promise<string> {
  const registry = createRegistry();
  registerGatewayMetrics(registry, gateway);
  return registry.metrics();
}

async function survives(t: ExecutionContext, options: TestGatewayOptions, reason: RegExp): Promise<void> {
  const made = await startGateway(t, { ...options, set: ['gateway.shards=2'] });
  const { gateway, log } = made;
  const { victims, others } = await clientsOf(made);
  t.true(victims.length > 0 && others.length > 0);
  const [failing, spared] = [gateway.hosts[0]!, gateway.hosts[1]!];

  victims[0]!.send([magicPacket(victims[0]!.family.index)]);
  const meanwhile = others.flatMap((client) => client.pipeline(Array.from({ length: 20 }, () => Uint8Array.of(1))));
  await until(() => failing.epoch === 1 && failing.running, 'the shard is replaced');
  await Promise.all(meanwhile);

  t.deepEqual([failing.lostSessions, spared.lostSessions, spared.epoch], [victims.length, 0, 0]);
  t.is(gateway.admission.sessions, others.length);
  const lost = log.filter(({ msg }) => msg.startsWith('shard lost')).map(({ err }) => err?.message ?? '');
  t.is(lost.length, 1);
  t.regex(lost[0]!, reason);
  t.like(gatewayStatus(gateway, FACTS), { shards: [{ running: true, epoch: 1 }, { epoch: 0 }] });
  const text = await metrics(made);
  t.true(text.includes(`lewes_sessions_lost_total{shard="0"} ${victims.length}`));
  t.true(text.includes('lewes_shard_epoch{shard="0"} 1'));
  t.regex(text, /lewes_drops_total\{reason="shard_lost"\} [1-9]/);

  await Promise.all(victims.map((client) => client.echoWithRecovery(Uint8Array.of(2), PATIENCE_MS)));
  await Promise.all(others.map((client) => client.echo()));
  t.true(victims.every(({ handshakes }) => handshakes >= 2));
  t.true(others.every(({ handshakes }) => handshakes === 1));
  t.true(gateway.ready.ready);
}

test('a shard whose handler throws loses its own sessions only, and their clients recover', (t) =>
  survives(t, { entry: fixture('handler-throws') }, /the fixture throws/));

test('a shard whose thread exits loses its own sessions only, and their clients recover', (t) =>
  survives(t, { entry: fixture('thread-exits') }, /ended with code 7/));

test('a shard that runs out of heap loses its own sessions only, and their clients recover', (t) => {
  const heap = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 4 };
  const startShard: GatewayDependencies['startShard'] = (_, options) =>
    startShardThread(fixture('heap-runs-out'), { options, crypto: 'auto' }, heap);
  return survives(t, { dependencies: { startShard } }, /memory/);
});
