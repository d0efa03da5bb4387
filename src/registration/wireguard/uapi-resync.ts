/**
 * Makes the wanted peers the only ones. Peers that are as wanted are not touched: their sessions and counters go on. Order
 * matters, for an address moves silently to the peer that was given it last: what needs an address which the interface gives to
 * another waits until that one is known to have lost its claim, so that a tunnel that works is never cut.
 */
import { createHash, randomFillSync } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Peer, WireGuardError } from './backend.ts';
import { PeersRefusedError } from './peers-refused.ts';
import type { DumpedPeer } from './uapi-answer.ts';
import { carryOut, wipeChange } from './uapi-changes.ts';
import { ownKeyError, takenAddressError } from './uapi-errors.ts';
import type { Epoch, UapiLink } from './uapi-link.ts';
import { MAX_PEERS_PER_SET, type PeerChange } from './uapi-protocol.ts';

type Upsert = Extract<PeerChange, { kind: 'upsert' }>;

/** Peers that are looked at in one turn of the loop: some 2 ms. */
const PEERS_PER_TURN = 256;

/** Rejects with {@link PeersRefusedError} when all but some peers stand as wanted, else as the link does. */
export async function resyncPeers(link: UapiLink, peers: AsyncIterable<Peer>): Promise<void> {
  const epoch = await link.ready();
  const resync = new Resync(link, epoch);
  try {
    await resync.run(peers);
  } finally {
    await resync.end();
  }
}

class Resync {
  readonly #link: UapiLink;
  readonly #epoch: Epoch;
  /** Of this run alone, so that a fingerprint tells nothing about a preshared key. */
  readonly #salt = randomFillSync(new Uint8Array(32));
  /** Peers of the interface that no wanted one has claimed, by key: fingerprints of what they are. */
  #strays = new Map<string, string>();
  /** To whom the interface gives an address. */
  #holders = new Map<string, string>();
  /** Who shall have it. */
  readonly #claims = new Map<string, string>();
  readonly #deferred: Upsert[] = [];
  #batch: PeerChange[] = [];
  #sent: Promise<void> = Promise.resolve();
  readonly #refused: Uint8Array[] = [];
  #firstRefusal: WireGuardError | undefined;

  constructor(link: UapiLink, epoch: Epoch) {
    this.#link = link;
    this.#epoch = epoch;
  }

