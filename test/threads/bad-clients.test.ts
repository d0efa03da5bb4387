/** Clients that stall, forge or send noise hurt nobody else. */
import test from 'ava';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { opaque } from '../support/handshake.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, runs } from '../support/property.ts';
import { startGateway, until } from '../support/test-gateway.ts';
import { attack, forgeries, noise } from './fixtures/hostile-clients.ts';

const CONNECTIONS = 60;

test('a client that does not read is not read either; others go on, and it gets its answers once it reads', async (t) => {
  const { gateway, client } = await startGateway(t, { set: ['gateway.shards=1'] });
  const stalled = await client();
  const other = await client();
  await stalled.open();
  await other.open();
  stalled.socket.pause();
  const bodies = Array.from({ length: 400 }, (_, i) => new Uint8Array(60_000).fill(i & 0xff));
  const echoes = stalled.pipeline(bodies);
  for (let i = 0; i < 200; i++) await other.echo();
  // Far below the 24 MB that it sent: the gateway stopped reading.
  await until(() => stalled.socket.writableLength > 0, 'the client cannot send on');
  for (let i = 0; i < 200; i++) await other.echo();
  t.true(stalled.socket.writableLength > 1_000_000);
  t.is(gateway.acceptor.counts.closed.not_reading, 0);
  stalled.socket.resume();
  const answers = await Promise.all(echoes);
  t.true(answers.every(({ body }, i) => body.length === 60_000 && body[0] === (i & 0xff)));
});

test('arbitrary bytes and forged packets break nothing: a client still registers its session and is echoed', async (t) => {
  const { gateway, client, target } = await startGateway(t, { set: ['gateway.shards=2'] });
  const bystander = await client({ localAddress: '127.0.9.1' });
  await bystander.open();
  const { index } = bystander.family;
  const pool = [
    bystander.seal(opaque(1_000)),
    encodeUnsealed(0, 0, TYPE.clientHello, new Uint8Array(100).fill(3)),
    encodeUnsealed(5, 1, TYPE.handshake, new Uint8Array(1_177)),
    encodeUnsealed(index, 2, TYPE.handshake, new Uint8Array(96)),
  ];
  const attacks: Promise<void>[] = [];
  const start = (prng: Prng, n: number) => {
    const pieces = n % 2 === 0 ? noise(prng) : forgeries(prng, pool, [0, 5, index, 0x7fffffff, 0xffffffff]);
    attacks.push(attack(target, `127.0.10.${1 + (n % 200)}`, pieces));
  };
  forSeeds(runs(CONNECTIONS, 2_000), start);
  await Promise.all(attacks);
  t.is((await bystander.echo(Uint8Array.of(1))).body[0], 1);
  const newcomer = await client({ localAddress: '127.0.9.2', framing: 'be32' });
  t.is((await newcomer.open(Uint8Array.of(2))).body[0], 2);
  t.true(gateway.hosts.every(({ epoch }) => epoch === 0));
  await until(() => gateway.acceptor.open === 2, 'the attackers are gone');
});

test('a hello that names a live session as its handshake index leaves the session alone', async (t) => {
  const { client } = await startGateway(t, { set: ['gateway.shards=2'] });
  const bystander = await client();
  await bystander.open();
  const content = new Uint8Array(100);
  new DataView(content.buffer).setUint32(0, bystander.family.index, true);
  const attacker = await client({ localAddress: '127.0.9.3' });
  attacker.send([encodeUnsealed(0, 0, TYPE.clientHello, content)]);
  await attacker.open();
  t.is((await bystander.echo(Uint8Array.of(1))).body[0], 1);
});
