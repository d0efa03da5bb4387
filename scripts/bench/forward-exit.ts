/**
 * Child: an exit that computes nothing. It answers what a handshake's two Forwards bring with what a true exit answered to the
 * same bytes, so that the entry does all of its work and the load does not run out first. Request: the recorded handshake.
 */
import { type AddressInfo, createServer } from 'node:net';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { serve } from './children.ts';
import type { RecordedForward } from './forward-client.ts';

let expected: number[] = [];
let answers: Uint8Array[] = [];

const server = createServer({ noDelay: true }, (socket) => {
  let received = 0;
  let step = 0;
  socket.on('data', (chunk) => {
    received += chunk.length;
    const answer = answers[step];
    if (answer === undefined || received < (expected[step] ?? 0)) return;
    received = 0;
    step++;
    socket.write(answer);
  });
  socket.on('error', () => undefined);
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const { port } = server.address() as AddressInfo;
  serve({ port }, ({ handshake }: { handshake: readonly RecordedForward[] }) => {
    expected = handshake.map(({ packets }) => encodeFrames('be32', packets).length);
    answers = handshake.map(({ replies }) => encodeFrames('be32', replies));
    return {};
  });
});
