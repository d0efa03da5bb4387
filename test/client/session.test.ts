/** A session in use: broken connections, unanswered requests, bounds, and its end. */
import { once } from 'node:events';
import test from 'ava';
import { connect, KIND } from '../../src/client/index.ts';
import { receiverIndex } from '../../src/lp/wire/packet.ts';
import { turns, until } from '../support/stepped-time.ts';
import { completed } from '../support/tiny-gateway.ts';
import { clientFor, errorOf, gatewayFor, registration, steppedSetUp } from './fixture.ts';

const ofSession = (packet: Uint8Array) => receiverIndex(packet) >= 2 ** 31;

test('a session goes on over a new connection when the first one breaks', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  gateway.breakConnections();
  await until(() => gateway.connections === 0);
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.is(gateway.accepted, 2);
  t.is(gateway.stats.counters.h3_accepted, 1);
});

test('unanswered echoes and registrations survive a broken connection, a Forward does not', async (t) => {
  const release = Promise.withResolvers<void>();
  const exit = await gatewayFor(t, { receive: () => [] });
  const { time, gateway, base } = await steppedSetUp(t, {
    exits: [exit],
    register: () => release.promise.then(completed),
  });
  const client = await clientFor(t, base);
  let swallowed = 0;
  gateway.receive = (packet) => (packet.length === 34 + 5 + 3 && swallowed++ === 0 ? [] : [packet]);
  const echo = client.echo(Uint8Array.of(1, 2, 3));
  const registered = client.register(registration());
  const forward = client.forward({ identity: exit.identity }, [new Uint8Array(34)], 1);
  await until(() => swallowed === 1 && gateway.registrations.length === 1 && exit.accepted === 1);
  gateway.breakConnections();
  const error = await errorOf(t, forward);
  t.like(error, { code: 'connection_lost', hop: 'direct' });
  t.deepEqual(await echo, Uint8Array.of(1, 2, 3));
  release.resolve();
  // The answer went to the first connection; the client asks again with the same id.
  t.is((await time.drive(registered)).status, 'completed');
  t.is(gateway.registrations.length, 1);
});

test('a registration whose answer is lost is asked again, and executed once', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  let lost = 0;
  gateway.reply = (packet) => (ofSession(packet) && lost++ < 2 ? [] : [packet]);
  t.is((await time.drive(client.register(registration()))).status, 'completed');
  t.is(gateway.registrations.length, 1);
  t.is(lost, 3);
});

test('an echo without an answer times out after 10 s, and is not repeated', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  let seen = 0;
  gateway.receive = () => {
    seen++;
    return [];
  };
  const startMs = time.nowMs;
  t.like(await errorOf(t, time.drive(client.echo(Uint8Array.of(1)))), { code: 'timeout', step: 'request' });
  t.is(time.nowMs - startMs, 10_000);
  t.is(seen, 1);
});

test('after two requests without an answer the next one makes a new session', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  gateway.restart();
  const lost = once(client.events, 'lost');
  await errorOf(t, time.drive(client.echo(Uint8Array.of(1))));
  await errorOf(t, time.drive(client.echo(Uint8Array.of(2))));
  t.like((await lost)[0], { code: 'session_lost' });
  const made = once(client.events, 'session');
  t.deepEqual(await time.drive(client.echo(Uint8Array.of(3))), Uint8Array.of(3));
  await made;
  t.is(gateway.accepted, 2);
});

test('an answer in between keeps the session', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  for (let i = 0; i < 3; i++) {
    gateway.receive = () => [];
    await errorOf(t, time.drive(client.echo(Uint8Array.of(1))));
    gateway.receive = (packet) => [packet];
    await client.echo(Uint8Array.of(2));
  }
  t.is(gateway.accepted, 1);
});

test('without reconnecting, a lost session closes the client', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, { ...base, reconnect: false });
  gateway.restart();
  const both = Promise.allSettled([client.echo(Uint8Array.of(1)), client.echo(Uint8Array.of(2))]);
  await time.drive(both);
  t.like(await client.closed, { code: 'session_lost' });
  t.like(await errorOf(t, client.echo(Uint8Array.of(3))), { code: 'session_lost' });
});

test('a gateway that is gone fails requests in bounded time, with the reason', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  await gateway.close();
  for (let i = 0; i < 2; i++) {
    const error = await errorOf(t, time.drive(client.echo(Uint8Array.of(1))));
    t.is(error.code, 'timeout');
    t.like(error.cause, { code: 'connect_failed', reason: 'ECONNREFUSED' });
  }
  t.like(await errorOf(t, time.drive(client.echo(Uint8Array.of(1)))), { code: 'connect_failed' });
});

