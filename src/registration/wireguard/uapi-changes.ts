/**
 * Carries changes of peers out in batches, in their order. A batch that is refused is halved until the peers are found that
 * the interface does not take, so that one bad peer fails no other; all changes may be repeated, for each says a peer's whole state.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { SerialQueue } from '../serial-queue.ts';
import type { WireGuardError } from './backend.ts';
import { closedError, tooManyError } from './uapi-errors.ts';
import type { Epoch, UapiLink } from './uapi-link.ts';
import { MAX_PEERS_PER_SET, type PeerChange } from './uapi-protocol.ts';

/** Changes that wait: the registrar asks for one for each of its requests at most, and its queue is shorter. */
const MAX_WAITING = 4_096;

/** Changes that were refused, and why. Rejects when the interface cannot be reached; then each may stand or not. */
export async function carryOut(
  link: UapiLink,
  epoch: Epoch,
  changes: readonly PeerChange[],
): Promise<ReadonlyMap<PeerChange, WireGuardError>> {
  const refused = new Map<PeerChange, WireGuardError>();
  await carryOutInto(refused, link, epoch, changes);
  return refused;
}

async function carryOutInto(
  refused: Map<PeerChange, WireGuardError>,
  link: UapiLink,
  epoch: Epoch,
  changes: readonly PeerChange[],
): Promise<void> {
  const [first] = changes;
  if (first === undefined) return;
  const limit = link.dialect === 'boringtun' ? 1 : MAX_PEERS_PER_SET;
  if (changes.length <= limit) {
    // boringtun cannot change a standing peer: it has to go first.
    if (link.dialect === 'boringtun' && first.kind === 'upsert') {
      await link.set(epoch, [{ kind: 'remove', publicKey: first.publicKey }]);
    }
    const error = await link.set(epoch, changes);
    if (error === undefined) return;
    if (changes.length === 1) {
      refused.set(first, error);
      return;
    }
  }
  const half = Math.min(limit, Math.ceil(changes.length / 2));
  await carryOutInto(refused, link, epoch, changes.slice(0, half));
  await carryOutInto(refused, link, epoch, changes.slice(half));
}

export function wipeChange(change: PeerChange): void {
  if (change.kind === 'upsert') change.presharedKey.fill(0);
}

interface Waiting {
  readonly change: PeerChange;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Gathers what is asked for in one turn of the loop, or while a batch is on its way, into the next batch. */
export class ChangeQueue {
  readonly #link: UapiLink;
  readonly #jobs: SerialQueue;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  /** `jobs`: what must not run at the same time. */
  constructor(link: UapiLink, jobs: SerialQueue) {
    this.#link = link;
    this.#jobs = jobs;
  }

  /** Takes the change over and wipes it when it is done. */
  ask(change: PeerChange): Promise<void> {
    if (this.#closed || this.#waiting.length >= MAX_WAITING) {
      wipeChange(change);
      return Promise.reject(this.#closed ? closedError() : tooManyError(MAX_WAITING));
    }
    const done = new Promise<void>((resolve, reject) => this.#waiting.push({ change, resolve, reject }));
    this.#running ??= this.#run();
    return done;
  }

  /** Refuses what comes and, by the link's being closed, what waits. */
  close(): void {
    this.#closed = true;
  }

  /** Resolves when everything that was asked is settled and wiped. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await nextTurn();
    while (this.#waiting.length > 0) {
      await this.#jobs.runUnbounded(async () => {
        const batch = this.#waiting.slice(0, MAX_PEERS_PER_SET);
        this.#waiting = this.#waiting.slice(MAX_PEERS_PER_SET);
        await this.#carryOutBatch(batch);
      });
    }
    this.#running = undefined;
  }

  /** Never rejects. */
  async #carryOutBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const epoch = await this.#link.ready();
      const changes = batch.map(({ change }) => change);
      const refused = await carryOut(this.#link, epoch, changes);
      for (const { change, resolve, reject } of batch) {
        const error = refused.get(change);
        if (error === undefined) resolve();
        else reject(error);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      for (const { change } of batch) wipeChange(change);
    }
  }
}
