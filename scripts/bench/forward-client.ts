/**
 * Child: handshakes with an exit through sessions with an entry, each with an echo in its H3. Arguments: `PORT IDENTITY-HEX`
 * of entry and exit. Requests: `{prepare}` opens so many sessions; `{record}` does a handshake and tells what it exchanged;
 * `{count}` does so many, `{count, handshake}` sends the Forwards of a recorded one in place of each.
 */
import type { Socket } from 'node:net';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import {
  decodeForwardResponse,
  decodeFrame,
  encodeForward,
  encodeFrame,
  FORWARD_STATUS,
  type ForwardTarget,
  KIND,
} from '../../src/lp/wire/application-frame.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { systemClock } from '../../src/system/clock.ts';
import { serve } from './children.ts';
import type { Load } from './gateway.ts';
import { ECHO_BYTES, handshake, initiatorOf } from './lp2-client.ts';

const [entryPort, entryIdentity = '', , exitIdentity = ''] = process.argv.slice(2);
const fromHex = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const crypto = await loadProvider('auto');
const entry = { crypto, port: Number(entryPort), identity: fromHex(entryIdentity) };
const exit = { crypto, identity: fromHex(exitIdentity) };
// The entry knows where the exit is.
const target: ForwardTarget = { identity: exit.identity, family: 0, ip: new Uint8Array(0), port: 0 };
const early = encodeFrame(KIND.opaque, 1, new Uint8Array(ECHO_BYTES));
const none = new Uint8Array(0);
/** One Forward of a handshake and what the exit replied. */
export interface RecordedForward {
  readonly packets: readonly Uint8Array[];
  readonly replies: readonly Uint8Array[];
}

type Request =
  | { readonly prepare: number }
  | { readonly record: true }
  | { readonly count: number; readonly handshake?: readonly RecordedForward[] };

let entryKey: KemAnnouncement | undefined;
let exitKey: KemAnnouncement | undefined;

/** A session with the entry, one Forward at a time. */
class Entry {
  private readonly socket: Socket;
  private readonly family: ClientFamily;
  private lastId = 1;
  private answered: (packets: readonly Uint8Array[]) => void = () => undefined;

  constructor(socket: Socket, family: ClientFamily) {
    this.socket = socket;
    this.family = family;
    const cutter = new FrameCutter({ admit: () => true, packet: (packet) => this.receive(packet) }, 'be16');
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
  }

  /** Each packet gets one reply. */
  forward(packets: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    this.lastId++;
    const body = encodeForward({ target, replies: packets.length, packets });
    const sealed = this.family.sealFrame(encodeFrame(KIND.forward, this.lastId, body));
    if (sealed.kind !== 'packets') throw new Error(`the session with the entry does not seal: ${sealed.kind}`);
    this.socket.write(encodeFrames('be16', sealed.packets));
    return new Promise((resolve) => {
      this.answered = resolve;
    });
  }

  private receive(packet: Uint8Array): void {
    const received = this.family.receive(packet, systemClock.now());
    if (received.kind !== 'frame') return;
    const frame = decodeFrame(received.bytes);
    const response = frame?.kind === KIND.forwardResponse ? decodeForwardResponse(frame.body) : undefined;
    if (response?.status !== FORWARD_STATUS.ok) throw new Error(`the entry does not forward: ${response?.status}`);
    this.answered(response.packets.map((each) => each.slice()));
  }
}

async function openEntry(): Promise<Entry> {
  const { socket, family, kemKey } = await handshake(entry, entryKey, none);
  entryKey = kemKey;
  return new Entry(socket, family);
}

/** A first handshake asks for the exit's KEM key before; the others are two Forwards. */
async function handshakeThrough(session: Entry): Promise<RecordedForward[]> {
  const initiator = initiatorOf(exit, exitKey, early);
  const forwards: RecordedForward[] = [];
  let step: HandshakeStep<ClientFamily> = initiator.start(systemClock.now());
  while (step.kind === 'send') {
    const { packets } = step;
    const replies = await session.forward(packets);
    forwards.push({ packets, replies });
    for (const reply of replies) step = initiator.receive(reply, systemClock.now());
  }
  if (step.kind !== 'established') throw new Error(`the handshake with the exit ends with ${step.kind}`);
  exitKey = initiator.kemKey;
  step.session.wipe();
  return forwards;
}

/** The entry cannot tell it from a new one: to it the packets are bytes. */
async function replayThrough(session: Entry, handshake: readonly RecordedForward[]): Promise<void> {
  for (const { packets, replies } of handshake) {
    const { length } = await session.forward(packets);
    if (length !== replies.length) throw new Error(`${length} replies came back`);
  }
}

async function run(count: number, once: (session: Entry) => Promise<unknown>): Promise<Load> {
  const started = performance.now();
  let left = count;
  const work = async (session: Entry) => {
    while (left-- > 0) await once(session);
  };
  await Promise.all(entries.map(work));
  return { seconds: (performance.now() - started) / 1e3 };
}

let entries: Entry[] = [];
serve({}, async (request: Request) => {
  if ('prepare' in request) {
    entries = await Promise.all(Array.from({ length: request.prepare }, openEntry));
    return {};
  }
  if ('record' in request) {
    const [session] = entries;
    if (session === undefined) throw new Error('there is no session to record in');
    await handshakeThrough(session);
    return { handshake: await handshakeThrough(session) };
  }
  const { count, handshake } = request;
  return run(count, handshake === undefined ? handshakeThrough : (session) => replayThrough(session, handshake));
});
