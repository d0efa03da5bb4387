/**
 * The KEM suites over a provider's ML-KEM-768 and X25519: lp2.md §4.1, lp1.md §5.1, draft-connolly-cfrg-xwing-kem.
 * Lengths and FIPS 203's modulus check are done here, once for both providers, so an ML-KEM-768 below sees only keys
 * and ciphertexts that it can work with.
 */

import { shake256 } from '@noble/hashes/sha3.js';
import { assertLength } from './lengths.ts';
import {
  type CryptoProvider,
  type Encapsulation,
  KEM_ID,
  type Kem,
  type KemName,
  type KemPublicKey,
  type KemSecretKey,
  type RandomSource,
} from './provider.ts';
import { Redacted, Secret, wipe } from './secret.ts';

/** FIPS 203 §2.4, §8. */
const ML_KEM_SEED_LENGTH = 64;
const ML_KEM_PUBLIC_KEY_LENGTH = 1184;
const ML_KEM_CIPHERTEXT_LENGTH = 1088;
const ML_KEM_COINS_LENGTH = 32;
const ML_KEM_POLYNOMIALS_LENGTH = 1152;
const ML_KEM_Q = 3329;

const X25519_LENGTH = 32;
const X_WING_SEED_LENGTH = 32;
/** `\.//^\` */
const X_WING_LABEL = Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c);
const X_WING_INPUT_LENGTH = 4 * 32 + X_WING_LABEL.length;

/** What a provider has of ML-KEM-768. Every array it returns is fresh, and owned by the caller. */
export interface MlKem768 {
  /** Whether `encapsulate` draws from the operating system by itself where it gets no coins. */
  readonly drawsCoins: boolean;
  secretKey(seed: Uint8Array): MlKem768SecretKey;
  /** `bytes` passed the modulus check and do not change any more. */
  publicKey(bytes: Uint8Array): MlKem768PublicKey;
}

export interface MlKem768SecretKey {
  readonly publicKey: Uint8Array;
  decapsulate(ciphertext: Uint8Array): Uint8Array;
  wipe(): void;
}

export interface MlKem768PublicKey {
  encapsulate(coins: Uint8Array | undefined): Encapsulation;
}

/** What the suites need of a provider. */
export interface KemParts extends Pick<CryptoProvider, 'x25519' | 'x25519PublicKey'> {
  readonly mlKem: MlKem768;
  sha3(message: Uint8Array): Uint8Array;
}

export function createKems(parts: KemParts): Readonly<Record<KemName, Kem>> {
  return Object.freeze({ 'x-wing': createXWing(parts), 'ml-kem-768': createMlKem(parts.mlKem) });
}

/** FIPS 203 §7.2: each of the 768 coefficients of 12 bits is below q. */
function passesModulusCheck(publicKey: Uint8Array): boolean {
  for (let i = 0; i < ML_KEM_POLYNOMIALS_LENGTH; i += 3) {
    const a = publicKey[i] ?? 0;
    const b = publicKey[i + 1] ?? 0;
    const c = publicKey[i + 2] ?? 0;
    if ((a | ((b & 0x0f) << 8)) >= ML_KEM_Q || ((b >> 4) | (c << 4)) >= ML_KEM_Q) return false;
  }
  return true;
}

/** Remembers what a provider made of a public key: parsing costs as much as encapsulating. */
class PublicKeys {
  readonly #mlKem: MlKem768;
  readonly #parsed = new WeakMap<KemPublicKey, MlKem768PublicKey>();

  constructor(mlKem: MlKem768) {
    this.#mlKem = mlKem;
  }

  import(kem: KemName, length: number, bytes: Uint8Array): KemPublicKey | undefined {
    if (bytes.length !== length || !passesModulusCheck(bytes)) return undefined;
    return Object.freeze({ kem, bytes: bytes.slice() });
  }

  mlKemOf(key: KemPublicKey): MlKem768PublicKey {
    let parsed = this.#parsed.get(key);
    if (parsed === undefined) {
      parsed = this.#mlKem.publicKey(key.bytes.subarray(0, ML_KEM_PUBLIC_KEY_LENGTH));
      this.#parsed.set(key, parsed);
    }
    return parsed;
  }
}

