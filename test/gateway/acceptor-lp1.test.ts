/**
 * The acceptor with LP1 admitted: where its hellos go, which lane its packets take, and packets that are held back until
 * the batches before them are through. Real loopback sockets; the shards are the test's, which finishes batches one by one.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { Acceptor } from '../../src/gateway/acceptor.ts';
import { Admission } from '../../src/gateway/admission.ts';
import { KeyedHash } from '../../src/gateway/keyed-hash.ts';
import { Mailbox } from '../../src/gateway/mailbox.ts';
import { acceptorOptionsOf, admissionLimitsOf, mailboxLimitsOf } from '../../src/gateway/options.ts';
import { Router } from '../../src/gateway/router.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { encodeClientHello } from '../../src/lp/wire/message.ts';
import { encodeUnsealed, receiverIndex, TYPE, VERSION_1, VERSION_2 } from '../../src/lp/wire/packet.ts';
import { ADMIT, readInbound } from '../../src/shard/messages.ts';
import { configOf, until } from '../support/test-gateway.ts';
import { SteppedTimers } from './forward/stepped-timers.ts';

const SHARDS = 4;
const EMPTY = new Uint8Array(0);
const HASH_KEY = Uint8Array.from({ length: 8 }, (_, i) => i);
const FULL = { queuedHandshakes: 0 };

interface Delivered {
  readonly shard: number;
  readonly index: number;
  readonly flags: number;
}

/** A shard of the test: its batches are under way until `finish`. */
class HeldShard {
  readonly mailbox: Mailbox;
  private release: (() => void) | undefined;

  constructor(shard: number, delivered: Delivered[], limits: { queuedHandshakes?: number }) {
    const timers = new SteppedTimers();
    this.mailbox = new Mailbox(
      { ...mailboxLimitsOf(configOf()), batches: 1, ...limits },
      {
        now: () => ({ monotonicMs: 0, unixMs: 0 }),
        after: (ms, action) => timers.after(ms, action),
        crowded: () => false,
        gone: () => false,
        run: (batch) => {
          readInbound(batch, {
            packet: ({ flags }, packet) => delivered.push({ shard, index: receiverIndex(packet), flags }),
            tick: () => undefined,
            answer: () => undefined,
            kemKey: () => undefined,
            reserve: () => undefined,
            unreserve: () => undefined,
          });
          return new Promise((resolve) => {
            this.release = () => resolve(new Uint8Array(8));
          });
        },
        done: () => this.onDone(),
        failed: () => undefined,
      },
    );
    this.mailbox.open();
  }

  onDone: () => void = () => undefined;

  get underWay(): boolean {
    return this.release !== undefined;
  }

  /** Something is in the lane and under way. */
  async occupy(): Promise<void> {
    this.mailbox.tick();
    await until(() => this.underWay, 'a batch has left');
  }

  finish(): void {
    const { release } = this;
    this.release = undefined;
    release?.();
  }
}

interface Bench {
  readonly acceptor: Acceptor;
  readonly router: Router;
  readonly shards: readonly HeldShard[];
  readonly delivered: Delivered[];
  /** A connection with BE32 framing. */
  connect(): Promise<Client>;
}

class Client {
  readonly socket: Socket;
  readonly packets: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    const cutter = new FrameCutter({ admit: () => true, packet: (packet) => this.packets.push(packet.slice()) });
    socket.on('data', (chunk: Buffer) => cutter.push(Uint8Array.from(chunk)));
  }

  send(...packets: Uint8Array[]): void {
    this.socket.write(encodeFrames('be32', packets));
  }
}

async function start(t: ExecutionContext, lp1 = true, limits: { queuedHandshakes?: number } = {}): Promise<Bench> {
  const config = configOf();
  const delivered: Delivered[] = [];
  const router = new Router(SHARDS, new KeyedHash(HASH_KEY));
  const shards = Array.from({ length: SHARDS }, (_, shard) => new HeldShard(shard, delivered, limits));
  const acceptor = new Acceptor(
    { ...acceptorOptionsOf(config), lp1 },
    {
      admission: new Admission(admissionLimitsOf(config), SHARDS),
      router,
      mailbox: (shard) => shards[shard]!.mailbox,
      nowMs: () => 0,
      after: () => () => undefined,
    },
  );
  const port = await acceptor.listen('127.0.0.1', 0);
  t.teardown(() => acceptor.close('destroy'));
  const open = async () => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    return new Client(socket);
  };
  return { acceptor, router, shards, delivered, connect: open };
}

