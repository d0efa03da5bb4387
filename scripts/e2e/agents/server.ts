/** What is behind the exit: a UDP echo, and a TCP server that sends as many bytes as it is asked for and their hash. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { serve } from '../agent.ts';
import { ECHO_PORT, STREAM_PORT, Stream } from '../stream.ts';

const jobs = {
  /** Resolves when it takes connections and datagrams. */
  async listen(_: undefined): Promise<void> {
    const streams = createServer((socket) => void send(socket).catch(() => socket.destroy()));
    const echo = createSocket('udp6');
    echo.on('message', (message, { address, port }) => echo.send(message, port, address));
    const listening = [once(streams, 'listening'), once(echo, 'listening')];
    streams.listen(STREAM_PORT, '::');
    echo.bind(ECHO_PORT, '::');
    await Promise.all(listening);
  },
};

export type ServerJobs = typeof jobs;

/** The first line tells how many bytes. */
async function send(socket: Socket): Promise<void> {
  socket.on('error', () => socket.destroy());
  const [line]: Buffer[] = await once(socket, 'data');
  const stream = new Stream();
  for (let left = Number(line); left > 0; ) {
    const piece = stream.next(left);
    left -= piece.length;
    if (!socket.write(piece)) await once(socket, 'drain');
  }
  socket.end(stream.digest());
}

serve(jobs);
