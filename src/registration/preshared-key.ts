/**
 * A WireGuard preshared key, 32 secret bytes: redacted like every `Secret`. Each owner (quote, store, peer table, running
 * job) has a copy of its own and wipes it, so that wiping one never breaks another.
 */
import { timingSafeEqual } from 'node:crypto';
import { Secret } from '../lp/crypto/secret.ts';

export class PresharedKey extends Secret implements Disposable {
  /** Copies; the caller keeps and wipes its own bytes. */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== 32) throw new Error('assertion: a preshared key has 32 bytes');
    super(Uint8Array.from(bytes));
  }

  copy(): PresharedKey {
    return new PresharedKey(this.bytes);
  }

  /** In constant time. */
  equals(other: PresharedKey): boolean {
    return timingSafeEqual(this.bytes, other.bytes);
  }

  [Symbol.dispose](): void {
    this.wipe();
  }
}
