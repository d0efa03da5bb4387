/**
 * The gate before the acceptor: under overload it refuses connections before anything is made for them, for a Busy on a
 * fresh connection costs a quarter of a handshake, and at several times the peak that would be all a gateway does. It refuses
 * only whose hello would be refused by every shard (lp2.md §4.5), and only beyond a number of Busy that is still worth
 * its price; live sessions on their connections never meet it.
 */
import { BlockList, type SocketAddress } from 'node:net';

/**
 * Connections per second that are let in although their handshake will be told Busy: enough that clients learn when to come
 * back, and a hundredth of a core. A client that has a session and comes back on a new connection gets in with these.
 */
const POLITE_PER_S = 50;

export interface GateHost {
  nowMs(): number;
  /** Whether a handshake from this address would find room anywhere. */
  hasRoom(address: string, nowMs: number): boolean;
  /** A connection is refused. */
  refused(): void;
}

/** Node asks a server's block list after accept and before it makes a socket: the earliest moment there is. */
export class Gate extends BlockList {
  private readonly host: GateHost;
  private polite = POLITE_PER_S;
  private politeAtMs = 0;

  constructor(host: GateHost) {
    super();
    this.host = host;
  }

  /** True: the connection is closed. */
  override check(peer: string | SocketAddress): boolean {
    const nowMs = this.host.nowMs();
    const address = typeof peer === 'string' ? peer : peer.address;
    if (this.host.hasRoom(address, nowMs) || this.takePolite(nowMs)) return false;
    this.host.refused();
    return true;
  }

  private takePolite(nowMs: number): boolean {
    this.polite = Math.min(POLITE_PER_S, this.polite + ((nowMs - this.politeAtMs) / 1_000) * POLITE_PER_S);
    this.politeAtMs = nowMs;
    if (this.polite < 1) return false;
    this.polite--;
    return true;
  }
}
