/** A client that speaks LP1 (lp1.md §9): with one connection per packet and with one for all, direct and through an entry. */
import { once } from 'node:events';
import test from 'ava';
import { KIND } from '../../src/client/index.ts';
import { until } from '../support/stepped-time.ts';
import type { TinyGateway } from '../support/tiny-gateway.ts';
import { clientFor, errorOf, gatewayFor, registration, steppedSetUp } from './fixture.ts';

for (const keepConnections of [false, true]) {
  const how = keepConnections ? 'over one connection' : 'over one connection per packet';
  test(`it registers and rekeys ${how}`, async (t) => {
    const gateway = await gatewayFor(t, { lp1: true });
    const steps: string[] = [];
    const client = await clientFor(t, {
      gateway: { ...gateway.options, protocol: 1, register: registration() },
      keepConnections,
      onStep: ({ step }) => steps.push(step),
    });
    t.like(client.registration, { status: 'completed', endpoints: ['192.0.2.1:51820'] });
    // Four of the handshake, one of the registration.
    t.is(gateway.accepted, keepConnections ? 1 : 5);
    t.deepEqual(steps, ['connect', 'handshake', 'registration']);
    await client.rekey();
    t.is((await client.register(registration(9))).status, 'completed');
    t.is(gateway.accepted, keepConnections ? 1 : 8);
    t.is(gateway.registrations.length, 2);
    await client.close();
    await until(() => gateway.connections === 0);
  });
}

test('requests at once are answered one after the other', async (t) => {
  const gateway = await gatewayFor(t, { lp1: true });
  const client = await clientFor(t, { gateway: { ...gateway.options, protocol: 1 } });
  const answers = await Promise.all([1, 4, 7].map((fill) => client.register(registration(fill))));
  t.deepEqual(
    answers.map(({ status }) => status),
    ['completed', 'completed', 'completed'],
  );
  t.deepEqual(
    gateway.registrations.map((body) =>
      'enrolment' in body && body.enrolment.mode === 'dvpn' ? body.enrolment.wgPublicKey[0] : -1,
    ),
    [1, 4, 7],
  );
});

test('it says what it cannot do, and sends nothing for it', async (t) => {
  const gateway = await gatewayFor(t, { lp1: true });
  const client = await clientFor(t, { gateway: { ...gateway.options, protocol: 1 } });
  t.false(client.offers(KIND.opaque));
  t.true(client.offers(KIND.registrationRequest) && client.offers(KIND.forward));
  t.false(client.managesRegistrations);
  const { accepted } = gateway;
  const { owner } = registration();
  for (const refused of [
    client.echo(Uint8Array.of(1)),
    client.balance({ mode: 'dvpn', wgPublicKey: new Uint8Array(32), owner }),
  ])
    t.like(await errorOf(t, refused), { code: 'refused', reason: 'not_offered' });
  t.like(await errorOf(t, client.rekey({ kem: true })), { code: 'rekey_refused', reason: 'kem_not_offered' });
  t.is(gateway.accepted, accepted);
});

test('it enrols without a quote, and takes no token for what cannot carry one', async (t) => {
  const gateway = await gatewayFor(t, { lp1: true });
  const tokenSource = { token: () => Promise.reject(new Error('a token is asked for')) };
  const client = await clientFor(t, {
    gateway: { ...gateway.options, protocol: 1, register: registration() },
    tokenSource,
  });
  t.is(client.registration?.status, 'completed');
  t.is((await client.enrol(registration(9))).status, 'completed');
  t.deepEqual(
    gateway.registrations.map(({ op }) => op),
    ['register', 'register'],
  );
  const { owner } = registration();
  const topup = client.topup(
    { mode: 'dvpn', wgPublicKey: new Uint8Array(32), owner },
    { issuerName: 'issuer.example' },
  );
  t.like(await errorOf(t, topup), { code: 'refused', reason: 'not_offered' });
});

