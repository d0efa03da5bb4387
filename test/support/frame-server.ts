/**
 * A server for tests of transports: it cuts BE32 frames, hands them to the test in order, and does with their connections
 * what the test says. It knows how many sockets are open.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';

export interface Arrival {
  readonly packet: Uint8Array;
  /** Number of the connection, from 1. */
  readonly connection: number;
  reply(...packets: Uint8Array[]): void;
  write(bytes: Uint8Array): void;
  end(): void;
  reset(): void;
}

export class FrameServer {
  accepted = 0;
  readonly arrivals: Arrival[] = [];
  /** What to do at once with a packet that came. */
  onArrival: (arrival: Arrival) => void = () => {};
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(): Promise<FrameServer> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FrameServer(server);
  }

  /** Sockets that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Nobody listens any more; what is open stays. */
  refuse(): void {
    this.#server.close();
  }

  endConnections(): void {
    for (const socket of this.#sockets) socket.end();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    const connection = ++this.accepted;
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    const cutter = new FrameCutter(
      {
        admit: () => true,
        packet: (bytes) => {
          const arrival: Arrival = {
            packet: bytes.slice(),
            connection,
            reply: (...packets) => socket.write(encodeFrames('be32', packets)),
            write: (raw) => socket.write(raw),
            end: () => socket.end(),
            reset: () => socket.resetAndDestroy(),
          };
          this.arrivals.push(arrival);
          this.onArrival(arrival);
        },
      },
      'be32',
    );
    socket.on('data', (chunk: Buffer) => cutter.push(new Uint8Array(chunk)));
  }
}
