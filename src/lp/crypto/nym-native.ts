/**
 * Nym's primitives from node:crypto: AES-128-GCM and the digests of OpenSSL. SHA-256 of kilobytes is OpenSSL's too, which
 * uses the processor's instructions for it; short messages stay with the provider's own, whose calls cost less.
 */
import nodeCrypto from 'node:crypto';
import { assertLength, TAG_LENGTH } from './lengths.ts';
import { plainBytes } from './native-ml-kem.ts';
import { LONGEST_SHORT_MESSAGE, ShortGcm } from './nym-gcm.ts';
import { createGhash, type Ghash } from './nym-ghash.ts';
import { createHkdf } from './nym-hkdf.ts';
import { GCM_KEY_LENGTH, type GcmChannel, type NymCrypto, type NymHash } from './nym-provider.ts';
import type { CryptoProvider } from './provider.ts';
import { Redacted } from './secret.ts';

const ALGORITHM = 'aes-128-gcm';
const OPTIONS = { authTagLength: TAG_LENGTH } as const;
const DIGEST_LENGTH = 32;
/** Above this the call into OpenSSL pays. */
const LONG_MESSAGE = 512;

/** BE96; below 2⁵³, so the first four bytes stay zero. One array serves all calls: none overlaps another. */
const NONCE = new Uint8Array(new ArrayBuffer(12));
const NONCE_ONE = nonceOf(1).slice();

function nonceOf(value: number): Uint8Array {
  const high = Math.floor(value / 0x1_0000_0000);
  for (let i = 0; i < 4; i++) {
    NONCE[7 - i] = high >>> (8 * i);
    NONCE[11 - i] = value >>> (8 * i);
  }
  return NONCE;
}

/** Keys of handshakes are short-lived and lie inside V8's heap; this does not, so nothing is moved out for a native call. */
const KEY = new Uint8Array(new ArrayBuffer(GCM_KEY_LENGTH));

function openWith(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  tag: Uint8Array,
  aad: Uint8Array | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  const decipher = nodeCrypto.createDecipheriv(ALGORITHM, key, nonce, OPTIONS);
  decipher.setAuthTag(tag);
  if (aad !== undefined) decipher.setAAD(aad);
  const plaintext = decipher.update(ciphertext);
  try {
    decipher.final();
    return plaintext;
  } catch {
    // Lengths are right, so the tag is wrong: nobody may see what was deciphered.
    plaintext.fill(0);
    return undefined;
  }
}

class NativeChannel extends Redacted implements GcmChannel {
  readonly #key: Uint8Array;
  readonly #short: ShortGcm;

  constructor(ghash: Ghash, key: Uint8Array) {
    super();
    this.#key = key.slice();
    this.#short = new ShortGcm(ghash, this.#key);
  }

  seal(nonce: number, bytes: Uint8Array, offset: number, length: number): void {
    if (length <= LONGEST_SHORT_MESSAGE) {
      this.#short.seal(nonce, bytes, offset, length);
      return;
    }
    const cipher = nodeCrypto.createCipheriv(ALGORITHM, this.#key, nonceOf(nonce), OPTIONS);
    bytes.set(cipher.update(bytes.subarray(offset, offset + length)), offset);
    cipher.final();
    bytes.set(cipher.getAuthTag(), offset + length);
  }

  open(nonce: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (length <= LONGEST_SHORT_MESSAGE) return this.#short.open(nonce, bytes, offset, length);
    const end = offset + length;
    const tag = bytes.subarray(end, end + TAG_LENGTH);
    const plaintext = openWith(this.#key, nonceOf(nonce), bytes.subarray(offset, end), tag, undefined);
    if (plaintext === undefined) bytes.fill(0, offset, end);
    else bytes.set(plaintext, offset);
    plaintext?.fill(0);
    return plaintext !== undefined;
  }

  wipe(): void {
    this.#key.fill(0);
    this.#short.wipe();
  }
}

function digest(base: CryptoProvider, hash: NymHash, message: Uint8Array): Uint8Array {
  switch (hash) {
    case 'blake3':
      return base.blake3(message);
    case 'sha256':
      return plainBytes(nodeCrypto.hash('sha3-256', message, 'buffer'));
    default:
      return plainBytes(nodeCrypto.hash(hash, message, { outputEncoding: 'buffer', outputLength: DIGEST_LENGTH }));
  }
}

export function nativeNymCrypto(base: CryptoProvider): NymCrypto {
  const ghash = createGhash();
  const sha256 = (message: Uint8Array) =>
    message.length > LONG_MESSAGE ? plainBytes(nodeCrypto.hash('sha256', message, 'buffer')) : base.sha256(message);
  return Object.freeze({
    base,
    sha256,
    ...createHkdf(base, sha256),
    digest: (hash: NymHash, message: Uint8Array) => digest(base, hash, message),
    sealOnce(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Uint8Array {
      assertLength(key, GCM_KEY_LENGTH, 'AES-128 key');
      KEY.set(key);
      const cipher = nodeCrypto.createCipheriv(ALGORITHM, KEY, NONCE_ONE, OPTIONS);
      KEY.fill(0);
      cipher.setAAD(aad);
      const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
      sealed.set(cipher.update(plaintext));
      cipher.final();
      sealed.set(cipher.getAuthTag(), plaintext.length);
      return sealed;
    },
    openOnce(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined {
      assertLength(key, GCM_KEY_LENGTH, 'AES-128 key');
      const end = sealed.length - TAG_LENGTH;
      if (end < 0) return undefined;
      KEY.set(key);
      const plaintext = openWith(KEY, NONCE_ONE, sealed.subarray(0, end), sealed.subarray(end), aad);
      KEY.fill(0);
      return plaintext && plainBytes(plaintext);
    },
    channel(key: Uint8Array): GcmChannel {
      assertLength(key, GCM_KEY_LENGTH, 'AES-128 key');
      return new NativeChannel(ghash, key);
    },
  });
}
