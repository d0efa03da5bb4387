/**
 * A Nym node in the test's own thread: responder and session of the core behind a real loopback server, a registrar in
 * memory, forwards to anywhere. What it does wrong is the test's: it loses, changes, repeats or holds back what it sends.
 */
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type NymNodeData, nymNodeByHand } from '../../src/client/index.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import { digestsOf, type NymAnnouncement, writeAnnouncement } from '../../src/lp/nym/announcement.ts';
import type { NymForward } from '../../src/lp/nym/forward.ts';
import {
  DEFAULT_NYM_LIFETIMES,
  type DvpnRequest,
  type NymAnswer,
  type NymEffects,
  NymGatewaySession,
} from '../../src/lp/nym/gateway-session.ts';
import { NYM_FAILURE_TEXT, type NymRegistrationResponse, type NymTunnel } from '../../src/lp/nym/registration.ts';
import { type NymNode, NymResponder } from '../../src/lp/nym/responder.ts';
import { NymStreamCutter } from '../../src/lp/nym/stream-cutter.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';

export type NodeMessage = 'kkt' | 'psq' | 'packet';

export interface NymNodeOptions {
  readonly clock?: Clock;
  readonly fill?: number;
  readonly dvpn?: boolean;
  /** Credentials are not remembered: each is good for ever. */
  readonly mock?: boolean;
  /** Reads a message, answers it and only then looks for the next, as a node that drops its buffer in between. */
  readonly oneAtATime?: boolean;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const crypto = nymCrypto(await loadProvider('auto'));
const seed = (fill: number) => new Uint8Array(32).fill(fill);

export class NymTestNode {
  readonly node: NymNode;
  readonly identity: Uint8Array;
  readonly #identitySeed: Uint8Array;
  readonly options: NymNodeOptions;
  /** Connections so far. */
  accepted = 0;
  /** Registrations by WireGuard key, in hex. */
  readonly registered = new Map<string, NymTunnel>();
  /** Credentials that were taken, in hex. */
  readonly spent: string[] = [];
  readonly requests: string[] = [];
  clockSkewS = 0;
  /** What becomes of bytes that are about to be sent: itself, others, none. `n`: how many were sent before on the connection. */
  reply: (kind: NodeMessage, bytes: Uint8Array, n: number) => readonly Uint8Array[] = (_, bytes) => [bytes];
  /** After a reply (or its loss): the connection is closed. */
  closeAfter: (kind: NodeMessage, n: number) => boolean = () => false;
  /** Replaces what the registrar says. */
  register: (request: DvpnRequest) => NymRegistrationResponse | undefined = () => undefined;
  readonly #server: Server;
  #http: HttpServer | undefined;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, options: NymNodeOptions) {
    const { fill = 0x41 } = options;
    this.#server = server;
    this.options = options;
    const secret = seed(fill);
    this.#identitySeed = seed(fill + 1);
    this.identity = crypto.base.ed25519PublicKey(this.#identitySeed);
    this.node = {
      crypto,
      random: systemRandom,
      secret,
      publicKey: crypto.base.x25519PublicKey(secret),
      kem: crypto.base.kems['ml-kem-768'].secretKeyFromSeed(new Uint8Array(64).fill(fill + 2)),
    };
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(options: NymNodeOptions = {}): Promise<NymTestNode> {
    const server = createServer({ noDelay: true });
    const node = new NymTestNode(server, options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return node;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** As a client is given it; `address`: that of a proxy in front. */
  data(address = this.address): NymNodeData {
    const { publicKey: lpKey, kem } = this.node;
    const kemDigest = crypto.digest('blake3', kem.publicKey.bytes);
    return nymNodeByHand({ address, lpKey, kemDigest, identity: this.identity });
  }

  announcement(more: Partial<NymAnnouncement> = {}): string {
    const { publicKey: x25519, kem } = this.node;
    const kemKeys = new Map([['mlkem768', digestsOf(crypto, kem.publicKey.bytes)] as const]);
    const announced = { enabled: true, controlPort: this.port, dataPort: 51_264, x25519, kemKeys, ...more };
    return writeAnnouncement(crypto.base, this.#identitySeed, announced);
  }

  /** Resolves to the address of an HTTP server with this document. */
  async announce(document = this.announcement(), headers: Record<string, string> = {}): Promise<string> {
    const http = createHttpServer((request, response) => {
      response.writeHead(request.url === '/api/v1/lewes-protocol' ? 200 : 404, headers);
      response.end(request.url === '/api/v1/lewes-protocol' ? document : 'no');
    });
    this.#http?.close();
    this.#http = http;
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  }

  breakConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.breakConnections();
    this.#http?.closeAllConnections();
    this.#http?.close();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  now() {
    const { monotonicMs, unixMs } = (this.options.clock ?? systemClock).now();
    return { monotonicMs, unixMs: unixMs + this.clockSkewS * 1_000 };
  }

  track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #accept(socket: Socket): void {
    this.accepted++;
    this.track(socket);
    const client = new Connection(this, socket);
    socket.on('data', (chunk: Buffer) => client.read(chunk));
    socket.on('end', () => socket.end());
  }
}

class Connection {
  readonly #owner: NymTestNode;
  readonly #socket: Socket;
  readonly #responder: NymResponder;
  readonly #cutter: NymStreamCutter;
  #session: NymGatewaySession | undefined;
  #pending: Extract<DvpnRequest, { kind: 'initial' }> | undefined;
  #exit: ExitSide | undefined;
  #sent = 0;
  #taken = 0;

  constructor(owner: NymTestNode, socket: Socket) {
    this.#owner = owner;
    this.#socket = socket;
    this.#responder = new NymResponder(owner.node, owner.now());
    this.#cutter = new NymStreamCutter('client', (kind, bytes) => this.#message(kind, bytes));
    socket.on('close', () => {
      this.#session?.wipe();
      this.#exit?.socket.destroy();
    });
  }

  read(chunk: Buffer): void {
    this.#taken = 0;
    if (!this.#cutter.push(Uint8Array.from(chunk))) this.#socket.end();
  }

  send(kind: NodeMessage, bytes: Uint8Array): void {
    const { reply, closeAfter } = this.#owner;
    for (const each of reply(kind, bytes.slice(), this.#sent)) this.#socket.write(each);
    if (closeAfter(kind, this.#sent++)) this.#socket.end();
  }

  #message(kind: NodeMessage, bytes: Uint8Array): void {
    this.#taken++;
    // What came with the message before has been thrown away.
    if (this.#owner.options.oneAtATime === true && (this.#taken > 1 || this.#session?.busy === true)) {
      this.#socket.end();
    } else if (kind === 'packet') this.#session?.receive(bytes, this.#owner.now(), this.#effects);
    else this.#handshake(kind, bytes);
  }

  #handshake(kind: 'kkt' | 'psq', bytes: Uint8Array): void {
    const step = this.#responder.receive(bytes, this.#owner.now());
    if (step.kind === 'refuse') {
      this.#socket.end();
      return;
    }
    if (step.kind === 'established') {
      const dvpn = this.#owner.options.dvpn ?? true;
      const options = { channel: step.channel, lifetimes: DEFAULT_NYM_LIFETIMES, dvpn };
      this.#session = new NymGatewaySession(options, this.#owner.now());
    }
    this.send(kind, step.message);
  }

  readonly #effects: NymEffects = {
    send: (wire) => this.send('packet', wire),
    request: (request) => {
      if (request.kind === 'registration') {
        const response = this.#register(structuredClone(request.request));
        setImmediate(() => this.#answer({ kind: 'registration', response }));
      } else this.#forward(structuredClone(request.forward));
      return true;
    },
    close: () => this.#socket.end(),
  };

  #answer(answer: NymAnswer): void {
    this.#session?.answer(answer, this.#owner.now(), this.#effects);
  }

  /** As §8.5 has it, with any credential good for once. */
  #register(request: DvpnRequest): NymRegistrationResponse {
    const { requests, registered, spent, register } = this.#owner;
    requests.push(request.kind);
    const told = register(request);
    if (told !== undefined) return told;
    if (request.kind === 'initial') {
      const known = registered.get(hex(request.wgPublicKey));
      if (known !== undefined) return { kind: 'completed', tunnel: known };
      this.#pending = request;
      return { kind: 'credential_required' };
    }
    if (this.#pending === undefined) return { kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.notInProgress };
    const credential = hex(request.claim.credential);
    if (this.#owner.options.mock !== true && spent.includes(credential))
      return failed('credential verification failed: already spent');
    spent.push(credential);
    const tunnel = tunnelNumber(registered.size + 5);
    registered.set(hex(this.#pending.wgPublicKey), tunnel);
    this.#pending = undefined;
    return { kind: 'completed', tunnel };
  }

  #forward({ target, bytes, replyLength }: NymForward): void {
    const gone = () => this.#answer({ kind: 'forward_failed' });
    const exit = this.#exit ?? new ExitSide(target.ip.join('.'), target.port, this.#owner);
    this.#exit = exit;
    exit.exchange(bytes, replyLength, (reply) => this.#answer({ kind: 'forward', bytes: reply }), gone);
  }
}

function failed(text: string): NymRegistrationResponse {
  return { kind: 'failed', mode: 'dvpn', text: `LP registration has failed: ${text}` };
}

export function tunnelNumber(n: number): NymTunnel {
  const ipv6 = new Uint8Array(16);
  ipv6.set([0xfc, 0x01]);
  ipv6[15] = n;
  return {
    wgPublicKey: new Uint8Array(32).fill(0x77),
    port: 51_822,
    ipv4: Uint8Array.of(10, 1, 0, n),
    ipv6,
    upgradeMode: false,
  };
}

/** The entry's connection to an exit: one exchange at a time. */
class ExitSide {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #wanted: ((bytes: Buffer) => number) | undefined;
  #done: (reply: Uint8Array) => void = () => {};
  #gone: () => void = () => {};

  constructor(host: string, port: number, owner: NymTestNode) {
    this.socket = connect({ host, port, noDelay: true });
    owner.track(this.socket);
    this.socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#look();
    });
    this.socket.on('end', () => this.#gone());
    this.socket.on('close', () => this.#gone());
  }

  exchange(bytes: Uint8Array, replyLength: number, done: (reply: Uint8Array) => void, gone: () => void): void {
    this.#done = done;
    this.#gone = gone;
    const prefixed = (had: Buffer) => (had.length < 4 ? Number.POSITIVE_INFINITY : 4 + had.readUInt32LE(0));
    this.#wanted = replyLength === 0 ? prefixed : () => replyLength;
    const strip = replyLength === 0 ? 4 : 0;
    this.#done = (reply) => done(reply.subarray(strip));
    if (this.socket.destroyed) gone();
    else this.socket.write(bytes);
  }

  #look(): void {
    const length = this.#wanted?.(this.#bytes) ?? Number.POSITIVE_INFINITY;
    if (this.#bytes.length < length) return;
    const reply = Uint8Array.from(this.#bytes.subarray(0, length));
    this.#bytes = this.#bytes.subarray(length);
    this.#wanted = undefined;
    this.#done(reply);
  }
}
