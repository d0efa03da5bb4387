/**
 * The entry gateway's way to exits (lp2.md §5): admits Forwards, runs their exchanges, keeps connections between them.
 * Invariant: nothing is connected to but what the allow-list names; exchanges, kept and ending connections are each
 * bounded; a connection on which a handshake began is the only one its family goes on with at that exit (§3).
 */
import assert from 'node:assert';
import { connect as connectSocket } from 'node:net';
import { FORWARD_STATUS } from '../../lp/wire/application-frame.ts';
import { BOOTSTRAP_INDEX, MAX_PACKET_LENGTH, MIN_PACKET_LENGTH, receiverIndex } from '../../lp/wire/packet.ts';
import { systemTimers, type Timers } from '../../system/timers.ts';
import type { Exit } from './allow-list.ts';
import { EndingConnections } from './ending-connections.ts';
import { Exchange, type ExchangeOutcome } from './exchange.ts';
import { ExitConnection } from './exit-connection.ts';
import { KeptConnections } from './kept-connections.ts';
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

interface Running {
  readonly family: string;
  readonly exit: Exit;
  /** Its first packet has index 0: an exit's balancer places the handshake by it. */
  readonly bootstrap: boolean;
  readonly exchange: Exchange;
  mayKeep: boolean;
}

export function createForwarder(options: ForwarderOptions, dependencies: ForwarderDependencies = {}): Forwarder {
  return new ExitForwarder(options, dependencies);
}

class ExitForwarder implements Forwarder {
  readonly #options: Required<ForwarderOptions>;
  readonly #connect: NonNullable<ForwarderDependencies['connect']>;
  readonly #timers: Timers;
  readonly #kept: KeptConnections;
  readonly #ending: EndingConnections;
  readonly #open = new Set<ExitConnection>();
  readonly #running = new Map<string, Set<Running>>();
  readonly #results: Record<ForwardStatus, number> = { 0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0 };
  #inFlight = 0;
  #connectionsOpened = 0;
  #connectionsReused = 0;
  #retries = 0;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(options: ForwarderOptions, dependencies: ForwarderDependencies) {
    this.#options = { ...FORWARDER_DEFAULTS, ...options };
    this.#connect = dependencies.connect ?? connectSocket;
    this.#timers = dependencies.timers ?? systemTimers;
    const { maxKept, keptIdleMs, maxEnding, endingMs } = this.#options;
    this.#kept = new KeptConnections({ maxKept, idleMs: keptIdleMs }, this.#timers);
    this.#ending = new EndingConnections({ maxEnding, endingMs }, this.#timers);
  }

  forward(request: ForwardRequest): Promise<ForwardResult> {
    assertWellFormed(request);
    const exit = this.#options.allowList.find(request.target);
    if (this.#closing !== undefined) return this.#refuse(FORWARD_STATUS.closed);
    if (exit === undefined) return this.#refuse(FORWARD_STATUS.notAllowed);
    if (!this.#hasRoom(request.family)) return this.#refuse(FORWARD_STATUS.busy);
    const { promise, resolve } = Promise.withResolvers<ForwardResult>();
    this.#run(request, exit, resolve);
    return promise;
  }

  endFamily(family: string): void {
    this.#kept.dropFamily(family);
    for (const running of this.#running.get(family) ?? []) running.mayKeep = false;
  }

  status(): ForwarderStatus {
    return {
      inFlight: this.#inFlight,
      openConnections: this.#open.size,
      keptConnections: this.#kept.size,
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
      for (const ofFamily of [...this.#running.values()]) {
        for (const running of [...ofFamily]) running.exchange.abort();
      }
      this.#kept.dropAll();
      this.#ending.destroyAll();
      if (this.#open.size === 0) this.#closing.resolve();
    }
    return this.#closing.promise;
  }

  #refuse(status: ForwardStatus): Promise<ForwardResult> {
    this.#results[status]++;
    return Promise.resolve({ status, packets: [] });
  }

  #hasRoom(family: string): boolean {
    const ofFamily = this.#running.get(family)?.size ?? 0;
    return this.#inFlight < this.#options.maxInFlight && ofFamily < this.#options.maxInFlightPerFamily;
  }

  #run(request: ForwardRequest, exit: Exit, resolve: (result: ForwardResult) => void): void {
    const { family, packets, replies, alone = false } = request;
    const bootstrap = startsHandshake(packets);
    const mayKeep = this.#claimExit(family, exit, bootstrap) && !alone;
    const kept = alone ? undefined : this.#kept.take(family, exit.key);
    if (kept !== undefined) this.#connectionsReused++;
    const { connectTimeoutMs, exchangeTimeoutMs } = this.#options;
    const exchange = new Exchange(
      { packets, replies, kept, connectTimeoutMs, exchangeTimeoutMs },
      {
        timers: this.#timers,
        open: () => this.#openTo(exit),
        retried: () => this.#retries++,
        ended: (outcome) => {
          this.#ended(running, outcome);
          resolve(outcome.result);
        },
      },
    );
    const running: Running = { family, exit, bootstrap, exchange, mayKeep };
    this.#running.set(family, (this.#running.get(family) ?? new Set<Running>()).add(running));
    this.#inFlight++;
    exchange.start();
  }

  /**
   * Whether the connection of an exchange that begins now may be kept. A balancer in front of the exit places a
   * connection by its first packet (§3), so once a handshake begins, the family's other connections to that exit may
   * lead elsewhere: the kept one goes at once, those in use when they are done, and those that begin meanwhile too.
   */
  #claimExit(family: string, exit: Exit, bootstrap: boolean): boolean {
    if (bootstrap) this.#kept.drop(family, exit.key);
    let mayKeep = true;
    for (const other of this.#running.get(family) ?? []) {
      if (other.exit.key !== exit.key) continue;
      if (bootstrap) other.mayKeep = false;
      else if (other.bootstrap && other.mayKeep) mayKeep = false;
    }
    return mayKeep;
  }

  #ended(running: Running, { result, connection }: ExchangeOutcome): void {
    const ofFamily = this.#running.get(running.family);
    ofFamily?.delete(running);
    if (ofFamily?.size === 0) this.#running.delete(running.family);
    this.#inFlight--;
    this.#results[result.status]++;
    if (connection.kind === 'ending') this.#ending.add(connection.connection);
    if (connection.kind !== 'reusable') return;
    if (running.mayKeep) this.#kept.keep(running.family, running.exit.key, connection.connection);
    else connection.connection.destroy();
  }

  #openTo(exit: Exit): ExitConnection | undefined {
    try {
      const socket = this.#connect({ host: exit.address, port: exit.port });
      const connection = new ExitConnection(socket, (gone) => this.#gone(gone));
      this.#open.add(connection);
      this.#connectionsOpened++;
      return connection;
    } catch {
      return undefined;
    }
  }

  #gone(connection: ExitConnection): void {
    this.#open.delete(connection);
    this.#ending.forget(connection);
    if (this.#open.size === 0) this.#closing?.resolve();
  }
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
