/**
 * SymmetricState and CipherState of the Noise Protocol Framework (revision 34, §5), for ChaChaPoly and SHA256. A
 * decryption that fails leaves the state as it was; patterns that mix keys before it work on a `clone`.
 */
import type { CryptoProvider } from './provider.ts';

const EMPTY = new Uint8Array(0);
const ONE = Uint8Array.of(1);
const TAG_LENGTH = 16;
const HASH_LENGTH = 32;
const MAX_PROTOCOL_NAME = 64;

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
    const input = new Uint8Array(HASH_LENGTH + data.length);
    input.set(this.h);
    input.set(data, HASH_LENGTH);
    this.h.set(this.crypto.sha256(input));
  }

  mixKey(inputKeyMaterial: Uint8Array): void {
    const { crypto } = this;
    const temp = crypto.hmacSha256(this.ck, inputKeyMaterial);
    const output1 = crypto.hmacSha256(temp, ONE);
    const output2 = crypto.hmacSha256(temp, follow(output1, 2));
    this.ck.set(output1);
    this.initializeKey(output2);
    temp.fill(0);
    output1.fill(0);
    output2.fill(0);
  }

  mixKeyAndHash(inputKeyMaterial: Uint8Array): void {
    const { crypto } = this;
    const temp = crypto.hmacSha256(this.ck, inputKeyMaterial);
    const output1 = crypto.hmacSha256(temp, ONE);
    const output2 = crypto.hmacSha256(temp, follow(output1, 2));
    const output3 = crypto.hmacSha256(temp, follow(output2, 3));
    this.ck.set(output1);
    this.mixHash(output2);
    this.initializeKey(output3);
    temp.fill(0);
    output1.fill(0);
    output2.fill(0);
    output3.fill(0);
  }

  /** Ciphertext ‖ tag. Every pattern here has a key before its first payload. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const out = new Uint8Array(plaintext.length + TAG_LENGTH);
    this.crypto.aeadSeal(out, plaintext, this.h, this.nonce(), this.k);
    this.n++;
    this.mixHash(out);
    return out;
  }

  /** Plaintext, or `undefined` with the state unchanged. */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array | undefined {
    if (!this.hasKey || ciphertext.length < TAG_LENGTH) return undefined;
    const out = ciphertext.length === TAG_LENGTH ? EMPTY : new Uint8Array(ciphertext.length - TAG_LENGTH);
    if (!this.crypto.aeadOpen(out, ciphertext, this.h, this.nonce(), this.k)) return undefined;
    this.n++;
    this.mixHash(ciphertext);
    return out;
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
    const nonce = new Uint8Array(12);
    nonce[4] = this.n;
    return nonce;
  }
}

/** HKDF's `output ‖ byte`. */
function follow(output: Uint8Array, byte: number): Uint8Array {
  const input = new Uint8Array(HASH_LENGTH + 1);
  input.set(output);
  input[HASH_LENGTH] = byte;
  return input;
}
