/** What a scrape of a running gateway shows. */
import test from 'ava';
import { registerGatewayMetrics } from '../../src/gateway/metrics.ts';
import { gatewayStatus } from '../../src/gateway/status.ts';
import { DROP_REASONS } from '../../src/lp/drop-reason.ts';
import { createRegistry } from '../../src/ops/metrics.ts';
import { startGateway, until } from '../support/test-gateway.ts';

const sampleOf = (text: string, sample: string): number => {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1));
};

test('a scrape has every drop reason, every table and the loop delays, and what happened is counted', async (t) => {
  const { gateway, client } = await startGateway(t, { set: ['gateway.shards=1'], entry: 'in-thread' });
  const registry = createRegistry();
  registerGatewayMetrics(registry, gateway);
  const quiet = await registry.metrics();
  for (const reason of DROP_REASONS) t.is(sampleOf(quiet, `lewes_drops_total{reason="${reason}"}`), 0, reason);
  for (const name of [
    'lewes_connections',
    'lewes_sources',
    'lewes_sessions',
    'lewes_indices',
    'lewes_shard_records{shard="0"}',
    'lewes_shard_sessions{shard="0"}',
    'lewes_shard_pending_requests{shard="0"}',
    'lewes_mailbox_packets{shard="0"}',
    'lewes_held_back_total',
    'lewes_connections_closed_total{reason="no_answer"}',
    'lewes_registrar_queue',
    'lewes_registrar_epoch',
    'lewes_quotes',
    'lewes_issuer_keys',
    'lewes_registrar_alarm{part="store"}',
    'lewes_registrar_alarm{part="wireguard"}',
    'lewes_forward_kept_connections',
    'lewes_event_loop_delay_seconds{thread="main",stat="max"}',
    'lewes_shard_loop_delay_max_seconds{shard="0"}',
    'lewes_registrations{mode="dvpn",phase="active"}',
  ]) {
    t.true(Number.isFinite(sampleOf(quiet, name)), name);
  }

  t.is(sampleOf(quiet, 'lewes_registrar_up'), 1);
  // A store in memory does not count what it has.
  t.notRegex(quiet, /^lewes_store_entries\{/m);

  const raw = await client();
  await raw.open();
  const forged = raw.seal(new Uint8Array(20));
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  raw.send([forged]);
  await raw.echo();
  gateway.tick();
  await until(() => gateway.hosts[0]?.snapshot?.drops.tag === 1, 'the tick has reported the forged packet');
  const text = await registry.metrics();
  t.is(sampleOf(text, 'lewes_drops_total{reason="tag"}'), 1);
  t.is(sampleOf(text, 'lewes_h3_accepted_total{shard="0"}'), 1);
  t.is(sampleOf(text, 'lewes_shard_sessions{shard="0"}'), 1);
  t.is(sampleOf(text, 'lewes_connections'), 1);

  const status = JSON.stringify(gatewayStatus(gateway, { version: '1', identity: 'i', crypto: 'native' }));
  t.true(status.includes('"drops":{"tag":1}'));
});