test('requests beyond the bound are refused, and there is room again after an answer', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options, maxInFlight: 4 });
  const echoes = Array.from({ length: 4 }, (_, i) => client.echo(Uint8Array.of(i)));
  t.is(client.inFlight, 4);
  t.like(await errorOf(t, client.echo(Uint8Array.of(9))), { code: 'too_much', reason: 'in_flight' });
  await Promise.all(echoes);
  t.deepEqual(await client.echo(Uint8Array.of(9)), Uint8Array.of(9));
});

test('more than the write buffer holds is refused', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options, maxWriteBufferBytes: 100_000 });
  const echoes = Array.from({ length: 4 }, () => client.echo(new Uint8Array(60_000)));
  const results = await Promise.allSettled(echoes);
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected'],
  );
  t.like((results[3] as PromiseRejectedResult).reason, { code: 'too_much', reason: 'write_buffer' });
});

test('what is asked in one turn leaves in one write', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  let reads = 0;
  gateway.onRead = () => reads++;
  await Promise.all(Array.from({ length: 50 }, (_, i) => client.echo(Uint8Array.of(i))));
  t.is(reads, 1);
});

test('a Failure of the gateway rejects with its reason', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  t.like(await errorOf(t, client.request(99, new Uint8Array(3))), { code: 'refused', reason: 'not_offered' });
  const body = Uint8Array.of(0xc0);
  const error = await errorOf(t, client.request(KIND.registrationRequest, body));
  t.like(error, { code: 'refused', reason: 'malformed', step: 'registration' });
});

test('a registration that fails is an answer, not an error', async (t) => {
  const gateway = await gatewayFor(t, {
    register: () => ({ status: 'failed', code: 'pool_exhausted', text: 'none left', retryAfter: 60 }),
  });
  const client = await clientFor(t, { gateway: gateway.options });
  t.like(await client.register(registration()), { status: 'failed', code: 'pool_exhausted', retryAfter: 60 });
});

test('every operation of the registrar has its method', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  const { owner } = registration();
  const standing = { mode: 'dvpn', wgPublicKey: new Uint8Array(32).fill(1), owner } as const;
  const credential = { kind: 'privacy-pass', token: new Uint8Array(354) };
  await client.quote(registration());
  await client.register({ ...registration(), credential });
  await client.finalise({ ...standing, credential });
  await client.topup({ ...standing, credential });
  await client.balance(standing);
  await client.release({ mode: 'mixnet', clientId: new Uint8Array(32), owner });
  t.deepEqual(
    gateway.registrations.map(({ op }) => op),
    ['quote', 'register', 'finalise', 'topup', 'balance', 'release'],
  );
  t.deepEqual(
    gateway.registrations.map((body) => 'credential' in body),
    [false, true, true, true, false, false],
  );
});

test('closing frees the session at the gateway, ends the connection and fails what waits', async (t) => {
  const gateway = await gatewayFor(t, { register: () => undefined });
  const client = await clientFor(t, { gateway: gateway.options });
  const waiting = errorOf(t, client.register(registration()));
  await client.close();
  t.like(await waiting, { code: 'closed', step: 'request' });
  t.like(await client.closed, { code: 'closed' });
  await until(() => gateway.connections === 0);
  t.is(gateway.stats.gauges.sessions, 0);
  t.like(await errorOf(t, client.echo(Uint8Array.of(1))), { code: 'closed' });
  await client.close();
});

test('a client in a block is closed at its end', async (t) => {
  const gateway = await gatewayFor(t);
  {
    await using client = await connect({ gateway: gateway.options });
    await client.echo(Uint8Array.of(1));
  }
  await until(() => gateway.connections === 0);
  t.is(gateway.stats.gauges.sessions, 0);
});

test('an idle client has no timer and keeps no request', async (t) => {
  const { time, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  await client.echo(Uint8Array.of(1));
  time.advance(60_000);
  t.is(client.inFlight, 0);
  t.is(time.pending, 0);
});

test('an answer that comes too late is dropped', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  const held: Uint8Array[] = [];
  gateway.receive = (packet) => {
    held.push(packet);
    return [];
  };
  await errorOf(t, time.drive(client.echo(Uint8Array.of(1))));
  gateway.receive = (packet) => [...held, packet];
  t.deepEqual(await client.echo(Uint8Array.of(2)), Uint8Array.of(2));
  await turns();
  t.is(gateway.accepted, 1);
});
