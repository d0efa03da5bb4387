/**
 * Child: the floor of the handshake benchmarks, a bare `net` server with the same connections, reads and writes: it answers as
 * many bytes as a gateway does to hello with H1, and to H3, and computes nothing. Argument: `nym` for Nym's bytes instead.
 */
import { type AddressInfo, createServer } from 'node:net';
import { serve } from './children.ts';
import { ownCpu } from './cpu.ts';
import { HANDSHAKE_BYTES } from './lp2-client.ts';
import { NYM_HANDSHAKE_BYTES } from './nym-handshake-bytes.ts';

const { first, firstReply, second, secondReply } = process.argv[2] === 'nym' ? NYM_HANDSHAKE_BYTES : HANDSHAKE_BYTES;
const [answer, lastAnswer] = [new Uint8Array(firstReply), new Uint8Array(secondReply)];
const server = createServer({ noDelay: true }, (socket) => {
  let received = 0;
  socket.on('data', (chunk) => {
    const before = received;
    received += chunk.length;
    if (before < first && received >= first) socket.write(answer);
    if (received >= first + second) socket.write(lastAnswer);
  });
  socket.on('error', () => undefined);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const { port } = server.address() as AddressInfo;
  serve({ port }, () => ownCpu(process.threadCpuUsage(), () => false));
});
