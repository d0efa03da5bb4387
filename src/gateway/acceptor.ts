/**
 * The acceptor owns sockets and nothing else: it cuts frames, reads the header bytes, asks admission and routing, and puts
 * packets into mailboxes. It does no cryptography. What names nothing is skipped unbuffered (lp2.md §4.5).
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { DropReason } from '../lp/drop-reason.ts';
import { readLe32 } from '../lp/wire/bytes.ts';
import type { FrameSink } from '../lp/wire/framing.ts';
import { headerFault } from '../lp/wire/header.ts';
import { encodeBusyPacket } from '../lp/wire/message.ts';
import { BOOTSTRAP_INDEX, CONTENT_OFFSET, counterOf, isSessionIndex, TYPE, typeOf } from '../lp/wire/packet.ts';
import { ADMIT, type PacketEnvelope } from '../shard/messages.ts';
import type { Admission, Source } from './admission.ts';
import { type CloseReason, Connection, type ConnectionTimeouts } from './connection.ts';
import { HANDSHAKE_COST_US, type Mailbox } from './mailbox.ts';
import type { Router } from './router.ts';

export interface AcceptorOptions {
  readonly timeouts: ConnectionTimeouts;
  readonly connections: number;
}

export interface AcceptorDependencies {
  readonly admission: Admission;
  readonly router: Router;
  /** The mailbox of a shard at present. */
  readonly mailbox: (shard: number) => Mailbox;
  readonly nowMs: () => number;
}

class ListenError extends Error {
  readonly code: string;
  readonly remedy: string;

  constructor(address: string, cause: NodeJS.ErrnoException) {
    const [reason, remedy] = listenReason(cause);
    super(`cannot listen on ${address}: ${reason}`, { cause });
    this.code = cause.code ?? 'LISTEN_FAILED';
    this.remedy = remedy;
  }
}

/** What is wrong, and what to do. */
function listenReason(cause: NodeJS.ErrnoException): [string, string] {
  switch (cause.code) {
    case 'EADDRINUSE':
      return ['the port is in use', 'stop the other program or choose another --listen'];
    case 'EACCES':
      return ['not permitted', 'choose a port above 1023 or grant CAP_NET_BIND_SERVICE'];
    case 'EADDRNOTAVAIL':
      return ['no interface here has this address', 'choose another --listen'];
    default:
      return [cause.message, 'choose another --listen'];
  }
}

const LISTEN_BACKLOG = 4_096;

export interface AcceptorCounts {
  accepted: number;
  refused: number;
  busy: number;
  readonly closed: Record<CloseReason, number>;
  readonly drops: Partial<Record<DropReason, number>>;
}

export class Acceptor {
  readonly counts: AcceptorCounts = {
    accepted: 0,
    refused: 0,
    busy: 0,
    closed: { framing: 0, frame_timeout: 0, unproven: 0, idle: 0, not_reading: 0, peer: 0, error: 0, drain: 0 },
    drops: {},
  };
  private readonly options: AcceptorOptions;
  private readonly dependencies: AcceptorDependencies;
  private readonly servers: Server[] = [];
  private readonly connections = new Map<number, Connection>();
  private lastId = 0;
  /** Read once per event: a packet's age needs no finer clock, and reading it costs as much as a packet. */
  private eventMs = 0;

  constructor(options: AcceptorOptions, dependencies: AcceptorDependencies) {
    this.options = options;
    this.dependencies = dependencies;
  }

  get open(): number {
    return this.connections.size;
  }

  connection(id: number): Connection | undefined {
    return this.connections.get(id);
  }

