/** What a gateway refuses it refuses without a word, whatever it is, and counts it by its reason (nym.md §10, §15). */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type { NymRefusal } from '../../../src/gateway/nym/reasons.ts';
import { FRAME_KIND } from '../../../src/lp/nym/frame.ts';
import { encodeNymRequest } from '../../../src/lp/nym/registration.ts';
import { systemClock } from '../../../src/system/clock.ts';
import { SEED } from '../../support/property.ts';
import { until } from '../../support/test-gateway.ts';
import { initial, type NymTestClient, type NymWorld, startNym } from './world.ts';

const key32 = () => Uint8Array.from(randomBytes(32));
const KKT = 91;
const MESSAGE_1 = 1_247;
const KKT_RESPONSE = 1_207;
const ESTABLISHED = KKT_RESPONSE + 70;

const dropsOf = ({ gateway }: NymWorld) => {
  const drops = Object.entries(gateway.nym?.acceptor.counts.drops ?? {}).filter(([, n]) => n > 0);
  return Object.fromEntries(drops);
};

function kktOf(client: NymTestClient): Uint8Array {
  const step = client.initiator.start(systemClock.now());
  if (step.kind !== 'send') throw new Error(step.kind);
  return step.messages[0]!.bytes;
}

/** Up to message 1, which is not sent. */
async function message1Of(client: NymTestClient): Promise<Uint8Array> {
  client.socket.write(kktOf(client));
  const step = client.initiator.receive((await client.message())!, systemClock.now());
  if (step.kind !== 'send') throw new Error(step.kind);
  return step.messages[0]!.bytes;
}

const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

interface Case {
  readonly what: string;
  readonly reason: NymRefusal;
  /** Bytes that the client has got before. */
  readonly received: number;
  readonly act: (client: NymTestClient) => Promise<void> | void;
}

async function established(client: NymTestClient, act: (wire: Uint8Array) => Uint8Array): Promise<void> {
  await client.handshake();
  const sent = client.session.send('registration', encodeNymRequest(initial(key32())));
  if (sent.kind !== 'packet') throw new Error(sent.reason);
  client.socket.write(act(sent.wire.slice()));
}

const HANDSHAKES: readonly Case[] = [
  { what: 'random bytes', reason: 'mask', received: 0, act: (c) => void c.socket.write(randomBytes(KKT)) },
  {
    what: 'a KKT request whose ephemeral key is of low order',
    reason: 'mask',
    received: 0,
    act: (c) => void c.socket.write(new Uint8Array(KKT)),
  },
  {
    what: 'a KKT request with a wrong tag',
    reason: 'tag',
    received: 0,
    act: (c) => void c.socket.write(flipped(kktOf(c), KKT - 1)),
  },
  {
    what: 'random bytes as message 1',
    reason: 'content',
    received: KKT_RESPONSE,
    act: async (c) => {
      await message1Of(c);
      c.socket.write(randomBytes(MESSAGE_1));
    },
  },
  {
    what: 'a suite without a post-quantum part',
    reason: 'suite',
    received: KKT_RESPONSE,
    act: async (c) => {
      const message = Uint8Array.from(await message1Of(c));
      message[MESSAGE_1 - 1] = 0x00;
      c.socket.write(message);
    },
  },
  {
    what: 'message 1 with a wrong tag',
    reason: 'tag',
    received: KKT_RESPONSE,
    act: async (c) => void c.socket.write(flipped(await message1Of(c), 100)),
  },
  {
    what: 'a packet before message 2, in one write with random bytes for message 1',
    reason: 'unexpected',
    received: 0,
    act: (c) => {
      const packet = Buffer.alloc(4 + 64);
      packet.writeUInt32LE(64);
      c.socket.write(Buffer.concat([kktOf(c), randomBytes(MESSAGE_1), packet]));
    },
  },
];

const PACKETS: readonly Case[] = (
  [
    ['an index of somebody else', 'unknown_index', (wire) => flipped(wire, 4)],
    ['a counter beyond every honest one', 'counter_limit', (wire) => flipped(wire, 15)],
    ['another channel', 'channel', (wire) => flipped(wire, 16)],
    ['a wrong tag', 'tag', (wire) => flipped(wire, wire.length - 1)],
    ['a packet twice', 'duplicate', (wire) => Buffer.concat([wire, wire])],
    ['a length below a header', 'broken_framing', () => Uint8Array.of(11, 0, 0, 0)],
    ['a length beyond the greatest', 'broken_framing', () => Uint8Array.of(1, 0, 1, 0)],
    ['a length of 2³²−1', 'broken_framing', () => Uint8Array.of(255, 255, 255, 255)],
  ] as const satisfies readonly (readonly [string, NymRefusal, (wire: Uint8Array) => Uint8Array])[]
).map(([what, reason, act]) => ({ what, reason, received: ESTABLISHED, act: (c) => established(c, act) }));