function assertKem(key: KemPublicKey, kem: KemName): void {
  if (key.kem !== kem) throw new TypeError(`a public key of ${key.kem} is used with ${kem}`);
}

// ML-KEM-768

class MlKemSecret extends Redacted implements KemSecretKey {
  readonly kem = 'ml-kem-768';
  readonly publicKey: KemPublicKey;
  readonly #key: MlKem768SecretKey;

  constructor(key: MlKem768SecretKey) {
    super();
    this.#key = key;
    this.publicKey = Object.freeze({ kem: this.kem, bytes: key.publicKey });
  }

  decapsulate(ciphertext: Uint8Array): Uint8Array | undefined {
    return ciphertext.length === ML_KEM_CIPHERTEXT_LENGTH ? this.#key.decapsulate(ciphertext) : undefined;
  }

  wipe(): void {
    this.#key.wipe();
  }
}

function createMlKem(mlKem: MlKem768): Kem {
  const name = 'ml-kem-768';
  const keys = new PublicKeys(mlKem);

  function encapsulate(publicKey: KemPublicKey, random: RandomSource): Encapsulation {
    assertKem(publicKey, name);
    const key = keys.mlKemOf(publicKey);
    if (mlKem.drawsCoins && random.kind === 'system') return key.encapsulate(undefined);
    const coins = new Uint8Array(ML_KEM_COINS_LENGTH);
    try {
      random.fill(coins);
      return key.encapsulate(coins);
    } finally {
      wipe(coins);
    }
  }

  return Object.freeze({
    name,
    id: KEM_ID[name],
    seedLength: ML_KEM_SEED_LENGTH,
    publicKeyLength: ML_KEM_PUBLIC_KEY_LENGTH,
    ciphertextLength: ML_KEM_CIPHERTEXT_LENGTH,
    secretKeyFromSeed(seed: Uint8Array): KemSecretKey {
      assertLength(seed, ML_KEM_SEED_LENGTH, 'ML-KEM-768 seed');
      return new MlKemSecret(mlKem.secretKey(seed));
    },
    importPublicKey: (bytes: Uint8Array) => keys.import(name, ML_KEM_PUBLIC_KEY_LENGTH, bytes),
    encapsulate,
  });
}

// X-Wing

type Combine = (ssM: Uint8Array, ssX: Uint8Array, ctX: Uint8Array, pkX: Uint8Array) => Uint8Array;

/** SHA3-256(ss_m ‖ ss_x ‖ ct_x ‖ pk_x ‖ label). One scratch input serves all calls, since none can overlap another. */
function createCombine(sha3: KemParts['sha3']): Combine {
  const input = new Uint8Array(X_WING_INPUT_LENGTH);
  return (ssM, ssX, ctX, pkX) => {
    try {
      input.set(ssM);
      input.set(ssX, 32);
      input.set(ctX, 64);
      input.set(pkX, 96);
      input.set(X_WING_LABEL, 128);
      return sha3(input);
    } finally {
      input.fill(0);
    }
  };
}

class XWingSecret extends Redacted implements KemSecretKey {
  readonly kem = 'x-wing';
  readonly publicKey: KemPublicKey;
  readonly #mlKem: MlKem768SecretKey;
  readonly #scalar: Secret;
  readonly #publicX: Uint8Array;
  readonly #x25519: KemParts['x25519'];
  readonly #combine: Combine;

  /** `scalar` is taken over. */
  constructor(mlKem: MlKem768SecretKey, scalar: Secret, parts: KemParts, combine: Combine) {
    super();
    const bytes = new Uint8Array(ML_KEM_PUBLIC_KEY_LENGTH + X25519_LENGTH);
    bytes.set(mlKem.publicKey);
    bytes.set(parts.x25519PublicKey(scalar.bytes), ML_KEM_PUBLIC_KEY_LENGTH);
    this.publicKey = Object.freeze({ kem: this.kem, bytes });
    this.#mlKem = mlKem;
    this.#scalar = scalar;
    this.#publicX = bytes.subarray(ML_KEM_PUBLIC_KEY_LENGTH);
    this.#x25519 = parts.x25519;
    this.#combine = combine;
  }