function hello(index: number, version: number = VERSION_1): Uint8Array {
  const content = encodeClientHello({ handshakeIndex: index, salt: new Uint8Array(32) });
  return encodeUnsealed(0, 0, TYPE.clientHello, content, version);
}

/** What a sealed packet looks like from outside. */
function sealed(index: number, counter: number, length = 40): Uint8Array {
  const packet = encodeUnsealed(index, counter, 0, new Uint8Array(length - 34), 0);
  return packet.fill(0xee, 12);
}

const arrived = ({ delivered }: Bench, n: number) => until(() => delivered.length >= n, `${n} packets are delivered`);

/** An index that neither slot nor hash gives to the shard. */
function foreignTo(router: Router, shard: number, from: number): number {
  for (let index = from; ; index++) if (router.shardOf(index) !== shard) return index;
}

for (const index of [77, 0x8000_0077, 0xffff_ff00]) {
  test(`an LP1 hello for 0x${index.toString(16)} goes where the hash says and is routed ahead as a handshake`, async (t) => {
    const bench = await start(t);
    const place = new KeyedHash(HASH_KEY).of(index) % SHARDS;
    const client = await bench.connect();
    client.send(hello(index), encodeUnsealed(index, 1, TYPE.handshake, EMPTY, VERSION_1));
    await arrived(bench, 2);
    t.deepEqual(bench.delivered, [
      { shard: place, index: 0, flags: ADMIT.record },
      { shard: place, index, flags: ADMIT.token | ADMIT.session },
    ]);
    t.deepEqual([bench.router.knows(index), bench.router.isLive(index)], [true, false]);
    t.is(bench.acceptor.counts.heldBack, 0);
  });
}

test('an LP1 hello for 0 is routed ahead nowhere; one for a live index leaves it live and goes to its shard', async (t) => {
  const bench = await start(t);
  const client = await bench.connect();
  const index = foreignTo(bench.router, 1, 1_000);
  bench.router.add(1, index, true);
  client.send(hello(0), hello(index));
  await arrived(bench, 2);
  t.false(bench.router.knows(0));
  t.true(bench.router.isLive(index));
  t.true(bench.delivered.some(({ shard, index: to }) => shard === 1 && to === 0));
});

for (const lp1 of [true, false]) {
  const title = lp1 ? 'LP2 hello with LP1 admitted' : 'LP1 hello without LP1';
  test(`an ${title} goes by slot for an index with bit 31 and is not routed ahead for it`, async (t) => {
    const bench = await start(t, lp1);
    const client = await bench.connect();
    const version = lp1 ? VERSION_2 : VERSION_1;
    const index = foreignTo(bench.router, new KeyedHash(HASH_KEY).of(0x8000_0001) % SHARDS, 0x8000_0001);
    client.send(hello(index, version), hello(78, version));
    await arrived(bench, 2);
    t.true(bench.delivered.some(({ shard }) => shard === (index & 0xff) % SHARDS));
    t.deepEqual([bench.router.knows(index), bench.router.knows(78)], [false, true]);
  });
}

const LANES: readonly {
  title: string;
  packet: (index: number) => Uint8Array;
  flags: number;
  lane: 'first' | 'second';
}[] = [
  { title: 'a sealed H3', packet: (index) => sealed(index, 2), flags: 0, lane: 'first' },
  {
    title: 'an H1',
    packet: (index) => encodeUnsealed(index, 1, TYPE.handshake, EMPTY, VERSION_1),
    flags: ADMIT.token | ADMIT.session,
    lane: 'second',
  },
  {
    title: 'a KKTRequest of LP1',
    packet: (index) => encodeUnsealed(index, 0, TYPE.kktRequest, EMPTY, VERSION_1),
    flags: ADMIT.token,
    lane: 'second',
  },
  {
    title: 'a KKTRequest of LP2',
    packet: (index) => encodeUnsealed(index, 0, TYPE.kktRequest, EMPTY, VERSION_2),
    flags: 0,
    lane: 'second',
  },
];

