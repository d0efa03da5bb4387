/** What a shard cannot take yet: new handshakes are shed, live sessions wait and lose nothing (design §2, lp2.md §4.5). */
import test from 'ava';
import { startGateway, until } from '../support/test-gateway.ts';
import { held, makeGate, open, shut } from './fixtures/gate.ts';

const GATED = new URL('./fixtures/gated.ts', import.meta.url);
const QUEUED_PACKETS = 64;
const QUEUED_HANDSHAKES = 4;

function bodies(count: number, length = 8): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => new Uint8Array(length).fill(i & 0xff));
}

test('a full mailbox sheds new handshakes with Busy, and live sessions are slowed and lose nothing', async (t) => {
  const gate = makeGate();
  const { gateway, client } = await startGateway(t, {
    entry: GATED,
    extra: { gate },
    set: [
      'gateway.shards=1',
      `limits.queued_packets=${QUEUED_PACKETS}`,
      `limits.queued_handshakes=${QUEUED_HANDSHAKES}`,
    ],
  });
  t.teardown(() => open(gate));
  const { mailbox } = gateway.hosts[0]!;
  const live = await Promise.all([client(), client(), client()]);
  for (const each of live) await each.open();

  shut(gate);
  gateway.tick();
  await until(() => held(gate) === 1, 'a batch stands at the gate');
  const echoes = live.flatMap((each) => each.pipeline(bodies(2_000)));
  await until(() => mailbox.queuedPackets >= QUEUED_PACKETS, 'the lane of live sessions is full');

  const newcomers = await Promise.all(
    Array.from({ length: 10 }, (_, i) => client({ localAddress: `127.0.2.${i + 1}`, kemKey: live[0]!.kemKey })),
  );
  const opened = newcomers.map((each) => each.open());
  const shed = () => newcomers.filter(({ hints }) => hints.length > 0);
  await until(() => shed().length >= 8, 'newcomers are told Busy');
  t.true(shed().every(({ hints }) => hints.every((hint) => hint.kind === 'busy' && hint.retryAfterS >= 1)));
  t.true(mailbox.queuedPackets <= QUEUED_PACKETS + live.length);
  // Sources below their share have room up to twice the bound.
  t.true(mailbox.queuedHandshakes <= 2 * QUEUED_HANDSHAKES);
  t.is(gateway.acceptor.counts.busy, gateway.acceptor.counts.drops.mailbox_full ?? 0);

  open(gate);
  const answers = await Promise.all(echoes);
  t.true(answers.every(({ body }, i) => body[0] === ((i % 2_000) & 0xff)));
  t.true(live.every(({ answered }) => answered.every((id, i) => id === i + 1)));
  await Promise.all(opened);
  t.is(gateway.acceptor.open, live.length + newcomers.length);
});

test('a client that pipelines many large requests and reads gets every answer', async (t) => {
  const gate = makeGate();
  const { gateway, client } = await startGateway(t, { entry: GATED, extra: { gate }, set: ['gateway.shards=1'] });
  t.teardown(() => open(gate));
  const { mailbox } = gateway.hosts[0]!;
  const busy = await client();
  await busy.open();
  shut(gate);
  gateway.tick();
  await until(() => held(gate) === 1, 'a batch stands at the gate');
  const echoes = busy.pipeline(bodies(200, 60_000));
  await until(() => mailbox.queuedPackets > 0, 'some of them wait');
  open(gate);
  const gone = busy.closed.then(() => 'closed');
  t.not(await Promise.race([Promise.all(echoes), gone]), 'closed');
  t.is(gateway.acceptor.counts.closed.not_reading, 0);
});