const FRAMES: readonly Case[] = (
  [
    ['an Opaque frame', 'frame_not_accepted', FRAME_KIND.opaque],
    ['a SphinxStream frame', 'frame_not_accepted', FRAME_KIND.sphinxStream],
    ['a registration that does not decode', 'registration_body', FRAME_KIND.registration],
    ['a forward that does not decode', 'forward_body', FRAME_KIND.forward],
  ] as const
).map(([what, reason, kind]) => ({
  what,
  reason,
  received: ESTABLISHED,
  act: async (client) => {
    await client.handshake();
    // The session's own channel, for frames that a client library does not send.
    const { channel } = client.session as unknown as {
      channel: { seal(kind: number, content: Uint8Array): Uint8Array };
    };
    client.socket.write(channel.seal(kind, Uint8Array.of(9, 9, 9)));
  },
}));

for (const { what, reason, received, act } of [...HANDSHAKES, ...PACKETS, ...FRAMES]) {
  test(`${what}: the connection is closed without a word, and counted as ${reason}`, async (t) => {
    const world = await startNym(t);
    const client = await world.dial();
    await act(client);
    await client.closed;
    // A packet that came twice is answered once.
    t.is(client.received - (reason === 'duplicate' ? 134 : 0), received);
    t.deepEqual(dropsOf(world), { [reason]: 1 });
    const { gateway } = world;
    await until(() => gateway.nym?.acceptor.open === 0 && gateway.admission.sessions === 0, 'nothing is left of it');
  });
}

test('a replayed handshake gets no session, and the one that it would have overwritten goes on', async (t) => {
  const { gateway, dial } = await startNym(t, { set: ['gateway.shards=4'] });
  const victim = await dial();
  const said: Buffer[] = [];
  const write = victim.socket.write.bind(victim.socket);
  victim.socket.write = ((chunk: Uint8Array) => {
    said.push(Buffer.from(chunk));
    return write(chunk);
  }) as typeof victim.socket.write;
  await victim.handshake();
  const recorded = Buffer.concat(said);
  t.is(recorded.length, KKT + MESSAGE_1);
  for (let i = 0; i < 8; i++) {
    const replayer = await dial();
    replayer.socket.write(recorded);
    await replayer.closed;
    t.is(replayer.received, KKT_RESPONSE, 'no message 2');
  }
  t.is(gateway.nym?.acceptor.counts.drops.index_in_use, 8);
  t.like(await victim.register(initial(key32())), { kind: 'completed' });
  await until(() => gateway.admission.sessions === 1, 'the others have given their places back');
  victim.socket.destroy();
  await until(() => gateway.nym?.acceptor.sessions === 0, 'the victim has gone');
  const late = await dial();
  late.socket.write(recorded);
  while (late.received < ESTABLISHED) await new Promise((resolve) => setImmediate(resolve));
  t.is(gateway.nym?.acceptor.sessions, 1, 'whoever has no keys may have a session that he cannot use');
});

test('arbitrary bytes at every stage, in whatever pieces, end the connection and nothing else', async (t) => {
  const world = await startNym(t, { set: ['limits.handshakes_per_address=100000', 'limits.handshake_burst=100000'] });
  const { gateway, dial, meet } = world;
  const keeper = await meet();
  const stage = fc.constantFrom('start', 'message 1', 'session');
  await fc.assert(
    fc.asyncProperty(
      stage,
      fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
      fc.nat(2_999),
      async (at, bytes, cut) => {
        const client = await dial();
        if (at === 'message 1') await message1Of(client);
        else if (at === 'session') await client.handshake();
        client.socket.write(bytes.subarray(0, cut));
        client.socket.write(bytes.subarray(cut));
        client.socket.end();
        await client.closed;
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
  t.like(await keeper.register(initial(key32())), { kind: 'completed' });
  await until(() => gateway.nym?.acceptor.open === 1 && gateway.admission.sessions === 1, 'nothing is left of them');
  t.true(gateway.hosts.every(({ epoch }) => epoch === 0));
});
