/**
 * Packets over one TCP connection, however they lie in its stream. All connections of a thread read into one buffer, since a read is used up within its
 * call. Invariant: a socket that is let go of is gone within LINGER_MS, and counts as a connection until then.
 */
import { connect, type Socket } from 'node:net';
import type { Now } from '../lp/time.ts';
import { encodeFrames, FrameCutter, type Framing } from '../lp/wire/framing.ts';
import { connectionLost, systemFailure } from './failure.ts';
import type { Place } from './plan.ts';
import type { Wire, WireHandlers } from './wire.ts';
import type { ThreadWorld, Timed } from './world.ts';

/** Gateways end their side at once; it takes longer only where packets are lost. */
const LINGER_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;
const READ_BUFFER = new Uint8Array(new ArrayBuffer(65_536));

export interface StreamCodec {
  /** Hands every whole packet on; false when the stream cannot be resynchronised. */
  push(chunk: Uint8Array): boolean;
  encode(packets: readonly Uint8Array[]): Uint8Array;
}

export type MakeCodec<Codec extends StreamCodec> = (packet: (bytes: Uint8Array) => void) => Codec;

/** Each packet behind its length. */
export function framed(framing: Framing): MakeCodec<StreamCodec> {
  return (packet) => {
    const cutter = new FrameCutter({ admit: () => true, packet }, framing);
    return { push: (chunk) => cutter.push(chunk), encode: (packets) => encodeFrames(framing, packets) };
  };
}

export interface TcpWay<Codec extends StreamCodec> {
  /** Source address; undefined: the system's choice. */
  readonly source: string | undefined;
  readonly codec: MakeCodec<Codec>;
}

export class TcpWire<Codec extends StreamCodec = StreamCodec> implements Wire, Timed {
  handlers: WireHandlers;
  dueMs = NEVER;
  /** The peer has taken the connection, and may have ended it since. */
  connected = false;
  readonly codec: Codec;
  readonly #world: ThreadWorld;
  readonly #socket: Socket;
  #over = false;
  #error: NodeJS.ErrnoException | undefined;

  /** Connects; what is sent meanwhile waits. */
  constructor(world: ThreadWorld, { host, port }: Place, { source, codec }: TcpWay<Codec>, handlers: WireHandlers) {
    this.#world = world;
    this.handlers = handlers;
    this.codec = codec((packet) => this.#packet(packet));
    world.gauges.connections++;
    const socket = connect({
      host,
      port,
      noDelay: true,
      ...(source !== undefined && { localAddress: source }),
      onread: { buffer: READ_BUFFER, callback: (length) => this.#read(length) },
    });
    this.#socket = socket;
    socket.once('connect', () => {
      this.connected = true;
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.once('end', () => this.#ended());
    socket.once('close', () => {
      world.gauges.connections--;
      world.due.delete(this);
      this.#ended();
    });
  }

  send(packets: readonly Uint8Array[]): void {
    if (!this.#over && packets.length > 0) this.#socket.write(this.codec.encode(packets));
  }

  finish(last: Uint8Array | undefined): void {
    if (this.#over) return;
    this.#over = true;
    if (last === undefined) this.#socket.end();
    else this.#socket.end(this.codec.encode([last]));
    this.dueMs = this.#world.now().monotonicMs + LINGER_MS;
    this.#world.due.add(this);
  }

  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  due(_now: Now): void {
    this.#socket.destroy();
  }

  #read(length: number): boolean {
    if (!this.#over && !this.codec.push(READ_BUFFER.subarray(0, length))) {
      this.#lose('the gateway sent what is no frame; it is no Lewes gateway, or something is in between', false);
    }
    this.#world.afterRead();
    return true;
  }

  #packet(packet: Uint8Array): void {
    if (!this.#over) this.handlers.packet(packet);
  }

  #ended(): void {
    if (this.#over) return;
    if (this.#error === undefined) this.#lose('the gateway closed the connection', true);
    else {
      this.destroy();
      this.handlers.lost(systemFailure(this.#error), false);
    }
  }

  #lose(example: string, unanswered: boolean): void {
    this.destroy();
    this.handlers.lost(connectionLost(example), unanswered);
  }
}
