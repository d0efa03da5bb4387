/** How a gateway stops: what is under way finishes, connections end, nothing is left. */
import test from 'ava';
import { decodeForwardResponse, encodeForward, FORWARD_STATUS, KIND } from '../../src/lp/wire/application-frame.ts';
import { decodeAnswer, encodeRequest } from '../../src/lp/wire/registration-body.ts';
import { FakeExit, packet, SESSION_INDEX } from '../gateway/forward/fake-exit.ts';
import { RawClient } from '../support/raw-client.ts';
import { makeGateway, startGateway, until } from '../support/test-gateway.ts';
import { held, makeGate, open, shut } from './fixtures/gate.ts';
import { magicPacket } from './fixtures/magic.ts';

const EXIT_KEY = new Uint8Array(32).fill(0xee);
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

test('stopping lets a forward under way finish: its reply arrives, then the connection ends', async (t) => {
  const { gateway, config, client, target, crypto } = await startGateway(t, { set: ['gateway.shards=1'] });
  const exit = await FakeExit.listen();
  t.teardown(() => exit.close());
  const allow = [{ identity: EXIT_KEY, address: '127.0.0.1', port: exit.port }];
  gateway.reload({ ...config, forward: { ...config.forward, allow } });
  const user = await client();
  await user.open();
  const forward = { family: 4 as const, identity: EXIT_KEY, ip: LOOPBACK, port: exit.port };
  const question = packet(SESSION_INDEX, 1);
  const body = encodeForward({ target: forward, replies: 1, packets: [question] });
  const answer = user.request(KIND.forward, body);
  const side = await exit.accept();
  await side.receive();

  const stopped = gateway.stop();
  t.deepEqual(gateway.ready, { ready: false, reasons: ['draining'] });
  await t.throwsAsync(RawClient.connect({ target, crypto }), { code: 'ECONNREFUSED' });
  const stoppedAgain = gateway.stop();
  side.send(packet(SESSION_INDEX, 2));
  const response = decodeForwardResponse((await answer).body);
  t.is(response?.status, FORWARD_STATUS.ok);
  t.is(response?.packets.length, 1);
  await Promise.all([stopped, stoppedAgain, user.closed]);
  await gateway.stop();
  await until(() => gateway.acceptor.open === 0, 'the connection is closed');
  t.is(gateway.acceptor.counts.closed.drain, 1);
});

test('stopping lets a registration under way finish', async (t) => {
  const gate = makeGate();
  const entry = new URL('./fixtures/gated.ts', import.meta.url);
  const { gateway, client } = await startGateway(t, { entry, extra: { gate }, set: ['gateway.shards=1'] });
  t.teardown(() => open(gate));
  const { mailbox } = gateway.hosts[0]!;
  const user = await client();
  await user.open();
  shut(gate);
  gateway.tick();
  await until(() => held(gate) === 1, 'a batch stands at the gate');
  const request = encodeRequest({
    op: 'register',
    enrolment: { mode: 'mixnet', clientId: new Uint8Array(32).fill(5) },
    owner: new Uint8Array(32).fill(6),
  });
  const answer = user.request(KIND.registrationRequest, request);
  await until(() => mailbox.queuedPackets === 1, 'the request waits');
  const stopped = gateway.stop();
  open(gate);
  t.like(decodeAnswer((await answer).body), { kind: 'value', value: { status: 'completed', mode: 'mixnet' } });
  await Promise.all([stopped, user.closed]);
});

test('a shard that hangs in a batch holds neither its fellows nor, after lifetimes.drain, the stop', async (t) => {
  const entry = new URL('./fixtures/hangs.ts', import.meta.url);
  const { gateway, client } = await startGateway(t, { entry, set: ['gateway.shards=2', 'lifetimes.drain=0.2'] });
  const clients: RawClient[] = [];
  const on = (shard: number) => clients.find((c) => gateway.router.shardOf(c.family.index) === shard);
  while (on(0) === undefined || on(1) === undefined) {
    const made = await client({ localAddress: `127.0.3.${clients.length + 1}` });
    await made.open();
    clients.push(made);
  }
  on(0)!.send([magicPacket(on(0)!.family.index)]);
  await until(() => !gateway.hosts[0]!.mailbox.idle, 'the shard hangs');
  for (let i = 0; i < 20; i++) await on(1)!.echo();
  t.false(gateway.hosts[0]!.mailbox.idle);
  await gateway.stop();
  await until(() => gateway.acceptor.open === 0, 'the connections are closed');
});

test('a stop at once cuts a drain short', async (t) => {
  const entry = new URL('./fixtures/hangs.ts', import.meta.url);
  const { gateway, client } = await startGateway(t, { entry, set: ['gateway.shards=1', 'lifetimes.drain=3600'] });
  const user = await client();
  await user.open();
  user.send([magicPacket(user.family.index)]);
  await until(() => !gateway.hosts[0]!.mailbox.idle, 'the shard hangs');
  const drained = gateway.stop();
  t.deepEqual(gateway.ready.reasons, ['draining']);
  await Promise.all([gateway.stop('at once'), drained, user.closed]);
  t.deepEqual(gateway.ready.reasons.at(-1), 'stopped');
});

test('a port that is in use stops the start, and the shards that had started are ended', async (t) => {
  const { gateway: first, target } = await startGateway(t, { set: ['gateway.shards=1'] });
  const { gateway } = await makeGateway(t, { set: ['gateway.shards=2'], port: target.port });
  await t.throwsAsync(gateway.start(), { code: 'EADDRINUSE', message: /the port is in use/ });
  t.deepEqual(gateway.ready.reasons.at(-1), 'stopped');
  t.true(first.ready.ready);
});
