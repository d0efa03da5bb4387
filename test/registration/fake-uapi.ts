/**
 * A WireGuard process as its UAPI socket shows it: one operation per connection (what follows on it is lost), changes applied up
 * to the line that is refused, allowed IPs that move to whom they were given last, and a death that leaves a stale socket.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

export interface FakePeer {
  presharedKey: string;
  keepalive: number;
  rx: number;
  tx: number;
  /** Which making of a peer this is: one that was removed and made again has lost its session. */
  readonly session: number;
  /** How often a `set` named it. */
  touched: number;
}

interface SetOperation {
  readonly kind: 'set';
  readonly peers: number;
}

/** What the process does with its next operations, instead of answering. */
export type Misbehaviour = 'silence' | 'garbage' | 'oversized' | 'hang up' | 'break off' | 'EIO' | 'die';

const ZEROS = '0'.repeat(64);
const EIO = 5;
const EINVAL = 22;
const EPROTO = 71;
const EADDRINUSE = 98;

export class FakeUapi {
  readonly path: string;
  readonly dialect: 'wireguard-go' | 'boringtun';
  privateKey: string | undefined;
  port = 0;
  readonly peers = new Map<string, FakePeer>();
  /** Address → public key. */
  readonly routes = new Map<string, string>();
  readonly operations: ({ readonly kind: 'get' } | SetOperation)[] = [];
  readonly next: Misbehaviour[] = [];
  /** Keys that it refuses as peers. */
  readonly refused = new Set<string>();
  portTaken = false;
  /** Connections that asked something and have no answer yet. */
  atOnce = 0;
  mostAtOnce = 0;
  /** Called with each operation before it is carried out. */
  onOperation: (() => void) | undefined;
  #sessions = 0;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(path: string, dialect: 'wireguard-go' | 'boringtun' = 'wireguard-go') {
    this.path = path;
    this.dialect = dialect;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get sets(): readonly number[] {
    return this.operations.flatMap((each) => (each.kind === 'set' ? [each.peers] : []));
  }

  /** A fresh process: it knows nothing, and replaces a socket that was left. */
  async start(): Promise<void> {
    if (existsSync(this.path)) rmSync(this.path);
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
  }

