/**
 * Child: the floor of the echo benchmark, a bare `net` server that writes back what it reads.
 */
import { type AddressInfo, createServer } from 'node:net';
import { serve } from './children.ts';
import { ownCpu } from './cpu.ts';

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('error', () => undefined);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const { port } = server.address() as AddressInfo;
  serve({ port }, () => ownCpu(process.threadCpuUsage(), () => false));
});
