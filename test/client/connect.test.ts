/** One gateway: round trips, early requests, and the ways to name a gateway. */
import test from 'ava';
import { connect, KIND, MemoryKemKeyCache, type StepEvent } from '../../src/client/index.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { until } from '../support/stepped-time.ts';
import { completed } from '../support/tiny-gateway.ts';
import { clientFor, errorOf, gatewayFor, proxyFor, registration, steppedSetUp } from './fixture.ts';

test('a client connects, echoes and closes', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  t.deepEqual(await client.echo(Uint8Array.of(1, 2, 3)), Uint8Array.of(1, 2, 3));
  t.is(client.hop, 'direct');
  await client.close();
  t.is(gateway.stats.gauges.sessions, 0);
});

test('an answered request takes 4 round trips at first contact and 3 with a known KEM key', async (t) => {
  const gateway = await gatewayFor(t);
  const proxy = await proxyFor(t, gateway);
  const keyCache = new MemoryKemKeyCache();
  for (const roundTrips of [4, 3]) {
    proxy.roundTrips = 0;
    const client = await clientFor(t, {
      gateway: { identity: gateway.identity, address: proxy.address, register: registration() },
      keyCache,
    });
    t.is(proxy.roundTrips, roundTrips);
    t.deepEqual(client.registration, completed());
  }
  t.is(keyCache.size, 1);
});

test('any frame may ride in the handshake', async (t) => {
  const gateway = await gatewayFor(t);
  const proxy = await proxyFor(t, gateway);
  const early = { kind: KIND.opaque, body: Uint8Array.of(5) };
  const client = await clientFor(t, { gateway: { identity: gateway.identity, address: proxy.address, early } });
  t.is(proxy.roundTrips, 4);
  t.is(client.early?.kind, KIND.opaque);
  t.deepEqual(client.early?.body, Uint8Array.of(5));
});

test('a frame that does not fit into the handshake follows it', async (t) => {
  const gateway = await gatewayFor(t);
  const body = new Uint8Array(60_000).fill(3);
  const client = await clientFor(t, { gateway: { ...gateway.options, early: { kind: KIND.opaque, body } } });
  t.deepEqual(client.early?.body, body);
});

test('an answer that is not ready in time for the reply to H3 follows it', async (t) => {
  const answer = Promise.withResolvers<void>();
  const { time, gateway, base } = await steppedSetUp(t, { register: () => answer.promise.then(completed) });
  const steps: string[] = [];
  const connecting = clientFor(t, {
    ...base,
    gateway: { ...gateway.options, register: registration() },
    onStep: ({ step }) => steps.push(step),
  });
  await until(() => gateway.registrations.length === 1);
  time.clock.advance(1_000);
  gateway.tick();
  await until(() => steps.includes('handshake'));
  answer.resolve();
  t.is((await connecting).registration?.status, 'completed');
  t.deepEqual(steps, ['connect', 'key', 'handshake', 'registration']);
});

test('each step is told with its hop and milliseconds', async (t) => {
  const gateway = await gatewayFor(t);
  const steps: StepEvent[] = [];
  const client = await clientFor(t, {
    gateway: { ...gateway.options, register: registration() },
    onStep: (step) => steps.push(step),
  });
  await client.rekey();
  t.deepEqual(
    steps.map(({ hop, step }) => `${hop} ${step}`),
    ['direct connect', 'direct key', 'direct handshake', 'direct registration', 'direct rekey'],
  );
  t.true(steps.every(({ ms }) => ms >= 0 && ms < 10_000));
});

for (const kem of ['x-wing', 'ml-kem-768'] as const) {
  test(`a client that allows ${kem} only uses it`, async (t) => {
    const gateway = await gatewayFor(t);
    const keyCache = new MemoryKemKeyCache();
    await clientFor(t, { gateway: gateway.options, kem: [kem], keyCache });
    t.is(keyCache.get(gateway.identity, kem)?.kem, kem);
  });
}

test('the identity is taken as bytes, hex and base58', async (t) => {
  const gateway = await gatewayFor(t);
  const hex = Buffer.from(gateway.identity).toString('hex');
  for (const identity of [gateway.identity, hex, hex.toUpperCase(), encodeBase58(gateway.identity)]) {
    const client = await clientFor(t, { gateway: { address: gateway.address, identity } });
    await client.echo(Uint8Array.of(1));
  }
  t.is(gateway.accepted, 4);
});

