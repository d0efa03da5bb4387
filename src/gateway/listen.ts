/** How both listeners of a gateway bind their ports. */
import type { Server } from 'node:net';
import { ListenError } from './listen-error.ts';

/** Connections that wait to be accepted: a crowd that comes at once finds room, and the gate empties the queue cheaply. */
const LISTEN_BACKLOG = 4_096;

/** Resolves to the bound port. Rejects with ListenError. `untaken`: a connection that could not be taken. */
export async function listenOn(
  server: Server,
  host: string,
  port: number,
  untaken: () => void,
  option?: string,
): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const text = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    server.once('error', (cause: NodeJS.ErrnoException) => reject(new ListenError(text, cause, option)));
    server.listen({ host, port, backlog: LISTEN_BACKLOG, exclusive: true }, resolve);
  });
  // Out of file descriptors, say: no reason to stop.
  server.removeAllListeners('error').on('error', untaken);
  const bound = server.address();
  return bound !== null && typeof bound === 'object' ? bound.port : port;
}
