/**
 * A protocol version that a test plays, and a transport to go with it: what the client's drivers do with a ClientHandshake
 * and a ClientSession shows in what they send. Frames are packets, unsealed; answers are frames.
 */
import { LewesError } from '../../src/client/errors.ts';
import { MemoryKemKeyCache } from '../../src/client/key-cache.ts';
import { Link } from '../../src/client/link.ts';
import type { LinkOptions } from '../../src/client/link-options.ts';
import type { RequestResult } from '../../src/client/requests.ts';
import type { Dialer, Exchange, Transport, TransportFailure, TransportHandlers } from '../../src/client/transport.ts';
import type {
  ClientHandshake,
  ClientReceived,
  ClientSession,
  HandshakeStep,
  SealedFrame,
  StartedRekey,
  VersionTraits,
} from '../../src/lp/client-session.ts';
import { portableProvider } from '../../src/lp/crypto/portable.ts';
import { Secret } from '../../src/lp/crypto/secret.ts';
import { decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { systemRandom } from '../../src/system/random.ts';
import { SteppedTime } from './stepped-time.ts';

export const TRAITS: VersionTraits = {
  maxEarlyFrameLength: 0,
  requestKinds: [KIND.forward],
  managesRegistrations: false,
  toleratesRepeats: false,
  framing: 'be32',
  onePacketPerConnection: true,
  kemSuites: [],
};

export const HELLO = Uint8Array.of(1);
export const LAST = Uint8Array.of(3);
export const READY = Uint8Array.of(0xaa);
export const KK1 = Uint8Array.of(0xbb);

/** hello, then the last message; any packet is the reply to either. */
export class FakeHandshake implements ClientHandshake {
  readonly kemKey = undefined;
  readonly usesKemKeys = false;
  authenticated = false;
  readonly world: FakeWorld;

  constructor(world: FakeWorld) {
    this.world = world;
  }

  start(): HandshakeStep {
    return { kind: 'send', packets: [HELLO] };
  }

  receive(): HandshakeStep {
    if (this.authenticated) return this.#establish();
    this.authenticated = true;
    return { kind: 'send', packets: [LAST] };
  }

  unanswered(): HandshakeStep {
    return this.authenticated && this.world.confirmsByEnding ? this.#establish() : { kind: 'wait' };
  }

  tick(): HandshakeStep {
    return { kind: 'wait' };
  }

  nextTickMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  abandon(): void {}

  #establish(): HandshakeStep {
    const session = new FakeSession();
    this.world.sessions.push(session);
    this.world.onSession(session);
    return { kind: 'established', session, received: { kind: 'opened' } };
  }
}

/** One exchange at a time. */
export class FakeSession implements ClientSession {
  rekeying = false;
  underWay: number | undefined;
  /** Requests that were given up, in order; 0: a rekeying. */
  readonly abandoned: number[] = [];
  readonly asked: number[] = [];
  /** What to say instead of a packet. */
  instead: SealedFrame | undefined;
  /** What goes before the frame. */
  before: readonly Uint8Array[] = [];
  mustLeaveConnection = false;
  /** The body of the answer that the end of a connection is. */
  meaning: Uint8Array | undefined;
  refusal: 'too_soon' | 'kem_not_offered' | undefined;
  next: ClientReceived | undefined;
  wiped = false;

  owns(): boolean {
    return true;
  }

  sealFrame(frame: Uint8Array): SealedFrame {
    if (this.instead !== undefined) return this.instead;
    if (this.underWay !== undefined) return { kind: 'later' };
    this.underWay = decodeFrame(frame)?.requestId;
    return { kind: 'packets', packets: [...this.before, frame.slice()] };
  }

  abandonRequest(id: number): boolean {
    this.abandoned.push(id);
    if (this.underWay !== id) return false;
    this.underWay = undefined;
    return this.mustLeaveConnection;
  }

  unanswered(id: number): Uint8Array | undefined {
    this.asked.push(id);
    if (id === 0) this.rekeying = false;
    const known = id === this.underWay ? this.meaning : undefined;
    return known && encodeFrame(KIND.forwardResponse, id, known);
  }

  receive(packet: Uint8Array): ClientReceived {
    const { next } = this;
    this.next = undefined;
    if (next !== undefined) return next;
    this.underWay = undefined;
    return { kind: 'frame', bytes: packet };
  }

  startRekey(): StartedRekey {
    if (this.refusal !== undefined) return { kind: 'refused', reason: this.refusal };
    this.rekeying = true;
    return { kind: 'packet', packet: KK1 };
  }

  tick(): Uint8Array[] {
    return [];
  }

  nextTickMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  close(): undefined {
    this.wipe();
    return undefined;
  }

  wipe(): void {
    this.wiped = true;
  }
}

export interface Sent {
  readonly packets: readonly Uint8Array[];
  readonly exchange: Exchange;
}

