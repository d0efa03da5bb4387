/** Stories of a registrar that asks for a price: quotes, their bounds, and what a token buys (registration.md, rules 1 to 5). */
import test from 'ava';
import { bytes32, client, createFixture, PRICED, START, token } from './fixture.ts';

const priced = (options = {}) => createFixture(options, { verifier: PRICED });
const alice = client('alice');
const mallory = client('alice', 'mallory');

test('a quote holds addresses for 120 s and names the price', async (t) => {
  const { ask, registrar, wireguard } = priced();
  const answer = await ask(alice.quote());
  t.like(answer, {
    status: 'credential_required',
    issuer: 'issuer.example',
    price: { tokens: 1, bandwidth: 1000, lifetime: 100 },
    heldUntil: START + 120,
  });
  t.like(registrar.status(), { quotes: 1, leases: { ipv4: { allocated: 0, held: 1 }, ipv6: { held: 1 } } });
  t.is(wireguard.size, 0);
});

test('a quote repeated is the same quote with the same end, and finalise gives its addresses', async (t) => {
  const fixture = priced();
  const first = await fixture.ask(alice.quote());
  fixture.now += 60;
  t.deepEqual(await fixture.ask(client('alice', 'alice', 'new psk').quote()), first);
  const answer = await fixture.ask(alice.finalise(token('one')));
  t.like(answer, { status: 'completed', bandwidth: 1000, expires: START + 160 });
  if (answer.status !== 'completed' || answer.mode !== 'dvpn' || first.status !== 'credential_required')
    return t.fail();
  t.deepEqual(answer.addresses, first.addresses);
  t.deepEqual(fixture.wireguard.peer(alice.publicKey)?.presharedKey.bytes, bytes32('new psk'));
  t.like(fixture.registrar.status(), { quotes: 0, leases: { ipv4: { allocated: 1, held: 0 } } });
  t.deepEqual(await fixture.ask(alice.finalise(token('one'))), answer);
  t.deepEqual(await fixture.ask(alice.register(token('one'))), answer);
});

test('a quote expires at the sweep, and at a lookup without one', async (t) => {
  for (const sweeps of [true, false]) {
    const fixture = priced();
    await fixture.ask(alice.quote());
    fixture.now = START + 120;
    if (sweeps) {
      await fixture.registrar.sweep();
      t.is(fixture.registrar.status().leases.ipv4.free, 253);
    }
    t.like(await fixture.ask(alice.finalise(token('one'))), { code: 'no_quote' });
    t.like(fixture.registrar.status(), { quotes: 0, leases: { ipv4: { free: 253 }, ipv6: { held: 0 } } });
  }
});

test('quotes are bounded by source and by session family, and free again when they expire', async (t) => {
  const fixture = priced({ quotesPerSession: 3 });
  const ask = (name: string, source: string, family: string) =>
    fixture.ask(client(name).quote(), { source, family, quotesAllowed: 2 });
  t.like(await ask('a', 's1', 'f1'), { status: 'credential_required' });
  fixture.now += 10;
  t.like(await ask('b', 's1', 'f2'), { status: 'credential_required' });
  t.like(await ask('c', 's1', 'f3'), { code: 'limit_reached', retryAfter: 110 });
  t.like(await ask('b', 's1', 'f2'), { status: 'credential_required' });
  t.like(await ask('c', 's2', 'f1'), { status: 'credential_required' });
  t.like(await ask('d', 's3', 'f1'), { status: 'credential_required' });
  t.like(await ask('e', 's4', 'f1'), { code: 'limit_reached' });
  fixture.now = START + 120;
  t.like(await ask('e', 's1', 'f1'), { status: 'credential_required' });
  t.is(fixture.registrar.status().quotes, 4);
});

test('held addresses exhaust a pool until their quote ends', async (t) => {
  const fixture = priced({ ipv4: { cidr: '10.9.0.0/30' } });
  await fixture.ask(alice.quote());
  fixture.now += 20;
  t.like(await fixture.ask(client('bob').quote()), { code: 'pool_exhausted', retryAfter: 100 });
  t.like(await fixture.ask(client('bob').register(token('b'))), { code: 'pool_exhausted', retryAfter: 100 });
  fixture.now += 100;
  t.like(await fixture.ask(client('bob').register(token('b'))), { status: 'completed' });
});

