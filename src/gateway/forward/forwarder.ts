/**
 * The entry gateway's way to exits (lp2.md §5): admits Forwards, runs their exchanges, keeps connections between them.
 * Invariant: nothing is connected to but what the allow-list names; exchanges, kept and ending connections are each
 * bounded; a connection on which a handshake began is the only one its family goes on with at that exit (§3).
 */
import assert from 'node:assert';
import { connect as connectSocket } from 'node:net';
import { decodeForwardResponse, FORWARD_STATUS } from '../../lp/wire/application-frame.ts';
import { BOOTSTRAP_INDEX, MAX_PACKET_LENGTH, MIN_PACKET_LENGTH, receiverIndex } from '../../lp/wire/packet.ts';
import { systemTimers } from '../../system/timers.ts';
import { Deadlines } from './deadlines.ts';
import { EndingConnections } from './ending-connections.ts';
import { Exchange, type ExchangeHost, type HandedOver } from './exchange.ts';
import { type Connect, ExitConnection } from './exit-connection.ts';
import { type Place, Places } from './places.ts';
import {
  FORWARDER_DEFAULTS,
  type Forwarder,
  type ForwarderDependencies,
  type ForwarderOptions,
  type ForwarderStatus,
  type ForwardRequest,
  type ForwardResult,
  type ForwardStatus,
} from './types.ts';

export type { Forwarder, ForwarderDependencies, ForwarderOptions, ForwardRequest } from './types.ts';

export function createForwarder(options: ForwarderOptions, dependencies: ForwarderDependencies = {}): Forwarder {
  return new ExitForwarder(options, dependencies);
}

