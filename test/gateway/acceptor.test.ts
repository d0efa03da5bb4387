/** The acceptor over real loopback sockets, shards on the test's own thread, clock stepped (lp2.md §2, §4.5). */
import test, { type ExecutionContext } from 'ava';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { encodeClientHello, encodeSalt } from '../../src/lp/wire/message.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { steppedClock } from '../../src/system/clock.ts';
import { opaque } from '../support/handshake.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startGateway, type TestGateway, until } from '../support/test-gateway.ts';
import { hex, loadVectors, VectorReader } from '../support/vectors.ts';

const EMPTY = new Uint8Array(0);
const HANDSHAKE_INDEX = 77;

function start(t: ExecutionContext, set: readonly string[] = []): Promise<TestGateway & { pass(ms: number): void }> {
  const clock = steppedClock();
  const whole = { entry: 'in-thread' as const, set: ['gateway.shards=2', ...set], dependencies: { clock } };
  return startGateway(t, whole).then((made) => ({
    ...made,
    client: (options) => made.client({ now: () => clock.now(), ...options }),
    pass: (ms) => {
      clock.advance(ms);
      made.gateway.acceptor.sweep(clock.now().monotonicMs);
    },
  }));
}

const drops = ({ gateway }: TestGateway) => gateway.acceptor.counts.drops;
const closed = ({ gateway }: TestGateway) => gateway.acceptor.counts.closed;

/** What is buffered of the frame that the only connection is receiving. */
function buffered({ gateway }: TestGateway): number {
  const inside = gateway.acceptor as unknown as {
    connections: Map<number, { cutter: { partial: Uint8Array | undefined; held: Uint8Array | undefined } }>;
  };
  return [...inside.connections.values()].reduce(
    (sum, { cutter }) => sum + (cutter.partial?.length ?? 0) + (cutter.held?.length ?? 0),
    0,
  );
}

function hello(made: TestGateway, index: number): Uint8Array {
  const { unixMs } = (
    made.gateway as unknown as { dependencies: { clock: { now(): { unixMs: number } } } }
  ).dependencies.clock.now();
  const salt = encodeSalt(Math.floor(unixMs / 1_000), new Uint8Array(24));
  return encodeUnsealed(0, 0, TYPE.clientHello, encodeClientHello({ handshakeIndex: index, salt }));
}

/** The connection is there and in step: a whole handshake goes over it. */
async function stillThere(t: ExecutionContext, client: RawClient): Promise<void> {
  t.is((await client.open(Uint8Array.of(9))).body[0], 9);
}

const negative = new VectorReader(loadVectors('lp2.json')).under('negative_framing');

for (const [, vector] of negative.members('cases')) {
  const name = vector.text('name');
  const expected = vector.text('expected');
  test(`vector ${name}: ${expected}, without a reply`, async (t) => {
    const made = await start(t);
    const framing = name.startsWith('be32') ? 'be32' : 'be16';
    const client = await made.client({ framing });
    client.socket.write(hex(vector.text('stream_bytes')));
    if (expected === 'close') {
      await client.closed;
      t.is(closed(made).framing, 1);
    } else {
      await until(() => drops(made).unknown_index === 1, 'the frame is skipped');
      await stillThere(t, client);
    }
    t.is(client.socket.bytesRead === 0, expected === 'close');
  });
}

test('all vectors of negative_framing are of a kind that this file knows', (t) => {
  const kinds = negative.members('cases').map(([, vector]) => vector.text('expected'));
  t.deepEqual([...new Set(kinds)].sort(), ['close', 'keep_open']);
  t.true(kinds.length >= 10);
});

