/**
 * X25519, Ed25519 and the conversion between them (lp1.md §3.1) over libsodium. Peer errors that libsodium throws become
 * values here; lengths are checked first, so that our own mistakes do not.
 */

import { isMontgomeryU, montgomeryU } from './edwards.ts';
import { assertLength, KEY_LENGTH, SIGNATURE_LENGTH } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';
import { type Sodium, STACKS } from './sodium.ts';

type Curve = Pick<
  CryptoProvider,
  | 'x25519PublicKey'
  | 'x25519'
  | 'ed25519PublicKey'
  | 'ed25519Sign'
  | 'ed25519Verify'
  | 'x25519SecretOfEd25519'
  | 'x25519PublicOfEd25519'
  | 'convertsTo'
>;

export function createCurve(sodium: Sodium): Curve {
  return { ...createX25519(sodium), ...createEd25519(sodium), ...createConversion(sodium) };
}

/** Works on long-lived arrays outside V8's heap, like the AEAD. */
function createX25519(sodium: Sodium): Pick<Curve, 'x25519PublicKey' | 'x25519'> {
  const result = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  const secretMemory = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  const publicMemory = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  return {
    x25519PublicKey(secret) {
      assertLength(secret, KEY_LENGTH, 'X25519 secret');
      secretMemory.set(secret);
      sodium.crypto_scalarmult_base(result, secretMemory);
      secretMemory.fill(0);
      return result.slice();
    },
    x25519(secret, publicKey) {
      assertLength(secret, KEY_LENGTH, 'X25519 secret');
      if (publicKey.length !== KEY_LENGTH) return undefined;
      secretMemory.set(secret);
      publicMemory.set(publicKey);
      const { stackTraceLimit } = STACKS;
      STACKS.stackTraceLimit = 0;
      try {
        sodium.crypto_scalarmult(result, secretMemory, publicMemory);
        return result.slice();
      } catch {
        // Lengths are right, so the result was all zero.
        return undefined;
      } finally {
        STACKS.stackTraceLimit = stackTraceLimit;
        result.fill(0);
        secretMemory.fill(0);
      }
    },
  };
}

function createEd25519(sodium: Sodium): Pick<Curve, 'ed25519PublicKey' | 'ed25519Sign' | 'ed25519Verify'> {
  const publicScratch = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  /** libsodium's secret key is seed ‖ public key. */
  const secretScratch = new Uint8Array(new ArrayBuffer(2 * KEY_LENGTH));
  return {
    ed25519PublicKey(seed) {
      assertLength(seed, KEY_LENGTH, 'Ed25519 seed');
      try {
        sodium.crypto_sign_seed_keypair(publicScratch, secretScratch, seed);
        return publicScratch.slice();
      } finally {
        secretScratch.fill(0);
      }
    },
    ed25519Sign(seed, message) {
      assertLength(seed, KEY_LENGTH, 'Ed25519 seed');
      try {
        sodium.crypto_sign_seed_keypair(publicScratch, secretScratch, seed);
        const signature = new Uint8Array(SIGNATURE_LENGTH);
        sodium.crypto_sign_detached(signature, message, secretScratch);
        return signature;
      } finally {
        secretScratch.fill(0);
      }
    },
    ed25519Verify(publicKey, message, signature) {
      if (publicKey.length !== KEY_LENGTH || signature.length !== SIGNATURE_LENGTH) return false;
      return sodium.crypto_sign_verify_detached(signature, message, publicKey);
    },
  };
}

function createConversion(
  sodium: Sodium,
): Pick<Curve, 'x25519SecretOfEd25519' | 'x25519PublicOfEd25519' | 'convertsTo'> {
  const hash = new Uint8Array(new ArrayBuffer(64));
  const sum = new Uint8Array(new ArrayBuffer(KEY_LENGTH));
  const point = new Uint8Array(new ArrayBuffer(KEY_LENGTH));

  /**
   * Whether the point decodes. Addition decodes its operands and nothing more: libsodium's own conversion and its
   * validity check also multiply by the group order, which costs as much as a DH, and would refuse mixed-order points
   * that the other implementations of the protocol accept.
   */
  function decodes(publicKey: Uint8Array): boolean {
    point.set(publicKey);
    const { stackTraceLimit } = STACKS;
    STACKS.stackTraceLimit = 0;
    try {
      sodium.crypto_core_ed25519_add(sum, point, point);
      return true;
    } catch {
      return false;
    } finally {
      STACKS.stackTraceLimit = stackTraceLimit;
    }
  }

  return {
    x25519SecretOfEd25519(seed) {
      assertLength(seed, KEY_LENGTH, 'Ed25519 seed');
      try {
        sodium.crypto_hash_sha512(hash, seed);
        return hash.slice(0, KEY_LENGTH);
      } finally {
        hash.fill(0);
      }
    },
    x25519PublicOfEd25519(publicKey) {
      if (publicKey.length !== KEY_LENGTH) return undefined;
      const u = montgomeryU(publicKey);
      return u !== undefined && decodes(publicKey) ? u : undefined;
    },
    convertsTo(ed25519PublicKey, x25519PublicKey) {
      if (ed25519PublicKey.length !== KEY_LENGTH || x25519PublicKey.length !== KEY_LENGTH) return false;
      return isMontgomeryU(x25519PublicKey, ed25519PublicKey) && decodes(ed25519PublicKey);
    },
  };
}
