/**
 * The one place where registrations change: store, leases, peers and counts move together. A change is one store
 * transaction, the peer follows it, and where the peer cannot follow, the change is taken back, so that a failure leaves
 * nothing behind. Time's own changes cannot be taken back: there the peer is repaired later (registration.md, rules 2, 5).
 * Before time takes a peer away its counters are read, so that the last interval is not free; a release forfeits the
 * balance, so there is nothing to charge.
 *
 * Changes of different names may overlap; those of one name must not, and a sweep runs alone (name-queues.ts).
 */
import type { RegistrationMode, RegistrationName } from '../lp/wire/registration-body.ts';
import type { TunnelLeases } from './leases.ts';
import { Metering } from './metering.ts';
import { Peers, type RegistrationSource, tunnelOf, wipeKey } from './peers.ts';
import {
  dueAt,
  NO_TRANSFER,
  type Registration,
  type RegistrationStore,
  type SpendOutcome,
  type SpentToken,
} from './store/store.ts';
import { type WireGuardBackend, WireGuardError } from './wireguard/backend.ts';

/** One page of a sweep: long enough to amortise a transaction, short enough to hold few copies of keys. */
const SWEEP_PAGE = 256;
/** Forgetting tokens reads all of them in some stores; their lifetime is in hours. */
const FORGET_TOKENS_EVERY_S = 60;
/** How long a name and its addresses outlive their grace while the peer cannot be removed. */
const PEER_RETRY_S = 5;

export interface PhaseCounts {
  active: number;
  grace: number;
}
export type RegistrationCounts = Readonly<Record<RegistrationMode, Readonly<PhaseCounts>>>;

/** Absent `before`: the registration is new; absent `after`: it ends. */
export interface Change {
  readonly before: Registration | undefined;
  readonly after: Registration | undefined;
  readonly token?: SpentToken;
}

export interface Finding {
  readonly now: number;
  readonly scope: DisposableStack;
  /** No other change is under way. */
  readonly alone: boolean;
}

/** Whoever gets it asks again, alone. */
export class ReadingDueError extends Error {
  override readonly name = 'ReadingDueError';
}

export interface LedgerDependencies {
  readonly store: RegistrationStore;
  readonly wireguard: WireGuardBackend;
  readonly leases: TunnelLeases;
  readonly graceSeconds: number;
  readonly meteringSeconds: number;
}

export class Ledger {
  readonly #store: RegistrationStore;
  readonly #leases: TunnelLeases;
  readonly #graceSeconds: number;
  readonly #peers: Peers;
  readonly #metering: Metering;
  #counts = noCounts();
  #restored: Promise<void> | undefined;
  #forgetTokensAt = 0;

  constructor(dependencies: LedgerDependencies) {
    this.#store = dependencies.store;
    this.#leases = dependencies.leases;
    this.#graceSeconds = dependencies.graceSeconds;
    this.#peers = new Peers(dependencies.wireguard);
    const { store, wireguard, meteringSeconds } = dependencies;
    this.#metering = new Metering({ store, wireguard, peers: this.#peers, everySeconds: meteringSeconds });
  }

  get counts(): RegistrationCounts {
    return this.#counts;
  }

  get size(): number {
    const { dvpn, mixnet } = this.#counts;
    return dvpn.active + dvpn.grace + mixnet.active + mixnet.grace;
  }