for (const { title, packet, flags, lane } of LANES) {
  for (const index of [77, 0x8000_0077]) {
    test(`${title} on handshake index 0x${index.toString(16)} takes the ${lane === 'first' ? 'sessions' : 'handshakes'}' lane`, async (t) => {
      const bench = await start(t);
      const shard = bench.router.place(index);
      bench.router.add(shard, index, false);
      const { mailbox } = bench.shards[shard]!;
      await bench.shards[shard]!.occupy();
      const client = await bench.connect();
      client.send(packet(index));
      await until(() => mailbox.queuedPackets + mailbox.queuedHandshakes === 1, 'it waits');
      t.is(mailbox.queuedPackets, lane === 'first' ? 1 : 0);
      bench.shards[shard]!.finish();
      await arrived(bench, 1);
      t.deepEqual(bench.delivered, [{ shard, index, flags }]);
    });
  }
}

test('the limits of handshakes hold for a handshake index with bit 31, and not for a session without', async (t) => {
  const bench = await start(t);
  bench.router.add(0, 0x8000_0000, false);
  bench.router.add(1, 7, true);
  const client = await bench.connect();
  client.send(sealed(0x8000_0000, 3), sealed(0x8000_0000, 2, 2_049), sealed(7, 1_000, 65_535));
  await arrived(bench, 1);
  t.deepEqual(bench.delivered, [{ shard: 1, index: 7, flags: 0 }]);
  t.is(bench.acceptor.counts.drops.length, 2);
});

const REFUSED: readonly { title: string; packet: Uint8Array; index: number }[] = [
  { title: 'hello', packet: hello(77), index: 77 },
  { title: 'H1', packet: encodeUnsealed(78, 1, TYPE.handshake, EMPTY, VERSION_1), index: 78 },
  { title: 'KKTRequest', packet: encodeUnsealed(78, 0, TYPE.kktRequest, EMPTY, VERSION_1), index: 78 },
];

for (const { title, packet, index } of REFUSED) {
  test(`beyond the bound of queued handshakes an LP1 ${title} gets LP1's empty Busy`, async (t) => {
    const bench = await start(t, true, FULL);
    bench.router.add(bench.router.place(78), 78, false);
    const client = await bench.connect();
    client.send(packet);
    await until(() => client.packets.length === 1, 'it is told');
    t.deepEqual(client.packets[0], encodeUnsealed(index, 0, TYPE.busy, EMPTY, VERSION_1));
    t.is(bench.acceptor.counts.busy, 1);
  });
}

test('a packet for an index that a batch before it brings is held back and then taken, also when it is long', async (t) => {
  const bench = await start(t);
  const [, , shard, other] = bench.shards;
  await shard!.occupy();
  await other!.occupy();
  const client = await bench.connect();
  const index = foreignTo(bench.router, 2, 500);
  client.send(sealed(index, 0, 5_000), sealed(index, 1));
  await until(() => bench.acceptor.counts.heldBack === 1, 'it waits');
  let granted = false;
  shard!.onDone = () => {
    granted ||= bench.router.claim(2, index);
  };
  shard!.finish();
  await until(() => granted, 'the batch was read');
  t.is(bench.delivered.length, 0, 'the other shard has not finished what was before it');
  other!.finish();
  await arrived(bench, 1);
  shard!.finish();
  await arrived(bench, 2);
  t.deepEqual(bench.delivered, [
    { shard: 2, index, flags: 0 },
    { shard: 2, index, flags: 0 },
  ]);
  t.is(bench.acceptor.counts.heldBack, 1);
  t.deepEqual(bench.acceptor.counts.drops, {});
});

