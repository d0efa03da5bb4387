/** Stories of one registrar without a price (registration.md, rules 1, 3 to 5 and 7 to 9). */
import { inspect } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { decodeAnswer, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import { RegistrationConfigError } from '../../src/registration/config-error.ts';
import { createMemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { bytes32, client, createFixture, GATEWAY_KEY, OPTIONS, START, token } from './fixture.ts';

const alice = client('alice');
const mallory = client('alice', 'mallory', 'psk of mallory');
const mixnetName = { mode: 'mixnet', clientId: bytes32('mix') } as const;
const mixnet = (op: 'quote' | 'register'): RequestBody => ({ op, enrolment: mixnetName, owner: bytes32('mix owner') });

for (const op of ['quote', 'register'] as const) {
  test(`${op} without a price completes at once with a tunnel of its own`, async (t) => {
    const { ask, wireguard, registrar } = createFixture();
    const answer = await ask(alice[op]());
    t.like(answer, {
      status: 'completed',
      mode: 'dvpn',
      wgPublicKey: GATEWAY_KEY,
      endpoints: [...OPTIONS.endpoints],
      keepalive: 25,
      bandwidth: 2 ** 40,
      expires: START + 86_400,
    });
    const peer = wireguard.peer(alice.publicKey);
    if (answer.status !== 'completed' || answer.mode !== 'dvpn') return t.fail();
    t.deepEqual(peer?.presharedKey.bytes, bytes32('psk of alice'));
    t.is(peer?.allowedIps[0], `${answer.addresses.ipv4.join('.')}/32`);
    t.regex(peer?.allowedIps[1] ?? '', /^fd09::[0-9a-f]+\/128$/);
    t.deepEqual(registrar.status().registrations.dvpn, { active: 1, grace: 0 });
    t.is(registrar.status().leases.ipv4.allocated, 1);
    t.is(registrar.status().leases.ipv6.allocated, 1);
    t.is(registrar.status().leases.ipv4.held, 0);
  });
}

test('the same name and owner get the same addresses from quote, register, finalise and balance', async (t) => {
  const fixture = createFixture();
  const first = await fixture.ask(alice.quote());
  fixture.now += 10;
  for (const request of [
    alice.quote(),
    alice.register(),
    alice.finalise(),
    alice.balance(),
    alice.register(token('t')),
  ]) {
    t.deepEqual(await fixture.ask(request), first, request.op);
  }
  t.is(fixture.registrar.status().leases.ipv4.allocated, 1);
});

test('a new preshared key replaces the earlier one in place', async (t) => {
  const { ask, wireguard } = createFixture();
  const first = await ask(alice.register());
  const earlier = wireguard.peer(alice.publicKey)?.presharedKey;
  t.deepEqual(await ask(client('alice', 'alice', 'new psk').register()), first);
  t.deepEqual(wireguard.peer(alice.publicKey)?.presharedKey.bytes, bytes32('new psk'));
  t.true(earlier?.wiped);
  t.is(wireguard.size, 1);
});

test('another owner gets not_owner from every operation and changes nothing', async (t) => {
  const { ask, wireguard } = createFixture();
  const first = await ask(alice.register());
  for (const op of ['quote', 'register', 'finalise', 'balance', 'topup', 'release'] as const) {
    t.like(await ask(mallory[op]()), { status: 'failed', code: 'not_owner' }, op);
  }
  t.deepEqual(await ask(alice.balance()), first);
  t.deepEqual(wireguard.peer(alice.publicKey)?.presharedKey.bytes, bytes32('psk of alice'));
});

test('a name that does not stand answers as a stranger would be answered', async (t) => {
  const { ask } = createFixture();
  for (const op of ['balance', 'topup', 'release'] as const) {
    t.like(await ask(alice[op]()), { code: 'not_owner' }, op);
  }
  t.like(await ask(alice.finalise()), { code: 'no_quote' });
});

test('topup without a price takes no credential', async (t) => {
  const { ask } = createFixture();
  const first = await ask(alice.register());
  t.like(await ask(alice.topup(token('t'))), { code: 'credential_kind' });
  t.like(await ask(alice.topup()), { code: 'credential_missing' });
  t.deepEqual(await ask(alice.balance()), first);
});

test('release ends the registration and frees its addresses and its peer', async (t) => {
  const fixture = createFixture();
  await fixture.ask(alice.register());
  fixture.now += 5;
  t.like(await fixture.ask(alice.release()), { status: 'completed', bandwidth: 0, expires: START + 5 });
  t.is(fixture.wireguard.size, 0);
  t.is(fixture.registrar.status().leases.ipv4.free, 253);
  t.deepEqual(fixture.registrar.status().registrations.dvpn, { active: 0, grace: 0 });
  t.like(await fixture.ask(alice.release()), { code: 'not_owner' });
  t.like(await fixture.ask(mallory.register()), { status: 'completed' });
});

test('a mixnet registration has a balance and neither addresses nor a peer', async (t) => {
  const { ask, registrar, wireguard } = createFixture();
  const first = await ask(mixnet('quote'));
  t.deepEqual(first, { status: 'completed', mode: 'mixnet', bandwidth: 2 ** 40, expires: START + 86_400 });
  t.deepEqual(await ask(mixnet('register')), first);
  t.deepEqual(await ask({ op: 'balance', name: mixnetName, owner: bytes32('mix owner') }), first);
  t.like(await ask({ op: 'balance', name: mixnetName, owner: bytes32('other') }), { code: 'not_owner' });
  t.is(wireguard.size, 0);
  t.deepEqual(registrar.status().registrations, { dvpn: { active: 0, grace: 0 }, mixnet: { active: 1, grace: 0 } });
  t.like(await ask({ op: 'release', name: mixnetName, owner: bytes32('mix owner') }), { bandwidth: 0, expires: START });
  t.is(registrar.status().registrations.mixnet.active, 0);
});

test('one key may name a tunnel and a mixnet registration at once', async (t) => {
  const { ask } = createFixture();
  await ask(alice.register());
  const enrolment = { mode: 'mixnet', clientId: alice.publicKey } as const;
  t.like(await ask({ op: 'register', enrolment, owner: bytes32('other') }), { status: 'completed', mode: 'mixnet' });
});

test('a mode that is not offered is refused by name', async (t) => {
  const { ask } = createFixture({ modes: ['dvpn'] });
  t.like(await ask(mixnet('quote')), { code: 'mode_not_offered' });
  t.like(await ask(mixnet('register')), { code: 'mode_not_offered' });
  t.like(await createFixture({ modes: ['mixnet'] }).ask(alice.quote()), { code: 'mode_not_offered' });
});

test('all-zero keys and the key of the gateway itself are bad keys', async (t) => {
  const { ask, registrar } = createFixture();
  const zero = new Uint8Array(32);
  const owner = bytes32('o');
  const presharedKey = bytes32('psk');
  for (const op of ['quote', 'register'] as const) {
    for (const wgPublicKey of [zero, GATEWAY_KEY]) {
      t.like(await ask({ op, enrolment: { mode: 'dvpn', wgPublicKey, presharedKey }, owner }), { code: 'bad_key' });
    }
    const unprotected = { mode: 'dvpn', wgPublicKey: bytes32('a'), presharedKey: zero } as const;
    t.like(await ask({ op, enrolment: unprotected, owner }), { code: 'bad_key' });
    t.like(await ask({ op, enrolment: { mode: 'mixnet', clientId: zero }, owner }), { code: 'bad_key' });
  }
  t.is(registrar.status().leases.ipv4.allocated, 0);
});

test('an exhausted pool says so, and when to ask again, and leases again what is released', async (t) => {
  const { ask } = createFixture({ ipv4: { cidr: '10.9.0.0/30' } });
  t.like(await ask(alice.register()), { status: 'completed' });
  const bob = client('bob');
  t.like(await ask(bob.register()), { code: 'pool_exhausted', retryAfter: 60 });
  await ask(alice.release());
  t.like(await ask(bob.register()), { status: 'completed' });
});

test('the limit of registrations holds for both modes together', async (t) => {
  const { ask } = createFixture({ registrationsLimit: 2 });
  t.like(await ask(alice.register()), { status: 'completed' });
  t.like(await ask(mixnet('register')), { status: 'completed' });
  t.like(await ask(client('bob').register()), { code: 'limit_reached' });
  t.like(await ask(alice.register()), { status: 'completed' });
});

test('a registration whose lifetime ends loses its peer at the sweep and its addresses after the grace', async (t) => {
  const fixture = createFixture();
  const { registrar, wireguard } = fixture;
  await fixture.ask(alice.register());
  fixture.now = START + 86_399;
  await registrar.sweep();
  t.is(wireguard.size, 1);
  fixture.now = START + 86_400;
  await registrar.sweep();
  t.is(wireguard.size, 0);
  t.deepEqual(registrar.status().registrations.dvpn, { active: 0, grace: 1 });
  t.is(registrar.status().leases.ipv4.allocated, 1);
  t.like(await fixture.ask(alice.balance()), { status: 'completed', bandwidth: 2 ** 40, expires: START + 86_400 });
  fixture.now = START + 86_400 + 3600;
  await registrar.sweep();
  t.deepEqual(registrar.status().registrations.dvpn, { active: 0, grace: 0 });
  t.is(registrar.status().leases.ipv4.allocated, 0);
  t.like(await fixture.ask(alice.balance()), { code: 'not_owner' });
});

test('what has run out counts as ended at a lookup, without a sweep', async (t) => {
  const fixture = createFixture();
  await fixture.registrar.sweep();
  await fixture.ask(alice.register());
  fixture.now = START + 86_400;
  t.like(await fixture.ask(alice.balance()), { status: 'completed' });
  t.is(fixture.wireguard.size, 0);
  fixture.now = START + 86_400 + 3600;
  t.like(await fixture.ask(alice.balance()), { code: 'not_owner' });
  t.is(fixture.registrar.status().leases.ipv4.allocated, 0);
});

test('within the grace the owner gets a new grant on the same addresses, and a stranger nothing', async (t) => {
  for (const op of ['quote', 'register', 'finalise'] as const) {
    const fixture = createFixture();
    const first = await fixture.ask(alice.register());
    fixture.now = START + 86_400 + 100;
    t.like(await fixture.ask(mallory[op]()), { code: 'not_owner' });
    const again = await fixture.ask(alice[op]());
    if (first.status !== 'completed' || again.status !== 'completed') return t.fail();
    t.deepEqual(again, { ...first, expires: fixture.now + 86_400 });
    t.is(fixture.wireguard.size, 1);
    t.deepEqual(fixture.registrar.status().registrations.dvpn, { active: 1, grace: 0 });
  }
});

test('a registrar that starts again on its store gives the same addresses and brings the peers back', async (t) => {
  const before = createFixture();
  const first = await before.ask(alice.register());
  await before.ask(mixnet('register'));
  await before.registrar.close();
  const after = createFixture({}, { store: before.store, wireguard: createMemoryWireGuard() });
  await after.wireguard.upsert({ ...before.wireguard.peer(alice.publicKey)!, publicKey: bytes32('stray') });
  await after.registrar.sweep();
  t.is(after.wireguard.size, 1);
  t.deepEqual(after.wireguard.peer(alice.publicKey)?.presharedKey.bytes, bytes32('psk of alice'));
  t.like(after.registrar.status(), {
    registrations: { dvpn: { active: 1, grace: 0 }, mixnet: { active: 1, grace: 0 } },
    leases: { ipv4: { allocated: 1 }, ipv6: { allocated: 1 } },
  });
  t.deepEqual(await after.ask(alice.register()), first);
});

test('outcomes are counted by operation and code', async (t) => {
  const { ask, registrar } = createFixture();
  await ask(alice.register());
  await ask(alice.register());
  await ask(mallory.balance());
  await registrar.handle({ body: new Uint8Array(0), source: 's', family: 'f', quotesAllowed: 1 });
  t.deepEqual(registrar.status().outcomes, [
    { op: 'register', outcome: 'completed', count: 2 },
    { op: 'balance', outcome: 'not_owner', count: 1 },
    { op: 'unknown', outcome: 'malformed', count: 1 },
  ]);
});

test('no secret shows in what a registrar or its parts print', async (t) => {
  const { ask, registrar, store, wireguard } = createFixture();
  await ask(alice.register());
  const secret = Buffer.from(bytes32('psk of alice')).toString('hex');
  for (const part of [registrar, store, wireguard, wireguard.peer(alice.publicKey)]) {
    t.false(
      inspect(part, { depth: 10, showHidden: true })
        .replaceAll(/[^0-9a-f]/g, '')
        .includes(secret),
    );
  }
  t.is(JSON.stringify(wireguard.peer(alice.publicKey)?.presharedKey), '"<redacted>"');
});

test('any bytes as a body give an outcome', async (t) => {
  const { registrar } = createFixture();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (body) => {
      const outcome = await registrar.handle({ body, source: 's', family: 'f', quotesAllowed: 1 });
      return outcome.kind === 'failure' ? outcome.code === 1 : decodeAnswer(outcome.body).kind === 'value';
    }),
  );
  t.pass();
});

const BAD_OPTIONS = [
  [{ endpoints: ['0.0.0.0:51820'] }, 'ENDPOINT_INVALID'],
  [{ endpoints: [] }, 'ENDPOINT_INVALID'],
  [{ wireGuardPublicKey: new Uint8Array(31) }, 'WIREGUARD_KEY'],
  [{ graceSeconds: -1 }, 'OPTION_RANGE'],
  [{ queueLength: 0 }, 'OPTION_RANGE'],
  [{ keepaliveSeconds: 70_000 }, 'OPTION_RANGE'],
  [{ grant: { bandwidth: 0.5, lifetimeSeconds: 1 } }, 'OPTION_RANGE'],
  [{ ipv4: { cidr: '10.0.0.0/32' } }, 'POOL_SIZE'],
] as const;
for (const [options, code] of BAD_OPTIONS) {
  test(`options with ${JSON.stringify(options)} are ${code}`, (t) => {
    const error = t.throws(() => createFixture(options), { instanceOf: RegistrationConfigError });
    t.is<string | undefined, string>(error?.code, code);
  });
}
