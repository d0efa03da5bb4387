/** One connection without a network: its ages (§4.5), the framing of replies, and what it does with a client that does not read. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import test from 'ava';
import { Admission } from '../../src/gateway/admission.ts';
import { Connection } from '../../src/gateway/connection.ts';
import { acceptorOptionsOf, admissionLimitsOf } from '../../src/gateway/options.ts';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { configOf } from '../support/test-gateway.ts';

const { timeouts } = acceptorOptionsOf(configOf());
const KIB = 1_024;

/** Takes nothing off its writer's hands until `read`. */
class DeafSocket extends Duplex {
  readonly written: Buffer[] = [];
  paused = false;
  private waiting: (() => void)[] = [];

  override _write(chunk: Buffer, _: string, taken: () => void): void {
    this.written.push(chunk);
    this.waiting.push(taken);
  }

  override _read(): void {}

  override pause(): this {
    this.paused = true;
    return this;
  }

  override resume(): this {
    this.paused = false;
    return this;
  }

  /** The other side reads everything. */
  async taken(): Promise<void> {
    while (this.waiting.length > 0) {
      this.waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get bytes(): Buffer {
    return Buffer.concat(this.written);
  }
}

interface Line {
  readonly connection: Connection;
  readonly socket: DeafSocket;
  readonly packets: Uint8Array[];
}

/** `hold`: every packet makes the connection stop. */
function line(hold = false): Line {
  const socket = new DeafSocket();
  const source = new Admission(admissionLimitsOf(configOf()), 1).connect('10.0.0.1', 0)!;
  const packets: Uint8Array[] = [];
  const sink = {
    admit: () => true,
    packet: (packet: Uint8Array) => {
      connection.packetTaken();
      packets.push(packet.slice());
      if (hold) connection.hold();
    },
  };
  const connection: Connection = new Connection(1, socket as unknown as Socket, source, sink, 0);
  return { connection, socket, packets };
}

const packet = (fill: number, length = 34) => new Uint8Array(length).fill(fill);
const frame = (fill: number, length = 34) => encodeFrames('be16', [packet(fill, length)]);
/** As it lies in a batch: BE16 length and packet. */
const reply = frame;

interface Case {
  readonly title: string;
  readonly events: (connection: Connection) => void;
  /** When it is not yet due, when it is, and as what. */
  readonly notAt: number;
  readonly at: number;
  readonly as: string;
}

const CASES: readonly Case[] = [
  {
    title: 'without any byte: 30 s after its start',
    events: () => undefined,
    notAt: 29_999,
    at: 30_000,
    as: 'unproven',
  },
  {
    title: 'with packets that were not valid: 30 s after its start',
    events: (c) => {
      for (const at of [1_000, 20_000, 29_000]) {
        c.read(frame(1), at);
        c.other(at);
      }
    },
    notAt: 29_999,
    at: 30_000,
    as: 'unproven',
  },
  {
    title: 'with one byte of a frame: 10 s after it',
    events: (c) => c.read(frame(1).subarray(0, 1), 3_000),
    notAt: 12_999,
    at: 13_000,
    as: 'frame_timeout',
  },
  {
    title: 'with a frame that trickles in: 10 s after its first byte',
    events: (c) => {
      for (let i = 0; i < 9; i++) c.read(frame(1).subarray(i, i + 1), 3_000 + i * 1_000);
    },
    notAt: 12_999,
    at: 13_000,
    as: 'frame_timeout',
  },
  {
    title: 'with a frame that begins in the read that completes another: 10 s after that read',
    events: (c) => {
      c.read(frame(1).subarray(0, 10), 0);
      c.read(Buffer.concat([frame(1).subarray(10), frame(2).subarray(0, 5)]), 9_000);
    },
    notAt: 18_999,
    at: 19_000,
    as: 'frame_timeout',
  },
  {
    title: 'with a valid packet and only others since: 30 s after the valid one',
    events: (c) => {
      c.valid(10_000);
      for (let at = 11_000; at < 40_000; at += 1_000) {
        c.read(frame(1), at);
        c.other(at);
      }
    },
    notAt: 39_999,
    at: 40_000,
    as: 'unproven',
  },
  {
    title: 'with a valid packet, silence, and a packet that nobody has found valid: 10 s after that one',
    events: (c) => {
      c.valid(10_000);
      c.read(frame(1), 200_000);
      c.other(200_000);
      c.other(209_000);
    },
    notAt: 209_999,
    at: 210_000,
    as: 'unproven',
  },
  {
    title: 'with a valid packet, silence, and another valid one: 300 s after that',
    events: (c) => {
      c.valid(10_000);
      c.read(frame(1), 200_000);
      c.other(200_000);
      c.valid(200_001);
    },
    notAt: 500_000,
    at: 500_001,
    as: 'idle',
  },
  {
    title: 'with a valid packet and silence: 300 s after it',
    events: (c) => {
      c.read(frame(1), 9_999);
      c.other(9_999);
      c.valid(10_000);
    },
    notAt: 309_999,
    at: 310_000,
    as: 'idle',
  },
  {
    title: 'that waits for room in its shard: not for its frames, but after 300 s of silence',
    events: (c) => {
      c.read(Buffer.concat([frame(1), frame(2).subarray(0, 5)]), 1_000);
      c.hold();
    },
    notAt: 300_999,
    at: 301_000,
    as: 'idle',
  },
];

for (const { title, events, notAt, at, as } of CASES) {
  test(`a connection closes ${title}`, (t) => {
    const { connection } = line();
    events(connection);
    t.is(connection.overdue(notAt, timeouts), undefined);
    t.is(connection.overdue(at, timeouts), as as never);
  });
}

test('a frame whose beginning waited with the connection has its 10 s from when that is read on', (t) => {
  const { connection, packets } = line(true);
  connection.valid(0);
  connection.read(Buffer.concat([frame(1), frame(2).subarray(0, 5)]), 1_000);
  t.is(packets.length, 1);
  connection.resume();
  t.is(connection.overdue(20_000, timeouts), undefined);
  t.is(connection.overdue(29_999, timeouts), undefined);
  t.is(connection.overdue(30_000, timeouts), 'frame_timeout');
});

test('a held connection hands out no further packet; resumed, it goes on in order', (t) => {
  const { connection, socket, packets } = line(true);
  connection.read(Buffer.concat([frame(1), frame(2), frame(3)]), 0);
  t.deepEqual([packets.length, socket.paused], [1, true]);
  connection.resume();
  t.deepEqual([packets.length, socket.paused], [2, true]);
  connection.hold();
  connection.resume();
  t.is(packets.length, 2, 'another reason to hold stands');
  connection.resume();
  connection.resume();
  t.deepEqual([packets.map((p) => p[0]), socket.paused], [[1, 2, 3], false]);
});

test('a broken stream shows when a held connection goes on', (t) => {
  const { connection } = line(true);
  connection.read(Buffer.concat([frame(1), Uint8Array.of(0, 1)]), 0);
  t.false(connection.resume());
});

for (const framing of ['be16', 'be32'] as const) {
  test(`replies and hints have the framing of the first frame: ${framing}`, async (t) => {
    const { connection, socket } = line();
    connection.read(encodeFrames(framing, [packet(1)]), 0);
    t.true(connection.reply(reply(7)));
    t.false(connection.reply(reply(8, 60)));
    t.is(socket.written.length, 0, 'nothing leaves before the batch is read');
    t.true(connection.flush());
    t.true(connection.sendPacket(packet(9)));
    await socket.taken();
    t.deepEqual(socket.bytes, Buffer.from(encodeFrames(framing, [packet(7), packet(8, 60), packet(9)])));
  });
}

test('a client that does not read is read no further beyond 256 KiB of replies, and again when they are gone', async (t) => {
  const { connection, socket } = line();
  connection.reply(reply(1, 60_000));
  connection.flush();
  t.false(socket.paused);
  for (let i = 0; i < 5; i++) connection.reply(reply(1, 60_000));
  t.true(connection.flush());
  t.true(socket.paused);
  connection.reply(reply(1));
  t.true(connection.flush());
  await socket.taken();
  t.false(socket.paused);
});

test('beyond 4 MiB of unsent replies a connection is to be closed', (t) => {
  const { connection } = line();
  let sent = 0;
  let open = true;
  while (open && sent < 100 * KIB * KIB) {
    connection.reply(reply(1, 60_000));
    sent += 60_002;
    open = connection.flush();
  }
  t.true(sent > 4 * KIB * KIB && sent < 5 * KIB * KIB, `${sent} bytes`);
});

test('hints to a client that does not read are bounded like replies', (t) => {
  const { connection, socket } = line();
  let sent = 0;
  while (!socket.paused && sent < 10 * KIB * KIB) {
    t.true(connection.sendPacket(packet(1, 1_000)));
    sent += 1_002;
  }
  t.true(sent > 256 * KIB && sent < 300 * KIB, `${sent} bytes`);
  let open = true;
  while (open && sent < 10 * KIB * KIB) {
    open = connection.sendPacket(packet(1, 1_000));
    sent += 1_002;
  }
  t.true(sent > 4 * KIB * KIB && sent < 5 * KIB * KIB, `${sent} bytes`);
});

test('a closed connection writes nothing', (t) => {
  const { connection, socket } = line();
  connection.reply(reply(1));
  connection.destroy();
  t.true(connection.flush());
  t.false(connection.reply(reply(2)));
  t.true(connection.sendPacket(packet(3)));
  t.is(socket.written.length, 0);
});

test('eight refusals within 250 ms make a connection rest, unread, until it is told', (t) => {
  const { connection, socket, packets } = line();
  for (let i = 0; i < 7; i++) t.false(connection.refused(i));
  t.false(connection.refused(250), 'it begins anew');
  for (let i = 0; i < 6; i++) t.false(connection.refused(251));
  t.true(connection.refused(252));
  t.false(connection.refused(253), 'told once');
  t.true(socket.paused);
  connection.read(frame(1), 254);
  t.is(packets.length, 1, 'what was read already is cut, and judged by its header');
  t.true(connection.rested());
  t.false(socket.paused);
});

test('frames that are passed over weigh by their bytes', (t) => {
  const { connection } = line();
  t.false(connection.refused(0, 40_000));
  t.true(connection.refused(0, 40_000));
});

test('a share of a batch is used up at 256 KiB and whole again in the next', (t) => {
  const { connection } = line();
  const used = Array.from({ length: 5 }, () => connection.useShare(1, 60_000));
  t.deepEqual(used, [false, false, false, false, true]);
  t.false(connection.useShare(2, 60_000));
});

interface NoAnswerCase {
  readonly title: string;
  readonly framing?: 'be16' | 'be32';
  /** What happens, in order: packets that come, replies, and packets that get no answer. */
  readonly events: readonly ('packet' | 'beginning' | 'reply' | 'busy' | 'none' | 'failed')[];
  readonly ends: boolean;
}

const NO_ANSWER: readonly NoAnswerCase[] = [
  { title: 'its only packet gets no answer', events: ['packet', 'none'], ends: true },
  { title: 'its only packet has failed', events: ['packet', 'failed'], ends: true },
  { title: 'its only packet was answered', events: ['packet', 'reply'], ends: false },
  { title: 'one of two packets gets no answer', events: ['packet', 'packet', 'none'], ends: false },
  { title: 'none of two packets gets an answer', events: ['packet', 'packet', 'none', 'none'], ends: false },
  { title: 'a packet after an answered one gets none', events: ['packet', 'reply', 'packet', 'none'], ends: false },
  { title: 'a packet after an answered one has failed', events: ['packet', 'reply', 'packet', 'failed'], ends: true },
  { title: 'one of two packets has failed and the other waits', events: ['packet', 'packet', 'failed'], ends: false },
  {
    title: 'one of two packets has failed and the other is answered then',
    events: ['packet', 'packet', 'failed', 'reply'],
    ends: true,
  },
  {
    title: 'one of two packets was told Busy and the other has failed',
    events: ['packet', 'busy', 'packet', 'failed'],
    ends: true,
  },
  {
    title: 'one of two packets has failed and the other gets no answer either',
    events: ['packet', 'packet', 'failed', 'none'],
    ends: true,
  },
  {
    title: 'its first packet gets no answer and a second one has begun',
    events: ['packet', 'beginning', 'none'],
    ends: false,
  },
  { title: 'a packet has failed and a further one has begun', events: ['packet', 'beginning', 'failed'], ends: false },
  { title: "it is LP2's and its only packet gets no answer", framing: 'be16', events: ['packet', 'none'], ends: false },
  { title: "it is LP2's and its only packet has failed", framing: 'be16', events: ['packet', 'failed'], ends: false },
  { title: 'nothing has come yet', events: ['none'], ends: false },
];

for (const { title, framing = 'be32', events, ends } of NO_ANSWER) {
  test(`a connection ${ends ? 'ends' : 'does not end'} when ${title}`, (t) => {
    const { connection } = line();
    let due = false;
    for (const event of events) {
      if (event === 'packet') connection.read(encodeFrames(framing, [packet(1)]), 0);
      else if (event === 'beginning') connection.read(encodeFrames(framing, [packet(1)]).subarray(0, 20), 0);
      else if (event === 'reply') due = connection.reply(reply(7)) || due;
      else if (event === 'busy') connection.sendPacket(packet(9));
      else due = connection.noAnswer(event === 'failed') || due;
    }
    t.true(connection.flush());
    t.is(connection.finished, ends);
    t.true(due || !ends, 'whoever reads the batch learns that it is to be settled');
  });
}

test('a connection does not end for its only packet while a frame behind it is held back', (t) => {
  const { connection, packets } = line(true);
  connection.read(encodeFrames('be32', [packet(1), packet(2)]), 0);
  t.is(packets.length, 1);
  t.false(connection.noAnswer(false));
  t.false(connection.finished);
});

test('an ended connection sends its replies, throws away what still comes, and has 10 s to close', async (t) => {
  const { connection, socket, packets } = line();
  connection.read(encodeFrames('be32', [packet(1)]), 0);
  connection.hold();
  connection.reply(reply(7));
  connection.noAnswer(true);
  connection.flush();
  t.true(connection.finished);
  connection.end();
  t.false(connection.finished);
  t.is(socket.paused, false);
  t.true(connection.read(encodeFrames('be32', [packet(2)]), 1));
  t.is(packets.length, 1);
  const ended = new Promise((resolve) => socket.once('finish', resolve));
  await socket.taken();
  await ended;
  t.deepEqual(socket.bytes, Buffer.from(encodeFrames('be32', [packet(7)])));
  t.false(connection.lingers(5_000, timeouts));
  t.false(connection.lingers(14_999, timeouts));
  t.true(connection.lingers(15_000, timeouts));
});