test('a packet whose index is unknown after the wait too is skipped, and the connection goes on', async (t) => {
  const bench = await start(t);
  bench.router.add(1, 9, true);
  await bench.shards[0]!.occupy();
  const client = await bench.connect();
  // In pieces, so that it waits in parts; the known one comes behind it.
  const stream = encodeFrames('be32', [sealed(500, 0, 300), sealed(9, 0)]);
  client.socket.write(stream.subarray(0, 100));
  await until(() => bench.acceptor.counts.heldBack === 1, 'it waits');
  client.socket.write(stream.subarray(100));
  await bench.shards[3]!.occupy();
  t.is(bench.acceptor.counts.drops.unknown_index, undefined);
  bench.shards[0]!.finish();
  await arrived(bench, 1);
  t.deepEqual(bench.delivered, [{ shard: 1, index: 9, flags: 0 }]);
  t.deepEqual(bench.acceptor.counts.drops, { unknown_index: 1 });
  t.is(bench.acceptor.counts.heldBack, 1, 'what came after it was put into the lane is not waited for');
});

test('each unknown frame waits once, and none does when nothing is under way', async (t) => {
  const bench = await start(t);
  const client = await bench.connect();
  client.send(sealed(500, 0), sealed(501, 0));
  await until(() => bench.acceptor.counts.drops.unknown_index === 2, 'both are skipped');
  t.is(bench.acceptor.counts.heldBack, 0);
  await bench.shards[0]!.occupy();
  client.send(sealed(502, 0), sealed(503, 0));
  await until(() => bench.acceptor.counts.heldBack === 1, 'the first one waits');
  bench.shards[0]!.mailbox.tick();
  bench.shards[0]!.finish();
  await until(() => bench.acceptor.counts.heldBack === 2, 'the second one waits for the tick that has come since');
  t.is(bench.acceptor.counts.drops.unknown_index, 3);
  bench.shards[0]!.finish();
  await until(() => bench.acceptor.counts.drops.unknown_index === 4, 'both are skipped');
});

test('a connection that ends while it is held back breaks nothing', async (t) => {
  const bench = await start(t);
  await bench.shards[0]!.occupy();
  const client = await bench.connect();
  client.send(sealed(500, 0));
  await until(() => bench.acceptor.counts.heldBack === 1, 'it waits');
  bench.acceptor.drop(bench.acceptor.connection(1)!, 'idle');
  await until(() => bench.acceptor.open === 0, 'it is gone');
  bench.shards[0]!.finish();
  bench.router.add(1, 9, true);
  const another = await bench.connect();
  another.send(sealed(9, 0));
  await arrived(bench, 1);
  t.deepEqual(bench.acceptor.counts.drops, {});
});

test('a shard that is lost lets go of the connections that wait for it', async (t) => {
  const bench = await start(t);
  await bench.shards[0]!.occupy();
  const client = await bench.connect();
  client.send(sealed(500, 0));
  await until(() => bench.acceptor.counts.heldBack === 1, 'it waits');
  bench.shards[0]!.mailbox.close();
  await until(() => bench.acceptor.counts.drops.unknown_index === 1, 'it is skipped');
  t.is(bench.acceptor.open, 1);
});

test('without LP1 nothing is held back', async (t) => {
  const bench = await start(t, false);
  await bench.shards[0]!.occupy();
  const client = await bench.connect();
  client.send(sealed(500, 0));
  await until(() => bench.acceptor.counts.drops.unknown_index === 1, 'it is skipped');
  t.is(bench.acceptor.counts.heldBack, 0);
});

test('a connection whose only packet gets no answer is ended, and closed 10 s later if its client does not close', async (t) => {
  const bench = await start(t);
  bench.router.add(1, 9, true);
  const client = await bench.connect();
  client.socket.allowHalfOpen = true;
  client.send(sealed(9, 0));
  await arrived(bench, 1);
  const connection = bench.acceptor.connection(1)!;
  t.true(connection.noAnswer(false));
  bench.acceptor.settle(connection);
  await once(client.socket, 'end');
  t.is(bench.acceptor.counts.closed.no_answer, 1);
  client.send(sealed(9, 1));
  bench.acceptor.sweep(1_000);
  t.is(bench.acceptor.open, 1);
  bench.acceptor.sweep(11_000);
  await until(() => bench.acceptor.open === 0, 'it is closed');
  t.deepEqual([bench.delivered.length, bench.acceptor.counts.closed.peer], [1, 0]);
});
