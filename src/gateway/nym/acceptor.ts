/**
 * Nym's listener: it owns sockets, cuts messages by their lengths alone, asks admission, and puts whole messages into the
 * mailbox of the connection's shard (nym.md §2, §10). It does no cryptography. A connection belongs to one shard from its
 * beginning to its end, and ends with it; what is refused ends it without a word. Of two sessions with one receiver index
 * the second is refused (§15 B20).
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { StreamMessage } from '../../lp/nym/stream-cutter.ts';
import { ADMIT, type PacketEnvelope } from '../../shard/messages.ts';
import type { OutboundStreams } from '../../shard/stream-messages.ts';
import type { Admission, Source } from '../admission.ts';
import { Gate } from '../gate.ts';
import { standingOf } from '../handshake-lane.ts';
import type { KeyedHash } from '../keyed-hash.ts';
import { listenOn } from '../listen.ts';
import { HANDSHAKE_COST_US, type Mailbox } from '../mailbox.ts';
import { NymConnection, type NymTimeouts } from './connection.ts';
import { NYM_CLOSE_REASONS, NYM_REFUSALS, type NymCloseReason, type NymRefusal, zeroCounts } from './reasons.ts';

export interface NymAcceptorOptions {
  readonly connections: number;
  readonly timeouts: NymTimeouts;
  readonly shards: number;
}

export interface NymAcceptorDependencies {
  readonly admission: Admission;
  /** The mailbox of a shard at present. */
  readonly mailbox: (shard: number) => Mailbox;
  /** Assigns connections to shards under a key that clients do not know. */
  readonly hash: KeyedHash;
  readonly nowMs: () => number;
  /** A session's request; its answer goes to the mailbox of the connection's shard. */
  readonly request: (connection: NymConnection, kind: number, body: Uint8Array) => void;
  /** The connection is closed, or is about to be: nothing is to be done for it any more. */
  readonly left: (connection: NymConnection) => void;
}

/** Ids of Nym's connections have this bit, those of the other listener have not: mailboxes know both. */
const ID_BIT = 0x8000_0000;
const ID_MASK = 0x7fff_ffff;

export function isNymConnection(id: number): boolean {
  return id >= ID_BIT;
}

export class NymAcceptor implements OutboundStreams {
  readonly counts = {
    accepted: 0,
    refused: 0,
    handshakes: 0,
    sessions: 0,
    messages: 0,
    drops: zeroCounts(NYM_REFUSALS),
    closed: zeroCounts(NYM_CLOSE_REASONS),
  };
  private readonly options: NymAcceptorOptions;
  private readonly dependencies: NymAcceptorDependencies;
  private readonly gate: Gate;
  private server: Server | undefined;
  private readonly connections = new Map<number, NymConnection>();
  /** Receiver indices of sessions, and whose they are. */
  private readonly indices = new Map<number, NymConnection>();
  private touched: NymConnection[] = [];
  private lastId = 0;

  constructor(options: NymAcceptorOptions, dependencies: NymAcceptorDependencies) {
    this.options = options;
    this.dependencies = dependencies;
    this.gate = new Gate({
      nowMs: dependencies.nowMs,
      hasRoom: (address, atMs) => this.hasRoom(address, atMs),
      refused: () => {
        this.counts.refused++;
      },
    });
  }

  get open(): number {
    return this.connections.size;
  }

  get sessions(): number {
    return this.indices.size;
  }

  /** Whether nobody waits for the connection's answers any more. */
  gone(id: number): boolean {
    return this.connections.get(id)?.closed !== false;
  }

