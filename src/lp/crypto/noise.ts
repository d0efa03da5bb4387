/**
 * SymmetricState and CipherState of the Noise Protocol Framework (revision 34, §5), for ChaChaPoly and SHA256. A
 * decryption that fails leaves the state as it was; patterns that mix keys before it work on a `clone`.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { HASH_LENGTH, TAG_LENGTH } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';
import { ScratchViews } from './scratch-views.ts';

const ONE = Uint8Array.of(1);

/**
 * Memory of one operation at a time: every function here runs to its end. Outside V8's heap, since it goes to native
 * code; large enough for message 1 with its KEM ciphertext and for a frame in message 3.
 */
const SCRATCH_LENGTH = 4_096;
const HASH_INPUT = new Uint8Array(new ArrayBuffer(SCRATCH_LENGTH));
const HASH_INPUTS = new ScratchViews(HASH_INPUT);
const SEALED = new ScratchViews(HASH_INPUT, HASH_LENGTH);
const OPENED = new ScratchViews(new Uint8Array(new ArrayBuffer(SCRATCH_LENGTH)));
const TEMP_KEY = new Uint8Array(HASH_LENGTH);
const OUTPUT = new Uint8Array(HASH_LENGTH);
const FOLLOW = new Uint8Array(HASH_LENGTH + 1);
const NONCE = new Uint8Array(12);

/** InitializeSymmetric's h, which is a constant of each pattern: longer names are hashed, shorter ones padded with zeros. */
export function protocolHash(name: string): Uint8Array {
  const bytes = utf8ToBytes(name);
  if (bytes.length > HASH_LENGTH) return sha256(bytes);
  const padded = new Uint8Array(HASH_LENGTH);
  padded.set(bytes);
  return padded;
}

/** Set by the handshake, so that a pattern never encrypts two payloads under one (k, n). */
export class SymmetricState {
  readonly ck: Uint8Array;
  readonly h: Uint8Array;
  readonly k: Uint8Array;
  private hasKey: boolean;
  private n: number;
  private readonly crypto: CryptoProvider;

  private constructor(
    crypto: CryptoProvider,
    ck: Uint8Array,
    h: Uint8Array,
    k: Uint8Array,
    hasKey: boolean,
    n: number,
  ) {
    this.crypto = crypto;
    this.ck = ck;
    this.h = h;
    this.k = k;
    this.hasKey = hasKey;
    this.n = n;
  }

  /** With the {@link protocolHash} of the pattern's name. */
  static initialize(crypto: CryptoProvider, protocol: Uint8Array): SymmetricState {
    return new SymmetricState(crypto, protocol.slice(), protocol.slice(), new Uint8Array(HASH_LENGTH), false, 0);
  }

  clone(): SymmetricState {
    return new SymmetricState(this.crypto, this.ck.slice(), this.h.slice(), this.k.slice(), this.hasKey, this.n);
  }

  mixHash(data: Uint8Array): void {
    const input = this.hashInput(data.length);
    input.set(data, HASH_LENGTH);
    this.crypto.sha256(input, this.h);
  }

  mixKey(inputKeyMaterial: Uint8Array): void {
    const { crypto } = this;
    crypto.hmacSha256(this.ck, inputKeyMaterial, TEMP_KEY);
    crypto.hmacSha256(TEMP_KEY, ONE, this.ck);
    crypto.hmacSha256(TEMP_KEY, follow(this.ck, 2), this.k);
    this.keyIsNew();
    wipeScratch();
  }

  /**
   * MixKey where another one follows before anything is encrypted: k would be replaced unread, so it is not made. The
   * same chaining key, four compressions cheaper.
   */
  mixChainingKey(inputKeyMaterial: Uint8Array): void {
    const { crypto } = this;
    crypto.hmacSha256(this.ck, inputKeyMaterial, TEMP_KEY);
    crypto.hmacSha256(TEMP_KEY, ONE, this.ck);
    this.hasKey = false;
    TEMP_KEY.fill(0);
  }

  mixKeyAndHash(inputKeyMaterial: Uint8Array): void {
    const { crypto } = this;
    crypto.hmacSha256(this.ck, inputKeyMaterial, TEMP_KEY);
    crypto.hmacSha256(TEMP_KEY, ONE, this.ck);
    crypto.hmacSha256(TEMP_KEY, follow(this.ck, 2), OUTPUT);
    this.mixHash(OUTPUT);
    crypto.hmacSha256(TEMP_KEY, follow(OUTPUT, 3), this.k);
    this.keyIsNew();
    wipeScratch();
  }

  /** Ciphertext ‖ tag. Every pattern here has a key before its first payload. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const length = plaintext.length + TAG_LENGTH;
    // The ciphertext is made where the hash takes it from.
    const input = this.hashInput(length);
    const sealed = sealedPart(input);
    sealed.set(plaintext);
    this.crypto.aeadSeal(sealed, sealed.subarray(0, plaintext.length), this.h, this.nonce(), this.k);
    this.n++;
    const out = sealed.slice();
    this.crypto.sha256(input, this.h);
    return out;
  }

  /** Plaintext, or `undefined` with the state unchanged. */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array | undefined {
    if (!this.hasKey || ciphertext.length < TAG_LENGTH) return undefined;
    const input = this.hashInput(ciphertext.length);
    const sealed = sealedPart(input);
    sealed.set(ciphertext);
    const length = ciphertext.length - TAG_LENGTH;
    const out = length <= SCRATCH_LENGTH ? OPENED.of(length) : new Uint8Array(length);
    if (!this.crypto.aeadOpen(out, sealed, this.h, this.nonce(), this.k)) return undefined;
    this.n++;
    this.crypto.sha256(input, this.h);
    const plaintext = out.slice();
    out.fill(0);
    return plaintext;
  }

  /** `h` and room for so many bytes behind it. */
  private hashInput(length: number): Uint8Array {
    const size = HASH_LENGTH + length;
    const input = size <= SCRATCH_LENGTH ? HASH_INPUTS.of(size) : new Uint8Array(size);
    input.set(this.h);
    return input;
  }

  wipe(): void {
    this.ck.fill(0);
    this.h.fill(0);
    this.k.fill(0);
    this.hasKey = false;
  }

  private keyIsNew(): void {
    this.hasKey = true;
    this.n = 0;
  }

  /** n is 0 or 1 in every pattern used here, so one byte carries it. */
  private nonce(): Uint8Array {
    NONCE[4] = this.n;
    return NONCE;
  }
}

/** What is behind `h`. */
function sealedPart(input: Uint8Array): Uint8Array {
  return input.buffer === HASH_INPUT.buffer ? SEALED.of(input.length - HASH_LENGTH) : input.subarray(HASH_LENGTH);
}

/** HKDF's `output ‖ byte`. */
function follow(output: Uint8Array, byte: number): Uint8Array {
  FOLLOW.set(output);
  FOLLOW[HASH_LENGTH] = byte;
  return FOLLOW;
}

function wipeScratch(): void {
  TEMP_KEY.fill(0);
  OUTPUT.fill(0);
  FOLLOW.fill(0);
}