test('a quote belongs to the owner who asked for it', async (t) => {
  const { ask } = priced();
  await ask(alice.quote());
  for (const request of [mallory.quote(), mallory.register(token('m')), mallory.finalise(token('m'))]) {
    t.like(await ask(request), { code: 'not_owner' }, request.op);
  }
  for (const request of [alice.balance(), alice.topup(token('a')), alice.release()]) {
    t.like(await ask(request), { code: 'not_owner' }, request.op);
  }
  t.like(await ask(alice.finalise(token('a'))), { status: 'completed' });
});

test('a refused credential changes nothing and leaves the quote', async (t) => {
  const { ask, registrar } = priced();
  await ask(alice.quote());
  t.like(await ask(alice.finalise()), { code: 'credential_missing' });
  t.like(await ask(alice.finalise(token('bad'))), { code: 'credential_invalid' });
  t.like(await ask(alice.finalise({ kind: 'coin', token: bytes32('x') })), { code: 'credential_kind' });
  t.like(registrar.status(), { quotes: 1, leases: { ipv4: { held: 1, allocated: 0 } } });
  t.like(await ask(alice.finalise(token('good'))), { status: 'completed' });
});

test('register pays without a quote, and a token pays once', async (t) => {
  const { ask, registrar } = priced();
  const bob = client('bob');
  t.like(await ask(alice.register()), { code: 'credential_missing' });
  t.like(await ask(alice.register(token('one'))), { status: 'completed', bandwidth: 1000 });
  t.like(await ask(bob.register(token('one'))), { code: 'credential_spent' });
  t.is(registrar.status().leases.ipv4.allocated, 1);
  t.is(registrar.status().leases.ipv4.held, 0);
  await ask(alice.release());
  t.like(await ask(alice.register(token('one'))), { code: 'credential_spent' });
});

test('a top-up adds once, however often its answer is lost', async (t) => {
  const { ask } = priced();
  await ask(alice.register(token('one')));
  for (let i = 0; i < 2; i += 1) {
    t.like(await ask(alice.topup(token('two'))), { status: 'completed', bandwidth: 2000, expires: START + 200 });
  }
  await ask(client('bob').register(token('three')));
  t.like(await ask(alice.topup(token('three'))), { code: 'credential_spent' });
});

test('a failing WireGuard gives the token back', async (t) => {
  const { ask, failing, registrar } = priced();
  await ask(alice.quote());
  failing.wireguard = 1;
  t.like(await ask(alice.finalise(token('one'))), { code: 'try_later' });
  t.like(registrar.status(), { quotes: 1, leases: { ipv4: { held: 1, allocated: 0 } } });
  t.like(await ask(client('bob').register(token('one'))), { status: 'completed' });
  t.like(await ask(alice.finalise(token('two'))), { status: 'completed' });
});

test('within the grace a quote names the price of the same addresses, and any payment revives them', async (t) => {
  for (const op of ['finalise', 'register', 'topup'] as const) {
    const fixture = priced();
    const first = await fixture.ask(alice.register(token('one')));
    fixture.now = START + 100;
    await fixture.registrar.sweep();
    t.is(fixture.wireguard.size, 0);
    const quote = await fixture.ask(alice.quote());
    t.like(quote, { status: 'credential_required', heldUntil: START + 100 + 3600 });
    fixture.now += 50;
    t.like(await fixture.ask(alice[op]()), { code: 'credential_missing' });
    // The token that paid for what has ended: it is no theft, and it buys nothing more.
    t.deepEqual(await fixture.ask(alice[op](token('one'))), first);
    const revived = await fixture.ask(alice[op](token('two')));
    if (first.status !== 'completed') return t.fail();
    t.deepEqual(revived, { ...first, bandwidth: 2000, expires: START + 250 });
    t.is(fixture.wireguard.size, 1);
  }
});

test('a mixnet registration is quoted without addresses and pays like any other', async (t) => {
  const { ask, registrar } = priced();
  const name = { mode: 'mixnet', clientId: bytes32('m') } as const;
  const owner = bytes32('o');
  const quote = await ask({ op: 'quote', enrolment: name, owner });
  t.is(quote.status, 'credential_required');
  t.false('addresses' in quote);
  t.is(registrar.status().leases.ipv4.held, 0);
  t.like(await ask({ op: 'finalise', name, owner, credential: token('one') }), { status: 'completed', mode: 'mixnet' });
});

test('closing frees what quotes hold', async (t) => {
  const { ask, registrar } = priced();
  await ask(alice.quote());
  await registrar.close();
  t.like(registrar.status(), { quotes: 0, leases: { ipv4: { held: 0 } } });
});
