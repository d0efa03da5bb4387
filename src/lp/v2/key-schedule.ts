/**
 * Prologue, psk, root and session secrets of lp2.md §4.2, §4.3 and §6.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { ScratchViews } from '../crypto/scratch-views.ts';
import { ascii, concat, writeLe32 } from '../wire/bytes.ts';
import type { KemAnnouncement } from './kem-key.ts';

const HANDSHAKE_PROLOGUE = concat(ascii('LP2'), Uint8Array.of(2));
const SUBSESSION_PROLOGUE = ascii('LP2 subsession');
const ROOT_LABEL = ascii('LP2 root');
const SUBROOT_LABEL = ascii('LP2 subroot');

/** Of one call at a time. The prologue's input is public and ends with X-Wing's key of 1,216 bytes and its signature. */
const PROLOGUE_INPUT = new ScratchViews(new Uint8Array(1_536));
/** Wiped by each use. */
const SECRETS = new ScratchViews(new Uint8Array(128));

/** What `parts` are side by side in a scratch memory, which must have so many bytes. */
function gather(scratch: ScratchViews, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = scratch.of(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

export function handshakePrologue(
  crypto: CryptoProvider,
  helloContent: Uint8Array,
  gatewayEd25519: Uint8Array,
  announcement: KemAnnouncement,
): Uint8Array {
  const kemId = Uint8Array.of(crypto.kems[announcement.kem].id);
  const hash = crypto.blake3(
    gather(PROLOGUE_INPUT, helloContent, gatewayEd25519, kemId, announcement.body, announcement.signature),
  );
  return concat(HANDSHAKE_PROLOGUE, hash);
}

/** Wipes nothing; `sharedSecret` is the caller's. */
export function handshakePsk(
  crypto: CryptoProvider,
  sharedSecret: Uint8Array,
  publicKeyHash: Uint8Array,
  ciphertext: Uint8Array,
  salt: Uint8Array,
): Uint8Array {
  const material = gather(SECRETS, sharedSecret, publicKeyHash, crypto.blake3(ciphertext), salt);
  const psk = crypto.kdf('psk', material);
  material.fill(0);
  return psk;
}

export function subsessionPrologue(parentIndex: number, n: number): Uint8Array {
  const numbers = new Uint8Array(8);
  writeLe32(numbers, 0, parentIndex);
  writeLe32(numbers, 4, n);
  return concat(SUBSESSION_PROLOGUE, numbers);
}

export function subsessionPsk(crypto: CryptoProvider, chain: Uint8Array, n: number): Uint8Array {
  const material = SECRETS.of(36);
  material.set(chain);
  writeLe32(material, 32, n);
  const psk = crypto.kdf('subsession psk', material);
  material.fill(0);
  return psk;
}

export function handshakeRoot(crypto: CryptoProvider, chainingKey: Uint8Array, handshakeHash: Uint8Array): Uint8Array {
  return crypto.hmacSha256(chainingKey, concat(ROOT_LABEL, handshakeHash));
}

/** With a KEM exchange the ratchet mixes its shared secret in; wipes the intermediate root. */
export function subsessionRoot(
  crypto: CryptoProvider,
  chainingKey: Uint8Array,
  handshakeHash: Uint8Array,
  sharedSecret: Uint8Array | undefined,
): Uint8Array {
  const root = crypto.hmacSha256(chainingKey, concat(SUBROOT_LABEL, handshakeHash));
  if (sharedSecret === undefined) return root;
  const material = gather(SECRETS, root, sharedSecret);
  const ratcheted = crypto.kdf('ratchet', material);
  root.fill(0);
  material.fill(0);
  return ratcheted;
}

export interface SessionSecrets {
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
  readonly chain: Uint8Array;
}

export const NO_CHAIN = new Uint8Array(32);

/** §4.3. Wipes `root`; the caller wipes the secrets once they are in a session. */
export function sessionSecrets(crypto: CryptoProvider, root: Uint8Array, previousChain: Uint8Array): SessionSecrets {
  const material = gather(SECRETS, root, previousChain);
  const secrets = {
    initiatorToResponder: crypto.kdf('key i2r', root),
    responderToInitiator: crypto.kdf('key r2i', root),
    chain: crypto.kdf('chain', material),
  };
  root.fill(0);
  material.fill(0);
  return secrets;
}

export function wipeSecrets(secrets: SessionSecrets): void {
  secrets.initiatorToResponder.fill(0);
  secrets.responderToInitiator.fill(0);
  secrets.chain.fill(0);
}
