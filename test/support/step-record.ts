/**
 * A provider and a random source that write down which primitive is called, in order, with the lengths of what goes in and
 * what came of it: what a packet costs by steps, without a clock. Contents are not kept. X-Wing is taken apart, so that its
 * DH and its ML-KEM are steps of their own.
 */
import { sha3_256 } from '@noble/hashes/sha3.js';
import { createKems, type MlKem768 } from '../../src/lp/crypto/kem.ts';
import { nativeMlKem768 } from '../../src/lp/crypto/native-ml-kem.ts';
import type { CryptoProvider, RandomSource } from '../../src/lp/crypto/provider.ts';

export class StepRecord {
  readonly crypto: CryptoProvider;
  private steps: string[] = [];

  /** Wraps the native provider. */
  constructor(provider: CryptoProvider) {
    this.crypto = this.wrap(provider);
  }

  /** A source whose draws are steps as well. */
  watch(random: RandomSource): RandomSource {
    return {
      kind: random.kind,
      fill: (out) => {
        this.note('draw', [out.length], true);
        random.fill(out);
      },
    };
  }

  /** The steps that `act` takes. */
  of(act: () => void): readonly string[] {
    this.steps = [];
    act();
    const { steps } = this;
    this.steps = [];
    return steps;
  }

  private note(name: string, lengths: readonly number[], good: boolean): void {
    this.steps.push(`${name}(${lengths.join(', ')})${good ? '' : ' fails'}`);
  }

  private wrap(provider: CryptoProvider): CryptoProvider {
    const recorded = {
      ...provider,
      sha256: this.hashing('sha256', provider.sha256),
      blake3: this.hashing('blake3', provider.blake3),
      hmacSha256: (key: Uint8Array, message: Uint8Array, out?: Uint8Array) => {
        this.note('hmac', [key.length, message.length], true);
        return provider.hmacSha256(key, message, out);
      },
      kdf: (label: string, material: Uint8Array) => {
        this.note(`kdf ${label}`, [material.length], true);
        return provider.kdf(label, material);
      },
      deriveKey: (context: string, material: Uint8Array) => {
        this.note(`kdf ${context}`, [material.length], true);
        return provider.deriveKey(context, material);
      },
      equal: (a: Uint8Array, b: Uint8Array) => this.judged('equal', [a.length, b.length], provider.equal(a, b)),
      ...this.wrapAead(provider),
      ...this.wrapCurve(provider),
    };
    const sha3 = (message: Uint8Array) => {
      this.note('sha3', [message.length], true);
      return sha3_256(message);
    };
    const { x25519, x25519PublicKey } = recorded;
    return { ...recorded, kems: createKems({ mlKem: this.wrapMlKem(), x25519, x25519PublicKey, sha3 }) };
  }

  private wrapAead({ aeadSeal, aeadOpen }: CryptoProvider): Pick<CryptoProvider, 'aeadSeal' | 'aeadOpen'> {
    return {
      aeadSeal: (out, plaintext, aad, nonce, key) => {
        this.note('seal', [plaintext.length, aad.length], true);
        aeadSeal(out, plaintext, aad, nonce, key);
      },
      aeadOpen: (out, sealed, aad, nonce, key) => {
        const lengths = [sealed.length, aad.length];
        return this.judged('open', lengths, aeadOpen(out, sealed, aad, nonce, key));
      },
    };
  }

  private wrapCurve(provider: CryptoProvider) {
    return {
      x25519: (secret: Uint8Array, publicKey: Uint8Array) =>
        this.judged('x25519', [publicKey.length], provider.x25519(secret, publicKey)),
      x25519PublicKey: (secret: Uint8Array) => this.judged('x25519 base', [], provider.x25519PublicKey(secret)),
      ed25519Sign: (seed: Uint8Array, message: Uint8Array) =>
        this.judged('sign', [message.length], provider.ed25519Sign(seed, message)),
      ed25519Verify: (key: Uint8Array, message: Uint8Array, signature: Uint8Array) =>
        this.judged('verify', [message.length], provider.ed25519Verify(key, message, signature)),
      convertsTo: (ed25519: Uint8Array, x25519: Uint8Array) =>
        this.judged('converts', [ed25519.length], provider.convertsTo(ed25519, x25519)),
    };
  }

  private wrapMlKem(): MlKem768 {
    const { drawsCoins, secretKey, publicKey } = nativeMlKem768;
    return {
      drawsCoins,
      secretKey: (seed) => {
        const key = secretKey(seed);
        return {
          publicKey: key.publicKey,
          decapsulate: (ciphertext) => this.judged('decapsulate', [ciphertext.length], key.decapsulate(ciphertext)),
          wipe: () => key.wipe(),
        };
      },
      publicKey: (bytes) => {
        const key = publicKey(bytes);
        return { encapsulate: (coins) => this.judged('encapsulate', [bytes.length], key.encapsulate(coins)) };
      },
    };
  }

  private hashing(name: string, hash: (message: Uint8Array, out?: Uint8Array) => Uint8Array) {
    return (message: Uint8Array, out?: Uint8Array) => {
      this.note(name, [message.length], true);
      return hash(message, out);
    };
  }

  private judged<T>(name: string, lengths: readonly number[], result: T): T {
    this.note(name, lengths, result !== undefined && result !== false);
    return result;
  }
}
