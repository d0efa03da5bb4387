/**
 * Child: the floor of the forward benchmark, a bare `net` program with an entry's connections, reads and writes: for each
 * handshake a new connection to the exit, over which the bytes of both Forwards go and whose replies go back. It looks at
 * none of them. Requests: `{exit, handshake}`, a port and what is relayed; then `{}` for the CPU time so far.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { serve } from './children.ts';
import { ownCpu } from './cpu.ts';
import type { RecordedForward } from './forward-client.ts';

interface Step {
  readonly requestBytes: number;
  readonly request: Uint8Array;
  readonly repliesBytes: number;
  readonly response: Uint8Array;
}

type Request =
  | { readonly exit?: undefined }
  | { readonly exit: number; readonly handshake: readonly RecordedForward[] };

/** As the forwarder reads: one for all connections. */
const READ_BUFFER = new Uint8Array(64 * 1_024);
let exitPort = 0;
let steps: Step[] = [];

function relay(client: Socket): void {
  let exit: Socket | undefined;
  let at = 0;
  let fromClient = 0;
  let fromExit = 0;
  const replied = (length: number) => {
    const step = steps[at];
    fromExit += length;
    if (step === undefined || fromExit < step.repliesBytes) return true;
    fromExit = 0;
    at = (at + 1) % steps.length;
    client.write(step.response);
    return true;
  };
  const open = (first: Uint8Array) => {
    exit?.destroy();
    const onread = { buffer: READ_BUFFER, callback: replied };
    const socket = connect({ host: '127.0.0.1', port: exitPort, noDelay: true, onread });
    socket.on('connect', () => socket.write(first));
    socket.on('error', () => undefined);
    exit = socket;
  };
  client.on('data', (chunk) => {
    const step = steps[at];
    fromClient += chunk.length;
    if (step === undefined || fromClient < step.requestBytes) return;
    fromClient = 0;
    if (at === 0) open(step.request);
    else exit?.write(step.request);
  });
  client.on('error', () => undefined);
}

const server = createServer({ noDelay: true }, relay);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const { port } = server.address() as AddressInfo;
  serve({ port }, (request: Request) => {
    if (request.exit !== undefined) {
      exitPort = request.exit;
      steps = request.handshake.map(({ packets, replies, requestBytes, responseBytes }) => ({
        requestBytes,
        request: encodeFrames('be32', packets),
        repliesBytes: encodeFrames('be32', replies).length,
        response: new Uint8Array(responseBytes),
      }));
    }
    return ownCpu(process.threadCpuUsage(), () => false);
  });
});