  /** Resolves to the bound port. Rejects with ListenError. */
  listen(host: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true, allowHalfOpen: true, blockList: this.gate }, (socket) =>
      this.accept(socket),
    );
    this.server = server;
    const untaken = () => {
      this.counts.refused++;
    };
    return listenOn(server, host, port, untaken, 'nym.listen');
  }

  stopListening(): void {
    this.server?.close();
  }

  /** Reads nothing further; answers still go out. */
  stopReading(): void {
    for (const connection of this.connections.values()) connection.hold();
  }

  close(how: 'end' | 'destroy'): void {
    this.stopListening();
    for (const connection of this.connections.values()) this.drop(connection, 'drain', how);
  }

  /** Closes connections whose time is up. */
  sweep(nowMs: number): void {
    const { timeouts } = this.options;
    for (const connection of this.connections.values()) {
      if (connection.closed) {
        if (connection.lingers(nowMs, timeouts)) connection.destroy();
        continue;
      }
      const reason = connection.overdue(nowMs, timeouts);
      if (reason !== undefined) this.drop(connection, reason, 'destroy');
    }
  }

  /** The shard's state is lost, and a connection has no other shard. */
  shardLost(shard: number): void {
    for (const connection of this.connections.values()) {
      if (connection.shard !== shard) continue;
      connection.known = false;
      this.drop(connection, 'shard_lost', 'destroy');
    }
  }

  // What a batch brought; connections are flushed when it is read to its end.

  send(id: number, bytes: Uint8Array): void {
    const connection = this.connections.get(id);
    if (connection?.send(bytes) === true) this.touched.push(connection);
  }

  ended(id: number, reason: Parameters<OutboundStreams['ended']>[1]): void {
    const connection = this.connections.get(id);
    if (connection === undefined) return;
    connection.known = false;
    if (reason === 'expired') this.drop(connection, 'expired', 'end');
    else this.refuse(connection, reason);
  }

  established(id: number, index: number): void {
    const connection = this.connections.get(id);
    if (connection === undefined || connection.closed) return;
    if (this.indices.has(index)) {
      this.refuse(connection, 'index_in_use');
      return;
    }
    this.indices.set(index, connection);
    connection.index = index;
    this.counts.sessions++;
  }

  request(id: number, kind: number, body: Uint8Array): void {
    const connection = this.connections.get(id);
    if (connection !== undefined && !connection.closed) this.dependencies.request(connection, kind, body);
    // A registration has the owner's secret and a preshared key in it.
    else body.fill(0);
  }

  /** Sends what a batch brought. */
  settle(): void {
    const { touched } = this;
    if (touched.length === 0) return;
    this.touched = [];
    for (const connection of touched) connection.flush();
  }

  private accept(socket: Socket): void {
    const { admission, nowMs, hash } = this.dependencies;
    const full = this.connections.size >= this.options.connections;
    const source = full ? undefined : admission.connect(socket.remoteAddress ?? '', nowMs());
    if (source === undefined) {
      this.counts.refused++;
      socket.destroy();
      return;
    }
    this.counts.accepted++;
    const id = this.nextId();
    const sink = (kind: StreamMessage, bytes: Uint8Array) => this.take(connection, kind, bytes);
    const broken = () => this.refuse(connection, 'broken_framing');
    const shard = hash.of(id) % this.options.shards;
    const connection = new NymConnection({ id, shard, source, socket, nowMs, broken }, sink);
    this.connections.set(id, connection);
    socket.on('data', (chunk: Buffer) => {
      const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      connection.read(bytes);
    });
    // A client that has ended its side waits for nothing: what was written is on its way.
    socket.on('end', () => this.drop(connection, 'peer', 'end'));
    socket.on('error', () => this.drop(connection, 'error', 'destroy'));
    socket.on('close', () => {
      this.drop(connection, 'peer', 'destroy');
      source.connections--;
      this.connections.delete(id);
    });
  }

  private nextId(): number {
    let id: number;
    do {
      this.lastId = (this.lastId + 1) & ID_MASK;
      id = (this.lastId | ID_BIT) >>> 0;
    } while (this.connections.has(id));
    return id;
  }

  private hasRoom(address: string, nowMs: number): boolean {
    const { admission, mailbox } = this.dependencies;
    const source = admission.known(address);
    const standing = standingOf(true, source?.newcomer(nowMs) !== false);
    for (let shard = 0; shard < this.options.shards; shard++) {
      if (mailbox(shard).takesHello(source?.id, standing)) return true;
    }
    return false;
  }

  private take(connection: NymConnection, kind: StreamMessage, bytes: Uint8Array): void {
    if (connection.closed) return;
    this.counts.messages++;
    const refused = this.offer(connection, kind, bytes);
    if (refused === undefined) connection.taken(bytes.length);
    else this.refuse(connection, refused);
  }

  private offer(connection: NymConnection, kind: StreamMessage, bytes: Uint8Array): NymRefusal | undefined {
    switch (kind) {
      case 'kkt':
        return this.takeKkt(connection, bytes);
      case 'psq':
        return this.takePsq(connection, bytes);
      case 'packet':
        return this.takePacket(connection, bytes);
    }
  }

  /** A token and a record are good for the whole handshake: what an H1 is to LP2, both messages are here. */
  private takeKkt(connection: NymConnection, bytes: Uint8Array): NymRefusal | undefined {
    const { admission, nowMs } = this.dependencies;
    const { source, shard } = connection;
    if (!source.takeToken(nowMs())) return 'no_token';
    if (!admission.reserveRecord(source, shard)) {
      source.returnToken();
      return 'record_limit';
    }
    if (this.offerHandshake(connection, ADMIT.token | ADMIT.record, bytes, HANDSHAKE_COST_US.nymKkt, true)) {
      this.counts.handshakes++;
      connection.known = true;
      return undefined;
    }
    source.returnToken();
    admission.release('record', source.id, shard);
    return 'mailbox_full';
  }

  private takePsq(connection: NymConnection, bytes: Uint8Array): NymRefusal | undefined {
    const { admission } = this.dependencies;
    const { source, shard } = connection;
    if (!admission.reserveSession(source, shard)) return 'session_limit';
    if (this.offerHandshake(connection, ADMIT.session, bytes, HANDSHAKE_COST_US.nymPsq, false)) return undefined;
    admission.release('session', source.id, shard);
    return 'mailbox_full';
  }

  private takePacket(connection: NymConnection, bytes: Uint8Array): NymRefusal | undefined {
    // Nobody has the keys before message 2.
    if (connection.index === undefined) return 'unexpected';
    const mailbox = this.dependencies.mailbox(connection.shard);
    if (mailbox.offerTransport(envelopeOf(connection, 0), bytes)) return undefined;
    connection.hold();
    mailbox.whenRoom(() => connection.resume());
    return undefined;
  }

  private offerHandshake(
    connection: NymConnection,
    flags: number,
    bytes: Uint8Array,
    costUs: number,
    opening: boolean,
  ): boolean {
    const { mailbox, nowMs } = this.dependencies;
    const { source, shard } = connection;
    const atMs = nowMs();
    const standing = standingOf(opening, source.newcomer(atMs));
    const taken = mailbox(shard).offerHandshake(envelopeOf(connection, flags), bytes, costUs, standing);
    if (taken) source.worked(costUs, atMs);
    return taken;
  }

  /** What was answered before goes out, and then the end. */
  private refuse(connection: NymConnection, reason: NymRefusal): void {
    if (connection.closed) return;
    this.counts.drops[reason]++;
    this.drop(connection, 'refused', 'end');
  }

  private drop(connection: NymConnection, reason: NymCloseReason, how: 'end' | 'destroy'): void {
    if (connection.closed) {
      if (how === 'destroy') connection.destroy();
      return;
    }
    this.counts.closed[reason]++;
    if (how === 'end') connection.end();
    else connection.destroy();
    this.leave(connection);
  }

  private leave(connection: NymConnection): void {
    const { index, known, shard, id } = connection;
    if (index !== undefined && this.indices.get(index) === connection) this.indices.delete(index);
    if (known) this.dependencies.mailbox(shard).streamClosed(id);
    connection.known = false;
    this.dependencies.left(connection);
  }
}

function envelopeOf({ id, source }: { readonly id: number; readonly source: Source }, flags: number): PacketEnvelope {
  return { connection: id, source: source.id, flags: flags | ADMIT.stream, retryAfterSeconds: 0 };
}
