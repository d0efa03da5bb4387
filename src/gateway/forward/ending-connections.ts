/**
 * Connections that this side has ended after a Forward that asks for no reply (lp2.md §5) and that wait for the exit to
 * end them too. Invariant: at most `maxEnding`, none longer than `endingMs`; beyond, the oldest is destroyed.
 */
import { Deadlines, type Time } from './deadlines.ts';
import type { ExitConnection } from './exit-connection.ts';

export interface EndingConnectionsOptions {
  readonly maxEnding: number;
  readonly endingMs: number;
}

export class EndingConnections {
  readonly #maxEnding: number;
  readonly #all: Deadlines<ExitConnection>;

  constructor({ maxEnding, endingMs }: EndingConnectionsOptions, time: Time) {
    this.#maxEnding = maxEnding;
    this.#all = new Deadlines(endingMs, time, (connection) => connection.destroy());
  }

  get size(): number {
    return this.#all.size;
  }

  add(connection: ExitConnection): void {
    connection.disown();
    this.#all.add(connection);
    if (this.#all.size > this.#maxEnding) this.#destroyFirst();
  }

  close(): void {
    while (this.#all.size > 0) this.#destroyFirst();
    this.#all.close();
  }

  #destroyFirst(): void {
    this.#all.first?.destroy();
  }
}
