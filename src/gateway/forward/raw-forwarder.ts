/**
 * The entry's way to Nym's exits (nym.md §9.4): raw bytes over one exit connection per client connection. Invariant:
 * nothing is connected to but what the allow-list names (§15 B35), and the connections to exits are bounded for their whole
 * life (§15 B34), which is their client's.
 */
import { connect as connectSocket } from 'node:net';
import type { NymForward, NymForwardTarget } from '../../lp/nym/forward.ts';
import { systemTimers, type Timers } from '../../system/timers.ts';
import type { Exit } from './allow-list.ts';
import { RAW_FAILURES, type RawConnect, RawExit, type RawFailure, type RawOutcome } from './raw-exit.ts';

export interface RawForwarderOptions {
  /** The listed exit of this address, whatever its identity: clients name none. */
  readonly find: (target: NymForwardTarget) => Exit | undefined;
  readonly maxConnections: number;
  readonly connectMs: number;
  readonly exchangeMs: number;
}

export interface RawForwarderDependencies {
  readonly connect?: RawConnect;
  readonly timers?: Timers;
}

/** Finished exchanges since the start. */
export type RawResults = Readonly<Record<RawFailure | 'ok', number>>;

export class RawForwarder {
  readonly #options: RawForwarderOptions;
  readonly #connect: RawConnect;
  readonly #timers: Timers;
  readonly #exits = new Map<number, RawExit>();
  readonly #results: Record<RawFailure | 'ok', number>;
  #inFlight = 0;
  /** Sockets that are not closed, those of clients that have gone included. */
  #sockets = 0;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(
    options: RawForwarderOptions,
    { connect = connectSocket, timers = systemTimers }: RawForwarderDependencies = {},
  ) {
    this.#options = options;
    this.#connect = connect;
    this.#timers = timers;
    const none = RAW_FAILURES.map((reason) => [reason, 0]);
    this.#results = { ok: 0, ...(Object.fromEntries(none) as Record<RawFailure, number>) };
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get connections(): number {
    return this.#sockets;
  }

  get results(): RawResults {
    return { ...this.#results };
  }

  /**
   * One at a time for each client connection, all to the same target. `done` is told once, perhaps during the call, and not
   * at all when the client ends before; the bytes are copied.
   */
  forward(client: number, { target, replyLength, bytes }: NymForward, done: (outcome: RawOutcome) => void): void {
    const refuse = (reason: RawFailure) => {
      this.#results[reason]++;
      done({ kind: 'failed', reason });
    };
    const listed = this.#options.find(target);
    if (this.#closing !== undefined) refuse('closed');
    // Also where it was listed when the connection was made.
    else if (listed === undefined) refuse('not_allowed');
    else {
      const exit = this.#exits.get(client) ?? this.#make(client, listed);
      if (exit === undefined) refuse('busy');
      else this.#exchange(exit, bytes.slice(), replyLength, done);
    }
  }

  /** The client's connection has ended, and its exit's ends with it. */
  end(client: number): void {
    const exit = this.#exits.get(client);
    if (exit === undefined) return;
    this.#exits.delete(client);
    if (exit.busy) this.#inFlight--;
    exit.destroy();
  }

  /** Resolves when no socket is open. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = Promise.withResolvers<void>();
      for (const client of [...this.#exits.keys()]) this.end(client);
      if (this.#sockets === 0) this.#closing.resolve();
    }
    return this.#closing.promise;
  }

  #exchange(exit: RawExit, bytes: Uint8Array, replyLength: number, done: (outcome: RawOutcome) => void): void {
    this.#inFlight++;
    exit.exchange(bytes, replyLength, (outcome) => {
      this.#inFlight--;
      this.#results[outcome.kind === 'reply' ? 'ok' : outcome.reason]++;
      done(outcome);
    });
  }

  #make(client: number, { address, port }: Exit): RawExit | undefined {
    const { maxConnections, connectMs, exchangeMs } = this.#options;
    if (this.#sockets >= maxConnections) return undefined;
    try {
      const exit = new RawExit({ address, port, connectMs, exchangeMs }, this.#connect, this.#timers, () =>
        this.#gone(),
      );
      this.#sockets++;
      this.#exits.set(client, exit);
      return exit;
    } catch {
      return undefined;
    }
  }

  #gone(): void {
    this.#sockets--;
    if (this.#sockets === 0) this.#closing?.resolve();
  }
}
