/** Whether a store that failed takes writes again: a token that nobody has is spent and taken back. */
import type { RandomSource } from '../../lp/crypto/provider.ts';
import type { RegistrationStore } from './store.ts';

const ID_LENGTH = 32;

/** Rejects with StoreError. Two transactions, since one that changes nothing may not reach the disk. */
export async function probeStore(store: RegistrationStore, random: RandomSource): Promise<void> {
  const id = new Uint8Array(ID_LENGTH);
  random.fill(id);
  // Should the second fail, the next forgetting of tokens takes it away.
  await store.transaction((tx) => tx.spend({ id, payer: 'probe', keepUntil: 0 }));
  await store.transaction((tx) => tx.unspend(id));
}
