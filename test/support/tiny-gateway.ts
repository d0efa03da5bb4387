/**
 * A gateway in the test's own thread: a real shard behind a real loopback server, without acceptor, admission or registrar.
 * One batch per packet; ticks, time and the loss of replies are the test's. With `exits` it forwards through the real
 * forwarder, so that two of them are an entry and an exit.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createAllowList } from '../../src/gateway/forward/allow-list.ts';
import { createForwarder, type Forwarder } from '../../src/gateway/forward/forwarder.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { portableProvider } from '../../src/lp/crypto/portable.ts';
import type { CryptoProvider, KemName } from '../../src/lp/crypto/provider.ts';
import { DEFAULT_LIFETIMES, type Lifetimes } from '../../src/lp/responder-context.ts';
import { createKemKey } from '../../src/lp/v2/kem-key.ts';
import {
  decodeForward,
  encodeFailure,
  encodeForwardResponse,
  FAILURE_CODE,
} from '../../src/lp/wire/application-frame.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { type AnswerBody, decodeRequest, encodeAnswer, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import { ADMIT, ANSWER, InboundWriter, REQUEST, readOutbound } from '../../src/shard/messages.ts';
import { packKemKey } from '../../src/shard/payloads.ts';
import { Shard } from '../../src/shard/shard.ts';
import { readStats, type StatsSnapshot } from '../../src/shard/stats.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import { ALL_SLOTS } from './shard-harness.ts';

export interface TinyGatewayOptions {
  readonly clock?: Clock;
  readonly kem?: readonly KemName[];
  readonly lifetimes?: Partial<Lifetimes>;
  /** LP1 is admitted. */
  readonly lp1?: boolean;
  /** Default: a dVPN registration that is completed. `undefined`: no answer ever comes. */
  readonly register?: (body: RequestBody) => AnswerBody | undefined | Promise<AnswerBody | undefined>;
  /** The exits that it forwards to. */
  readonly exits?: readonly Pick<TinyGateway, 'identity' | 'port'>[];
  /** What admission would set: ADMIT flags of every packet. */
  readonly admit?: () => number;
  /** What becomes of a reply: itself, others in its place, or none. The packet is sealed as it is on the wire. */
  readonly reply?: (packet: Uint8Array) => readonly Uint8Array[];
  /** What becomes of a packet of a client, likewise. */
  readonly receive?: (packet: Uint8Array) => readonly Uint8Array[];
}

interface Connection {
  readonly id: number;
  readonly socket: Socket;
  readonly cutter: FrameCutter;
  queue: Uint8Array[];
  /** Packets that it has brought. */
  taken: number;
}

export class TinyGateway {
  readonly crypto: CryptoProvider;
  readonly identity: Uint8Array;
  /** Connections that were accepted so far. */
  accepted = 0;
  readonly remoteAddresses: string[] = [];
  /** Registrations that were executed, without the repeats that the family's answer cache answers. */
  readonly registrations: RequestBody[] = [];
  /** As in the options, to be replaced while it runs. */
  reply: NonNullable<TinyGatewayOptions['reply']>;
  receive: NonNullable<TinyGatewayOptions['receive']>;
  /** Called at each read from a client. */
  onRead: () => void = () => {};
  readonly forwarder: Forwarder | undefined;
  readonly #seed: Uint8Array;
  readonly #options: TinyGatewayOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #connections = new Map<number, Connection>();
  #shard: Shard;