  /** SIGKILL: everything is gone but the socket's name. */
  kill(): void {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    renameSync(this.path, `${this.path}.kept`);
    server.close();
    renameSync(`${this.path}.kept`, this.path);
    for (const socket of this.#sockets) socket.destroy();
    this.privateKey = undefined;
    this.port = 0;
    this.peers.clear();
    this.routes.clear();
  }

  routesOf(publicKey: Uint8Array): readonly string[] {
    const key = Buffer.from(publicKey).toString('hex');
    return [...this.routes].flatMap(([address, owner]) => (owner === key ? [address] : [])).sort();
  }

  peer(publicKey: Uint8Array): FakePeer | undefined {
    return this.peers.get(Buffer.from(publicKey).toString('hex'));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let text = '';
    let done = false;
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      if (done) return;
      text += data.toString('latin1');
      const end = text.indexOf('\n\n');
      if (end === -1) return;
      done = true;
      this.atOnce += 1;
      this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce);
      this.#carryOut(socket, text.slice(0, end).split('\n'));
      this.atOnce -= 1;
    });
  }

  #carryOut(socket: Socket, [operation, ...lines]: string[]): void {
    this.onOperation?.();
    const peers = lines.filter((line) => line.startsWith('public_key=')).length;
    this.operations.push(operation === 'get=1' ? { kind: 'get' } : { kind: 'set', peers });
    switch (this.next.shift()) {
      case 'silence':
        return;
      case 'garbage':
        socket.write('what do you want?\n');
        return;
      case 'oversized':
        socket.write('x'.repeat(1_000_000));
        return;
      case 'hang up':
        socket.destroy();
        return;
      case 'break off':
        socket.end(`private_key=${this.privateKey ?? ZEROS}\npublic_key=${ZEROS.slice(0, 20)}`);
        return;
      case 'EIO':
        this.#answer(socket, '', EIO);
        return;
      case 'die':
        this.kill();
        return;
      case undefined:
        if (operation === 'get=1') this.#answer(socket, this.#dump(), 0);
        else this.#answer(socket, '', operation === 'set=1' ? this.#set(lines) : EPROTO);
    }
  }

  #answer(socket: Socket, text: string, errno: number): void {
    const sign = this.dialect === 'wireguard-go' && errno !== 0 ? '-' : '';
    socket.write(`${text}errno=${sign}${errno}\n\n`);
  }

  #dump(): string {
    const lines: string[] = [];
    if (this.privateKey !== undefined) {
      lines.push(
        this.dialect === 'wireguard-go' ? `private_key=${this.privateKey}` : `own_public_key=${OWN_PUBLIC_KEY_HEX}`,
      );
    }
    if (this.port !== 0) lines.push(`listen_port=${this.port}`);
    for (const [key, peer] of this.peers) {
      lines.push(`public_key=${key}`, `preshared_key=${peer.presharedKey}`, 'protocol_version=1');
      lines.push('endpoint=[fe80::1%eth0]:4711', 'last_handshake_time_sec=0', 'last_handshake_time_nsec=0');
      lines.push(`tx_bytes=${peer.tx}`, `rx_bytes=${peer.rx}`, `persistent_keepalive_interval=${peer.keepalive}`);
      for (const [address, owner] of this.routes) if (owner === key) lines.push(`allowed_ip=${address}`);
    }
    return lines.map((line) => `${line}\n`).join('');
  }

  #set(lines: readonly string[]): number {
    let key: string | undefined;
    for (const line of lines) {
      const [name = '', value = ''] = line.split('=', 2);
      if (name === 'public_key') {
        if (this.refused.has(value)) return EINVAL;
        if (this.dialect === 'boringtun' && (key !== undefined || this.#changesStanding(value, lines))) {
          this.kill();
          return EIO;
        }
        key = value;
        this.#touch(key);
        continue;
      }
      const errno = key === undefined ? this.#setDevice(name, value) : this.#setPeer(key, name, value);
      if (errno !== 0) return errno;
    }
    return 0;
  }

  /** boringtun's own limit, at which it panics. */
  #changesStanding(key: string, lines: readonly string[]): boolean {
    return this.peers.has(key) && !lines.includes('remove=true');
  }

  #touch(key: string): void {
    const known = this.peers.get(key);
    this.#sessions += known === undefined ? 1 : 0;
    const peer = known ?? { presharedKey: ZEROS, keepalive: 0, rx: 0, tx: 0, session: this.#sessions, touched: 0 };
    peer.touched += 1;
    this.peers.set(key, peer);
  }

  #setDevice(name: string, value: string): number {
    if (name === 'private_key') {
      const key = Buffer.from(value, 'hex');
      key[0]! &= 248;
      key[31] = (key[31]! & 127) | 64;
      this.privateKey = key.toString('hex');
      return 0;
    }
    if (name !== 'listen_port') return EINVAL;
    this.port = Number(value);
    return this.portTaken ? EADDRINUSE : 0;
  }

  #setPeer(key: string, name: string, value: string): number {
    const peer = this.peers.get(key);
    switch (name) {
      case 'update_only':
        if (this.dialect === 'boringtun') return EINVAL;
        if (peer?.touched === 1) this.peers.delete(key);
        return 0;
      case 'remove':
        this.peers.delete(key);
        for (const [address, owner] of this.routes) if (owner === key) this.routes.delete(address);
        return 0;
      case 'preshared_key':
        if (peer) peer.presharedKey = value;
        return 0;
      case 'replace_allowed_ips':
        for (const [address, owner] of this.routes) if (owner === key) this.routes.delete(address);
        return 0;
      case 'allowed_ip':
        this.routes.set(value, key);
        return 0;
      case 'persistent_keepalive_interval':
        if (peer) peer.keepalive = Number(value);
        return 0;
      default:
        return EINVAL;
    }
  }
}

/** boringtun shows it instead of the private key; that it belongs to it nobody here checks. */
export const OWN_PUBLIC_KEY = new Uint8Array(32).fill(0xaa);
const OWN_PUBLIC_KEY_HEX = Buffer.from(OWN_PUBLIC_KEY).toString('hex');

export async function startFakeUapi(
  t: ExecutionContext,
  directory: string,
  dialect?: 'wireguard-go' | 'boringtun',
): Promise<FakeUapi> {
  const fake = new FakeUapi(`${directory}/wg.sock`, dialect);
  t.teardown(() => fake.kill());
  await fake.start();
  return fake;
}