  async run(peers: AsyncIterable<Peer>): Promise<void> {
    await this.#readPresent();
    let looked = 0;
    for await (const peer of peers) {
      this.#look(peer);
      looked += 1;
      if (this.#batch.length >= MAX_PEERS_PER_SET) await this.#flush();
      else if (looked % PEERS_PER_TURN === 0) await nextTurn();
    }
    await this.#flush();
    const revived = this.#settleDeferred();
    for (const key of this.#strays.keys()) await this.#add({ kind: 'remove', publicKey: Buffer.from(key, 'latin1') });
    for (const upsert of revived) await this.#add(upsert);
    await this.#flush();
    await this.#sent;
    if (this.#firstRefusal !== undefined) throw new PeersRefusedError(this.#refused, this.#firstRefusal);
  }

  /** Never rejects. */
  async end(): Promise<void> {
    await this.#sent.catch(() => undefined);
    for (const change of this.#batch) wipeChange(change);
    for (const change of this.#deferred) wipeChange(change);
  }

  async #readPresent(): Promise<void> {
    await this.#link.get(this.#epoch, () => {
      this.#strays = new Map();
      this.#holders = new Map();
      return (peer) => {
        const key = keyOf(peer.publicKey);
        this.#strays.set(key, this.#fingerprint(peer, peer.presharedKey));
        for (const allowedIp of peer.allowedIps) this.#holders.set(allowedIp, key);
      };
    });
  }

  /** Puts the peer into the batch, defers or refuses it, or leaves it as it is. */
  #look(peer: Peer): void {
    const key = keyOf(peer.publicKey);
    // The interface would ignore it without a word.
    if (key === keyOf(this.#link.publicKey)) {
      this.#refuse(peer.publicKey, ownKeyError());
    } else if (this.#isClaimed(key, peer.allowedIps)) {
      this.#refuse(peer.publicKey, takenAddressError());
    } else if (this.#isHeldByAnother(key, peer.allowedIps)) {
      this.#deferred.push(upsertOf(peer));
    } else {
      this.#claim(key, peer.allowedIps);
      const present = this.#strays.get(key);
      this.#strays.delete(key);
      if (present !== this.#fingerprint(peer, peer.presharedKey.bytes)) this.#batch.push(upsertOf(peer));
    }
  }

  /** All who keep an address have said so: gives the deferred that can have theirs; the others stay strays or absent. */
  #settleDeferred(): readonly Upsert[] {
    const possible: Upsert[] = [];
    for (const upsert of this.#deferred) {
      const key = keyOf(upsert.publicKey);
      if (this.#isClaimed(key, upsert.allowedIps)) {
        this.#refuse(upsert.publicKey, takenAddressError());
      } else {
        this.#claim(key, upsert.allowedIps);
        this.#strays.delete(key);
        possible.push(upsert);
      }
    }
    return possible;
  }

  #isClaimed(key: string, allowedIps: readonly string[]): boolean {
    return allowedIps.some((allowedIp) => (this.#claims.get(allowedIp) ?? key) !== key);
  }

  /** By one that may still turn out to be wanted with it; whoever was passed has given it up or claimed it. */
  #isHeldByAnother(key: string, allowedIps: readonly string[]): boolean {
    return allowedIps.some((allowedIp) => {
      const holder = this.#holders.get(allowedIp);
      return holder !== undefined && holder !== key && this.#strays.has(holder);
    });
  }

  #claim(key: string, allowedIps: readonly string[]): void {
    for (const allowedIp of allowedIps) this.#claims.set(allowedIp, key);
  }

  #refuse(publicKey: Uint8Array, error: WireGuardError): void {
    this.#refused.push(Uint8Array.from(publicKey));
    this.#firstRefusal ??= error;
  }

  async #add(change: PeerChange): Promise<void> {
    this.#batch.push(change);
    if (this.#batch.length >= MAX_PEERS_PER_SET) await this.#flush();
  }

  /** Sends the batch, and lets the next one be gathered while it is on its way. */
  async #flush(): Promise<void> {
    await this.#sent;
    this.#sent = this.#send(this.#batch);
    this.#batch = [];
    // Whether it failed is asked at the next batch, or at the end.
    this.#sent.catch(() => undefined);
    await nextTurn();
  }

  async #send(batch: readonly PeerChange[]): Promise<void> {
    try {
      for (const [{ publicKey }, error] of await carryOut(this.#link, this.#epoch, batch))
        this.#refuse(publicKey, error);
    } finally {
      for (const change of batch) wipeChange(change);
    }
  }

  #fingerprint(
    { keepaliveSeconds, allowedIps }: Pick<DumpedPeer, 'keepaliveSeconds' | 'allowedIps'>,
    presharedKey: Uint8Array,
  ): string {
    const hash = createHash('sha256').update(this.#salt).update(presharedKey);
    return hash.update(`${keepaliveSeconds} ${allowedIps.toSorted().join(' ')}`).digest('latin1');
  }
}

/** With copies of its own. */
export function upsertOf({ publicKey, presharedKey, allowedIps, keepaliveSeconds }: Peer): Upsert {
  return {
    kind: 'upsert',
    publicKey: Uint8Array.from(publicKey),
    presharedKey: Uint8Array.from(presharedKey.bytes),
    allowedIps: [...allowedIps],
    keepaliveSeconds,
  };
}

/** Half the size of hexadecimal, and a wanted peer's is compared with a dumped one's many thousand times. */
function keyOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('latin1');
}
