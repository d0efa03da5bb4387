/** Registrations of Nym's clients at a whole gateway: two steps, one pool with LP2, names that stand (nym.md §8, §15). */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { encodeClaim, NYM_TICKET, worthlessZkNym } from '../../../src/lp/nym/bandwidth-claim.ts';
import { encodeNymRequest, NYM_FAILURE_TEXT, type NymRegistrationResponse } from '../../../src/lp/nym/registration.ts';
import { KIND } from '../../../src/lp/wire/application-frame.ts';
import { decodeAnswer, encodeRequest } from '../../../src/lp/wire/registration-body.ts';
import { initial, startNym, unixTime } from './world.ts';

const PRICE = ['credentials.kind=privacy-pass', 'credentials.issuer=https://issuer.example'];
const MOCK = [...PRICE, 'nym.credentials=mock'];
const key32 = () => Uint8Array.from(randomBytes(32));

function finalise(kind: 'zk_nym' | 'upgrade_mode' = 'zk_nym') {
  const credential = kind === 'zk_nym' ? worthlessZkNym() : new TextEncoder().encode('a.b.c');
  const bytes = encodeClaim(kind, credential, NYM_TICKET.wireguardEntry);
  if (bytes === undefined) throw new Error('the claim does not encode');
  return { kind: 'finalise', claim: { bytes }, time: unixTime() } as const;
}

test('a client is asked for a credential, pays with it, and finds its tunnel again on a new connection', async (t) => {
  const { gateway, meet } = await startNym(t, { set: MOCK });
  const wgPublicKey = key32();
  const client = await meet();
  t.deepEqual(await client.register(initial(wgPublicKey)), { kind: 'credential_required' });
  const paid = await client.register(finalise());
  t.like(paid, { kind: 'completed', tunnel: { port: 51_820 } });
  t.deepEqual(await client.register(finalise()), paid, 'what was paid is not paid again');
  client.socket.destroy();

  const again = await meet();
  t.deepEqual(await again.register(initial(wgPublicKey)), paid, 'with another preshared key, and for nothing');
  t.like(gateway.registrar.status(), { registrations: { dvpn: { active: 1, grace: 0 } }, quotes: 0 });
});

test('a Finalise is refused without an Initial, without a verifier and with an upgrade token, and the connection goes on', async (t) => {
  const [priced, mock] = await Promise.all([startNym(t, { set: PRICE }), startNym(t, { set: MOCK })]);
  const client = await priced.meet();
  const text = NYM_FAILURE_TEXT.notInProgress;
  t.deepEqual(await client.register(finalise()), { kind: 'failed', mode: 'dvpn', text });
  t.deepEqual(await client.register(initial(key32())), { kind: 'credential_required' });
  t.regex(textOf(await client.register(finalise())), /does not take credentials of this kind/);
  const other = await mock.meet();
  t.deepEqual(await other.register(initial(key32())), { kind: 'credential_required' });
  t.regex(textOf(await other.register(finalise('upgrade_mode'))), /does not take credentials of this kind/);
  t.like(await other.register(finalise()), { kind: 'completed' });
});

test('a clock that is off, a mixnet registration and a node without tunnels are answered in the words that clients know', async (t) => {
  const { meet } = await startNym(t, { set: ['registration.modes=["mixnet"]'] });
  const client = await meet();
  for (const time of [0n, unixTime() - 40n, unixTime() + 40n, 2n ** 63n, 2n ** 64n - 1n]) {
    t.is(textOf(await client.register({ ...initial(key32()), time })), 'invalid timestamp', String(time));
  }
  t.is(textOf(await client.register({ kind: 'mixnet', clientId: key32(), time: unixTime() })), NYM_FAILURE_TEXT.mixnet);
  t.is(textOf(await client.register(initial(key32()))), NYM_FAILURE_TEXT.noDvpn);
});

test('quotes are bounded per source, whatever connections they come on, and a repeat takes none', async (t) => {
  const { gateway, meet } = await startNym(t, { set: [...MOCK, 'limits.quotes_per_address=2'] });
  const wgPublicKey = key32();
  for (let i = 0; i < 4; i++) {
    const client = await meet();
    t.deepEqual(await client.register(initial(wgPublicKey)), { kind: 'credential_required' });
    client.socket.destroy();
  }
  t.is(gateway.registrar.status().quotes, 1);
  const client = await meet();
  t.deepEqual(await client.register(initial(key32())), { kind: 'credential_required' });
  t.regex(textOf(await client.register(initial(key32()))), /too many registrations/);
  const elsewhere = await meet({ localAddress: '127.0.0.9' });
  t.deepEqual(await elsewhere.register(initial(key32())), { kind: 'credential_required' });
});

test('LP2 and Nym clients at once get leases from one pool', async (t) => {
  const { gateway, client, meet } = await startNym(t, { set: ['limits.handshake_burst=100'] });
  const lp2 = async (): Promise<Uint8Array> => {
    const user = await client();
    await user.open();
    const enrolment = { mode: 'dvpn', wgPublicKey: key32(), presharedKey: key32() } as const;
    const body = encodeRequest({ op: 'register', enrolment, owner: key32() });
    const answer = decodeAnswer((await user.request(KIND.registrationRequest, body)).body);
    if (answer.kind !== 'value' || answer.value.status !== 'completed' || answer.value.mode !== 'dvpn')
      throw new Error();
    return answer.value.addresses.ipv4;
  };
  const nym = async (): Promise<Uint8Array> => {
    const response = await (await meet()).register(initial(key32()));
    if (response === 'closed' || response.kind !== 'completed') throw new Error('not completed');
    return response.tunnel.ipv4;
  };
  const leases = await Promise.all(Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? lp2() : nym())));
  t.is(new Set(leases.map((address) => [...address].join('.'))).size, 24);
  t.true(leases.every(([a, b]) => a === 10 && b === 64));
  const status = gateway.registrar.status();
  t.is(status.registrations.dvpn.active, 24);
  t.is(status.leases.ipv4.allocated, 24);
});

test("a name of one protocol is not the other one's to change", async (t) => {
  const { client, meet } = await startNym(t);
  const [mine, theirs] = [key32(), key32()];
  const nym = await meet();
  t.like(await nym.register(initial(mine)), { kind: 'completed' });
  const lp2 = await client();
  await lp2.open();
  const register = async (wgPublicKey: Uint8Array) => {
    const enrolment = { mode: 'dvpn', wgPublicKey, presharedKey: key32() } as const;
    const body = encodeRequest({ op: 'register', enrolment, owner: key32() });
    return decodeAnswer((await lp2.request(KIND.registrationRequest, body)).body);
  };
  t.like(await register(mine), { kind: 'value', value: { status: 'failed', code: 'not_owner' } });
  t.like(await register(theirs), { kind: 'value', value: { status: 'completed' } });
  t.regex(textOf(await nym.register(initial(theirs))), /registered by another client/);
});

test('requests sent ahead, more than a session holds, are all answered in their order', async (t) => {
  const { meet } = await startNym(t);
  const client = await meet();
  // Eight wait beside the one that is served; a client may have sixteen under way.
  for (let i = 0; i < 16; i++) client.send('registration', encodeNymRequest(initial(key32())));
  for (let i = 0; i < 16; i++) t.truthy(await client.answer());
  t.is(client.session.outstanding, 0);
});

function textOf(response: NymRegistrationResponse | 'closed'): string {
  return response !== 'closed' && response.kind === 'failed' ? response.text : JSON.stringify(response);
}
