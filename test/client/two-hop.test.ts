/** An exit behind an entry: round trips, what goes wrong on either hop, and who closes whom. */
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { connect, MemoryKemKeyCache, type StepEvent } from '../../src/client/index.ts';
import { SteppedTime, until } from '../support/stepped-time.ts';
import { clientFor, errorOf, gatewayFor, proxyFor, registration, steppedSetUp } from './fixture.ts';

async function setUp(t: ExecutionContext) {
  const exit = await gatewayFor(t);
  const entry = await gatewayFor(t, { exits: [exit] });
  return { exit, entry, options: { gateway: exit.options, via: entry.options } };
}

test('both registrations take 4 round trips with known KEM keys, and one more for each that is unknown', async (t) => {
  const { exit, entry } = await setUp(t);
  const proxy = await proxyFor(t, entry);
  const keyCache = new MemoryKemKeyCache();
  const through = () =>
    clientFor(t, {
      gateway: { ...exit.options, register: registration(1) },
      via: { identity: entry.identity, address: proxy.address, register: registration(50) },
      keyCache,
    });
  const counted: number[] = [];
  const forget = [
    () => {},
    () => keyCache.delete(exit.identity, 'x-wing'),
    () => keyCache.delete(entry.identity, 'x-wing'),
  ];
  for (const before of [...forget, () => {}]) {
    before();
    proxy.roundTrips = 0;
    const client = await through();
    counted.push(proxy.roundTrips);
    t.is(client.registration?.status, 'completed');
    t.is(client.entry?.registration?.status, 'completed');
  }
  t.deepEqual(counted, [6, 5, 5, 4]);
  t.is(exit.registrations.length, 4);
  t.is(entry.registrations.length, 4);
});

test('the last of the 4 round trips is one write', async (t) => {
  const { exit, entry } = await setUp(t);
  const proxy = await proxyFor(t, entry);
  const keyCache = new MemoryKemKeyCache();
  const via = { identity: entry.identity, address: proxy.address, register: registration(50) };
  const options = { gateway: { ...exit.options, register: registration(1) }, via, keyCache };
  await clientFor(t, options);
  proxy.readsFromClient = 0;
  await clientFor(t, options);
  t.is(proxy.readsFromClient, 3);
});

test('requests, rekeying and the entry work through two sessions', async (t) => {
  const { exit, entry, options } = await setUp(t);
  const steps: StepEvent[] = [];
  const client = await clientFor(t, { ...options, onStep: (step) => steps.push(step) });
  t.is(client.hop, 'exit');
  t.is(client.entry?.hop, 'entry');
  await client.rekey();
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.deepEqual(await client.entry?.echo(Uint8Array.of(2)), Uint8Array.of(2));
  const echoes = await Promise.all(Array.from({ length: 10 }, (_, i) => client.echo(Uint8Array.of(i))));
  t.deepEqual(
    echoes.map(([value]) => value),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  t.true(steps.some(({ hop, step }) => hop === 'exit' && step === 'rekey'));
  t.false(steps.some(({ hop, step }) => hop === 'exit' && step === 'connect'));
  t.is(exit.stats.counters.families_ended, 0);
  await client.close();
  await until(() => exit.stats.gauges.sessions === 0 && entry.stats.gauges.sessions === 0);
  t.pass();
});

test('an exit without an address is the one that the entry lists', async (t) => {
  const { exit, entry } = await setUp(t);
  const client = await clientFor(t, { gateway: { identity: exit.identity }, via: entry.options });
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});

test('exits share an entry client, which outlives them', async (t) => {
  const { exit, entry } = await setUp(t);
  const via = await clientFor(t, { gateway: entry.options });
  const first = await clientFor(t, { gateway: exit.options, via });
  const second = await clientFor(t, { gateway: exit.options, via });
  await Promise.all([first.echo(Uint8Array.of(1)), second.echo(Uint8Array.of(2))]);
  await first.close();
  t.deepEqual(await second.echo(Uint8Array.of(3)), Uint8Array.of(3));
  t.deepEqual(await via.echo(Uint8Array.of(4)), Uint8Array.of(4));
  t.is(entry.accepted, 1);
});

test('an exit that the entry does not list is a failure of the exit hop, told at once', async (t) => {
  const { entry } = await setUp(t);
  const stranger = await gatewayFor(t);
  const error = await errorOf(t, connect({ gateway: stranger.options, via: entry.options }));
  t.like(error, { code: 'forward_failed', reason: 'not_allowed', hop: 'exit', step: 'forward' });
  await until(() => entry.connections === 0);
});

test('an exit that is down is a failure of the exit hop', async (t) => {
  const { exit, options } = await setUp(t);
  await exit.close();
  const error = await errorOf(t, connect(options));
  t.like(error, { code: 'forward_failed', reason: 'connect_failed', hop: 'exit' });
});

test('an entry that forwards nothing is a failure of the entry hop', async (t) => {
  const exit = await gatewayFor(t);
  const entry = await gatewayFor(t);
  const error = await errorOf(t, connect({ gateway: exit.options, via: entry.options }));
  t.like(error, { code: 'refused', reason: 'not_offered', hop: 'entry', step: 'forward' });
});

test('an entry that is down is a failure of the entry hop', async (t) => {
  const { entry, options } = await setUp(t);
  await entry.close();
  const error = await errorOf(t, connect(options));
  t.like(error, { code: 'connect_failed', hop: 'entry', step: 'connect', reason: 'ECONNREFUSED' });
});

test('an entry that answers nothing is blamed, not the exit behind it', async (t) => {
  const exit = await gatewayFor(t);
  const { time, gateway: entry, base } = await steppedSetUp(t, { receive: () => [] });
  const error = await errorOf(t, time.drive(connect({ ...base, gateway: exit.options, via: entry.options })));
  t.like(error, { code: 'timeout', hop: 'entry', step: 'key' });
});

test('a wrong identity of the exit shows as a KEM key that it did not sign', async (t) => {
  const other = await gatewayFor(t);
  const time = new SteppedTime();
  const exit = await gatewayFor(t, { clock: time.clock });
  const entry = await gatewayFor(t, { clock: time.clock, exits: [{ port: exit.port, identity: other.identity }] });
  const gateway = { address: exit.address, identity: other.identity };
  const options = { gateway, via: entry.options, clock: time.clock, timers: time };
  const error = await errorOf(t, time.drive(connect(options)));
  t.like(error, { code: 'kem_key', reason: 'signature', hop: 'exit', step: 'key' });
});

test('the session with the exit goes on when the connection to the entry breaks', async (t) => {
  const { exit, entry, options } = await setUp(t);
  const client = await clientFor(t, options);
  entry.breakConnections();
  await until(() => entry.connections === 0);
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.is(entry.accepted, 2);
  t.is(exit.stats.counters.h3_accepted, 1);
  t.is(entry.stats.counters.h3_accepted, 1);
});

test('closing the entry client fails the requests behind it', async (t) => {
  const { options } = await setUp(t);
  const client = await clientFor(t, options);
  await client.entry?.close();
  t.like(await errorOf(t, client.echo(Uint8Array.of(1))), { code: 'closed', hop: 'entry' });
});
