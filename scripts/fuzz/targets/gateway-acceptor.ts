/**
 * The acceptor with sockets that are none: connections, framing, headers, router and admission on hostile streams. However a
 * stream is cut, and whenever lanes are full, the same packets go to the same shards with the same reservations, and the same
 * drops are counted; what is held of a frame is bounded; replies come out as whole frames. Input: options, chunks, stream.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { Acceptor } from '../../../src/gateway/acceptor.ts';
import { Admission } from '../../../src/gateway/admission.ts';
import { KeyedHash } from '../../../src/gateway/keyed-hash.ts';
import type { Mailbox } from '../../../src/gateway/mailbox.ts';
import { acceptorOptionsOf, admissionLimitsOf } from '../../../src/gateway/options.ts';
import { Router } from '../../../src/gateway/router.ts';
import { encodeFrames, FrameCutter } from '../../../src/lp/wire/framing.ts';
import { encodeClientHello, encodeKktRequest, encodeSalt } from '../../../src/lp/wire/message.ts';
import { encodeUnsealed, TYPE } from '../../../src/lp/wire/packet.ts';
import { loadConfig } from '../../../src/ops/config/index.ts';
import type { PacketEnvelope } from '../../../src/shard/messages.ts';
import { words } from '../arbitraries.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle, sameValue } from '../target.ts';

const SHARDS = 2;
const SESSIONS = [0x8000_0001, 0x8000_0002, 0xffff_ff03] as const;
const HANDSHAKES = [77, 78, 0x7fff_ffff] as const;
/** An LP1 session below 2³¹. */
const ODD_SESSION = 4_711;
const MAX_TURNS = 4_000;

class FakeSocket extends EventEmitter {
  readonly remoteAddress = '192.0.2.7';
  readonly written: Uint8Array[] = [];
  writableLength = 0;
  paused = false;
  ended = false;

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes.slice());
    return true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
    this.emit('close');
  }
}

/** Takes packets down; the tape says when a lane is full, and `turn` makes room again. */
class FakeMailbox {
  readonly filledBatch = 0;
  readonly #shard: number;
  readonly #log: unknown[];
  readonly #full: () => boolean;
  waiting: (() => void)[] = [];

  constructor(shard: number, log: unknown[], full: () => boolean) {
    this.#shard = shard;
    this.#log = log;
    this.#full = full;
  }

  get settled(): boolean {
    return this.waiting.length === 0 && !this.#full();
  }

  retryAfter(): number {
    return 1;
  }

  offerHandshake(envelope: PacketEnvelope, packet: Uint8Array): boolean {
    this.#note('handshake', envelope, packet);
    return packet[packet.length - 1] !== 0x77;
  }

  offerTransport(envelope: PacketEnvelope, packet: Uint8Array, isH3: boolean): boolean {
    this.#note(isH3 ? 'h3' : 'live', envelope, packet);
    return !this.#full();
  }

  whenRoom(resume: () => void): void {
    this.waiting.push(resume);
  }

  whenBatchLeaves(resume: () => void): void {
    this.waiting.push(resume);
  }

  whenSettled(settled: () => void): void {
    this.waiting.push(settled);
  }

  turn(): boolean {
    const { waiting } = this;
    this.waiting = [];
    for (const resume of waiting) resume();
    return waiting.length > 0;
  }

  #note(lane: string, { source, flags }: PacketEnvelope, packet: Uint8Array): void {
    this.#log.push([this.#shard, lane, source, flags, packet.slice()]);
  }
}

const config = loadConfig({ set: ['gateway.min_protocol_version=1'], listen: [] });
if (!config.ok) throw new Error('assertion: the default configuration is sound');
const OPTIONS = acceptorOptionsOf(config.config);
const LIMITS = admissionLimitsOf(config.config);

interface Outcome {
  readonly log: readonly unknown[];
  readonly drops: unknown;
  readonly broken: number;
  readonly written: Uint8Array;
  readonly framing: string | undefined;
  /** It sent too much that was refused: what is dropped then depends on how much had been read. */
  readonly rested: boolean;
}

/** Streams come in pieces of these sizes; `full` says whether a lane is full. */
function play(stream: Uint8Array, lp1: boolean, sizes: () => number, full: () => boolean): Outcome {
  const log: unknown[] = [];
  const mailboxes = Array.from({ length: SHARDS }, (_, shard) => new FakeMailbox(shard, log, full));
  const router = new Router(SHARDS, new KeyedHash(new Uint8Array(8).fill(3)));
  for (const index of SESSIONS) router.add(router.shardOf(index), index, true);
  for (const index of HANDSHAKES) router.add(router.shardOf(index), index, false);
  if (lp1) router.add(1, ODD_SESSION, true);
  const timers: (() => void)[] = [];
  let rested = false;
  const acceptor = new Acceptor(
    { ...OPTIONS, lp1 },
    {
      admission: new Admission({ ...LIMITS, burst: 6, recordsPerSource: 5, sessionsPerSource: 4 }, SHARDS),
      router,
      mailbox: (shard) => mailboxes[shard] as unknown as Mailbox,
      nowMs: () => 1_000,
      after: (_ms, action) => {
        timers.push(action);
        rested = true;
        return () => undefined;
      },
    },
  );
  const turn = () => {
    const due = timers.splice(0);
    for (const action of due) action();
    return mailboxes.map((mailbox) => mailbox.turn()).includes(true) || due.length > 0;
  };
  const socket = new FakeSocket();
  (acceptor as unknown as { accept(socket: Socket): void }).accept(socket as unknown as Socket);
  let framing: string | undefined;
  for (let at = 0, turns = 0; at < stream.length && !socket.ended; turns++) {
    oracle(turns < MAX_TURNS, 'a held connection is read on in the end');
    if (socket.paused) {
      oracle(turn(), 'whoever holds a connection has somebody to resume it');
      continue;
    }
    const size = sizes();
    socket.emit('data', Buffer.from(stream.subarray(at, at + size)));
    at += size;
    framing = checkConnection(acceptor) ?? framing;
  }
  for (let turns = 0; turn(); turns++) {
    oracle(turns < MAX_TURNS, 'what was held is read in the end');
  }
  reply(acceptor);
  return {
    log,
    drops: acceptor.counts.drops,
    broken: acceptor.counts.closed.framing,
    written: Uint8Array.from(Buffer.concat(socket.written)),
    framing,
    rested,
  };
}