  /** Takes over leases and counts of what the store has from before; peers follow with the first sweep. Once is enough. */
  restore(): Promise<void> {
    this.#restored ??= this.#restore().catch((error: unknown) => {
      this.#restored = undefined;
      throw error;
    });
    return this.#restored;
  }

  async #restore(): Promise<void> {
    const counts = noCounts();
    for await (const registration of this.#store.registrations()) {
      if (registration.mode === 'dvpn') this.#leases.allocate(registration.addresses);
      counts[registration.mode][registration.phase.kind] += 1;
      wipeKey(registration);
    }
    this.#counts = counts;
  }

  /** The WireGuard interface has come back without its peers: the next repair sets all of them. */
  peersLost(): void {
    this.#peers.doubtAll();
  }

  /**
   * The registration as it stands at `now`; its preshared key is wiped with `scope`. Throws ReadingDueError where the counters
   * have to be read first and the caller does not run alone: then nothing has changed.
   */
  async find(name: RegistrationName, { now, scope, alone }: Finding): Promise<Registration | undefined> {
    const get = async () => keep(scope, await this.#store.transaction((tx) => tx.get(name)));
    let found = await get();
    if (found !== undefined && endsUnread(found, now) && !this.#metering.isFresh(now)) {
      if (!alone) throw new ReadingDueError();
      await this.#readIfPossible(now);
      found = await get();
    }
    // One lapse leads from active to grace and one out of it, so this ends.
    while (found !== undefined && dueAt(found) <= now) {
      await this.#lapse(found, now);
      found = await get();
    }
    return found;
  }

  /** All or nothing; leases that `after` has and `before` has not become allocated, the other way round they become free. */
  async change(change: Change): Promise<SpendOutcome> {
    const { before, token } = change;
    const after = countedAnew(before, change.after);
    await this.#peers.makeWay(before, after);
    const outcome = await this.#write({ ...change, after });
    if (outcome !== 'spent_now') return outcome;
    try {
      await this.#peers.follow(before, after);
    } catch (error) {
      await this.#takeBack(before, after, token);
      throw error;
    }
    this.#settle(before, after);
    return outcome;
  }

  /** Charges transfer, ends what has run out, forgets tokens, repairs peers. Counters that cannot be read delay nothing else. */
  async sweep(now: number): Promise<void> {
    try {
      if (await this.#isReadingDue(now)) await this.#read(now);
    } finally {
      await this.#endDue(now);
      await this.#forgetTokens(now);
      await this.#repairPeers();
    }
  }

  /** At its time, and before a peer is taken away. */
  async #isReadingDue(now: number): Promise<boolean> {
    if (this.#metering.isDue(now)) return true;
    if (this.#metering.isFresh(now)) return false;
    if (!this.#peers.settled) return true;
    using scope = new DisposableStack();
    const due = await this.#store.transaction((tx) => tx.due(now, SWEEP_PAGE));
    for (const registration of due) keep(scope, registration);
    return due.some((registration) => endsUnread(registration, now));
  }

  #read(now: number): Promise<void> {
    return this.#metering.read(now, this.#counts.dvpn.active);
  }

  /** For a request, which a WireGuard that does not answer must not fail: the sweep reports it. */
  async #readIfPossible(now: number): Promise<void> {
    try {
      await this.#read(now);
    } catch (error) {
      if (!(error instanceof WireGuardError)) throw error;
    }
  }

  async #endDue(now: number): Promise<void> {
    for (;;) {
      using scope = new DisposableStack();
      const due = await this.#store.transaction((tx) => tx.due(now, SWEEP_PAGE));
      for (const registration of due) keep(scope, registration);
      for (const registration of due) await this.#lapse(registration, now);
      if (due.length < SWEEP_PAGE) return;
    }
  }

  async #forgetTokens(now: number): Promise<void> {
    if (now < this.#forgetTokensAt) return;
    await this.#store.transaction((tx) => tx.forgetTokens(now));
    this.#forgetTokensAt = now + FORGET_TOKENS_EVERY_S;
  }

  /** Without a token it counts as spent. */
  #write({ before, after, token }: Change): Promise<SpendOutcome> {
    return this.#store.transaction(async (tx) => {
      const outcome = token === undefined ? 'spent_now' : await tx.spend(token);
      if (outcome !== 'spent_now') return outcome;
      if (after !== undefined) await tx.put(after);
      else if (before !== undefined) await tx.delete(before);
      return outcome;
    });
  }

  /** If even this fails, the change stands, and the peer is made to follow it later. */
  async #takeBack(before: Registration | undefined, after: Registration | undefined, token?: SpentToken) {
    const either = before ?? after;
    if (either !== undefined) this.#peers.doubt(either);
    try {
      await this.#store.transaction(async (tx) => {
        if (before !== undefined) await tx.put(before);
        else if (after !== undefined) await tx.delete(after);
        if (token !== undefined) await tx.unspend(token.id);
      });
    } catch {
      this.#settle(before, after);
      return;
    }
    // The failed call may have half happened; what cannot be undone at once waits for the sweep.
    if (either !== undefined) await this.#peers.repairOne(either, this.#source).catch(() => undefined);
  }

  #settle(before: Registration | undefined, after: Registration | undefined): void {
    if (before !== undefined) this.#counts[before.mode][before.phase.kind] -= 1;
    if (after !== undefined) this.#counts[after.mode][after.phase.kind] += 1;
    if (before === undefined && after?.mode === 'dvpn') this.#leases.allocate(after.addresses);
    if (after === undefined && before?.mode === 'dvpn') this.#leases.release(before.addresses);
  }

  async #lapse(before: Registration, now: number): Promise<void> {
    const after = this.#afterLapse(before, now);
    await this.#write({ before, after });
    try {
      await this.#peers.follow(before, after);
    } catch {
      this.#peers.doubt(before);
    }
    this.#settle(before, after);
  }

  #afterLapse(before: Registration, now: number): Registration | undefined {
    if (before.phase.kind === 'active') {
      // Grace counts from the end itself, however late it is noticed; spent bandwidth has no other time than now.
      const until = Math.min(before.expires, now) + this.#graceSeconds;
      return { ...before, phase: { kind: 'grace', until } };
    }
    // The addresses must not go to another peer while this one may still have them.
    if (before.mode === 'dvpn' && !this.#peers.isSettled(before)) {
      return { ...before, phase: { kind: 'grace', until: now + PEER_RETRY_S } };
    }
    return undefined;
  }

  #repairPeers(): Promise<void> {
    return this.#peers.repair(this.#source);
  }

  get #source(): RegistrationSource {
    return {
      get: (name) => this.#store.transaction((tx) => tx.get(name)),
      all: () => this.#store.registrations(),
    };
  }
}

/** Whether time ends it with a balance that its peer may have used since the last reading. */
function endsUnread(registration: Registration, now: number): boolean {
  return tunnelOf(registration) !== undefined && registration.bandwidth > 0 && dueAt(registration) <= now;
}

/** A peer that the change makes counts from zero. */
function countedAnew(before: Registration | undefined, after: Registration | undefined): Registration | undefined {
  const made = tunnelOf(before) === undefined ? tunnelOf(after) : undefined;
  return made === undefined ? after : { ...made, charged: NO_TRANSFER };
}

/** Wipes the registration's preshared key with the scope. */
function keep<T extends Registration | undefined>(scope: DisposableStack, registration: T): T {
  if (registration?.mode === 'dvpn') scope.use(registration.presharedKey);
  return registration;
}

function noCounts(): Record<RegistrationMode, PhaseCounts> {
  return { dvpn: { active: 0, grace: 0 }, mixnet: { active: 0, grace: 0 } };
}
