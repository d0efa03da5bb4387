/**
 * Child: handshakes with an exit through sessions with an entry, each with an echo in its H3. Arguments: `PORT IDENTITY-HEX`
 * of entry and exit. Requests: `{prepare}` opens so many sessions; `{record}` does a handshake and tells what it exchanged;
 * `{count}` does so many, `{count, handshake}` sends the Forwards of a recorded one in place of each. With `{relay}`, a port, before
 * it the same bytes go over as many bare connections to there: `{count, handshake, bare}`.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
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
import { encodeFrames, FrameCutter, frameOverhead } from '../../src/lp/wire/framing.ts';
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
  /** As they went between client and entry, sealed and framed. */
  readonly requestBytes: number;
  readonly responseBytes: number;
}

type Request =
  | { readonly prepare: number }
  | { readonly relay: number }
  | { readonly record: true }
  | { readonly count: number; readonly handshake?: readonly RecordedForward[]; readonly bare?: true };

let entryKey: KemAnnouncement | undefined;
let exitKey: KemAnnouncement | undefined;

/** A session with the entry, one Forward at a time. */
class Entry {
  private readonly socket: Socket;
  private readonly family: ClientFamily;
  private lastId = 1;
  private answered: (replies: readonly Uint8Array[], responseBytes: number) => void = () => undefined;

  constructor(socket: Socket, family: ClientFamily) {
    this.socket = socket;
    this.family = family;
    const cutter = new FrameCutter({ admit: () => true, packet: (packet) => this.receive(packet) }, 'be16');
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
  }

  /** Each packet gets one reply. */
  forward(packets: readonly Uint8Array[]): Promise<RecordedForward> {
    this.lastId++;
    const body = encodeForward({ target, replies: packets.length, packets });
    const sealed = this.family.sealFrame(encodeFrame(KIND.forward, this.lastId, body));
    if (sealed.kind !== 'packets') throw new Error(`the session with the entry does not seal: ${sealed.kind}`);
    const request = encodeFrames('be16', sealed.packets);
    this.socket.write(request);
    return new Promise((resolve) => {
      this.answered = (replies, responseBytes) =>
        resolve({ packets, replies, requestBytes: request.length, responseBytes });
    });
  }

  private receive(packet: Uint8Array): void {
    const received = this.family.receive(packet, systemClock.now());
    if (received.kind !== 'frame') return;
    const frame = decodeFrame(received.bytes);
    const response = frame?.kind === KIND.forwardResponse ? decodeForwardResponse(frame.body) : undefined;
    if (response?.status !== FORWARD_STATUS.ok) throw new Error(`the entry does not forward: ${response?.status}`);
    this.answered(
      response.packets.map((each) => each.slice()),
      frameOverhead('be16') + packet.length,
    );
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
    const forward = await session.forward(packets);
    forwards.push(forward);
    for (const reply of forward.replies) step = initiator.receive(reply, systemClock.now());
  }
  if (step.kind !== 'established') throw new Error(`the handshake with the exit ends with ${step.kind}`);
  exitKey = initiator.kemKey;
  step.session.wipe();
  return forwards;
}

/** The entry cannot tell it from a new one: to it the packets are bytes. */
async function replayThrough(session: Entry, handshake: readonly RecordedForward[]): Promise<void> {
  for (const { packets, replies } of handshake) {
    const forward = await session.forward(packets);
    if (forward.replies.length !== replies.length) throw new Error(`${forward.replies.length} replies came back`);
  }
}

/** A connection without a session, for a relay that knows nothing of LP2. */
class Bare {
  private readonly socket: Socket;
  private awaited = 0;
  private answered: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.awaited -= chunk.length;
      if (this.awaited === 0) this.answered();
    });
  }

  async replay(handshake: readonly RecordedForward[]): Promise<void> {
    for (const { requestBytes, responseBytes } of handshake) {
      this.awaited = responseBytes;
      this.socket.write(new Uint8Array(requestBytes));
      await new Promise<void>((resolve) => {
        this.answered = resolve;
      });
    }
  }
}

async function openBare(port: number): Promise<Bare> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  return new Bare(socket);
}

async function run<T>(count: number, peers: readonly T[], handshake: (peer: T) => Promise<unknown>): Promise<Load> {
  const started = performance.now();
  let left = count;
  const work = async (peer: T) => {
    while (left-- > 0) await handshake(peer);
  };
  await Promise.all(peers.map(work));
  return { seconds: (performance.now() - started) / 1e3 };
}

let entries: Entry[] = [];
let relays: Bare[] = [];
serve({}, async (request: Request) => {
  if ('prepare' in request) {
    entries = await Promise.all(Array.from({ length: request.prepare }, openEntry));
    return {};
  }
  if ('relay' in request) {
    relays = await Promise.all(entries.map(() => openBare(request.relay)));
    return {};
  }
  if ('record' in request) {
    const [session] = entries;
    if (session === undefined) throw new Error('there is no session to record in');
    await handshakeThrough(session);
    return { handshake: await handshakeThrough(session) };
  }
  const { count, handshake, bare } = request;
  if (handshake === undefined) return run(count, entries, handshakeThrough);
  if (bare) return run(count, relays, (relay) => relay.replay(handshake));
  return run(count, entries, (session) => replayThrough(session, handshake));
});
