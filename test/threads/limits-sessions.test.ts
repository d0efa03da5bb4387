/** Limits on sessions (lp2.md §4.5), each while live clients work. The table of all limits is in limits.test.ts. */
import test from 'ava';
import type { RawClient } from '../support/raw-client.ts';
import { until } from '../support/test-gateway.ts';
import { attempt, LIVE, type LoadedGateway, startLoaded } from './fixtures/loaded-gateway.ts';

async function closeSession(made: LoadedGateway, client: RawClient): Promise<void> {
  const { sessions } = made.gateway.admission;
  const close = client.family.close();
  if (close === undefined) throw new Error('the session has ended');
  client.send([close]);
  await until(() => made.gateway.admission.sessions === sessions - 1, 'the session is gone');
}

test.serial(
  'a source has as many sessions as its bound, is told Busy beyond, and gets one back for each that ends',
  async (t) => {
    const made = await startLoaded(t, { set: ['limits.sessions_per_address=3'] });
    const clients = [await made.from('127.0.50.1'), await made.from('127.0.50.1'), await made.from('127.0.50.1')];
    for (const client of clients) t.is(await attempt(client), 'session');
    for (let i = 0; i < 3; i++) t.is(await attempt(await made.from('127.0.50.1')), 'busy');
    t.is(await attempt(await made.from('127.0.50.2')), 'session');
    for (const client of clients.slice(0, 1)) await closeSession(made, client);
    t.is(await attempt(await made.from('127.0.50.1')), 'session');
    t.is(await attempt(await made.from('127.0.50.1')), 'busy');
    t.is(made.gateway.admission.sessions, LIVE + 4);
    await made.assertUntouched();
  },
);

test.serial('beyond the node’s bound of sessions every source is told Busy, until one ends', async (t) => {
  const made = await startLoaded(t, { set: [`limits.sessions=${LIVE + 2}`] });
  const client = await made.from('127.0.51.1');
  t.is(await attempt(client), 'session');
  t.is(await attempt(await made.from('127.0.51.2')), 'session');
  for (let i = 3; i <= 6; i++) t.is(await attempt(await made.from(`127.0.51.${i}`)), 'busy');
  t.is(made.gateway.admission.sessions, LIVE + 2);
  await closeSession(made, client);
  t.is(await attempt(await made.from('127.0.51.7')), 'session');
  await made.assertUntouched();
});

test.serial('a listed network has its own bound of sessions', async (t) => {
  const listed =
    'limits.listed=[{cidr="127.0.52.0/24", handshakes_per_second=100, burst=100, sessions=4, quotes=3, records=50}]';
  const made = await startLoaded(t, { set: ['limits.sessions_per_address=1', listed] });
  for (let i = 1; i <= 4; i++) t.is(await attempt(await made.from(`127.0.52.${i}`)), 'session');
  t.is(await attempt(await made.from('127.0.52.5')), 'busy');
  t.is(await attempt(await made.from('127.0.53.1')), 'session');
  t.is(await attempt(await made.from('127.0.53.1')), 'busy');
  await made.assertUntouched();
});

test.serial('a family that rekeys again and again counts once', async (t) => {
  const made = await startLoaded(t, { set: ['limits.sessions_per_address=1'] });
  const client = await made.from('127.0.54.1');
  t.is(await attempt(client), 'session');
  const indices = new Set<number>();
  for (let rekeys = 1; rekeys <= 4; rekeys++) {
    indices.add(client.family.index);
    const started = client.family.startRekey(rekeys % 2 === 0, made.now());
    if (started.kind !== 'packet') throw new Error('too soon');
    client.send([started.packet]);
    await until(() => client.family.rekeys === rekeys, 'the session is rekeyed');
    t.is((await client.echo(Uint8Array.of(rekeys))).body[0], rekeys);
    t.is(made.gateway.admission.sessions, LIVE + 1);
    await made.pass(11_000);
  }
  t.is(indices.size, 4);
  t.is(await attempt(await made.from('127.0.54.1')), 'busy');
  await closeSession(made, client);
  t.is(await attempt(await made.from('127.0.54.1')), 'session');
  await made.assertUntouched();
});

test.serial('a session that opened no packet of its own lives 5 min, one that did lives on', async (t) => {
  const made = await startLoaded(t, { set: ['limits.sessions_per_address=1', 'lifetimes.connection_idle=1000'] });
  const [unused, used] = [await made.from('127.0.55.1'), await made.from('127.0.55.2')];
  await unused.handshake();
  await used.handshake();
  await used.echo();
  t.is(made.gateway.admission.sessions, LIVE + 2);
  await made.pass(299_000, 13_000);
  t.is(made.gateway.admission.sessions, LIVE + 2);
  await made.pass(1_000);
  await until(() => {
    made.gateway.tick();
    return made.gateway.admission.sessions === LIVE + 1;
  }, 'the unused session is gone');
  t.is(await attempt(await made.from('127.0.55.1')), 'session');
  t.is((await used.echo(Uint8Array.of(2))).body[0], 2);
  await made.assertUntouched();
});