  private constructor(crypto: CryptoProvider, options: TinyGatewayOptions, server: Server) {
    this.crypto = crypto;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#server = server;
    this.#seed = new Uint8Array(32);
    systemRandom.fill(this.#seed);
    this.identity = crypto.ed25519PublicKey(this.#seed);
    this.reply = options.reply ?? ((packet) => [packet]);
    this.receive = options.receive ?? ((packet) => [packet]);
    this.#shard = this.#makeShard();
    const exits = options.exits?.map(({ identity, port }) => ({ identity, address: '127.0.0.1', port }));
    this.forwarder = exits && createForwarder({ allowList: createAllowList(exits) });
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(options: TinyGatewayOptions = {}): Promise<TinyGateway> {
    const crypto = await loadProvider('auto').catch(() => portableProvider);
    const server = createServer({ noDelay: true });
    const gateway = new TinyGateway(crypto, options, server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gateway;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** For `connect`. */
  get options(): { readonly address: string; readonly identity: Uint8Array } {
    return { address: this.address, identity: this.identity };
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** With gauges of now. */
  get stats(): StatsSnapshot {
    this.tick();
    return readStats(this.#shard.stats.values);
  }

  tick(): void {
    const batch = new InboundWriter();
    batch.tick();
    this.#handle(batch);
  }

  /** New KEM keys; the old ones are forgotten at once, as after a restart. So are the sessions. */
  restart(): void {
    this.#shard = this.#makeShard();
  }

  breakConnections(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
  }

  async close(): Promise<void> {
    this.breakConnections();
    this.#server.close();
    await Promise.all([once(this.#server, 'close'), this.forwarder?.close()]);
  }

  #makeShard(): Shard {
    const { crypto } = this;
    const x25519Secret = crypto.x25519SecretOfEd25519(this.#seed);
    const identity = {
      ed25519Public: this.identity,
      x25519Secret,
      x25519Public: crypto.x25519PublicKey(x25519Secret),
    };
    const lifetimes = { ...DEFAULT_LIFETIMES, ...this.#options.lifetimes };
    const { lp1 } = this.#options;
    const ed25519Seed = this.#seed.slice();
    const sessionIdleMs = 86_400_000;
    const limits = { records: 1_000, indices: 1_000, sweepIntervalMs: 300_000 };
    const shard = new Shard(
      {
        identity,
        slots: ALL_SLOTS,
        lifetimes,
        ...limits,
        ...(lp1 === true && { lp1: { ed25519Seed, sessionIdleMs } }),
      },
      { crypto, random: systemRandom, loopDelayMs: () => 0 },
    );
    const batch = new InboundWriter();
    for (const kem of this.#options.kem ?? (['x-wing', 'ml-kem-768'] as const)) {
      const seed = new Uint8Array(crypto.kems[kem].seedLength);
      systemRandom.fill(seed);
      const keys = { ed25519Seed: this.#seed, ed25519Public: this.identity };
      const nowS = Math.floor(this.#clock.now().unixMs / 1_000);
      batch.kemKey(packKemKey(createKemKey(crypto, kem, seed, keys, nowS, 86_400)));
    }
    shard.handle(batch.seal(this.#clock.now()));
    return shard;
  }

  #accept(socket: Socket): void {
    const id = ++this.accepted;
    this.remoteAddresses.push(socket.remoteAddress ?? '');
    const cutter = new FrameCutter({
      admit: () => true,
      packet: (packet) => {
        connection.taken++;
        for (const passed of this.receive(packet.slice())) this.#packet(id, passed);
      },
    });
    const connection: Connection = { id, socket, cutter, queue: [], taken: 0 };
    this.#connections.set(id, connection);
    socket.on('error', () => {});
    socket.on('close', () => this.#connections.delete(id));
    socket.on('data', (chunk: Buffer) => {
      this.onRead();
      if (!cutter.push(new Uint8Array(chunk))) socket.destroy();
      this.#flush();
    });
  }

  #packet(connection: number, packet: Uint8Array): void {
    const flags = this.#options.admit?.() ?? ADMIT.token | ADMIT.session | ADMIT.record;
    const batch = new InboundWriter();
    batch.packet({ connection, source: 1, flags, retryAfterSeconds: 1 }, packet);
    this.#handle(batch);
  }

  #handle(batch: InboundWriter): void {
    // A copy: a request that is answered at once is the next batch, and the shard writes its results into the same memory.
    readOutbound(this.#shard.handle(batch.seal(this.#clock.now())).slice(), {
      reply: (connection, _valid, frame) => {
        this.#connections.get(connection)?.queue.push(...this.reply(frame.slice(2)));
      },
      request: (key, family, _source, kind, body) => {
        void this.#execute(this.#shard, key, family, kind, body.slice());
      },
      noAnswer: (id, failed) => this.#noAnswer(id, failed),
      familyEnded: (family) => this.forwarder?.endFamily(String(family)),
      valid: () => {},
      indexTaken: () => {},
      indexFree: () => {},
      release: () => {},
      stats: () => {},
    });
    this.#flush();
  }

  /** As the acceptor does: the end of an LP1 connection that carried one packet, or of one whose client waits in vain. */
  #noAnswer(id: number, failed: boolean): void {
    const connection = this.#connections.get(id);
    if (connection?.cutter.framing === 'be32' && (failed || connection.taken === 1)) connection.socket.end();
  }

  #flush(): void {
    for (const connection of this.#connections.values()) {
      const { queue, cutter, socket } = connection;
      if (queue.length === 0) continue;
      connection.queue = [];
      socket.write(encodeFrames(cutter.framing ?? 'be16', queue));
    }
  }

  async #execute(shard: Shard, key: number, family: number, kind: number, body: Uint8Array): Promise<void> {
    const answer =
      kind === REQUEST.index
        ? { kind: ANSWER.index, body: Uint8Array.of(1) }
        : kind === REQUEST.forward || kind === REQUEST.forwardAlone
          ? await this.#forward(family, body, kind === REQUEST.forwardAlone)
          : await this.#register(body);
    if (answer === undefined || shard !== this.#shard) return;
    const batch = new InboundWriter();
    batch.answer(key, answer.kind, answer.body);
    this.#handle(batch);
  }

  async #forward(family: number, body: Uint8Array, alone: boolean) {
    const forward = decodeForward(body);
    if (this.forwarder === undefined || forward === undefined) return failure(FAILURE_CODE.notOffered);
    const result = await this.forwarder.forward({ ...forward, family: String(family), alone });
    return { kind: ANSWER.forward, body: encodeForwardResponse(result) };
  }

  async #register(body: Uint8Array) {
    const request = decodeRequest(body);
    if (request.kind !== 'value') return failure(FAILURE_CODE.malformed);
    this.registrations.push(request.value);
    const answer = await (this.#options.register ?? completed)(request.value);
    return answer && { kind: ANSWER.registration, body: encodeAnswer(answer) };
  }
}

function failure(code: number) {
  return { kind: ANSWER.failure, body: encodeFailure({ code, text: '' }) };
}

export function completed(): AnswerBody {
  return {
    status: 'completed',
    mode: 'dvpn',
    wgPublicKey: new Uint8Array(32).fill(7),
    endpoints: ['192.0.2.1:51820'],
    addresses: { ipv4: Uint8Array.of(10, 1, 0, 2), ipv6: new Uint8Array(16).fill(1) },
    keepalive: 25,
    bandwidth: 1_000_000,
    expires: 1_800_000_000,
  };
}
