/**
 * Charges what WireGuard's peers have moved to the balances of their registrations. A registration keeps the counters up
 * to which it has been charged, and both are written in one transaction, so whatever fails between is charged later and
 * never twice. A counter below the kept one means that the peer was made anew, by an interface that restarted: it then
 * counts from zero. What was moved between a reading and such a restart is never known (registration.md, rules 4 and 5).
 */
import type { RegistrationName } from '../lp/wire/registration-body.ts';
import { type Peers, tunnelOf, wipeKey } from './peers.ts';
import {
  type DvpnRegistration,
  NO_TRANSFER,
  nameKey,
  type RegistrationStore,
  type StoreTransaction,
  type Transfer,
} from './store/store.ts';
import type { PeerCounters, WireGuardBackend } from './wireguard/backend.ts';

/** Registrations in one transaction: long enough to amortise it, short enough for a store that holds its thread meanwhile. */
const PAGE = 256;

type TunnelName = Extract<RegistrationName, { mode: 'dvpn' }>;

export interface MeteringDependencies {
  readonly store: RegistrationStore;
  readonly wireguard: WireGuardBackend;
  readonly peers: Peers;
  readonly everySeconds: number;
}

export class Metering {
  readonly #store: RegistrationStore;
  readonly #wireguard: WireGuardBackend;
  readonly #peers: Peers;
  readonly #everySeconds: number;
  /** When all counters were last read and charged. */
  #readAt: number | undefined;

  constructor({ store, wireguard, peers, everySeconds }: MeteringDependencies) {
    this.#store = store;
    this.#wireguard = wireguard;
    this.#peers = peers;
    this.#everySeconds = everySeconds;
  }

  /** A clock that went back makes it due, too. A reading that failed stays due. */
  isDue(now: number): boolean {
    return this.#readAt === undefined || now < this.#readAt || now - this.#readAt >= this.#everySeconds;
  }

  /** In this second the counters were read: requests that need a reading cause one a second at most. */
  isFresh(now: number): boolean {
    return this.#readAt === now;
  }

  /**
   * Charges every peer that there is. Of `active` registrations each should have one: peers that are missing, and those
   * that should not be there, are left to the repair. Rejects with StoreError or WireGuardError: the rest is charged later.
   * No registration may change meanwhile.
   */
  async read(now: number, active: number): Promise<void> {
    const standing = new Set<string>();
    let page: PeerCounters[] = [];
    for await (const counters of this.#wireguard.list()) {
      page.push(counters);
      if (page.length < PAGE) continue;
      await this.#chargePage(page, standing);
      page = [];
    }
    if (page.length > 0) await this.#chargePage(page, standing);
    if (standing.size < active) await this.#countMissingAnew(standing);
    this.#readAt = now;
  }

  /** Adds to `standing` those that are as they should be. */
  async #chargePage(page: readonly PeerCounters[], standing: Set<string>): Promise<void> {
    await this.#store.transaction(async (tx) => {
      for (const counters of page) {
        const name = { mode: 'dvpn', wgPublicKey: counters.publicKey } as const;
        if (await update(tx, name, (registration) => charge(registration, counters))) standing.add(nameKey(name));
        else this.#peers.doubt(name);
      }
    });
  }

  /** The repair makes these peers, and they count from zero, however far they come until the next reading. */
  async #countMissingAnew(standing: ReadonlySet<string>): Promise<void> {
    const missing: TunnelName[] = [];
    for await (const registration of this.#store.registrations()) {
      const tunnel = tunnelOf(registration);
      wipeKey(registration);
      if (tunnel === undefined || standing.has(nameKey(tunnel))) continue;
      missing.push({ mode: 'dvpn', wgPublicKey: tunnel.wgPublicKey });
    }
    for (let at = 0; at < missing.length; at += PAGE) {
      const page = missing.slice(at, at + PAGE);
      await this.#store.transaction(async (tx) => {
        for (const name of page) await update(tx, name, (registration) => recount(registration, NO_TRANSFER));
      });
      for (const name of page) this.#peers.doubt(name);
    }
  }
}

/**
 * What remains after the counters of its peer; the same object where they have not moved. A balance ends at 0: what was
 * moved beyond it between two readings is not owed.
 */
export function charge(registration: DvpnRegistration, counters: Transfer): DvpnRegistration {
  const { charged, bandwidth } = registration;
  const isAnew = counters.received < charged.received || counters.sent < charged.sent;
  const from = isAnew ? NO_TRANSFER : charged;
  // A sum beyond 2⁵³ is rounded, and then beyond every balance.
  const moved = counters.received - from.received + (counters.sent - from.sent);
  const counted = recount(registration, counters);
  return moved === 0 ? counted : { ...counted, bandwidth: Math.max(0, bandwidth - moved) };
}

function recount(registration: DvpnRegistration, { received, sent }: Transfer): DvpnRegistration {
  const { charged } = registration;
  if (charged.received === received && charged.sent === sent) return registration;
  return { ...registration, charged: { received, sent } };
}

/** Writes what has changed. Whether the registration should have a peer. */
async function update(
  tx: StoreTransaction,
  name: TunnelName,
  change: (registration: DvpnRegistration) => DvpnRegistration,
): Promise<boolean> {
  const found = await tx.get(name);
  if (found?.mode !== 'dvpn') return false;
  try {
    const after = change(found);
    if (after !== found) await tx.put(after);
    return tunnelOf(found) !== undefined;
  } finally {
    wipeKey(found);
  }
}
