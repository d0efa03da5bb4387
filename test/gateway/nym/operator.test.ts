/** What an operator, a directory and a scraper see of Nym: announcement, status, metrics. */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { registerGatewayMetrics } from '../../../src/gateway/metrics.ts';
import { NYM_CLOSE_REASONS, NYM_REFUSALS } from '../../../src/gateway/nym/reasons.ts';
import { ANNOUNCEMENT_PATH, nymRoutes } from '../../../src/gateway/nym/routes.ts';
import { gatewayStatus } from '../../../src/gateway/status.ts';
import { readAnnouncement } from '../../../src/lp/nym/announcement.ts';
import { startAdmin } from '../../../src/ops/admin.ts';
import { createRegistry } from '../../../src/ops/metrics.ts';
import { startGateway, until } from '../../support/test-gateway.ts';
import { initial, startNym } from './world.ts';

const FACTS = { version: '0', identity: '', crypto: '' };

test('the announcement is served on the admin port, signed, with the port that is bound', async (t) => {
  const { gateway, crypto, target, nymPort } = await startNym(t, { set: ['nym.data_port=4242'] });
  let document: string | undefined;
  const admin = await startAdmin(
    { host: '127.0.0.1', port: 0 },
    {
      registry: createRegistry(),
      ready: () => gateway.ready,
      status: () => ({}),
      routes: nymRoutes(() => document),
    },
  );
  t.teardown(() => admin.close());
  const none = await fetch(`${admin.url}${ANNOUNCEMENT_PATH}`);
  t.is(none.status, 404);
  document = gateway.nym?.announcement;
  const answer = await fetch(`${admin.url}${ANNOUNCEMENT_PATH}`);
  t.is(answer.status, 200);
  t.regex(answer.headers.get('content-type') ?? '', /^application\/json/);
  const text = await answer.text();
  const read = readAnnouncement(crypto, text, target.ed25519);
  t.like(read, { kind: 'announcement', announcement: { enabled: true, controlPort: nymPort, dataPort: 4_242 } });
  t.like(readAnnouncement(crypto, text, new Uint8Array(32).fill(9)), { kind: 'refuse', reason: 'signature' });
});

test('nym.announced_port is what the announcement tells', async (t) => {
  const { gateway, crypto, target } = await startNym(t, { set: ['nym.announced_port=41264'] });
  const read = readAnnouncement(crypto, gateway.nym?.announcement ?? '', target.ed25519);
  t.like(read, { announcement: { controlPort: 41_264 } });
});

test('a scrape has every reason under protocol="nym", and what happened is counted', async (t) => {
  const set = ['credentials.kind=privacy-pass', 'credentials.issuer=https://a.example', 'nym.credentials=mock'];
  const { gateway, dial, meet } = await startNym(t, { set });
  const registry = createRegistry();
  registerGatewayMetrics(registry, gateway);
  const client = await meet();
  t.deepEqual(await client.register(initial(Uint8Array.from(randomBytes(32)))), { kind: 'credential_required' });
  const stranger = await dial();
  stranger.socket.write(randomBytes(91));
  await stranger.closed;
  await until(() => gateway.nym?.acceptor.open === 1, 'the stranger is gone');
  const text = await registry.metrics();
  const has = (line: string) => t.true(text.includes(`${line}\n`), line);
  for (const reason of NYM_REFUSALS) {
    has(`lewes_drops_total{reason="${reason}",protocol="nym"} ${reason === 'mask' ? 1 : 0}`);
  }
  for (const reason of NYM_CLOSE_REASONS) {
    has(`lewes_connections_closed_total{reason="${reason}",protocol="nym"} ${reason === 'refused' ? 1 : 0}`);
  }
  has('lewes_drops_total{reason="tag"} 0');
  has('lewes_nym_mock_credentials 1');
  has('lewes_nym_connections 1');
  has('lewes_nym_sessions 1');
  has('lewes_nym_sessions_made_total 1');
  has('lewes_nym_handshakes_total 2');
  has('lewes_nym_registrations_total 1');
  has('lewes_nym_forwards_total{outcome="ok"} 0');
  has('lewes_registration_outcomes_total{op="quote",outcome="credential_required"} 1');
  t.like(gatewayStatus(gateway, FACTS), {
    nym: {
      credentials: 'every zk-nym is taken unchecked',
      connections: 1,
      sessions: 1,
      handshakes: { begun: 2, finished: 1 },
      drops: { mask: 1 },
    },
  });
});

test('a gateway that does not speak Nym says nothing of it', async (t) => {
  const { gateway } = await startGateway(t, { entry: 'in-thread', set: ['gateway.shards=1'] });
  const registry = createRegistry();
  registerGatewayMetrics(registry, gateway);
  t.notRegex(await registry.metrics(), /nym"|lewes_nym/);
  t.false('nym' in gatewayStatus(gateway, FACTS));
});

test('a port that is taken stops the start, and the error names the key', async (t) => {
  const { nymPort } = await startNym(t);
  const error = await t.throwsAsync(startNym(t, { set: [`nym.listen=127.0.0.1:${nymPort}`] }), { code: 'EADDRINUSE' });
  t.like(error, { remedy: 'stop the other program or choose another nym.listen' });
});
