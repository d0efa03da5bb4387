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
import {
  BOOTSTRAP_INDEX,
  CONTENT_OFFSET,
  counterOf,
  encodeUnsealed,
  isSessionIndex,
  TYPE,
  typeOf,
  VERSION_1,
  versionOf,
} from '../lp/wire/packet.ts';
import { ADMIT, type PacketEnvelope } from '../shard/messages.ts';
import type { CancelTimer } from '../system/timers.ts';
import type { Admission, Source } from './admission.ts';
import { type CloseReason, Connection, type ConnectionTimeouts } from './connection.ts';
import { Gate } from './gate.ts';
import { standingOf } from './handshake-lane.ts';
import { listenOn } from './listen.ts';
import { HANDSHAKE_COST_US, type Mailbox } from './mailbox.ts';
import { RestRoom } from './resting.ts';
import type { Router } from './router.ts';

export interface AcceptorOptions {
  readonly timeouts: ConnectionTimeouts;
  readonly connections: number;
  /** Whether LP1 is admitted. */
  readonly lp1: boolean;
}

export interface AcceptorDependencies {
  readonly admission: Admission;
  readonly router: Router;
  /** The mailbox of a shard at present. */
  readonly mailbox: (shard: number) => Mailbox;
  readonly nowMs: () => number;
  readonly after: (ms: number, action: () => void) => CancelTimer;
}

const EMPTY = new Uint8Array(0);

export interface AcceptorCounts {
  accepted: number;
  refused: number;
  busy: number;
  /** Frames for an unknown index that waited for the batches before them. */
  heldBack: number;
  readonly closed: Record<CloseReason, number>;
  readonly drops: Partial<Record<DropReason, number>>;
}

export class Acceptor {
  readonly counts: AcceptorCounts = {
    accepted: 0,
    refused: 0,
    busy: 0,
    heldBack: 0,
    closed: {
      framing: 0,
      frame_timeout: 0,
      unproven: 0,
      idle: 0,
      not_reading: 0,
      no_answer: 0,
      peer: 0,
      error: 0,
      drain: 0,
    },
    drops: {},
  };
  private readonly options: AcceptorOptions;
  private readonly dependencies: AcceptorDependencies;
  private readonly servers: Server[] = [];
  private readonly connections = new Map<number, Connection>();
  private readonly gate: Gate;
  private readonly restRoom: RestRoom;
  private lastId = 0;
  /** Read once per event: a packet's age needs no finer clock, and reading it costs as much as a packet. */
  private eventMs = 0;

  constructor(options: AcceptorOptions, dependencies: AcceptorDependencies) {
    this.options = options;
    this.dependencies = dependencies;
    const { nowMs, after } = dependencies;
    this.gate = new Gate({
      nowMs,
      hasRoom: (address, atMs) => this.hasRoom(address, atMs),
      refused: () => {
        this.counts.refused++;
      },
    });
    this.restRoom = new RestRoom({
      after,
      rested: (connection) => {
        this.eventMs = nowMs();
        if (!connection.rested()) this.drop(connection, 'framing');
      },
    });
  }

  get open(): number {
    return this.connections.size;
  }

  connection(id: number): Connection | undefined {
    return this.connections.get(id);
  }

