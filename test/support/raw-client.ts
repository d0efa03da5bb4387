/**
 * A light client for load and fault tests: Initiator and ClientFamily on one net socket, no policy of its own. It keeps
 * what a test asks about: hints, the order of answers, packets that were not for it.
 */
import { connect, type Socket } from 'node:net';
import type { ClientReceived, HandshakeFailure, HandshakeStep } from '../../src/lp/client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from '../../src/lp/crypto/provider.ts';
import type { Now } from '../../src/lp/time.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { Initiator } from '../../src/lp/v2/initiator.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { type ApplicationFrame, decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames, FrameCutter, type Framing } from '../../src/lp/wire/framing.ts';
import { decodeBusy, decodeError } from '../../src/lp/wire/message.ts';
import { contentOf, isSessionIndex, receiverIndex, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import { type CancelTimer, systemTimers, type Timers } from '../../src/system/timers.ts';
import { sealedFrame } from './handshake.ts';

export interface RawTarget {
  readonly host: string;
  readonly port: number;
  readonly ed25519: Uint8Array;
  readonly x25519: Uint8Array;
}

export interface RawClientOptions {
  readonly target: RawTarget;
  readonly crypto: CryptoProvider;
  readonly random?: RandomSource;
  readonly now?: () => Now;
  /** Drive repeats and what Busy asks for. */
  readonly timers?: Timers;
  readonly clientSeed?: Uint8Array;
  readonly localAddress?: string;
  readonly kem?: KemName;
  readonly kemKey?: KemAnnouncement | undefined;
  readonly framing?: Framing;
  /** What an Error 2 told of the gateway's clock. */
  readonly clockOffsetMs?: number;
}

export type Hint =
  | { readonly kind: 'busy'; readonly retryAfterS: number }
  | { readonly kind: 'error'; readonly code: number };

class HandshakeFailed extends Error {
  readonly failure: HandshakeFailure;

  constructor(failure: HandshakeFailure) {
    super(`the handshake failed: ${failure.reason}`);
    this.failure = failure;
  }
}

interface Opening {
  readonly initiator: Initiator;
  readonly established: () => void;
  readonly failed: (error: Error) => void;
}

const EMPTY = new Uint8Array(0);
const CLIENT_SEED = new Uint8Array(32).fill(0x11);
const MAX_ATTEMPTS = 20;

export class RawClient {
  /** Error and Busy, in order of arrival. */
  readonly hints: Hint[] = [];
  /** Request ids of answers, in order of arrival. */
  readonly answered: number[] = [];
  /** Packets that are for nobody here, or that do not open. */
  strays = 0;
  /** Replies to repeats, which came when the handshake was over. */
  late = 0;
  handshakes = 0;
  kemKey: KemAnnouncement | undefined;
  private readonly options: RawClientOptions;
  private readonly waiting = new Map<number, (frame: ApplicationFrame) => void>();
  private line: { readonly socket: Socket; readonly closed: Promise<void> } | undefined;
  private opening: Opening | undefined;
  private handshakeIndex = 0;
  private session: ClientFamily | undefined;
  private lastRequestId = 0;
  private cancelTick: CancelTimer = () => undefined;

  constructor(options: RawClientOptions) {
    this.options = options;
    this.kemKey = options.kemKey;
  }

  static async connect(options: RawClientOptions): Promise<RawClient> {
    const client = new RawClient(options);
    await client.connect();
    return client;
  }

  get socket(): Socket {
    if (this.line === undefined) throw new Error('not connected');
    return this.line.socket;
  }

  get family(): ClientFamily {
    if (this.session === undefined) throw new Error('no session');
    return this.session;
  }

  /** Resolves when the connection is closed, from either end. */
  get closed(): Promise<void> {
    return this.line?.closed ?? Promise.resolve();
  }

  /** A new connection; the one before is closed. */
  async connect(): Promise<void> {
    this.line?.socket.destroy();
    const { target, localAddress } = this.options;
    const { host, port } = target;
    const socket = connect({ host, port, noDelay: true, ...(localAddress !== undefined && { localAddress }) });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.removeAllListeners('error');
    socket.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const sink = { admit: () => true, packet: (packet: Uint8Array) => this.take(packet.slice()) };
    const cutter = new FrameCutter(sink, this.options.framing ?? 'be16');
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    this.line = { socket, closed };
  }

  /** A whole handshake; the answer to an early frame arrives as every answer does. */
  async handshake(earlyFrame: Uint8Array = EMPTY): Promise<void> {
    const { crypto, random, target, clientSeed, kem } = this.options;
    const initiator = new Initiator(
      {
        crypto,
        random: random ?? systemRandom,
        clientSeed: clientSeed ?? CLIENT_SEED,
        gatewayEd25519: target.ed25519,
        gatewayX25519: target.x25519,
        kem: kem ?? 'ml-kem-768',
        kemKey: this.kemKey,
        pinnedHashes: [],
        clockOffsetMs: this.options.clockOffsetMs ?? 0,
        earlyFrame,
      },
      this.now(),
    );
    this.handshakeIndex = initiator.index;
    try {
      await new Promise<void>((established, failed) => {
        this.opening = { initiator, established, failed };
        this.step(initiator.start(this.now()));
      });
    } finally {
      this.cancelTick();
    }
    this.handshakes++;
    this.kemKey = initiator.kemKey;
  }

  /** A handshake with an early echo, answered. */
  async open(body: Uint8Array = EMPTY): Promise<ApplicationFrame> {
    const id = this.nextRequestId();
    const answer = this.expect(id);
    await this.handshake(encodeFrame(KIND.opaque, id, body));
    return answer;
  }

  /** Sends one request and resolves to its answer, however long that takes. */
  request(kind: number, body: Uint8Array): Promise<ApplicationFrame> {
    const id = this.nextRequestId();
    const answer = this.expect(id);
    this.send([this.seal(encodeFrame(kind, id, body))]);
    return answer;
  }

  echo(body: Uint8Array = EMPTY): Promise<ApplicationFrame> {
    return this.request(KIND.opaque, body);
  }

  /** Many echoes in one write. */
  pipeline(bodies: readonly Uint8Array[]): Promise<ApplicationFrame>[] {
    const ids = bodies.map(() => this.nextRequestId());
    const answers = ids.map((id) => this.expect(id));
    this.send(bodies.map((body, i) => this.seal(encodeFrame(KIND.opaque, ids[i] ?? 0, body))));
    return answers;
  }

  /** lp2.md §5: two requests without an answer make the client start a new handshake, here on a new connection. */
  async echoWithRecovery(body: Uint8Array, patienceMs: number): Promise<ApplicationFrame> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const answer = await this.withPatience(this.echo(body), patienceMs);
      if (answer !== undefined) return answer;
      if (attempt % 2 !== 0) continue;
      await this.connect();
      await this.handshake();
    }
    throw new Error(`no answer after ${MAX_ATTEMPTS} attempts`);
  }

  seal(frame: Uint8Array): Uint8Array {
    const packet = sealedFrame(this.family, frame);
    if (packet === undefined) throw new Error('the session has ended');
    return packet;
  }

  send(packets: readonly Uint8Array[]): void {
    this.socket.write(encodeFrames(this.options.framing ?? 'be16', packets));
  }

  destroy(): void {
    this.cancelTick();
    this.line?.socket.destroy();
  }

  private now(): Now {
    return (this.options.now ?? systemClock.now)();
  }

  private nextRequestId(): number {
    this.lastRequestId++;
    return this.lastRequestId;
  }

  /** The answer to a request that the test makes itself. */
  expect(id: number): Promise<ApplicationFrame> {
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  private async withPatience<T>(answer: Promise<T>, ms: number): Promise<T | undefined> {
    let cancel: CancelTimer = () => undefined;
    const late = new Promise<undefined>((resolve) => {
      cancel = (this.options.timers ?? systemTimers).after(ms, () => resolve(undefined));
    });
    const first = await Promise.race([answer, late]);
    cancel();
    return first;
  }

  private take(packet: Uint8Array): void {
    const index = receiverIndex(packet);
    if (!isSessionIndex(index)) this.note(packet);
    if (this.session?.owns(index) === true) this.received(this.session.receive(packet, this.now()));
    else if (this.opening !== undefined) this.step(this.opening.initiator.receive(packet, this.now()));
    else if (index === this.handshakeIndex) this.late++;
    else this.strays++;
  }

  private note(packet: Uint8Array): void {
    if (typeOf(packet) === TYPE.busy) {
      this.hints.push({ kind: 'busy', retryAfterS: decodeBusy(contentOf(packet)) ?? -1 });
    } else if (typeOf(packet) === TYPE.error) {
      this.hints.push({ kind: 'error', code: decodeError(contentOf(packet))?.code ?? -1 });
    }
  }

  private step(step: HandshakeStep<ClientFamily>): void {
    const { opening } = this;
    if (opening === undefined) return;
    if (step.kind === 'send') this.send(step.packets);
    else if (step.kind === 'drop') this.strays++;
    else if (step.kind === 'failed') {
      this.opening = undefined;
      opening.failed(new HandshakeFailed(step.failure));
      return;
    } else if (step.kind === 'established') {
      this.opening = undefined;
      this.session = step.session;
      this.received(step.received);
      opening.established();
      return;
    }
    this.scheduleTick(opening.initiator);
  }

  private scheduleTick(initiator: Initiator): void {
    this.cancelTick();
    const waitMs = Math.max(0, initiator.nextTickMs() - this.now().monotonicMs);
    if (!Number.isFinite(waitMs)) return;
    this.cancelTick = (this.options.timers ?? systemTimers).after(waitMs, () => this.step(initiator.tick(this.now())));
  }

  private received(received: ClientReceived): void {
    if (received.kind === 'drop' && (received.reason === 'duplicate' || received.reason === 'out_of_window'))
      this.late++;
    else if (received.kind === 'drop') this.strays++;
    if (received.kind === 'rekeyed') this.send(received.packets);
    if (received.kind !== 'frame') return;
    const frame = decodeFrame(received.bytes.slice());
    const resolve = frame === undefined ? undefined : this.waiting.get(frame.requestId);
    if (frame === undefined || resolve === undefined) {
      this.strays++;
      return;
    }
    this.waiting.delete(frame.requestId);
    this.answered.push(frame.requestId);
    resolve(frame);
  }
}
