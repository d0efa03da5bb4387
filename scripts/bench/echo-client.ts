/**
 * Child: kept connections with so many 256-byte frames in flight each; the packets are sealed beforehand, replies are counted
 * by length and not opened. Arguments: `lp2 PORT IDENTITY-HEX` or `net PORT`. Requests: `{prepare, connections}`, then `{depth}`.
 */
import { connect, type Socket } from 'node:net';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { serve } from './children.ts';
import { ECHO_BYTES, handshake } from './lp2-client.ts';

const [kind, port, identity = ''] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const target = { crypto, port: Number(port), identity: Uint8Array.from(Buffer.from(identity, 'hex')) };
const echo = encodeFrame(KIND.opaque, 2, new Uint8Array(ECHO_BYTES));
const none = new Uint8Array(0);
/** Length before the packet, header, prefix and tag around the frame. */
const FRAME_BYTES = 2 + 34 + echo.length;
let kemKey: KemAnnouncement | undefined;

interface Pipe {
  readonly socket: Socket;
  /** Frames of one length, one after the other. */
  readonly frames: Uint8Array;
}

async function openPipe(count: number): Promise<Pipe> {
  const frames = new Uint8Array(count * FRAME_BYTES);
  if (kind === 'net') {
    const socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true });
    await new Promise((resolve) => socket.once('connect', resolve));
    return { socket, frames };
  }
  const { socket, family, kemKey: learnt } = await handshake(target, kemKey, none);
  kemKey = learnt;
  for (let i = 0; i < count; i++) {
    const sealed = family.sealFrame(echo);
    if (sealed.kind !== 'packets') throw new Error(`the session does not seal: ${sealed.kind}`);
    frames.set(encodeFrames('be16', sealed.packets), i * FRAME_BYTES);
  }
  return { socket, frames };
}

/** What goes out together is one write. */
function run({ socket, frames }: Pipe, depth: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const window = depth * FRAME_BYTES;
    let received = 0;
    let sent = 0;
    const send = () => {
      const whole = received - (received % FRAME_BYTES);
      const end = Math.min(frames.length, whole + window);
      if (end > sent) socket.write(frames.subarray(sent, end));
      sent = end;
    };
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received >= frames.length) resolve();
      else send();
    });
    socket.once('close', () => reject(new Error('the server closed an echo')));
    send();
  });
}

let pipes: Pipe[] = [];
serve({}, async (request: { prepare?: number; connections?: number; depth?: number }) => {
  const { prepare, connections = 64, depth = 1 } = request;
  if (prepare !== undefined) {
    pipes = await Promise.all(Array.from({ length: connections }, () => openPipe(prepare)));
    return {};
  }
  const started = performance.now();
  await Promise.all(pipes.map((pipe) => run(pipe, depth)));
  const seconds = (performance.now() - started) / 1e3;
  for (const { socket } of pipes.splice(0)) socket.destroy();
  return { seconds };
});
