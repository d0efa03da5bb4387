/**
 * A node of the Nym network as handshakes need it. Invariant: a KEM key is kept only when a handshake has checked it against
 * the announced digest; it is imported once per thread, since importing one costs as much as using it.
 */
import type { NymNodeData } from '../client/index.ts';
import type { NymCrypto } from '../lp/crypto/nym-provider.ts';
import type { KemPublicKey } from '../lp/crypto/provider.ts';
import { sameBytes } from '../lp/wire/bytes.ts';
import type { Place } from './plan.ts';

/** Whose answer is awaited. */
export type NymLoadStep = 'kkt' | 'psq' | 'initial';

export interface NymPeer extends Place, Pick<NymNodeData, 'lpKey' | 'kemDigest' | 'source'> {
  /** Learnt by the first handshake of the thread. */
  kemKey: KemPublicKey | undefined;
  /** Steps that it has answered as it should at least once: then its keys are right, and it understands this client. */
  readonly answered: Set<NymLoadStep>;
}

export function nymPeerOf({ address, lpKey, kemDigest, source }: NymNodeData): NymPeer {
  return { ...address, lpKey, kemDigest, source, kemKey: undefined, answered: new Set() };
}

/** For a key that was checked. `undefined` for one that fails FIPS 203's check. */
export function importKemKey(crypto: NymCrypto, peer: NymPeer, bytes: Uint8Array): KemPublicKey | undefined {
  if (peer.kemKey !== undefined && sameBytes(peer.kemKey.bytes, bytes)) return peer.kemKey;
  const imported = crypto.base.kems['ml-kem-768'].importPublicKey(bytes);
  peer.kemKey = imported ?? peer.kemKey;
  return imported;
}