test('65,535 bytes for an unknown index are passed over unbuffered, however they come', async (t) => {
  const made = await start(t);
  const client = await made.client();
  const frame = encodeFrames('be16', [encodeUnsealed(0xdead_beef, 0, TYPE.encryptedData, new Uint8Array(65_501))]);
  client.socket.write(frame.subarray(0, 13));
  await until(() => buffered(made) > 0, 'eleven bytes of the header are there');
  t.true(buffered(made) <= 512, 'a length alone costs nothing');
  client.socket.write(frame.subarray(13, 14));
  await until(() => drops(made).unknown_index === 1, 'the header is refused');
  t.is(buffered(made), 0);
  for (let at = 14; at < frame.length; at += 16_000) {
    client.socket.write(frame.subarray(at, Math.min(frame.length, at + 16_000)));
    await new Promise((resolve) => setImmediate(resolve));
    t.is(buffered(made), 0);
  }
  await stillThere(t, client);
});

interface LengthRule {
  readonly title: string;
  readonly packet: Uint8Array;
  readonly taken: boolean;
}

const LENGTH_RULES: readonly LengthRule[] = [
  { title: 'index 0 with 133 bytes', packet: encodeUnsealed(0, 0, TYPE.clientHello, new Uint8Array(99)), taken: false },
  {
    title: 'index 0 with 135 bytes',
    packet: encodeUnsealed(0, 0, TYPE.clientHello, new Uint8Array(101)),
    taken: false,
  },
  { title: 'index 0 with 134 bytes', packet: encodeUnsealed(0, 0, TYPE.clientHello, new Uint8Array(100)), taken: true },
  {
    title: 'a handshake index with 2,049 bytes',
    packet: encodeUnsealed(HANDSHAKE_INDEX, 1, TYPE.handshake, new Uint8Array(2_015)),
    taken: false,
  },
  {
    title: 'a handshake index with 2,048 bytes',
    packet: encodeUnsealed(HANDSHAKE_INDEX, 1, TYPE.handshake, new Uint8Array(2_014)),
    taken: true,
  },
  {
    title: 'a handshake index with counter 3',
    packet: encodeUnsealed(HANDSHAKE_INDEX, 3, TYPE.handshake, EMPTY),
    taken: false,
  },
  {
    title: 'a handshake index with a counter above 2³²',
    packet: encodeUnsealed(HANDSHAKE_INDEX, 2 ** 32, TYPE.handshake, EMPTY),
    taken: false,
  },
  {
    title: 'a handshake index with counter 2',
    packet: encodeUnsealed(HANDSHAKE_INDEX, 2, TYPE.handshake, EMPTY),
    taken: true,
  },
];

for (const { title, packet, taken } of LENGTH_RULES) {
  test(`${title} is ${taken ? 'handed to its shard' : 'refused by its header'}`, async (t) => {
    const made = await start(t);
    const client = await made.client();
    client.send([hello(made, HANDSHAKE_INDEX)]);
    await until(() => client.late + client.strays === 1, 'the record is there');
    const shards = () => made.gateway.hosts.reduce((sum, { mailbox }) => sum + (mailbox.idle ? 0 : 1), 0);
    const batches = () => made.gateway.batches.reduce((sum, { count }) => sum + count, 0);
    const before = batches();
    client.send([packet]);
    if (taken) await until(() => batches() > before && shards() === 0, 'a shard had it');
    else await until(() => drops(made).length === 1, 'it is refused');
    t.is(drops(made).length ?? 0, taken ? 0 : 1);
    await stillThere(t, client);
  });
}

test('a session takes packets of 65,535 bytes', async (t) => {
  const made = await start(t);
  const client = await made.client();
  await client.open();
  const body = new Uint8Array(65_501 - 5).fill(3);
  t.deepEqual(Uint8Array.from((await client.echo(body)).body), body);
});

test('an index that the gateway has removed is refused from its header on', async (t) => {
  const made = await start(t);
  const client = await made.client();
  await client.open();
  const late = client.seal(opaque(1_000));
  client.send([client.family.close()!]);
  await until(() => made.gateway.admission.sessions === 0, 'the session is gone');
  client.send([late]);
  await until(() => drops(made).unknown_index === 1, 'its index is unknown');
  t.pass();
});