export class FakeTransport implements Transport {
  readonly backlog = 0;
  readonly sent: Sent[] = [];
  gone = false;
  handlers: TransportHandlers | undefined;

  attach(handlers: TransportHandlers): void {
    this.handlers = handlers;
  }

  send(packets: readonly Uint8Array[], exchange: Exchange): void {
    this.sent.push({ packets, exchange });
    exchange.sent?.();
  }

  close(): Promise<void> {
    this.gone = true;
    return Promise.resolve();
  }

  destroy(): void {
    this.gone = true;
  }

  reply(packet: Uint8Array): void {
    this.handlers?.packet(packet);
  }

  /** The answer to a request. */
  answer(id: number, body: Uint8Array = Uint8Array.of(1)): void {
    this.reply(encodeFrame(KIND.forwardResponse, id, body));
  }

  fail(lane: number, unanswered: boolean): void {
    this.handlers?.exchangeFailed(lane, failure(unanswered));
  }

  end(): void {
    this.gone = true;
    this.handlers?.closed(failure(true));
  }

  /** Ids of the requests that have left on it. */
  get requests(): number[] {
    return this.sent.map(({ exchange }) => exchange.lane).filter((lane) => lane !== 0);
  }
}

function failure(unanswered: boolean): TransportFailure {
  const error = new LewesError({ code: 'connection_lost', hop: 'direct', step: 'connect', message: 'a test ended it' });
  return { error, retry: true, unanswered };
}

export class FakeWorld implements Dialer {
  readonly gatewayIp = new Uint8Array(0);
  readonly nested = false;
  readonly time = new SteppedTime();
  readonly transports: FakeTransport[] = [];
  readonly sessions: FakeSession[] = [];
  readonly steps: string[] = [];
  readonly events: string[] = [];
  /** The gateway ends the connection after the last message instead of a reply. */
  confirmsByEnding = false;
  onSession: (session: FakeSession) => void = () => {};
  readonly link: Link;

  constructor(changes: Partial<LinkOptions> = {}) {
    this.link = new Link(
      {
        hop: 'direct',
        version: { number: 1, traits: TRAITS, createHandshake: () => this.handshake() },
        keys: { ed25519: new Uint8Array(32), x25519: new Uint8Array(32), pinnedHashes: [] },
        dialer: this,
        crypto: portableProvider,
        random: systemRandom,
        time: this.time,
        keyCache: new MemoryKemKeyCache(),
        kem: [],
        clientSeed: new Secret(new Uint8Array(32).fill(1)),
        attempts: 2,
        ratchet: true,
        reconnect: true,
        openTimeoutMs: 45_000,
        forwardTimeoutMs: 15_000,
        maxInFlight: 16,
        maxWriteBufferBytes: 1_000_000,
        stepDone: (step) => this.steps.push(step),
        ...changes,
      },
      {
        opened: () => this.events.push('opened'),
        lost: () => this.events.push('lost'),
        rekeyed: () => this.events.push('rekeyed'),
        closed: () => this.events.push('closed'),
      },
    );
  }

  handshake(): FakeHandshake {
    return new FakeHandshake(this);
  }

  dial(): Promise<Transport> {
    const transport = new FakeTransport();
    this.transports.push(transport);
    return Promise.resolve(transport);
  }

  blame(): undefined {
    return undefined;
  }

  get transport(): FakeTransport {
    const last = this.transports.at(-1);
    if (last === undefined) throw new Error('nobody has dialled');
    return last;
  }

  get session(): FakeSession {
    const last = this.sessions.at(-1);
    if (last === undefined) throw new Error('there is no session');
    return last;
  }

  /** Dialling and handshaking take a few turns of the microtask queue. */
  async settled(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }

  /** The gateway confirms the handshake that is under way. */
  async confirm(): Promise<void> {
    await this.settled();
    this.transport.reply(Uint8Array.of(2));
    this.transport.reply(Uint8Array.of(4));
    await this.settled();
  }

  async open(): Promise<void> {
    const opened = this.link.open();
    await this.confirm();
    await opened;
  }

  /** A request, its id and what becomes of it. */
  ask(timeoutMs = 10_000): Asked {
    const asked: Asked = { id: 0, result: undefined };
    asked.id = this.link.submit({
      kind: KIND.forward,
      body: Uint8Array.of(7),
      step: 'forward',
      timeoutMs,
      repeatDelaysMs: [],
      idempotent: false,
      settle: (result) => {
        asked.result = result;
      },
    });
    return asked;
  }
}

export interface Asked {
  id: number;
  result: RequestResult | undefined;
}

export function outcome({ result }: Asked): string {
  if (result === undefined) return 'waits';
  return result.kind === 'answer' ? `answer ${[...result.frame.body].join()}` : result.error.code;
}
