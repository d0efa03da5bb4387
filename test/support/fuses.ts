/** Store and WireGuard whose calls fail when a fuse says so. */
import { type RegistrationStore, StoreError } from '../../src/registration/store/store.ts';
import { type WireGuardBackend, WireGuardError } from '../../src/registration/wireguard/backend.ts';

export interface Fuse {
  /** Calls until the first failure. */
  after: number;
  /** Failures that are still to come. */
  count: number;
  /** Failures that were. */
  blown: number;
}

export function failingStore(store: RegistrationStore, fuse: Fuse): RegistrationStore {
  return {
    transaction: (body) =>
      fails(fuse) ? Promise.reject(new StoreError('STORE_UNAVAILABLE', 'told to fail')) : store.transaction(body),
    registrations: () => store.registrations(),
    close: () => store.close(),
  };
}

export function failingWireGuard(wireguard: WireGuardBackend, fuse: Fuse): WireGuardBackend {
  const orFail = (call: () => Promise<void>) =>
    fails(fuse) ? Promise.reject(new WireGuardError('WIREGUARD_UNAVAILABLE', 'told to fail')) : call();
  return {
    upsert: (peer) => orFail(() => wireguard.upsert(peer)),
    remove: (publicKey) => orFail(() => wireguard.remove(publicKey)),
    resync: (peers) => orFail(() => wireguard.resync(peers)),
    list: () => wireguard.list(),
    close: () => wireguard.close(),
  };
}

function fails(fuse: Fuse): boolean {
  if (fuse.count === 0) return false;
  if (fuse.after > 0) {
    fuse.after -= 1;
    return false;
  }
  fuse.count -= 1;
  fuse.blown += 1;
  return true;
}
