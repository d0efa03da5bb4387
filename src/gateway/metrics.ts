/**
 * The gateway's metrics: numbers are kept where they arise and read when somebody scrapes. Every drop reason, every table
 * and every queue is here; the names are part of the operator's interface.
 */
import { DROP_REASONS } from '../lp/drop-reason.ts';
import { FORWARD_STATUS } from '../lp/wire/application-frame.ts';
import { type Registry, registerCounters, registerGauges, registerLoopDelays, type Sample } from '../ops/metrics.ts';
import { ALARM_PARTS } from '../registration/alarms.ts';
import { COUNTERS, GAUGES } from '../shard/stats.ts';
import { monitorLoopDelay } from '../system/loop-delay.ts';
import type { Gateway } from './gateway.ts';
import { nymCloseSamples, nymDropSamples, registerNym } from './nym/metrics.ts';

type ShardLabel = 'shard';

/** What `loop_delay_max_ms` becomes; all other gauges of a shard keep their names. */
const SHARD_GAUGES = GAUGES.filter((name) => name !== 'loop_delay_max_ms');

export function registerGatewayMetrics(registry: Registry, gateway: Gateway): void {
  registerDrops(registry, gateway);
  registerShards(registry, gateway);
  registerAcceptor(registry, gateway);
  registerForwarder(registry, gateway);
  registerRegistrar(registry, gateway);
  registerDelays(registry, gateway);
  if (gateway.nym !== undefined) registerNym(registry, gateway.nym, gateway.config);
}

function registerDrops(registry: Registry, gateway: Gateway): void {
  const help = "Packets dropped, by reason; Nym's messages have a label of their own.";
  registerCounters<'reason' | 'protocol'>(registry, 'lewes_drops_total', help, ['reason', 'protocol'], () => [
    ...DROP_REASONS.map((reason) => ({
      labels: { reason },
      value:
        (gateway.acceptor.counts.drops[reason] ?? 0) +
        sum(gateway.hosts.map((host) => host.snapshot?.drops[reason] ?? 0)) +
        (reason === 'shard_lost' ? sum(gateway.hosts.map((host) => host.lostPackets)) : 0),
    })),
    ...nymDropSamples(gateway.nym),
  ]);
}

function registerShards(registry: Registry, gateway: Gateway): void {
  const perShard = (read: (shard: number) => number | undefined): Sample<ShardLabel>[] =>
    gateway.hosts.flatMap((host) => {
      const value = read(host.shard);
      return value === undefined ? [] : [{ labels: { shard: String(host.shard) }, value }];
    });
  for (const name of COUNTERS) {
    const help = `Shard counter: ${name.replaceAll('_', ' ')}.`;
    registerCounters(registry, `lewes_${name}_total`, help, ['shard'], () =>
      perShard((shard) => gateway.hosts[shard]?.snapshot?.counters[name]),
    );
  }
  for (const name of SHARD_GAUGES) {
    const help = `Shard table or memory: ${name.replaceAll('_', ' ')}.`;
    registerGauges(registry, `lewes_shard_${name}`, help, ['shard'], () =>
      perShard((shard) => gateway.hosts[shard]?.snapshot?.gauges[name]),
    );
  }
  const shardGauge = (name: string, help: string, read: (shard: number) => number | undefined) =>
    registerGauges(registry, name, help, ['shard'], () => perShard(read));
  shardGauge('lewes_shard_up', '1 while the shard runs.', (shard) => (gateway.hosts[shard]?.running ? 1 : 0));
  shardGauge('lewes_shard_epoch', 'How often the shard was replaced.', (shard) => gateway.hosts[shard]?.epoch);
  shardGauge(
    'lewes_mailbox_packets',
    'Packets of live sessions that wait.',
    (shard) => gateway.hosts[shard]?.mailbox.queuedPackets,
  );
  shardGauge(
    'lewes_mailbox_handshakes',
    'Handshake packets that wait.',
    (shard) => gateway.hosts[shard]?.mailbox.queuedHandshakes,
  );
  registerCounters(registry, 'lewes_sessions_lost_total', 'Sessions lost with a shard.', ['shard'], () =>
    perShard((shard) => gateway.hosts[shard]?.lostSessions),
  );
  registerCounters(registry, 'lewes_shard_batches_total', 'Batches handled.', ['shard'], () =>
    perShard((shard) => gateway.batches[shard]?.count),
  );
  registerCounters(registry, 'lewes_shard_batch_seconds_total', 'Time of batches, hand-over included.', ['shard'], () =>
    perShard((shard) => (gateway.batches[shard]?.sumMs ?? 0) / 1_000),
  );
  shardGauge(
    'lewes_shard_batch_max_seconds',
    'Longest batch since the start.',
    (shard) => (gateway.batches[shard]?.maxMs ?? 0) / 1_000,
  );
}

