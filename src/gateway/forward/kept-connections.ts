/**
 * Idle connections to exits, each kept for the next exchange of one session family with one exit (lp2.md §5).
 * Invariant: at most one per family and exit, at most `maxKept` in all (the longest idle one goes first), none longer
 * than the idle limit, and none on which anything came while nobody waited for it.
 */
import type { CancelTimer, Timers } from '../../system/timers.ts';
import type { ExitConnection } from './exit-connection.ts';

interface Kept {
  readonly family: string;
  readonly exitKey: string;
  readonly connection: ExitConnection;
  readonly cancelIdleTimer: CancelTimer;
}

export interface KeptConnectionsOptions {
  readonly maxKept: number;
  readonly idleMs: number;
}

export class KeptConnections {
  readonly #options: KeptConnectionsOptions;
  readonly #timers: Timers;
  readonly #families = new Map<string, Map<string, Kept>>();
  /** In the order in which they became idle. */
  readonly #all = new Set<Kept>();

  constructor(options: KeptConnectionsOptions, timers: Timers) {
    this.#options = options;
    this.#timers = timers;
  }

  get size(): number {
    return this.#all.size;
  }

  keep(family: string, exitKey: string, connection: ExitConnection): void {
    this.drop(family, exitKey);
    const kept: Kept = {
      family,
      exitKey,
      connection,
      cancelIdleTimer: this.#timers.after(this.#options.idleMs, () => this.#close(kept)),
    };
    const ofFamily = this.#families.get(family) ?? new Map<string, Kept>();
    this.#families.set(family, ofFamily.set(exitKey, kept));
    this.#all.add(kept);
    const close = () => this.#close(kept);
    connection.own({ connected() {}, received: close, ended: close });
    const [oldest] = this.#all;
    if (this.#all.size > this.#options.maxKept && oldest !== undefined) this.#close(oldest);
  }

  /** The kept connection, which is the caller's from now on. */
  take(family: string, exitKey: string): ExitConnection | undefined {
    const kept = this.#families.get(family)?.get(exitKey);
    if (kept === undefined) return undefined;
    if (!kept.connection.usable) {
      this.#close(kept);
      return undefined;
    }
    this.#forget(kept);
    kept.connection.disown();
    return kept.connection;
  }

  drop(family: string, exitKey: string): void {
    const kept = this.#families.get(family)?.get(exitKey);
    if (kept !== undefined) this.#close(kept);
  }

  dropFamily(family: string): void {
    for (const kept of [...(this.#families.get(family)?.values() ?? [])]) this.#close(kept);
  }

  dropAll(): void {
    for (const kept of [...this.#all]) this.#close(kept);
  }

  #close(kept: Kept): void {
    this.#forget(kept);
    kept.connection.destroy();
  }

  #forget(kept: Kept): void {
    kept.cancelIdleTimer();
    this.#all.delete(kept);
    const ofFamily = this.#families.get(kept.family);
    ofFamily?.delete(kept.exitKey);
    if (ofFamily?.size === 0) this.#families.delete(kept.family);
  }
}