test('a gateway that has not enabled LP1 is told as such, and not asked again', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const connecting = clientFor(t, { ...base, gateway: { ...gateway.options, protocol: 1 } });
  const error = await errorOf(t, time.drive(connecting));
  t.like(error, { code: 'version', step: 'handshake' });
  t.regex(error.message, /min_protocol_version = 1/);
  t.is(gateway.accepted, 1);
});

for (const [entryProtocol, exitProtocol] of [
  [1, 1],
  [1, 2],
  [2, 1],
] as const) {
  test(`an LP${exitProtocol} exit is reached through an LP${entryProtocol} entry`, async (t) => {
    const exit = await gatewayFor(t, { lp1: true });
    const entry = await gatewayFor(t, { lp1: true, exits: [exit] });
    const client = await clientFor(t, {
      gateway: { ...exit.options, protocol: exitProtocol, register: registration() },
      via: { ...entry.options, protocol: entryProtocol, register: registration(5) },
    });
    t.is(client.registration?.status, 'completed');
    t.is(client.entry?.registration?.status, 'completed');
    await client.rekey();
    t.is((await client.register(registration(9))).status, 'completed');
    t.deepEqual([entry.registrations.length, exit.registrations.length], [1, 2]);
  });
}

/** As the tip profile's gateway (lp1.md §0): it ends the connection instead of sending the last Ack. */
function withoutLastAck(gateway: TinyGateway): void {
  let acks = 0;
  gateway.reply = (packet) => {
    if (packet.length !== 34 || ++acks !== 2) return [packet];
    gateway.breakConnections();
    return [];
  };
}

for (const keepConnections of [false, true]) {
  test(`the end of the connection after the last message is success, ${keepConnections ? 'kept' : 'one per packet'}`, async (t) => {
    const gateway = await gatewayFor(t, { lp1: true });
    withoutLastAck(gateway);
    const client = await clientFor(t, {
      gateway: { ...gateway.options, protocol: 1, register: registration() },
      keepConnections,
      attempts: 1,
    });
    t.is(client.registration?.status, 'completed');
    t.is(gateway.accepted, keepConnections ? 2 : 5);
  });
}

for (const entryProtocol of [1, 2] as const) {
  test(`the same of an exit behind an LP${entryProtocol} entry`, async (t) => {
    const exit = await gatewayFor(t, { lp1: true });
    withoutLastAck(exit);
    const entry = await gatewayFor(t, { lp1: true, exits: [exit] });
    const client = await clientFor(t, {
      gateway: { ...exit.options, protocol: 1, register: registration() },
      via: { ...entry.options, protocol: entryProtocol },
      attempts: 1,
    });
    t.is(client.registration?.status, 'completed');
  });
}

test('an exit that an LP1 entry does not list is told as an entry that gives no answer', async (t) => {
  const exit = await gatewayFor(t, { lp1: true });
  const { time, gateway: entry, base } = await steppedSetUp(t, { lp1: true, exits: [] });
  const connecting = clientFor(t, {
    ...base,
    gateway: { ...exit.options, protocol: 1 },
    via: { ...entry.options, protocol: 1 },
  });
  t.like(await errorOf(t, time.drive(connecting)), { code: 'forward_failed', reason: 'unanswered', hop: 'exit' });
  t.is(exit.accepted, 0);
});

test('after two ends without an answer the next request makes a new session', async (t) => {
  const gateway = await gatewayFor(t, { lp1: true });
  const client = await clientFor(t, { gateway: { ...gateway.options, protocol: 1 } });
  const sessions = once(client.events, 'session');
  gateway.restart();
  gateway.receive = () => {
    gateway.breakConnections();
    return [];
  };
  for (let i = 0; i < 2; i++) {
    const error = await errorOf(t, client.register(registration()));
    t.like(error, { code: 'connection_lost', reason: 'no_answer' });
  }
  gateway.receive = (packet) => [packet];
  t.is((await client.register(registration())).status, 'completed');
  await sessions;
});
