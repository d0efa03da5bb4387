/**
 * One operation, from its beginning to its result. Invariant: it is counted once, as completed or as failed, and given
 * up once (`finish`), which may come later: what it uses may be busy for longer than the operation lasts.
 */
import type { Failure } from './failure.ts';
import type { OperationName } from './result.ts';

export interface OperationHooks {
  completed(): void;
  failed(failure: Failure): void;
  finished(failed: boolean): void;
}

export class Operation {
  readonly name: OperationName;
  /** Monotonic. */
  readonly deadlineMs: number;
  /** Of a closed loop; undefined in an open one. */
  readonly client: number | undefined;
  readonly #hooks: OperationHooks;
  #counted: 'no' | 'completed' | 'failed' = 'no';
  #finished = false;

  constructor(name: OperationName, client: number | undefined, deadlineMs: number, hooks: OperationHooks) {
    this.name = name;
    this.client = client;
    this.deadlineMs = deadlineMs;
    this.#hooks = hooks;
  }

  /** It is completed and over. */
  done(): void {
    this.complete();
    this.finish();
  }

  fail(failure: Failure): void {
    this.failed(failure);
    this.finish();
  }

  /** Counts it; what it uses is still busy. */
  complete(): void {
    if (this.#counted !== 'no') return;
    this.#counted = 'completed';
    this.#hooks.completed();
  }

  failed(failure: Failure): void {
    if (this.#counted !== 'no') return;
    this.#counted = 'failed';
    this.#hooks.failed(failure);
  }

  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#hooks.finished(this.#counted === 'failed');
  }
}
