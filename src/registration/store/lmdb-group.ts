/**
 * Group commit: transactions that end while a commit is still to come share it. A group is the layer of their writes and
 * one promise for all of them: it resolves when the layer is durable, or rejects when nothing of it was written.
 */
import { Layer } from './lmdb-layer.ts';
import type { StoreError } from './store.ts';

export class Group {
  readonly layer = new Layer();
  /** Transactions that wait for it. */
  size = 0;
  /** Why it was not written; who has read from it has read what never was. */
  failure: StoreError | undefined;
  readonly #durable = Promise.withResolvers<void>();

  constructor() {
    // Each transaction that waits handles it; a group that nobody waits for must not end the process.
    this.#durable.promise.catch(() => undefined);
  }

  join(own: Layer): Promise<void> {
    own.moveTo(this.layer);
    this.size += 1;
    return this.#durable.promise;
  }

  end(failure: StoreError | undefined): void {
    this.layer.wipe();
    this.failure = failure;
    if (failure === undefined) this.#durable.resolve();
    else this.#durable.reject(failure);
  }
}
