/**
 * Child: 64 kept connections with one 256-byte frame in flight each; the packets are sealed beforehand, replies are
 * counted by length and not opened. Arguments: `lp2 PORT IDENTITY-HEX` or `net PORT`. Request: `{rounds, connections}`.
 */
import { connect, type Socket } from 'node:net';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { serve } from './children.ts';
import { handshake } from './lp2-client.ts';

const [kind, port, identity = ''] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const target = { crypto, port: Number(port), identity: Uint8Array.from(Buffer.from(identity, 'hex')) };
const echo = encodeFrame(KIND.opaque, 2, new Uint8Array(256));
const none = new Uint8Array(0);
let kemKey: KemAnnouncement | undefined;

interface Pipe {
  readonly socket: Socket;
  readonly frames: Uint8Array[];
}

async function openPipe(rounds: number): Promise<Pipe> {
  if (kind === 'net') {
    const socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true });
    await new Promise((resolve) => socket.once('connect', resolve));
    const frame = new Uint8Array(2 + 34 + echo.length);
    return { socket, frames: Array.from({ length: rounds }, () => frame) };
  }
  const { socket, family, kemKey: learnt } = await handshake(target, kemKey, none);
  kemKey = learnt;
  const frames = Array.from({ length: rounds }, () => {
    const sealed = family.sealFrame(echo);
    if (sealed.kind !== 'packets') throw new Error(`the session does not seal: ${sealed.kind}`);
    return encodeFrames('be16', sealed.packets);
  });
  return { socket, frames };
}

function run({ socket, frames }: Pipe): Promise<void> {
  return new Promise((resolve) => {
    const expected = frames[0]?.length ?? 0;
    let received = 0;
    let sent = 0;
    const next = () => {
      const frame = frames[sent++];
      if (frame === undefined) resolve();
      else socket.write(frame);
    };
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received < expected) return;
      received -= expected;
      next();
    });
    next();
  });
}

let pipes: Pipe[] = [];
serve({}, async (request: { prepare?: number; connections?: number }) => {
  if (request.prepare !== undefined) {
    pipes = await Promise.all(Array.from({ length: request.connections ?? 64 }, () => openPipe(request.prepare ?? 0)));
    return {};
  }
  const started = performance.now();
  await Promise.all(pipes.map(run));
  for (const pipe of pipes) pipe.socket.destroy();
  return { seconds: (performance.now() - started) / 1e3 };
});
