/**
 * A TCP proxy that counts round trips: the connect, and each burst from the client that follows something from the server.
 * It sees what a network in between would see, so it also can lose the connection.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class CountingProxy {
  /** Connects and bursts of all connections. */
  roundTrips = 0;
  /** Reads from clients: a burst in one write is one, for what fits into a read. */
  readsFromClient = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket, port));
  }

  static async listen(targetPort: number): Promise<CountingProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new CountingProxy(server, targetPort);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  breakConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.breakConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket, port: number): void {
    const server = connect({ port, host: '127.0.0.1', noDelay: true });
    this.roundTrips++;
    let clientsTurn = true;
    client.on('data', (chunk) => {
      if (clientsTurn) this.roundTrips++;
      clientsTurn = false;
      this.readsFromClient++;
      server.write(chunk);
    });
    server.on('data', (chunk) => {
      clientsTurn = true;
      client.write(chunk);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('end', () => other.end());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
