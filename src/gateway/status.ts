/**
 * What a gateway says of itself on /status, for people and scripts: identity, addresses, tables, totals. No secrets.
 */
import { formatSocketAddress } from '../ops/config/index.ts';
import type { CounterName, GaugeName } from '../shard/stats.ts';
import type { Gateway } from './gateway.ts';
import type { NymService } from './nym/nym-service.ts';

export interface GatewayFacts {
  readonly version: string;
  readonly identity: string;
  readonly crypto: string;
}

export function gatewayStatus(gateway: Gateway, facts: GatewayFacts): object {
  const { config, hosts, acceptor, admission, forwarder, registrar } = gateway;
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
    credentials: {
      kind: config.credentials.kind,
      ...(config.credentials.kind === 'none'
        ? { note: 'registrations are free for whoever reaches this gateway' }
        : { issuer: config.credentials.issuer_name, keys: registrations.issuerKeys }),
      ...(config.credentials.zk_nym === 'mock' && { zkNym: 'every zk-nym of LP1 is taken unchecked' }),
    },
    store: {
      kind: config.store.kind,
      ...registrations.stored,
      ...(config.store.kind === 'memory' && { note: 'registrations and spent tokens end with the process' }),
    },
    wireguard: {
      kind: config.wireguard.kind,
      ...(config.wireguard.kind === 'memory'
        ? { note: 'tunnels carry no traffic: no interface is driven' }
        : { interface: config.wireguard.interface }),
    },
    registrar: {
      running: registrations.running,
      epoch: registrations.epoch,
      queue: registrations.queueLength,
      lostRequests: registrations.lostRequests,
      shedRequests: registrations.shedRequests,
      alarms: registrations.alarms,
    },
    ...(gateway.nym !== undefined && { nym: nymStatus(gateway.nym, config.nym.credentials) }),
    shards: hosts.map(({ shard, running, epoch, lostSessions }) => ({ shard, running, epoch, lostSessions })),
    connections: acceptor.open,
    sources: admission.sources,
    handshakes: { records: gauge('records'), h1: counter('h1_read'), finished: counter('h3_accepted') },
    sessions: { open: gauge('sessions'), families: gauge('families') },
    registrations: registrations.registrations,
    quotes: registrations.quotes,
    leases: registrations.leases,
    forwards: { inFlight: forwarder.status().inFlight, kept: forwarder.status().keptConnections },
    drops: Object.fromEntries([...drops].filter(([, n]) => n > 0)),
  };
}

function nymStatus({ acceptor, forwarder, listening }: NymService, credentials: 'off' | 'mock'): object {
  const { handshakes, sessions, drops } = acceptor.counts;
  return {
    listen: listening && formatSocketAddress(listening),
    ...(credentials === 'mock' && { credentials: 'every zk-nym is taken unchecked' }),
    connections: acceptor.open,
    handshakes: { begun: handshakes, finished: sessions },
    sessions: acceptor.sessions,
    forwards: { inFlight: forwarder.inFlight, connections: forwarder.connections },
    drops: Object.fromEntries(Object.entries(drops).filter(([, n]) => n > 0)),
  };
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
