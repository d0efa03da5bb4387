/**
 * SymmetricState and CipherState of the Noise Protocol Framework (revision 34, §5), for ChaChaPoly and SHA256. A
 * decryption that fails leaves the state as it was; patterns that mix keys before it work on a `clone`.
 */
import type { CryptoProvider } from './provider.ts';

const ONE = Uint8Array.of(1);
const TAG_LENGTH = 16;
const HASH_LENGTH = 32;
const MAX_PROTOCOL_NAME = 64;

/**
 * Memory of one operation at a time: every function here runs to its end. Outside V8's heap, since it goes to native
 * code; large enough for message 1 with its KEM ciphertext and for a frame in message 3.
 */
const SCRATCH_LENGTH = 4_096;
const HASH_INPUT = new Uint8Array(new ArrayBuffer(SCRATCH_LENGTH));
const PLAINTEXT = new Uint8Array(new ArrayBuffer(SCRATCH_LENGTH));
const TEMP_KEY = new Uint8Array(HASH_LENGTH);
const OUTPUT = new Uint8Array(HASH_LENGTH);
const FOLLOW = new Uint8Array(HASH_LENGTH + 1);
const NONCE = new Uint8Array(12);

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

  /** InitializeSymmetric: names longer than 32 bytes are hashed, shorter ones are padded with zeros. */
  static initialize(crypto: CryptoProvider, protocolName: Uint8Array): SymmetricState {
    if (protocolName.length > MAX_PROTOCOL_NAME) throw new Error('protocol name too long');
    const h = new Uint8Array(HASH_LENGTH);
    if (protocolName.length <= HASH_LENGTH) h.set(protocolName);
    else h.set(crypto.sha256(protocolName));
    return new SymmetricState(crypto, h.slice(), h, new Uint8Array(32), false, 0);
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
    this.initializeKey(crypto.hmacSha256(TEMP_KEY, follow(this.ck, 2), OUTPUT));
    wipeScratch();
  }

  /**
   * MixKey where another one follows before anything is encrypted: k would be replaced unread, so it is not made. The
   * same chaining key, two compressions cheaper.
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
    this.initializeKey(crypto.hmacSha256(TEMP_KEY, follow(OUTPUT, 3), OUTPUT));
    wipeScratch();
  }

  /** Ciphertext ‖ tag. Every pattern here has a key before its first payload. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const length = plaintext.length + TAG_LENGTH;
    // The ciphertext is made where the hash takes it from.
    const input = this.hashInput(length);
    const sealed = input.subarray(HASH_LENGTH);
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
    const sealed = input.subarray(HASH_LENGTH);
    sealed.set(ciphertext);
    const opened = PLAINTEXT.length < ciphertext.length ? new Uint8Array(ciphertext.length) : PLAINTEXT;
    const out = opened.subarray(0, ciphertext.length - TAG_LENGTH);
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
    const input = size <= HASH_INPUT.length ? HASH_INPUT.subarray(0, size) : new Uint8Array(size);
    input.set(this.h);
    return input;
  }

  wipe(): void {
    this.ck.fill(0);
    this.h.fill(0);
    this.k.fill(0);
    this.hasKey = false;
  }

  private initializeKey(key: Uint8Array): void {
    this.k.set(key);
    this.hasKey = true;
    this.n = 0;
  }

  /** n is 0 or 1 in every pattern used here, so one byte carries it. */
  private nonce(): Uint8Array {
    NONCE[4] = this.n;
    return NONCE;
  }
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
