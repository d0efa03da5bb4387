/**
 * Connections that this side has ended after a Forward that asks for no reply (lp2.md §5) and that wait for the exit to
 * end them too. Invariant: at most `maxEnding`, none longer than `endingMs`; beyond, the oldest is destroyed.
 */
import type { CancelTimer, Timers } from '../../system/timers.ts';
import type { ExitConnection } from './exit-connection.ts';

export interface EndingConnectionsOptions {
  readonly maxEnding: number;
  readonly endingMs: number;
}

export class EndingConnections {
  readonly #options: EndingConnectionsOptions;
  readonly #timers: Timers;
  readonly #all = new Map<ExitConnection, CancelTimer>();

  constructor(options: EndingConnectionsOptions, timers: Timers) {
    this.#options = options;
    this.#timers = timers;
  }

  get size(): number {
    return this.#all.size;
  }

  add(connection: ExitConnection): void {
    connection.disown();
    const destroy = () => this.#destroy(connection);
    this.#all.set(connection, this.#timers.after(this.#options.endingMs, destroy));
    const [oldest] = this.#all.keys();
    if (this.#all.size > this.#options.maxEnding && oldest !== undefined) this.#destroy(oldest);
  }

  /** The connection is closed. */
  forget(connection: ExitConnection): void {
    this.#all.get(connection)?.();
    this.#all.delete(connection);
  }

  destroyAll(): void {
    for (const connection of [...this.#all.keys()]) this.#destroy(connection);
  }

  #destroy(connection: ExitConnection): void {
    this.forget(connection);
    connection.destroy();
  }
}