test('the source address is the one that is asked for', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options, localAddress: '127.0.0.7' });
  t.deepEqual(gateway.remoteAddresses, ['127.0.0.7']);
  await client.close();
});

const KEY = new Uint8Array(32).fill(0x58);
KEY[31] = 0x66;
const SOUND = { gateway: { address: '127.0.0.1:1', identity: Buffer.from(KEY.toReversed()).toString('hex') } };
const WRONG = {
  'an address without a port': { gateway: { ...SOUND.gateway, address: '127.0.0.1' } },
  'an address with port 0': { gateway: { ...SOUND.gateway, address: '127.0.0.1:0' } },
  'a bare IPv6 address': { gateway: { ...SOUND.gateway, address: '::1:41264' } },
  'a missing address': { gateway: { identity: SOUND.gateway.identity } },
  'a short identity': { gateway: { ...SOUND.gateway, identity: 'abc' } },
  'an identity with a digit that base58 has not': { gateway: { ...SOUND.gateway, identity: '0'.repeat(44) } },
  'an identity that is no curve point': { gateway: { ...SOUND.gateway, identity: new Uint8Array(32).fill(0xff) } },
  'a short pin': { gateway: { ...SOUND.gateway, kemKeyHashes: [new Uint8Array(31)] } },
  'no suite': { ...SOUND, kem: [] },
  'a short seed': { ...SOUND, clientSeed: new Uint8Array(31) },
  'a name as source address': { ...SOUND, localAddress: 'localhost' },
  'no attempts': { ...SOUND, attempts: 0 },
  'an endless timeout': { ...SOUND, timeouts: { requestMs: Number.POSITIVE_INFINITY } },
  'an exit with a name': { gateway: { ...SOUND.gateway, address: 'exit.test:1' }, via: SOUND.gateway },
  'a short owner': { gateway: { ...SOUND.gateway, register: { ...registration(), owner: new Uint8Array(3) } } },
  'an unknown protocol version': { gateway: { ...SOUND.gateway, protocol: 3 as 1 } },
  'a KEM suite for LP1': { gateway: { ...SOUND.gateway, protocol: 1 }, kem: ['x-wing'] },
  'a KEM suite for LP1 on both hops': {
    gateway: { ...SOUND.gateway, protocol: 1 },
    via: { ...SOUND.gateway, protocol: 1 },
    kem: ['x-wing'],
  },
  'a pin for LP1': { gateway: { ...SOUND.gateway, protocol: 1, kemKeyHashes: [new Uint8Array(32)] } },
  'a pin for an LP1 entry': {
    gateway: SOUND.gateway,
    via: { ...SOUND.gateway, protocol: 1, kemKeyHashes: [new Uint8Array(32)] },
  },
  'an early echo for LP1': {
    gateway: { ...SOUND.gateway, protocol: 1, early: { kind: 0, body: new Uint8Array(1) } },
  },
  'two early requests': {
    gateway: { ...SOUND.gateway, register: registration(), early: { kind: 0, body: new Uint8Array(1) } },
  },
} as const;

for (const [what, options] of Object.entries(WRONG)) {
  test(`${what} is an invalid option`, async (t) => {
    t.is((await errorOf(t, connect(options))).code, 'invalid_option');
  });
}

test('arguments of requests are checked', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  const target = { identity: gateway.identity };
  const wrong = [
    client.request(256, new Uint8Array(1)),
    client.echo(new Uint8Array(65_497)),
    client.forward(target, [], 1),
    client.forward(target, [new Uint8Array(33)], 1),
    client.forward(target, [new Uint8Array(34)], 256),
    client.forward({ ...target, address: 'x' }, [new Uint8Array(34)], 1),
    client.balance({ ...registration(), owner: new Uint8Array(1) }),
  ];
  for (const promise of wrong) t.is((await errorOf(t, promise)).code, 'invalid_option');
  t.is((await client.echo(new Uint8Array(65_496))).length, 65_496);
});
