/** Of many peers, some were refused and all others stand as asked: what a full resync rejects with then. */
import { WireGuardError } from './backend.ts';

/** Names kept in the error; more than these fail only where everything is wrong. */
const MAX_NAMES = 256;

export class PeersRefusedError extends WireGuardError {
  /** How many. */
  readonly count: number;
  /** Public keys of the first of them. */
  readonly publicKeys: readonly Uint8Array[];

  /** `first` says why the first of them was refused. */
  constructor(publicKeys: readonly Uint8Array[], first: WireGuardError) {
    super('WIREGUARD_REFUSED', `${publicKeys.length} peers were refused, the first because: ${first.message}`, {
      cause: first,
    });
    this.name = 'PeersRefusedError';
    this.count = publicKeys.length;
    this.publicKeys = publicKeys.slice(0, MAX_NAMES);
  }
}
