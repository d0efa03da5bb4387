/**
 * A TCP proxy between the clients of a chaos run and a gateway, or between two gateways, which keeps its address while what is
 * behind it comes and goes. Each direction of each connection passes through a Mangler under the policy of the moment.
 * Bounded: a source that is ahead of its delays is not read further.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Prng } from '../../test/support/prng.ts';
import { type Framing, harms, Mangler, type Piece, type Policy } from './mangle.ts';

const CALM: Policy = { kind: 'calm' };
const MAX_QUEUED_BYTES = 2 ** 20;

export class ChaosProxy {
  policy: Policy = CALM;
  /** Port behind it; without one, connections are ended at once. */
  target: number | undefined;
  readonly #server: Server;
  readonly #prng: Prng;
  readonly #framing: Framing;
  readonly #connections = new Set<ProxiedConnection>();
  #harmedMs = Number.NEGATIVE_INFINITY;

  private constructor(server: Server, prng: Prng, framing: Framing) {
    this.#server = server;
    this.#prng = prng;
    this.#framing = framing;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(prng: Prng, framing: Framing = 'frames'): Promise<ChaosProxy> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    const proxy = new ChaosProxy(server, prng, framing);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Whether what passed since then may have been harmed, as no TCP would. */
  harmedSince(ms: number): boolean {
    return this.#harmedMs >= ms;
  }

  calm(): void {
    this.policy = CALM;
  }

  /** Everything that is on its way is lost. Returns how many connections there were. */
  cutAll(): number {
    const { size } = this.#connections;
    for (const connection of [...this.#connections]) connection.cut();
    return size;
  }

  async close(): Promise<void> {
    this.cutAll();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    const { target } = this;
    if (target === undefined) {
      client.on('error', () => undefined);
      client.destroy();
      return;
    }
    const server = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const connection = new ProxiedConnection(client, server, {
      prng: this.#prng,
      framing: this.#framing,
      policy: () => this.#policyNow(),
    });
    this.#connections.add(connection);
    connection.onGone(() => this.#connections.delete(connection));
  }

  /** Asked for each read. */
  #policyNow(): Policy {
    if (harms(this.policy, this.#framing)) this.#harmedMs = performance.now();
    return this.policy;
  }
}

interface ProxySetting {
  readonly prng: Prng;
  readonly framing: Framing;
  readonly policy: () => Policy;
}

class ProxiedConnection {
  readonly #lanes: readonly [Lane, Lane];
  readonly #sockets: readonly [Socket, Socket];
  #gone: () => void = () => undefined;

  constructor(client: Socket, server: Socket, setting: ProxySetting) {
    this.#sockets = [client, server];
    const cut = () => this.cut();
    this.#lanes = [new Lane(client, server, { ...setting, cut }), new Lane(server, client, { ...setting, cut })];
    for (const [at, socket] of this.#sockets.entries()) {
      // A reset is passed on as one; so is the end of a socket whose data was all read.
      socket.on('error', cut);
      socket.once('close', () => {
        this.#lanes[at]?.sourceClosed();
        if (this.#sockets.every((each) => each.destroyed)) this.#gone();
      });
    }
  }

  onGone(gone: () => void): void {
    this.#gone = gone;
  }

  cut(): void {
    for (const lane of this.#lanes) lane.drop();
    for (const socket of this.#sockets) socket.destroy();
    this.#gone();
  }
}

interface LaneDependencies extends ProxySetting {
  readonly cut: () => void;
}

/** One direction. */
class Lane {
  readonly #source: Socket;
  readonly #destination: Socket;
  readonly #mangler: Mangler;
  readonly #cut: () => void;
  /** In order of their times; of equal times the first that came. */
  #queue: Piece[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(source: Socket, destination: Socket, { prng, framing, policy, cut }: LaneDependencies) {
    this.#source = source;
    this.#destination = destination;
    this.#mangler = new Mangler(prng, framing);
    this.#cut = cut;
    source.on('data', (chunk: Buffer) => this.#take(this.#mangler.push(chunk, policy(), performance.now())));
    source.once('end', () => this.sourceClosed());
  }

  sourceClosed(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#take(this.#mangler.finish(performance.now()));
  }

  drop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #take(pieces: readonly Piece[]): void {
    for (const piece of pieces) {
      const at = this.#queue.findLastIndex((each) => each.dueMs <= piece.dueMs) + 1;
      this.#queue.splice(at, 0, piece);
      if (piece.kind === 'bytes') this.#queuedBytes += piece.bytes.length;
    }
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#source.pause();
    this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    const nowMs = performance.now();
    let joined: Uint8Array[] = [];
    const write = () => {
      if (joined.length > 0) this.#destination.write(joined.length === 1 ? (joined[0] ?? '') : Buffer.concat(joined));
      joined = [];
    };
    for (let piece = this.#queue[0]; piece !== undefined && piece.dueMs <= nowMs; piece = this.#queue[0]) {
      this.#queue.shift();
      if (piece.kind === 'bytes') {
        this.#queuedBytes -= piece.bytes.length;
        if (piece.alone) write();
        joined.push(piece.bytes);
        if (piece.alone) write();
        continue;
      }
      write();
      if (piece.kind === 'cut') {
        this.#cut();
        return;
      }
      this.#destination.end();
    }
    write();
    if (this.#queuedBytes <= MAX_QUEUED_BYTES / 2 && this.#source.isPaused()) this.#source.resume();
    const next = this.#queue[0];
    if (next !== undefined) this.#timer = setTimeout(() => this.#send(), Math.max(1, next.dueMs - nowMs));
  }
}