interface Inside {
  readonly connections: Map<number, { readonly cutter: CutterInside }>;
}

interface CutterInside {
  readonly framing: string | undefined;
  readonly partial: Uint8Array | undefined;
  readonly filled: number;
}

function checkConnection(acceptor: Acceptor): string | undefined {
  for (const { cutter } of (acceptor as unknown as Inside).connections.values()) {
    const most = Math.max(512, 2 * cutter.filled);
    oracle(
      (cutter.partial?.length ?? 0) <= most,
      () => `${cutter.partial?.length} bytes are held for ${cutter.filled}`,
    );
    return cutter.framing;
  }
  return undefined;
}

/** One as a batch brings it; on either framing it has to come out as a frame. */
function reply(acceptor: Acceptor): void {
  for (const id of (acceptor as unknown as Inside).connections.keys()) {
    const connection = acceptor.connection(id);
    connection?.reply(encodeFrames('be16', [new Uint8Array(40)]));
    if (connection !== undefined) acceptor.settle(connection);
  }
}

function checkWritten({ written, framing }: Outcome): void {
  let packets = 0;
  const sink = { admit: () => true as const, packet: () => void packets++ };
  const cutter = new FrameCutter(sink, framing === 'be32' ? 'be32' : 'be16');
  oracle(cutter.push(written) && !cutter.midFrame, 'what is written are whole frames');
}

function run(input: Uint8Array): void {
  const lp1 = ((input[0] ?? 0) & 1) === 1;
  const control = new Tape(input.subarray(2, 2 + ((input[1] ?? 0) % 24)));
  const stream = input.subarray(2 + ((input[1] ?? 0) % 24));
  const whole = play(
    stream,
    lp1,
    () => Math.max(1, stream.length),
    () => false,
  );
  const cut = play(
    stream,
    lp1,
    () => 1 + control.below(60),
    () => control.chance(0.2),
  );
  checkWritten(whole);
  checkWritten(cut);
  oracle(cut.broken === whole.broken, 'a stream breaks however it comes');
  if (whole.rested || cut.rested) return;
  sameValue(cut.log, whole.log, 'packets however they come');
  sameValue(cut.drops, whole.drops, 'drops however they come');
}

const salt = encodeSalt(1_764_583_200, new Uint8Array(24));
const hello = (index: number) =>
  encodeUnsealed(0, 0, TYPE.clientHello, encodeClientHello({ handshakeIndex: index, salt }));
const PACKETS = [
  hello(99),
  hello(77),
  encodeUnsealed(77, 0, TYPE.kktRequest, encodeKktRequest({ kemId: 1, sessionId: new Uint8Array(16) })),
  encodeUnsealed(77, 1, TYPE.handshake, new Uint8Array(60)),
  encodeUnsealed(99, 1, TYPE.handshake, new Uint8Array(60)),
  encodeUnsealed(78, 2, TYPE.handshake, new Uint8Array(60)),
  encodeUnsealed(SESSIONS[0], 5, TYPE.encryptedData, new Uint8Array(30)),
  encodeUnsealed(SESSIONS[2], 2 ** 40, TYPE.encryptedData, new Uint8Array(600)),
  encodeUnsealed(ODD_SESSION, 9, TYPE.encryptedData, new Uint8Array(30)),
  encodeUnsealed(0xdead_beef, 0, TYPE.encryptedData, new Uint8Array(10)),
  encodeUnsealed(77, 0, TYPE.kktRequest, new Uint8Array(87), 1),
];

function seeds(): Uint8Array[] {
  const stream = (framing: 'be16' | 'be32', from: number, to: number) => encodeFrames(framing, PACKETS.slice(from, to));
  return (['be16', 'be32'] as const).flatMap((framing) =>
    [0, 4, 7].map((from) => Uint8Array.from([from, 6, 3, 40, 9, 200, 1, 30, ...stream(framing, from, from + 5)])),
  );
}

function mutate(input: Uint8Array, prng: { below(n: number): number; pick<T>(from: readonly T[]): T }): Uint8Array {
  const at = prng.below(input.length + 1);
  const framing = prng.below(3) === 0 ? 'be32' : 'be16';
  return Uint8Array.from([
    ...input.subarray(0, at),
    ...encodeFrames(framing, [prng.pick(PACKETS)]),
    ...input.subarray(at),
  ]);
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'gateway-acceptor',
    run,
    seeds,
    mutate,
    dictionary: words([0, 34], [0, 0, 0, 34], [0xff, 0xff], [77, 0, 0, 0], [1, 0, 0, 0x80], [0x77]),
    maxLength: 4_096,
    batch: 128,
    weight: 3,
  },
];
