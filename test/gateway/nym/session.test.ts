/** A client of the Nym network at a whole gateway: handshake, session, and its end with the connection (nym.md §4–§8). */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { until } from '../../support/test-gateway.ts';
import { initial, startNym } from './world.ts';

test('a client that knows the announcement gets a session and a tunnel', async (t) => {
  const { gateway, meet } = await startNym(t);
  const client = await meet();
  t.is(gateway.nym?.acceptor.sessions, 1);
  t.is(gateway.admission.sessions, 1);
  const response = await client.register(initial(Uint8Array.from(randomBytes(32))));
  t.like(response, { kind: 'completed', tunnel: { port: 51_820, upgradeMode: false } });
  client.socket.end();
  await client.closed;
  await until(() => gateway.admission.sessions === 0, 'the session has ended with its connection');
  t.is(gateway.nym?.acceptor.sessions, 0);
});

test('KKT and PSQ in one write are answered in one go', async (t) => {
  const { meet } = await startNym(t);
  const first = await meet();
  const kemKey = first.initiator.kemKey;
  t.truthy(kemKey);
  const second = await meet({ kemKey });
  t.is(second.received, 1_207 + 70);
});