  /** Listens; resolves to the bound port. */
  async listen(host: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true, allowHalfOpen: true, blockList: this.gate }, (socket) =>
      this.accept(socket),
    );
    this.servers.push(server);
    return listenOn(server, host, port, () => {
      this.counts.refused++;
    });
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
    const { timeouts } = this.options;
    for (const connection of this.connections.values()) {
      if (connection.closed) {
        if (connection.lingers(nowMs, timeouts)) connection.destroy();
        continue;
      }
      const reason = connection.overdue(nowMs, timeouts);
      if (reason !== undefined) this.drop(connection, reason);
    }
  }

  /** Sends what a batch brought for the connection; one whose last packet gets no answer ends then. */
  settle(connection: Connection): void {
    if (!connection.flush()) this.drop(connection, 'not_reading');
    else if (connection.finished) {
      this.counts.closed.no_answer++;
      connection.end();
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
    // The upper half of the numbers is Nym's.
    do this.lastId = (this.lastId + 1) & 0x7fff_ffff;
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

  /** Whether anything that a new connection from here could begin would find room (§4.5). */
  private hasRoom(address: string, nowMs: number): boolean {
    const { admission, router, mailbox } = this.dependencies;
    const source = admission.known(address);
    const standing = standingOf(true, source?.newcomer(nowMs) !== false);
    for (let shard = 0; shard < router.shards; shard++) {
      if (mailbox(shard).takesHello(source?.id, standing)) return true;
    }
    return false;
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
  private admitHeader(connection: Connection, bytes: Uint8Array, offset: number, length: number): boolean | 'wait' {
    const { router } = this.dependencies;
    const index = readLe32(bytes, offset);
    const known = index === BOOTSTRAP_INDEX || router.knows(index);
    if (!known && this.holdBack(connection)) return 'wait';
    connection.heldBack = false;
    const live = router.isLive(index);
    const fault = headerFault(bytes, offset, length, live);
    const rests = connection.resting && !live;
    if (fault === undefined && known && !rests) return true;
    this.countDrop(fault ?? (known ? 'mailbox_full' : 'unknown_index'));
    connection.other(this.eventMs);
    connection.frameDone();
    if (connection.refused(this.eventMs, length)) this.restRoom.add(connection);
    return false;
  }

  /**
   * A packet on an index that an LP1 client picked for its new session may be here before the shard has said that it takes
   * the index. So the connection waits, once per frame, for what was queued in any shard before it (lp1.md §7.8).
   */
  private holdBack(connection: Connection): boolean {
    if (!this.options.lp1 || connection.heldBack) return false;
    const busy: Mailbox[] = [];
    for (let shard = 0; shard < this.dependencies.router.shards; shard++) {
      const mailbox = this.dependencies.mailbox(shard);
      if (!mailbox.settled) busy.push(mailbox);
    }
    if (busy.length === 0) return false;
    connection.heldBack = true;
    this.counts.heldBack++;
    connection.hold();
    let left = busy.length;
    const settled = () => {
      left--;
      if (left === 0) this.resume(connection);
    };
    for (const mailbox of busy) mailbox.whenSettled(settled);
    return true;
  }

  private resume(connection: Connection): void {
    if (!connection.resume()) this.drop(connection, 'framing');
  }

  private take(connection: Connection, packet: Uint8Array): void {
    connection.packetTaken();
    const index = readLe32(packet, 0);
    if (index === BOOTSTRAP_INDEX) this.takeHello(connection, packet);
    else if (this.dependencies.router.isLive(index)) this.takeLive(connection, index, packet);
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
    const resume = () => this.resume(connection);
    if (room) mailbox.whenBatchLeaves(resume);
    else mailbox.whenRoom(resume);
  }

  private takeHello(connection: Connection, packet: Uint8Array): void {
    const { admission, router } = this.dependencies;
    const index = readLe32(packet, CONTENT_OFFSET);
    const v1 = this.isV1(packet);
    const shard = v1 ? router.place(index) : router.shardOf(index);
    const { source } = connection;
    const mailbox = this.dependencies.mailbox(shard);
    const record = admission.reserveRecord(source, shard);
    // It can be no repeat, and the shard could make no record of it.
    if (!record && !router.knows(index)) {
      this.shed(connection, index, source.retryAfter(), v1);
      return;
    }
    const envelope = this.envelope(connection, record ? ADMIT.record : 0);
    if (this.offer(connection, mailbox, envelope, packet, HANDSHAKE_COST_US.hello, true)) {
      // Routed ahead of the shard's word, for message 5 may follow in the same read.
      const possible = index !== BOOTSTRAP_INDEX && (v1 || !isSessionIndex(index));
      if (record && possible && !router.knows(index)) router.add(shard, index, false);
      return;
    }
    if (record) admission.release('record', source.id, shard);
    this.shed(connection, index, mailbox.retryAfter(), v1);
  }

  private takeHandshake(connection: Connection, index: number, packet: Uint8Array): void {
    const { admission, router } = this.dependencies;
    const shard = router.shardOf(index);
    const mailbox = this.dependencies.mailbox(shard);
    const { source } = connection;
    const isNoise = typeOf(packet) === TYPE.handshake;
    // LP1 seals its H3: there the counter alone says so.
    if (counterOf(packet) === 2 && (isNoise || this.options.lp1)) {
      this.takeLive(connection, index, packet, true);
      return;
    }
    const v1 = this.isV1(packet);
    const isH1 = isNoise && counterOf(packet) === 1;
    const isKktV1 = v1 && typeOf(packet) === TYPE.kktRequest;
    const token = (isH1 || isKktV1) && source.takeToken(this.eventMs);
    const session = isH1 && admission.reserveSession(source, shard);
    const flags = (token ? ADMIT.token : 0) | (session ? ADMIT.session : 0);
    // Without token or place it is answered only if it is a repeat.
    const isWork = isH1 && token && session;
    const cost = isWork ? HANDSHAKE_COST_US.h1 : isKktV1 ? HANDSHAKE_COST_US.kktV1 : HANDSHAKE_COST_US.kkt;
    if (this.offer(connection, mailbox, this.envelope(connection, flags), packet, cost, false)) return;
    if (token) source.returnToken();
    if (session) admission.release('session', source.id, shard);
    if (isH1 || isKktV1) this.shed(connection, index, mailbox.retryAfter(), v1);
    else this.countDrop('mailbox_full');
  }

  private offer(
    { source }: Connection,
    mailbox: Mailbox,
    envelope: PacketEnvelope,
    packet: Uint8Array,
    costUs: number,
    opening: boolean,
  ): boolean {
    const standing = standingOf(opening, source.newcomer(this.eventMs));
    const taken = mailbox.offerHandshake(envelope, packet, costUs, standing);
    if (taken) source.worked(costUs, this.eventMs);
    return taken;
  }

  /** Beyond the bound on queued handshake work: Busy, without any work of the shard's (§4.5). */
  private shed(connection: Connection, index: number, retryAfterSeconds: number, v1: boolean): void {
    this.counts.busy++;
    this.countDrop('mailbox_full');
    connection.other(this.eventMs);
    const busy = v1
      ? encodeUnsealed(index, 0, TYPE.busy, EMPTY, VERSION_1)
      : encodeBusyPacket(index, Math.ceil(retryAfterSeconds));
    if (!connection.sendPacket(busy)) this.drop(connection, 'not_reading');
    else if (connection.refused(this.eventMs)) this.restRoom.add(connection);
  }

  /** Whether an unsealed packet is LP1's, where that is admitted. */
  private isV1(packet: Uint8Array): boolean {
    return this.options.lp1 && versionOf(packet) === VERSION_1;
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
