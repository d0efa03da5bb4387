/** A shard that fails takes its Nym connections with it, for they have no other; the rest goes on (design §2). */
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { workerEntry } from '../../src/system/entry.ts';
import { initial, type NymTestClient, startNym } from '../gateway/nym/world.ts';
import { until } from '../support/test-gateway.ts';
import { magicPacket } from './fixtures/magic.ts';

const CLIENTS = 12;
const key32 = () => Uint8Array.from(randomBytes(32));

async function survives(t: ExecutionContext, fixture: string): Promise<void> {
  const entry = new URL(`./fixtures/${fixture}.ts`, import.meta.url);
  const { gateway, meet } = await startNym(t, { entry, set: ['gateway.shards=2'] });
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => meet()));
  const gone = new Set<NymTestClient>();
  for (const client of clients) void client.closed.then(() => gone.add(client));
  t.is(gateway.nym?.acceptor.sessions, CLIENTS);

  // The trailer of the fixture, in a packet of the first shard.
  gateway.hosts[0]?.mailbox.offerTransport(
    { connection: 1, source: 0, flags: 0, retryAfterSeconds: 0 },
    magicPacket(0x8000_0000),
  );
  await until(() => gateway.hosts[0]?.epoch === 1 && gateway.hosts[0].running, 'the shard is replaced');
  const lost = gateway.nym?.acceptor.counts.closed.shard_lost ?? 0;
  t.true(lost > 0 && lost < CLIENTS);
  await until(() => gone.size === lost, 'their clients know');
  t.is(gateway.nym?.acceptor.sessions, CLIENTS - lost);
  t.is(gateway.admission.sessions, CLIENTS - lost);

  const others = clients.filter((client) => !gone.has(client));
  for (const client of others) t.like(await client.register(initial(key32())), { kind: 'completed' });
  const again = await Promise.all(Array.from({ length: lost }, () => meet()));
  for (const client of again) t.like(await client.register(initial(key32())), { kind: 'completed' });
  t.is(gateway.nym?.acceptor.sessions, CLIENTS);
}

test("a shard whose handler throws closes its own connections, and the other shard's go on", (t) =>
  survives(t, 'handler-throws'));

test("a shard whose thread exits closes its own connections, and the other shard's go on", (t) =>
  survives(t, 'thread-exits'));

test('connections are spread over the shards, and each stays with its own', async (t) => {
  const { gateway, meet } = await startNym(t, {
    entry: workerEntry('shard'),
    set: ['gateway.shards=4', 'limits.handshake_burst=64'],
  });
  const clients = await Promise.all(Array.from({ length: 32 }, () => meet()));
  const handled = () => gateway.batches.map(({ count }) => count);
  t.true(handled().every((count) => count > 0));
  await Promise.all(
    clients.map(async (client) => {
      for (let i = 0; i < 3; i++) t.like(await client.register(initial(key32())), { kind: 'completed' });
    }),
  );
});

test('a gateway that drains finishes what is under way and ends every connection', async (t) => {
  const { gateway, meet, dial } = await startNym(t, { entry: workerEntry('shard') });
  const client = await meet();
  const half = await dial();
  half.sendStep(half.initiator.start({ monotonicMs: 0, unixMs: 0 }));
  await half.message();
  await gateway.stop();
  await Promise.all([client.closed, half.closed]);
  t.is(gateway.nym?.acceptor.counts.closed.drain, 2);
  await t.throwsAsync(dial(), { message: /ECONNREFUSED/ });
});
