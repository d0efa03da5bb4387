/**
 * Child: the peer of the handshake benchmark, Node's own TLS 1.3 with X25519MLKEM768 and an Ed25519 certificate, echoing.
 * The key pair beside this file is for this benchmark alone.
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { serve } from './children.ts';
import { ownCpu } from './cpu.ts';

const file = (name: string) => readFileSync(new URL(`./${name}`, import.meta.url));
const server = createServer({
  key: file('tls-key.pem'),
  cert: file('tls-cert.pem'),
  ecdhCurve: 'X25519MLKEM768',
  minVersion: 'TLSv1.3',
  noDelay: true,
});
server.on('secureConnection', (socket) => {
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('error', () => undefined);
});
server.on('tlsClientError', () => undefined);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  const { port } = server.address() as AddressInfo;
  serve({ port }, () => ownCpu(process.threadCpuUsage(), () => false));
});
