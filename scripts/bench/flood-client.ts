/**
 * Child: clients that do what no honest one does. Arguments: PORT, IDENTITY in hex. Request: `{kind, sources, seconds}`; the
 * answer tells what was sent. Floods are as fast as this one process can make them and the gateway reads.
 */
import { randomFillSync } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { encodeClientHello, encodeSalt } from '../../src/lp/wire/message.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { serve } from './children.ts';
import type { FloodReport, FloodRequest } from './flood-kinds.ts';
import { handshake } from './lp2-client.ts';
import { handshakeFrom } from './overload-connect.ts';

const [port = '', identityHex = ''] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const identity = Uint8Array.from(Buffer.from(identityHex, 'hex'));
const target = { crypto, port: Number(port), identity };
const first = await handshake(target, undefined, new Uint8Array(0));
first.socket.destroy();
const { kemKey } = first;
if (kemKey === undefined) throw new Error('no KEM key');

/** Connections of one source where it floods alone. */
const CONNECTIONS_ALONE = 200;
const X_WING_NOISE_MESSAGE = 32 + 1_120 + 16;
const PACKETS_PER_WRITE = 32;
/** Of a frame for an index that names nothing. */
const LARGE_BODY = 65_000;
const SLOW_ECHO = new Uint8Array(16_384);

let report: FloodReport;
let running = false;
const sockets = new Set<Socket>();

function addressOf(n: number, sources: number): string {
  const i = n % sources;
  return `127.2.${i >> 8}.${i & 0xff}`;
}

function random(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length));
}

function hello(): { packet: Uint8Array; index: number } {
  const index = (new DataView(random(4).buffer).getUint32(0) & 0x7fff_ffff) | 1;
  const salt = encodeSalt(Math.floor(Date.now() / 1_000), random(24));
  return { index, packet: encodeUnsealed(0, 0, TYPE.clientHello, encodeClientHello({ handshakeIndex: index, salt })) };
}

/** The right key, and behind it nothing that would read. */
function h1(index: number): Uint8Array {
  const content = random(1 + 8 + X_WING_NOISE_MESSAGE);
  content[0] = 0;
  content.set(kemKey?.keyId ?? [], 1);
  return encodeUnsealed(index, 1, TYPE.handshake, content);
}

const unknown = encodeFrames(
  'be16',
  Array.from({ length: 4 }, () => encodeUnsealed(0xf000_0001, 5, TYPE.encryptedData, new Uint8Array(LARGE_BODY))),
);

/** What goes out in one write. */
const WRITES: Readonly<Record<'hellos' | 'h1' | 'unknown' | 'garbage', () => Uint8Array>> = {
  hellos: () =>
    encodeFrames(
      'be16',
      Array.from({ length: PACKETS_PER_WRITE }, () => hello().packet),
    ),
  h1: () =>
    encodeFrames(
      'be16',
      Array.from({ length: PACKETS_PER_WRITE / 4 }, hello).flatMap(({ packet, index }) => [packet, h1(index)]),
    ),
  unknown: () => unknown,
  garbage: () => random(2_000),
};

/** Connects, and again whenever it is closed, as long as the flood runs. */
function open(localAddress: string, started: (socket: Socket) => void): void {
  if (!running) return;
  const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true, localAddress });
  sockets.add(socket);
  report.connections++;
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    report.received += chunk.length;
  });
  socket.once('connect', () => started(socket));
  socket.once('close', () => {
    sockets.delete(socket);
    report.closed++;
    setTimeout(open, 10, localAddress, started);
  });
}

function pour(make: () => Uint8Array): (socket: Socket) => void {
  return (socket) => {
    const next = () => {
      if (!running || socket.destroyed) return;
      const bytes = make();
      report.sent += bytes.length;
      // A turn of the loop between any two writes, so that all connections get theirs.
      if (socket.write(bytes)) setImmediate(next);
      else socket.once('drain', next);
    };
    next();
  };
}

/** One byte a second of a hello, from the first one on. */
function trickle(socket: Socket): void {
  const bytes = encodeFrames('be16', [hello().packet]);
  let at = 0;
  const timer = setInterval(() => {
    if (at >= bytes.length || socket.destroyed) {
      clearInterval(timer);
      return;
    }
    socket.write(bytes.subarray(at, ++at));
    report.sent++;
  }, 1_000);
}

/** A live session whose client asks on and on and never reads. */
async function neverRead(localAddress: string): Promise<void> {
  const { socket, family } = await handshakeFrom(target, kemKey, localAddress);
  sockets.add(socket);
  report.connections++;
  socket.on('error', () => undefined);
  socket.once('close', () => report.closed++);
  socket.pause();
  let id = 0;
  pour(() => {
    const packets: Uint8Array[] = [];
    for (let i = 0; i < 4; i++) {
      const sealed = family.sealFrame(encodeFrame(KIND.opaque, ++id, SLOW_ECHO));
      if (sealed.kind === 'packets') packets.push(...sealed.packets);
    }
    return encodeFrames('be16', packets);
  })(socket);
}

async function run({ kind, sources, seconds, connections }: FloodRequest): Promise<FloodReport> {
  report = { connections: 0, closed: 0, sent: 0, received: 0 };
  running = true;
  const count = connections ?? (sources === 1 ? CONNECTIONS_ALONE : sources);
  const until = Date.now() + seconds * 1_000;
  for (let i = 0; i < count && Date.now() < until; i++) {
    const address = addressOf(i, sources);
    if (kind === 'slow readers') await neverRead(address).catch(() => undefined);
    else if (kind === 'half open') open(address, () => undefined);
    else if (kind === 'slow writers') open(address, trickle);
    else open(address, pour(WRITES[kind]));
    // The gateway's backlog is not what is to be flooded.
    if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, until - Date.now())));
  running = false;
  return report;
}

serve({}, (request: FloodRequest | { end: true }) => {
  if (!('end' in request)) return run(request);
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  return {};
});