function registerAcceptor(registry: Registry, { acceptor, admission, router, nym }: Gateway): void {
  const gauge = (name: string, help: string, read: () => number) =>
    registerGauges(registry, name, help, [], () => [{ labels: {}, value: read() }]);
  const counter = (name: string, help: string, read: () => number) =>
    registerCounters(registry, name, help, [], () => [{ labels: {}, value: read() }]);
  gauge('lewes_connections', 'Open connections.', () => acceptor.open);
  gauge('lewes_sources', 'Source addresses that admission knows.', () => admission.sources);
  gauge('lewes_sessions', 'Sessions and promised sessions of the node.', () => admission.sessions);
  gauge('lewes_indices', 'Receiver indices that name something.', () => router.size);
  counter('lewes_connections_accepted_total', 'Connections accepted.', () => acceptor.counts.accepted);
  counter('lewes_connections_refused_total', 'Connections beyond a bound.', () => acceptor.counts.refused);
  counter(
    'lewes_held_back_total',
    'Frames for an unknown index that waited for the batches before them.',
    () => acceptor.counts.heldBack,
  );
  counter('lewes_shed_total', 'Handshakes told Busy because the queue was full.', () => acceptor.counts.busy);
  const closed = 'Connections closed, by reason.';
  registerCounters<'reason' | 'protocol'>(
    registry,
    'lewes_connections_closed_total',
    closed,
    ['reason', 'protocol'],
    () => [
      ...Object.entries(acceptor.counts.closed).map(([reason, value]) => ({ labels: { reason }, value })),
      ...nymCloseSamples(nym),
    ],
  );
}

function registerForwarder(registry: Registry, { forwarder }: Gateway): void {
  const names = Object.entries(FORWARD_STATUS);
  registerCounters(registry, 'lewes_forward_results_total', 'Finished forwards, by status.', ['status'], () => {
    const { results } = forwarder.status();
    return names.map(([status, code]) => ({ labels: { status }, value: results[code] }));
  });
  const gauges = {
    in_flight: () => forwarder.status().inFlight,
    connections: () => forwarder.status().openConnections,
    kept_connections: () => forwarder.status().keptConnections,
  };
  for (const [name, read] of Object.entries(gauges)) {
    registerGauges(registry, `lewes_forward_${name}`, `Forwarder: ${name.replaceAll('_', ' ')}.`, [], () => [
      { labels: {}, value: read() },
    ]);
  }
}

function registerRegistrar(registry: Registry, { registrar }: Gateway): void {
  const gauge = (name: string, help: string, read: () => number) =>
    registerGauges(registry, name, help, [], () => [{ labels: {}, value: read() }]);
  gauge('lewes_registrar_up', '1 while the registrar runs.', () => (registrar.status().running ? 1 : 0));
  gauge('lewes_registrar_epoch', 'How often the registrar was replaced.', () => registrar.status().epoch);
  gauge('lewes_quotes', 'Quotes that hold addresses.', () => registrar.status().quotes);
  gauge('lewes_issuer_keys', 'Issuer keys that tokens are checked with.', () => registrar.status().issuerKeys);
  // Nothing is shown while the store cannot say.
  registerGauges(registry, 'lewes_store_entries', 'What the durable store has, by table.', ['table'], () =>
    Object.entries(registrar.status().stored ?? {}).map(([table, value]) => ({ labels: { table }, value })),
  );
  registerGauges(registry, 'lewes_registrar_alarm', '1 while this part cannot be used.', ['part'], () => {
    const up = registrar.status().alarms.map(({ part }) => part);
    return ALARM_PARTS.map((part) => ({ labels: { part }, value: up.includes(part) ? 1 : 0 }));
  });
  registerGauges(registry, 'lewes_registrar_queue', 'Requests that wait for the registrar.', [], () => [
    { labels: {}, value: registrar.status().queueLength },
  ]);
  registerGauges(registry, 'lewes_registrations', 'Registrations, by mode and phase.', ['mode', 'phase'], () =>
    Object.entries(registrar.status().registrations).flatMap(([mode, phases]) =>
      Object.entries(phases).map(([phase, value]) => ({ labels: { mode, phase }, value })),
    ),
  );
  registerGauges(registry, 'lewes_leases', 'Addresses of the pools, by state.', ['family', 'state'], () =>
    Object.entries(registrar.status().leases).flatMap(([family, counts]) =>
      Object.entries(counts).map(([state, value]) => ({ labels: { family, state }, value })),
    ),
  );
  registerCounters(
    registry,
    'lewes_registration_outcomes_total',
    'Registration requests, by operation and outcome.',
    ['op', 'outcome'],
    () => registrar.status().outcomes.map(({ op, outcome, count }) => ({ labels: { op, outcome }, value: count })),
  );
}

function registerDelays(registry: Registry, gateway: Gateway): void {
  const delay = monitorLoopDelay();
  registerLoopDelays(registry, () => ({ main: delay.read() }));
  registerGauges(
    registry,
    'lewes_shard_loop_delay_max_seconds',
    "Longest delay of a shard thread's loop in the last tick.",
    ['shard'],
    () =>
      gateway.hosts.map((host) => ({
        labels: { shard: String(host.shard) },
        value: (host.snapshot?.gauges.loop_delay_max_ms ?? 0) / 1_000,
      })),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