test('a connection that proves nothing closes after 30 s, one that was valid only after 300 s of silence', async (t) => {
  const made = await start(t);
  const [silent, valid] = [await made.client(), await made.client()];
  await valid.open();
  made.pass(30_000);
  await silent.closed;
  t.is(closed(made).unproven, 1);
  made.pass(269_999);
  t.is((await valid.echo()).body.length, 0);
  made.pass(299_999);
  t.is(closed(made).idle, 0);
  made.pass(1);
  await valid.closed;
  t.is(closed(made).idle, 1);
});

test('forged packets for a live session keep a connection no longer than 30 s after its last valid one', async (t) => {
  const made = await start(t);
  const victim = await made.client();
  await victim.open();
  const attacker = await made.client();
  await attacker.open();
  const forged = encodeUnsealed(victim.family.index, 999, TYPE.encryptedData, new Uint8Array(40));
  const tags = () => made.gateway.hosts.reduce((sum, { snapshot }) => sum + (snapshot?.drops.tag ?? 0), 0);
  for (let second = 1; second <= 29; second++) {
    made.pass(1_000);
    attacker.send([forged]);
    made.gateway.tick();
    await until(() => tags() >= second || closed(made).unproven > 0, 'it does not open');
  }
  t.is(closed(made).unproven, 0);
  made.pass(1_000);
  await until(() => closed(made).unproven === 1, 'the attacker is closed');
  t.is((await victim.echo(Uint8Array.of(1))).body[0], 1);
});

test('a client that never reads is read no further, and closed after 300 s; nobody else notices', async (t) => {
  const made = await start(t);
  const [stalled, other] = [await made.client(), await made.client()];
  await stalled.open();
  await other.open();
  stalled.socket.pause();
  // Their answers never come.
  void Promise.allSettled(stalled.pipeline(Array.from({ length: 400 }, () => new Uint8Array(60_000))));
  await until(() => stalled.socket.writableLength > 1_000_000, 'the client cannot send on');
  let left = stalled.socket.writableLength;
  for (let i = 0; i < 50; i++) await other.echo();
  await until(() => {
    const before = left;
    left = stalled.socket.writableLength;
    return left === before;
  }, 'the gateway has stopped reading');
  t.is(made.gateway.acceptor.open, 2);
  made.pass(299_000);
  await other.echo();
  made.pass(1_000);
  await until(() => made.gateway.acceptor.open === 1, 'the stalled one is closed');
  t.is(closed(made).idle, 1);
  await other.echo();
});

test('a source beyond its burst is told Busy, and when to come back', async (t) => {
  const made = await start(t, ['limits.handshake_burst=2', 'limits.handshakes_per_address=0.25']);
  for (let i = 0; i < 2; i++) await (await made.client()).open();
  const third = await made.client();
  third.handshake().catch(() => undefined);
  await until(() => third.hints.length > 0, 'it is told');
  t.deepEqual(third.hints, [{ kind: 'busy', retryAfterS: 4 }]);
  const elsewhere = await made.client({ localAddress: '127.0.0.2' });
  await stillThere(t, elsewhere);
});

test('a source at its bound of sessions is told Busy until one of them ends', async (t) => {
  const made = await start(t, ['limits.sessions_per_address=1']);
  const first = await made.client();
  await first.open();
  const second = await made.client();
  second.handshake().catch(() => undefined);
  await until(() => second.hints.length > 0, 'it is told');
  t.is(second.hints[0]?.kind, 'busy');
  first.send([first.family.close()!]);
  await until(() => made.gateway.admission.sessions === 0, 'the first session is gone');
  await stillThere(t, await made.client());
});

test('connections beyond the bound of a source, or of the gateway, are refused', async (t) => {
  const made = await start(t, ['limits.connections_per_address=2', 'limits.connections=3']);
  const kept = [await made.client(), await made.client()];
  const third = await made.client();
  await third.closed;
  const elsewhere = await made.client({ localAddress: '127.0.0.2' });
  const beyond = await made.client({ localAddress: '127.0.0.3' });
  await beyond.closed;
  t.is(made.gateway.acceptor.counts.refused, 2);
  kept[0]!.destroy();
  await until(() => made.gateway.acceptor.open === 2, 'one is gone');
  await stillThere(t, await made.client());
  await stillThere(t, elsewhere);
});
