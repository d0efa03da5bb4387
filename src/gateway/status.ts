/**
 * What a gateway says of itself on /status, for people and scripts: identity, addresses, tables, totals. No secrets.
 */
import { formatSocketAddress } from '../ops/config/index.ts';
import type { CounterName, GaugeName } from '../shard/stats.ts';
import type { Gateway } from './gateway.ts';

export interface GatewayFacts {
  readonly version: string;
  readonly identity: string;
  readonly crypto: string;
}

export function gatewayStatus(gateway: Gateway, facts: GatewayFacts): object {
  const { hosts, acceptor, admission, forwarder, registrar } = gateway;
  const counter = (name: CounterName) => total(hosts.map((host) => host.snapshot?.counters[name] ?? 0));
  const gauge = (name: GaugeName) => total(hosts.map((host) => host.snapshot?.gauges[name] ?? 0));
  const drops = new Map<string, number>(Object.entries(acceptor.counts.drops));
  for (const host of hosts) {
    for (const [reason, n] of Object.entries(host.snapshot?.drops ?? {}))
      drops.set(reason, (drops.get(reason) ?? 0) + n);
  }
  const registrations = registrar.status();
  return {
    ...facts,
    listen: gateway.listening.map(formatSocketAddress),
    credentials: 'none',
    shards: hosts.map(({ shard, running, epoch, lostSessions }) => ({ shard, running, epoch, lostSessions })),
    connections: acceptor.open,
    sources: admission.sources,
    handshakes: { records: gauge('records'), h1: counter('h1_read'), finished: counter('h3_accepted') },
    sessions: { open: gauge('sessions'), families: gauge('families') },
    registrations: registrations.registrations,
    leases: registrations.leases,
    forwards: { inFlight: forwarder.status().inFlight, kept: forwarder.status().keptConnections },
    drops: Object.fromEntries([...drops].filter(([, n]) => n > 0)),
  };
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