class ExitForwarder implements Forwarder, ExchangeHost {
  readonly #options: Required<ForwarderOptions>;
  readonly #connect: Connect;
  readonly #places: Places;
  readonly #ending: EndingConnections;
  readonly #exchanges: Deadlines<Exchange>;
  readonly #connecting: Deadlines<ExitConnection>;
  readonly #results: Record<ForwardStatus, number> = { 0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0 };
  readonly #onGone = () => this.#gone();
  #open = 0;
  #connectionsOpened = 0;
  #connectionsReused = 0;
  #retries = 0;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(options: ForwarderOptions, dependencies: ForwarderDependencies) {
    const { connect = connectSocket, timers = systemTimers, nowMs = () => performance.now() } = dependencies;
    const time = { timers, nowMs };
    this.#options = { ...FORWARDER_DEFAULTS, ...options };
    this.#connect = connect;
    const { maxKept, keptIdleMs, maxEnding, endingMs, exchangeTimeoutMs, connectTimeoutMs } = this.#options;
    this.#places = new Places({ maxKept, idleMs: keptIdleMs }, time);
    this.#ending = new EndingConnections({ maxEnding, endingMs }, time);
    this.#exchanges = new Deadlines(exchangeTimeoutMs, time, (exchange) => exchange.timedOut());
    this.#connecting = new Deadlines(connectTimeoutMs, time, (connection) => connection.expire());
  }

  exchange(request: ForwardRequest, done: (response: Uint8Array) => void): void {
    assertWellFormed(request);
    const exit = this.#options.allowList.find(request.target);
    if (this.#closing !== undefined) this.#refuse(FORWARD_STATUS.closed, done);
    else if (exit === undefined) this.#refuse(FORWARD_STATUS.notAllowed, done);
    else if (!this.#hasRoom(request.family)) this.#refuse(FORWARD_STATUS.busy, done);
    else this.#run(request, this.#places.place(request.family, exit), done);
  }

  forward(request: ForwardRequest): Promise<ForwardResult> {
    const { promise, resolve } = Promise.withResolvers<ForwardResult>();
    this.exchange(request, (response) => resolve(resultOf(response)));
    return promise;
  }

  endFamily(family: string): void {
    this.#places.endFamily(family);
  }

  status(): ForwarderStatus {
    return {
      inFlight: this.#exchanges.size,
      openConnections: this.#open,
      keptConnections: this.#places.kept,
      endingConnections: this.#ending.size,
      results: { ...this.#results },
      connectionsOpened: this.#connectionsOpened,
      connectionsReused: this.#connectionsReused,
      retries: this.#retries,
    };
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = Promise.withResolvers<void>();
      this.#places.close();
      this.#ending.close();
      this.#exchanges.close();
      this.#connecting.close();
      if (this.#open === 0) this.#closing.resolve();
    }
    return this.#closing.promise;
  }

  // What an exchange asks for and tells.

  open(exchange: Exchange): ExitConnection | undefined {
    try {
      const connection = new ExitConnection(this.#connect, exchange.place.exit, this.#onGone);
      this.#open++;
      this.#connectionsOpened++;
      this.#connecting.add(connection);
      return connection;
    } catch {
      return undefined;
    }
  }

  connected(connection: ExitConnection): void {
    this.#connecting.delete(connection);
  }

  retried(): void {
    this.#retries++;
  }

  ended(exchange: Exchange, status: ForwardStatus, how?: HandedOver, connection?: ExitConnection): void {
    this.#exchanges.delete(exchange);
    this.#results[status]++;
    if (connection !== undefined) {
      if (how === 'ending') this.#ending.add(connection);
      else if (exchange.mayKeep) this.#places.keep(exchange.place, connection);
      else connection.destroy();
    }
    this.#places.end(exchange);
  }

  #refuse(status: ForwardStatus, done: (response: Uint8Array) => void): void {
    this.#results[status]++;
    done(Uint8Array.of(status));
  }

  #hasRoom(family: string): boolean {
    const { maxInFlight, maxInFlightPerFamily } = this.#options;
    return this.#exchanges.size < maxInFlight && this.#places.inFlight(family) < maxInFlightPerFamily;
  }

  #run(request: ForwardRequest, place: Place, done: (response: Uint8Array) => void): void {
    const { packets, replies, alone = false } = request;
    const exchange = new Exchange(place, { packets, replies, bootstrap: startsHandshake(packets), done }, this);
    // From here on its place is in use, and stays whatever is dropped.
    this.#places.begin(exchange);
    this.#exchanges.add(exchange);
    this.#claimExit(exchange);
    if (alone) exchange.mayKeep = false;
    const kept = alone ? undefined : this.#places.take(place);
    if (kept !== undefined) this.#connectionsReused++;
    exchange.start(kept);
  }

  /**
   * Whether the connection of an exchange that begins now may be kept. A balancer in front of the exit places a
   * connection by its first packet (§3), so once a handshake begins, the family's other connections to that exit may
   * lead elsewhere: the kept one goes at once, those in use when they are done, and those that begin meanwhile too.
   */
  #claimExit(exchange: Exchange): void {
    const { place, bootstrap } = exchange;
    if (bootstrap) this.#places.drop(place);
    for (const other of place.running) {
      if (other === exchange) continue;
      if (bootstrap) other.mayKeep = false;
      else if (other.bootstrap && other.mayKeep) exchange.mayKeep = false;
    }
  }

  #gone(): void {
    this.#open--;
    if (this.#open === 0) this.#closing?.resolve();
  }
}

function resultOf(response: Uint8Array): ForwardResult {
  const decoded = decodeForwardResponse(response.slice());
  assert(decoded !== undefined, 'a ForwardResponse decodes');
  return { status: decoded.status as ForwardStatus, packets: decoded.packets };
}

function startsHandshake(packets: readonly Uint8Array[]): boolean {
  const [first] = packets;
  return first !== undefined && receiverIndex(first) === BOOTSTRAP_INDEX;
}

function assertWellFormed({ packets, replies }: ForwardRequest): void {
  assert(Number.isInteger(replies) && replies >= 0 && replies <= 255, 'replies is a byte');
  assert(packets.length > 0, 'a Forward has at least one packet');
  for (const { length } of packets) assert(length >= MIN_PACKET_LENGTH && length <= MAX_PACKET_LENGTH, 'packet length');
}
