/**
 * A Nym node and its clients for games with a hostile peer: randomness from a seed, and a watch over every seal, since no key
 * may seal two messages under one nonce (nym.md §5.2, §6.3).
 */
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import type { NymCrypto } from '../../src/lp/crypto/nym-provider.ts';
import type { CryptoProvider, KemSecretKey } from '../../src/lp/crypto/provider.ts';
import { NymInitiator, type NymInitiatorOptions } from '../../src/lp/nym/initiator.ts';
import type { NymNode } from '../../src/lp/nym/responder.ts';
import type { Prng } from './prng.ts';

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/**
 * The same primitives; sealing two messages under one key and nonce throws. One message may be sealed twice: a KKT request
 * that is repeated gets the same answer, for nothing in it is the node's choice.
 */
export function watchSeals(provider: CryptoProvider): NymCrypto {
  const crypto = nymCrypto(provider);
  const seals = new Map<string, string>();
  const note = (key: Uint8Array, nonce: number | string, message: Uint8Array) => {
    const seal = `${hexOf(key)} ${nonce}`;
    const digest = hexOf(provider.sha256(message));
    if ((seals.get(seal) ?? digest) !== digest) throw new Error('a key and nonce seal twice');
    seals.set(seal, digest);
  };
  return {
    ...crypto,
    base: {
      ...crypto.base,
      aeadSeal(out, plaintext, aad, nonce, key) {
        note(key, hexOf(nonce), plaintext);
        crypto.base.aeadSeal(out, plaintext, aad, nonce, key);
      },
    },
    sealOnce(key, plaintext, aad) {
      note(key, 1, plaintext);
      return crypto.sealOnce(key, plaintext, aad);
    },
    channel(key) {
      const kept = key.slice();
      const channel = crypto.channel(key);
      return {
        seal(nonce, bytes, offset, length) {
          note(kept, nonce, bytes.subarray(offset, offset + length));
          channel.seal(nonce, bytes, offset, length);
        },
        open: (nonce, bytes, offset, length) => channel.open(nonce, bytes, offset, length),
        wipe: () => channel.wipe(),
      };
    },
  };
}

/** One for all games of a provider: making it takes as long as a handshake. */
const KEM_KEYS = new Map<CryptoProvider['name'], KemSecretKey>();

function kemKey({ name, kems }: CryptoProvider): KemSecretKey {
  const kept = KEM_KEYS.get(name) ?? kems['ml-kem-768'].secretKeyFromSeed(new Uint8Array(64).fill(6));
  KEM_KEYS.set(name, kept);
  return kept;
}

export function nymNode(crypto: NymCrypto, prng: Prng): NymNode {
  const secret = prng.bytes(32);
  const publicKey = crypto.base.x25519PublicKey(secret);
  return { crypto, random: prng.source(), secret, publicKey, kem: kemKey(crypto.base) };
}

/** Of the node's own randomness: one seed, one game. */
export function nymClient(node: NymNode, more: Partial<NymInitiatorOptions> = {}): NymInitiator {
  const { crypto, random, publicKey, kem } = node;
  const kemDigest = { hash: 'blake3', digest: crypto.digest('blake3', kem.publicKey.bytes) } as const;
  return new NymInitiator({ crypto, random, node: publicKey, kemDigest, hop: 'entry', ...more });
}