  decapsulate(ciphertext: Uint8Array): Uint8Array | undefined {
    if (ciphertext.length !== ML_KEM_CIPHERTEXT_LENGTH + X25519_LENGTH) return undefined;
    const ctX = ciphertext.subarray(ML_KEM_CIPHERTEXT_LENGTH);
    // X25519 first: a low-order point then costs no ML-KEM.
    const ssX = this.#x25519(this.#scalar.bytes, ctX);
    if (ssX === undefined) return undefined;
    let ssM: Uint8Array | undefined;
    try {
      ssM = this.#mlKem.decapsulate(ciphertext.subarray(0, ML_KEM_CIPHERTEXT_LENGTH));
      return this.#combine(ssM, ssX, ctX, this.#publicX);
    } finally {
      wipe(ssM, ssX);
    }
  }

  wipe(): void {
    this.#mlKem.wipe();
    this.#scalar.wipe();
  }
}

function createXWing(parts: KemParts): Kem {
  const name = 'x-wing';
  const { mlKem } = parts;
  const keys = new PublicKeys(mlKem);
  const combine = createCombine(parts.sha3);

  function secretKeyFromSeed(seed: Uint8Array): KemSecretKey {
    assertLength(seed, X_WING_SEED_LENGTH, 'X-Wing seed');
    const expanded = shake256(seed, { dkLen: ML_KEM_SEED_LENGTH + X25519_LENGTH });
    try {
      const inner = mlKem.secretKey(expanded.subarray(0, ML_KEM_SEED_LENGTH));
      return new XWingSecret(inner, new Secret(expanded.slice(ML_KEM_SEED_LENGTH)), parts, combine);
    } finally {
      wipe(expanded);
    }
  }

  /** `coins`: for ML-KEM, absent where the provider draws its own; `ephemeral`: the X25519 secret. */
  function encapsulateWith(key: KemPublicKey, coins: Uint8Array | undefined, ephemeral: Uint8Array) {
    const pkX = key.bytes.subarray(ML_KEM_PUBLIC_KEY_LENGTH);
    const ssX = parts.x25519(ephemeral, pkX);
    if (ssX === undefined) return undefined;
    let inner: Encapsulation | undefined;
    try {
      inner = keys.mlKemOf(key).encapsulate(coins);
      const ctX = parts.x25519PublicKey(ephemeral);
      const ciphertext = new Uint8Array(ML_KEM_CIPHERTEXT_LENGTH + X25519_LENGTH);
      ciphertext.set(inner.ciphertext);
      ciphertext.set(ctX, ML_KEM_CIPHERTEXT_LENGTH);
      return { ciphertext, sharedSecret: combine(inner.sharedSecret, ssX, ctX, pkX) };
    } finally {
      wipe(ssX, inner?.sharedSecret);
    }
  }

  function encapsulate(publicKey: KemPublicKey, random: RandomSource): Encapsulation | undefined {
    assertKem(publicKey, name);
    const coinsLength = mlKem.drawsCoins && random.kind === 'system' ? 0 : ML_KEM_COINS_LENGTH;
    const drawn = new Uint8Array(coinsLength + X25519_LENGTH);
    try {
      random.fill(drawn);
      const coins = coinsLength === 0 ? undefined : drawn.subarray(0, coinsLength);
      return encapsulateWith(publicKey, coins, drawn.subarray(coinsLength));
    } finally {
      wipe(drawn);
    }
  }

  const publicKeyLength = ML_KEM_PUBLIC_KEY_LENGTH + X25519_LENGTH;
  return Object.freeze({
    name,
    id: KEM_ID[name],
    seedLength: X_WING_SEED_LENGTH,
    publicKeyLength,
    ciphertextLength: ML_KEM_CIPHERTEXT_LENGTH + X25519_LENGTH,
    secretKeyFromSeed,
    importPublicKey: (bytes: Uint8Array) => keys.import(name, publicKeyLength, bytes),
    encapsulate,
  });
}
