/** An exit on loopback that does what the test tells it to, and packets to exchange with it. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Values in order of arrival, awaited one by one. */
class Queue<T> {
  readonly #values: T[] = [];
  readonly #waiters: ((value: T) => void)[] = [];

  get size(): number {
    return this.#values.length;
  }

  put(value: T): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#values.push(value);
    else waiter(value);
  }

  next(): Promise<T> {
    const value = this.#values.shift();
    return value === undefined ? new Promise((resolve) => this.#waiters.push(resolve)) : Promise.resolve(value);
  }
}

/** The exit's end of one connection. */
export class ExitSide {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly ended: Promise<unknown>;
  readonly #packets = new Queue<Buffer>();
  #buffered = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    this.ended = new Promise((resolve) => socket.once('end', resolve));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = Buffer.concat([this.#buffered, chunk]);
      while (this.#buffered.length >= 4 && this.#buffered.length >= 4 + this.#buffered.readUInt32BE(0)) {
        const end = 4 + this.#buffered.readUInt32BE(0);
        this.#packets.put(this.#buffered.subarray(4, end));
        this.#buffered = this.#buffered.subarray(end);
      }
    });
  }

  receive(): Promise<Buffer> {
    return this.#packets.next();
  }

  get unread(): number {
    return this.#packets.size;
  }

  send(...packets: Uint8Array[]): void {
    this.socket.write(frames(...packets));
  }
}

export class FakeExit {
  readonly #server: Server;
  readonly #accepted = new Queue<ExitSide>();
  readonly sides: ExitSide[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      const side = new ExitSide(socket);
      this.sides.push(side);
      this.#accepted.put(side);
    });
  }

  static async listen(allowHalfOpen = false): Promise<FakeExit> {
    const server = createServer({ allowHalfOpen, noDelay: true });
    const exit = new FakeExit(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return exit;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  accept(): Promise<ExitSide> {
    return this.#accepted.next();
  }

  async close(): Promise<void> {
    for (const side of this.sides) side.socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export function frames(...packets: Uint8Array[]): Buffer {
  return Buffer.concat(
    packets.flatMap((packet) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(packet.length);
      return [length, packet];
    }),
  );
}

export const SESSION_INDEX = 0x8000_0001;
export const HANDSHAKE_INDEX = 0x1234_5678;

/** A packet with this header and fill; `fill` stands for ciphertext or content. */
export function packet(index: number, fill: number, length = 34): Buffer {
  const bytes = Buffer.alloc(length, fill);
  bytes.writeUInt32LE(index, 0);
  bytes.writeBigUInt64LE(0n, 4);
  return bytes;
}

export function unsealed(index: number, type: number, version = 2, length = 34): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(index, 0);
  bytes[12] = version;
  bytes.writeUInt16LE(type, 16);
  return bytes;
}