  /** Listens; resolves to the bound port. */
  async listen(host: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.accept(socket));
    await new Promise<void>((resolve, reject) => {
      const text = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      server.once('error', (cause: NodeJS.ErrnoException) => reject(new ListenError(text, cause)));
      server.listen({ host, port, backlog: LISTEN_BACKLOG, exclusive: true }, resolve);
    });
    // Out of file descriptors, say: a connection that could not be taken, and no reason to stop.
    server.removeAllListeners('error').on('error', () => {
      this.counts.refused++;
    });
    this.servers.push(server);
    const bound = server.address();
    return bound !== null && typeof bound === 'object' ? bound.port : port;
  }

  /** Takes no further connections. */
  stopListening(): void {
    for (const server of this.servers) server.close();
  }

  /** Reads nothing further; replies still go out. */
  stopReading(): void {
    for (const connection of this.connections.values()) connection.hold();
  }

  /** Ends every connection once its replies are sent, or at once. */
  close(how: 'end' | 'destroy'): void {
    this.stopListening();
    for (const connection of this.connections.values()) {
      if (!connection.closed) this.counts.closed.drain++;
      if (how === 'end') connection.end();
      else connection.destroy();
    }
  }

  /** Closes connections whose time is up (§4.5). */
  sweep(nowMs: number): void {
    for (const connection of this.connections.values()) {
      const reason = connection.overdue(nowMs, this.options.timeouts);
      if (reason !== undefined) this.drop(connection, reason);
    }
  }

  drop(connection: Connection, reason: CloseReason): void {
    if (connection.closed) return;
    this.counts.closed[reason]++;
    connection.destroy();
  }

  private accept(socket: Socket): void {
    const { admission, nowMs } = this.dependencies;
    this.eventMs = nowMs();
    const full = this.connections.size >= this.options.connections;
    const source = full ? undefined : admission.connect(socket.remoteAddress ?? '', this.eventMs);
    if (source === undefined) {
      this.counts.refused++;
      socket.destroy();
      return;
    }
    this.counts.accepted++;
    do this.lastId = (this.lastId + 1) >>> 0;
    while (this.connections.has(this.lastId));
    const connection = this.makeConnection(this.lastId, socket, source);
    this.connections.set(connection.id, connection);
    socket.on('data', (chunk: Buffer) => {
      this.eventMs = nowMs();
      // A plain array: `slice` of a Buffer would not copy, and a queued packet would keep the whole read alive.
      const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      if (!connection.read(bytes, this.eventMs)) this.drop(connection, 'framing');
    });
    // A client that has ended its side waits for nothing: what was written is on its way, and closing at once saves the
    // shutdown that `end` would do first.
    socket.on('end', () => {
      if (socket.writableLength > 0) socket.end();
      else socket.destroy();
    });
    socket.on('error', () => {
      if (!connection.closed) this.counts.closed.error++;
      connection.closed = true;
    });
    socket.on('close', () => {
      if (!connection.closed) this.counts.closed.peer++;
      connection.closed = true;
      source.connections--;
      this.connections.delete(connection.id);
    });
  }

  private makeConnection(id: number, socket: Socket, source: Source): Connection {
    const sink: FrameSink = {
      admit: (bytes, offset, length) => this.admitHeader(connection, bytes, offset, length),
      packet: (packet) => this.take(connection, packet),
    };
    const connection = new Connection(id, socket, source, sink, this.eventMs);
    return connection;
  }

  /** Decided from the 12 header bytes; what is refused is never buffered. */
  private admitHeader(connection: Connection, bytes: Uint8Array, offset: number, length: number): boolean {
    const index = readLe32(bytes, offset);
    const fault = headerFault(bytes, offset, length);
    if (fault === undefined && (index === BOOTSTRAP_INDEX || this.dependencies.router.knows(index))) return true;
    this.countDrop(fault ?? 'unknown_index');
    connection.other(this.eventMs);
    connection.frameDone();
    return false;
  }

  private take(connection: Connection, packet: Uint8Array): void {
    connection.frameDone();
    const index = readLe32(packet, 0);
    if (isSessionIndex(index)) this.takeLive(connection, index, packet);
    else if (index === BOOTSTRAP_INDEX) this.takeHello(connection, packet);
    else this.takeHandshake(connection, index, packet);
  }

  private takeLive(connection: Connection, index: number, packet: Uint8Array, isH3 = false): void {
    const mailbox = this.dependencies.mailbox(this.dependencies.router.shardOf(index));
    const envelope = { connection: connection.id, source: connection.source.id, flags: 0, retryAfterSeconds: 0 };
    connection.other(this.eventMs);
    const shareUsed = connection.useShare(mailbox.filledBatch, packet.length);
    const room = mailbox.offerTransport(envelope, packet, isH3);
    if (room && !shareUsed) return;
    connection.hold();
    const resume = () => {
      if (!connection.resume()) this.drop(connection, 'framing');
    };
    if (room) mailbox.whenBatchLeaves(resume);
    else mailbox.whenRoom(resume);
  }

  private takeHello(connection: Connection, packet: Uint8Array): void {
    const { admission, router } = this.dependencies;
    const index = readLe32(packet, CONTENT_OFFSET);
    const shard = router.shardOf(index);
    const { source } = connection;
    const record = admission.reserveRecord(source, shard);
    const envelope = this.envelope(connection, record ? ADMIT.record : 0);
    if (this.dependencies.mailbox(shard).offerHandshake(envelope, packet, HANDSHAKE_COST_US.hello)) {
      // Routed ahead of the shard's word, for message 5 may follow in the same read.
      if (record && index !== BOOTSTRAP_INDEX && !isSessionIndex(index)) router.add(shard, index);
      return;
    }
    if (record) admission.release('record', source.id, shard);
    this.shed(connection, index, shard);
  }

  private takeHandshake(connection: Connection, index: number, packet: Uint8Array): void {
    const { admission, router } = this.dependencies;
    const shard = router.shardOf(index);
    const mailbox = this.dependencies.mailbox(shard);
    const { source } = connection;
    const isNoise = typeOf(packet) === TYPE.handshake;
    if (isNoise && counterOf(packet) === 2) {
      this.takeLive(connection, index, packet, true);
      return;
    }
    const isH1 = isNoise && counterOf(packet) === 1;
    const token = isH1 && source.takeToken(this.eventMs);
    const session = isH1 && admission.reserveSession(source, shard);
    const flags = (token ? ADMIT.token : 0) | (session ? ADMIT.session : 0);
    const cost = isH1 ? HANDSHAKE_COST_US.h1 : HANDSHAKE_COST_US.kkt;
    if (mailbox.offerHandshake(this.envelope(connection, flags), packet, cost)) return;
    if (token) source.returnToken();
    if (session) admission.release('session', source.id, shard);
    if (isH1) this.shed(connection, index, shard);
    else this.countDrop('mailbox_full');
  }

  /** Beyond the bound on queued handshake work: Busy, without any work of the shard's (§4.5). */
  private shed(connection: Connection, index: number, shard: number): void {
    this.counts.busy++;
    this.countDrop('mailbox_full');
    connection.other(this.eventMs);
    const busy = encodeBusyPacket(index, this.dependencies.mailbox(shard).retryAfter());
    if (!connection.sendPacket(busy)) this.drop(connection, 'not_reading');
  }

  private envelope(connection: Connection, flags: number): PacketEnvelope {
    connection.other(this.eventMs);
    const { source } = connection;
    return { connection: connection.id, source: source.id, flags, retryAfterSeconds: source.retryAfter() };
  }

  private countDrop(reason: DropReason): void {
    this.counts.drops[reason] = (this.counts.drops[reason] ?? 0) + 1;
  }
}
