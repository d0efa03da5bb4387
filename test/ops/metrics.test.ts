import test from 'ava';
import { createRegistry, registerCounters, registerGauges, registerLoopDelays } from '../../src/ops/metrics.ts';
import { monitorLoopDelay } from '../../src/system/loop-delay.ts';

test('gauges and counters are read when somebody scrapes', async (t) => {
  const registry = createRegistry();
  let sessions = 1;
  registerGauges(registry, 'lewes_sessions', 'Sessions.', ['shard'], () => [
    { labels: { shard: '0' }, value: sessions },
  ]);
  registerCounters(registry, 'lewes_dropped_total', 'Dropped packets.', ['reason'], () => [
    { labels: { reason: 'replay' }, value: sessions },
    { labels: { reason: 'replay' }, value: 10 },
    { labels: { reason: 'unknown' }, value: 0 },
  ]);
  t.regex(await registry.metrics(), /^lewes_sessions\{shard="0"\} 1$/m);
  sessions = 5;
  const text = await registry.metrics();
  t.regex(text, /^lewes_sessions\{shard="0"\} 5$/m);
  t.regex(text, /^lewes_dropped_total\{reason="replay"\} 15$/m);
  t.regex(text, /^lewes_dropped_total\{reason="unknown"\} 0$/m);
});

test('a label that is gone from the snapshot is gone from the scrape', async (t) => {
  const registry = createRegistry();
  let shards = ['0', '1'];
  registerGauges(registry, 'lewes_up', 'Up.', ['shard'], () =>
    shards.map((shard) => ({ labels: { shard }, value: 1 })),
  );
  t.regex(await registry.metrics(), /lewes_up\{shard="1"\}/);
  shards = ['0'];
  t.notRegex(await registry.metrics(), /lewes_up\{shard="1"\}/);
});

test('values that are no numbers are left out and do not break the scrape', async (t) => {
  const registry = createRegistry();
  registerGauges(registry, 'lewes_odd', 'Odd.', ['kind'], () => [{ labels: { kind: 'nan' }, value: Number.NaN }]);
  registerCounters(registry, 'lewes_odd_total', 'Odd.', ['kind'], () => [{ labels: { kind: 'negative' }, value: -1 }]);
  t.notRegex(await registry.metrics(), /kind="/);
});

test('every metric is named lewes_*, and counters alone end in _total', async (t) => {
  const registry = createRegistry();
  t.throws(() => registerGauges(registry, 'sessions', '', [], () => []));
  t.throws(() => registerGauges(registry, 'lewes_sessions_total', '', [], () => []));
  t.throws(() => registerCounters(registry, 'lewes_sessions', '', [], () => []));
  for (const metric of await registry.getMetricsAsJSON()) {
    t.regex(metric.name, /^lewes_/);
    t.is(String(metric.type) === 'counter', metric.name.endsWith('_total'), metric.name);
  }
});

test('loop delays are shown per thread', async (t) => {
  const registry = createRegistry();
  const monitor = monitorLoopDelay();
  t.teardown(() => monitor.stop());
  const worker = { p50: 0.001, p99: 0.002, max: 0.25 };
  registerLoopDelays(registry, () => ({ main: monitor.read(), 'shard-0': worker }));
  const text = await registry.metrics();
  t.regex(text, /^lewes_event_loop_delay_seconds\{thread="shard-0",stat="max"\} 0\.25$/m);
  t.regex(text, /^lewes_event_loop_delay_seconds\{thread="main",stat="p99"\} [0-9.e-]+$/m);
});
