/**
 * Nym's part of the metrics. What both protocols count has one name and a label here (protocol="nym"); what only this one
 * has begins with lewes_nym.
 */
import type { Config } from '../../ops/config/index.ts';
import { type Registry, registerCounters, registerGauges, type Sample } from '../../ops/metrics.ts';
import type { NymService } from './nym-service.ts';

type Labels = 'reason' | 'protocol';

export function nymDropSamples(nym: NymService | undefined): readonly Sample<Labels>[] {
  return samples(nym?.acceptor.counts.drops);
}

export function nymCloseSamples(nym: NymService | undefined): readonly Sample<Labels>[] {
  return samples(nym?.acceptor.counts.closed);
}

export function registerNym(registry: Registry, { acceptor, forwarder, counts }: NymService, { nym }: Config): void {
  const gauge = (name: string, help: string, read: () => number) =>
    registerGauges(registry, `lewes_nym_${name}`, help, [], () => [{ labels: {}, value: read() }]);
  const counter = (name: string, help: string, read: () => number) =>
    registerCounters(registry, `lewes_nym_${name}_total`, help, [], () => [{ labels: {}, value: read() }]);
  gauge('connections', 'Open connections of the Nym listener.', () => acceptor.open);
  gauge('sessions', 'Sessions of the Nym listener.', () => acceptor.sessions);
  gauge('mock_credentials', '1 while every zk-nym is taken unchecked.', () => (nym.credentials === 'mock' ? 1 : 0));
  gauge('forwards_in_flight', 'Forwards that wait for an exit.', () => forwarder.inFlight);
  gauge('forward_connections', 'Connections to exits.', () => forwarder.connections);
  counter('connections_accepted', 'Connections accepted.', () => acceptor.counts.accepted);
  counter('connections_refused', 'Connections beyond a bound.', () => acceptor.counts.refused);
  counter('messages', 'Whole messages taken from connections.', () => acceptor.counts.messages);
  counter('handshakes', 'KKT requests that went to a shard.', () => acceptor.counts.handshakes);
  counter('sessions_made', 'Sessions made.', () => acceptor.counts.sessions);
  counter('registrations', 'Registration requests that went to the registrar.', () => counts.registrations);
  registerCounters(registry, 'lewes_nym_forwards_total', 'Finished forwards, by outcome.', ['outcome'], () =>
    Object.entries(forwarder.results).map(([outcome, value]) => ({ labels: { outcome }, value })),
  );
}

function samples(counts: Readonly<Record<string, number>> | undefined): readonly Sample<Labels>[] {
  return Object.entries(counts ?? {}).map(([reason, value]) => ({ labels: { reason, protocol: 'nym' }, value }));
}
