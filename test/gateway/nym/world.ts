/** A gateway that speaks Nym, and clients of it over real sockets. Everything is closed when the test ends. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { nymCrypto } from '../../../src/lp/crypto/nym-load.ts';
import type { NymCrypto } from '../../../src/lp/crypto/nym-provider.ts';
import { announcedDigest, readAnnouncement } from '../../../src/lp/nym/announcement.ts';
import type { NymClientSession, NymRequestKind } from '../../../src/lp/nym/client-session.ts';
import { NymInitiator, type NymInitiatorOptions, type NymStep } from '../../../src/lp/nym/initiator.ts';
import type { KemDigest } from '../../../src/lp/nym/kem-suite.ts';
import { decodeNymResponse, encodeNymRequest, type NymRegistrationResponse } from '../../../src/lp/nym/registration.ts';
import { NymStreamCutter } from '../../../src/lp/nym/stream-cutter.ts';
import { systemClock } from '../../../src/system/clock.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { makeGateway, type TestGateway, type TestGatewayOptions } from '../../support/test-gateway.ts';

export interface NymWorld extends TestGateway {
  readonly crypto2: NymCrypto;
  /** The node as its announcement has it. */
  readonly node: { readonly key: Uint8Array; readonly kemDigest: KemDigest };
  readonly nymPort: number;
  /** A connected client, without a handshake. */
  dial(options?: DialOptions): Promise<NymTestClient>;
  /** A client with a session. */
  meet(options?: DialOptions): Promise<NymTestClient>;
}

export interface DialOptions extends Partial<NymInitiatorOptions> {
  /** Source address; the whole of 127.0.0.0/8 is this machine's. */
  readonly localAddress?: string;
}

function nymKeys(): { lpSecret: Uint8Array; kemSeed: Uint8Array } {
  const lpSecret = Uint8Array.from(randomBytes(32));
  lpSecret[0] = lpSecret[0]! & 248;
  lpSecret[31] = (lpSecret[31]! & 127) | 64;
  return { lpSecret, kemSeed: Uint8Array.from(randomBytes(64)) };
}

export async function startNym(t: ExecutionContext, options: TestGatewayOptions = {}): Promise<NymWorld> {
  const made = await makeGateway(t, {
    entry: 'in-thread',
    ...options,
    set: ['gateway.shards=1', 'nym.listen=127.0.0.1:0', ...(options.set ?? [])],
    dependencies: { nymKeys: nymKeys(), ...options.dependencies },
  });
  const { gateway, crypto, target } = made;
  await gateway.start();
  const read = readAnnouncement(crypto, gateway.nym?.announcement ?? '', target.ed25519);
  if (read.kind === 'refuse') throw new Error(read.reason);
  const kemDigest = announcedDigest(read.announcement);
  if (kemDigest === undefined) throw new Error('no KEM key is announced');
  const node = { key: read.announcement.x25519, kemDigest };
  const nymPort = gateway.nym?.listening?.port ?? 0;
  const crypto2 = nymCrypto(crypto);
  const dial = async ({ localAddress, ...initiator }: DialOptions = {}) => {
    const client = new NymTestClient({ crypto: crypto2, node, port: nymPort, localAddress, initiator });
    t.teardown(() => client.socket.destroy());
    await client.connected;
    return client;
  };
  const meet = async (dialOptions: DialOptions = {}) => {
    const client = await dial(dialOptions);
    await client.handshake();
    return client;
  };
  return { ...made, crypto2, node, nymPort, dial, meet };
}

interface ClientOptions {
  readonly crypto: NymCrypto;
  readonly node: NymWorld['node'];
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly initiator: Partial<NymInitiatorOptions>;
}

/** The sans-IO client on a socket. What the gateway sends comes out of `message`, its end out of `closed`. */
export class NymTestClient {
  readonly socket: Socket;
  readonly connected: Promise<void>;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly initiator: NymInitiator;
  received = 0;
  #session: NymClientSession | undefined;
  readonly #messages: Uint8Array[] = [];
  #waiting: ((message: Uint8Array | undefined) => void)[] = [];
  #over = false;

  constructor({ crypto, node, port, localAddress, initiator }: ClientOptions) {
    const options = { crypto, random: systemRandom, node: node.key, kemDigest: node.kemDigest, hop: 'entry' } as const;
    this.initiator = new NymInitiator({ ...options, ...initiator });
    this.socket = connect({
      host: '127.0.0.1',
      port,
      ...(localAddress !== undefined && { localAddress }),
      noDelay: true,
    });
    const cutter = new NymStreamCutter('node', (_, bytes) => this.#take(bytes.slice()));
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', () => resolve());
      this.socket.once('error', reject);
    });
    this.closed = new Promise((resolve) => {
      const end = () => {
        this.#over = true;
        for (const wait of this.#waiting.splice(0)) wait(undefined);
        resolve();
      };
      this.socket.once('close', end);
      this.socket.once('end', end);
    });
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      cutter.push(Uint8Array.from(chunk));
    });
  }

  get session(): NymClientSession {
    if (this.#session === undefined) throw new Error('there is no session');
    return this.#session;
  }

  /** The next whole message; `undefined` at the end of the connection. */
  message(): Promise<Uint8Array | undefined> {
    const first = this.#messages.shift();
    if (first !== undefined) return Promise.resolve(first);
    if (this.#over) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The messages that the step sends. */
  sendStep(step: NymStep): void {
    if (step.kind !== 'send') throw new Error(`nothing to send: ${JSON.stringify(step)}`);
    this.socket.write(Buffer.concat(step.messages.map(({ bytes }) => bytes)));
  }

  async handshake(): Promise<void> {
    this.sendStep(this.initiator.start(systemClock.now()));
    for (;;) {
      const message = await this.message();
      if (message === undefined) throw new Error('closed in the handshake');
      const step = this.initiator.receive(message, systemClock.now());
      if (step.kind === 'established') {
        this.#session = step.session;
        return;
      }
      if (step.kind === 'failed') throw new Error(step.failure.reason);
      if (step.kind === 'send') this.sendStep(step);
    }
  }

  send(kind: NymRequestKind, content: Uint8Array): void {
    const sent = this.session.send(kind, content);
    if (sent.kind === 'refuse') throw new Error(sent.reason);
    this.socket.write(sent.wire.slice());
  }

  /** The content of the next answer; `undefined` at the end of the connection. */
  async answer(): Promise<Uint8Array | undefined> {
    const packet = await this.message();
    if (packet === undefined) return undefined;
    const received = this.session.receive(packet);
    if (received.kind === 'failed') throw new Error(received.reason);
    return received.content;
  }

  async ask(kind: NymRequestKind, content: Uint8Array): Promise<Uint8Array | undefined> {
    this.send(kind, content);
    return this.answer();
  }

  async register(request: Parameters<typeof encodeNymRequest>[0]): Promise<NymRegistrationResponse | 'closed'> {
    const content = await this.ask('registration', encodeNymRequest(request));
    if (content === undefined) return 'closed';
    const response = decodeNymResponse(content);
    if (response === undefined) throw new Error('the response does not decode');
    return response;
  }

  #take(message: Uint8Array): void {
    const wait = this.#waiting.shift();
    if (wait === undefined) this.#messages.push(message);
    else wait(message);
  }
}

export const unixTime = (): bigint => BigInt(Math.floor(systemClock.now().unixMs / 1_000));

export function initial(wgPublicKey: Uint8Array, presharedKey: Uint8Array = Uint8Array.from(randomBytes(32))) {
  return { kind: 'initial', wgPublicKey, presharedKey, time: unixTime() } as const;
}
