/**
 * Keeps WireGuard's peers after the registrations: a peer stands exactly while its registration is active. What could
 * not be carried out is remembered by name and carried out later from the store (registration.md, rules 2 and 5).
 */
import ipaddr from 'ipaddr.js';
import type { RegistrationName } from '../lp/wire/registration-body.ts';
import { type DvpnRegistration, nameKey, type Registration } from './store/store.ts';
import type { Peer, WireGuardBackend } from './wireguard/backend.ts';
import { PeersRefusedError } from './wireguard/peers-refused.ts';

/** Names in doubt, above which all peers are set anew: that many single operations cost about as much (facts: 0.2 ms each). */
const MAX_UNSETTLED = 1024;

export interface RegistrationSource {
  /** The caller wipes what it gets. */
  get(name: RegistrationName): Promise<Registration | undefined>;
  all(): AsyncIterable<Registration>;
}

export class Peers {
  readonly #wireguard: WireGuardBackend;
  readonly #unsettled = new Map<string, Pick<DvpnRegistration, 'mode' | 'wgPublicKey'>>();
  #allUnsettled = true;
  /** How often all peers were lost: a loss during a resync makes its result void. */
  #losses = 0;

  constructor(wireguard: WireGuardBackend) {
    this.#wireguard = wireguard;
  }

  /** Whether no peer is in doubt. */
  get settled(): boolean {
    return !this.#allUnsettled && this.#unsettled.size === 0;
  }

  /**
   * Before a change that makes a peer is written: one of this name that may still be there goes, so that the new one counts
   * from zero. Rejects with WireGuardError.
   */
  async makeWay(before: Registration | undefined, after: Registration | undefined): Promise<void> {
    const made = tunnelOf(before) === undefined ? tunnelOf(after) : undefined;
    if (made !== undefined && !this.isSettled(made)) await this.#wireguard.remove(made.wgPublicKey);
  }

  /** Rejects with WireGuardError; the peer may then be in either state. */
  async follow(before: Registration | undefined, after: Registration | undefined): Promise<void> {
    const had = tunnelOf(before);
    const has = tunnelOf(after);
    if (has !== undefined) {
      if (had === undefined || !had.presharedKey.equals(has.presharedKey)) await this.#upsert(has);
    } else if (had !== undefined) await this.#wireguard.remove(had.wgPublicKey);
  }

  /** The peer of this name is not known to match the store. */
  doubt(name: RegistrationName): void {
    if (name.mode !== 'dvpn') return;
    this.#unsettled.set(nameKey(name), { mode: 'dvpn', wgPublicKey: Uint8Array.from(name.wgPublicKey) });
    if (this.#unsettled.size <= MAX_UNSETTLED) return;
    this.#unsettled.clear();
    this.#allUnsettled = true;
  }

  /** WireGuard may have none of the peers any more. */
  doubtAll(): void {
    this.#losses++;
    this.#unsettled.clear();
    this.#allUnsettled = true;
  }

  isSettled(name: RegistrationName): boolean {
    return !this.#allUnsettled && !this.#unsettled.has(nameKey(name));
  }

  /** Makes every peer in doubt what the store says. Rejects at the first that WireGuard does not take; the rest stay in doubt. */
  async repair(source: RegistrationSource): Promise<void> {
    if (this.#allUnsettled) await this.#resync(source);
    for (const name of this.#unsettled.values()) await this.repairOne(name, source);
  }

  /** The same for this name alone. Nothing else may change it meanwhile. */
  async repairOne(name: RegistrationName, source: Pick<RegistrationSource, 'get'>): Promise<void> {
    if (name.mode !== 'dvpn') return;
    const registration = await source.get(name);
    const tunnel = tunnelOf(registration);
    try {
      await (tunnel === undefined ? this.#wireguard.remove(name.wgPublicKey) : this.#upsert(tunnel));
    } finally {
      wipeKey(registration);
    }
    this.#unsettled.delete(nameKey(name));
  }

  /** Peers that are refused stay in doubt, and do not hold up the rest. */
  async #resync(source: RegistrationSource): Promise<void> {
    const losses = this.#losses;
    let refused: PeersRefusedError | undefined;
    try {
      await this.#wireguard.resync(this.#activePeers(source));
    } catch (error) {
      if (!(error instanceof PeersRefusedError)) throw error;
      refused = error;
    }
    if (losses !== this.#losses) return;
    this.#allUnsettled = false;
    this.#unsettled.clear();
    if (refused === undefined) return;
    for (const wgPublicKey of refused.publicKeys) this.doubt({ mode: 'dvpn', wgPublicKey });
    throw refused;
  }

  async *#activePeers(source: RegistrationSource): AsyncIterable<Peer> {
    for await (const registration of source.all()) {
      const tunnel = tunnelOf(registration);
      try {
        if (tunnel !== undefined) yield this.#peerOf(tunnel);
      } finally {
        wipeKey(registration);
      }
    }
  }

  #upsert(tunnel: DvpnRegistration): Promise<void> {
    return this.#wireguard.upsert(this.#peerOf(tunnel));
  }

  #peerOf(tunnel: DvpnRegistration): Peer {
    return {
      publicKey: tunnel.wgPublicKey,
      presharedKey: tunnel.presharedKey,
      allowedIps: [`${textOf(tunnel.addresses.ipv4)}/32`, `${textOf(tunnel.addresses.ipv6)}/128`],
      // A client keeps its way through NATs open. With a keepalive of its own the gateway would try to reach every peer
      // that has no endpoint yet, for ever.
      keepaliveSeconds: 0,
    };
  }
}

export function wipeKey(registration: Registration | undefined): void {
  if (registration?.mode === 'dvpn') registration.presharedKey.wipe();
}

/** The registration if a peer should stand for it. */
export function tunnelOf(registration: Registration | undefined): DvpnRegistration | undefined {
  return registration?.mode === 'dvpn' && registration.phase.kind === 'active' ? registration : undefined;
}

function textOf(address: Uint8Array): string {
  return ipaddr.fromByteArray([...address]).toString();
}
