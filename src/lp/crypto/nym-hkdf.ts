/**
 * HKDF with SHA-256 (RFC 5869) over a provider's HMAC, for outputs of one block at most: all that nym.md §5.2 and §6.1 derive.
 * The binder's info is a kilobyte long: its HMAC is put together here, from the hash that is fast for long messages.
 */
import { HASH_LENGTH } from './lengths.ts';
import type { NymCrypto } from './nym-provider.ts';
import type { CryptoProvider } from './provider.ts';

type Hkdf = Pick<NymCrypto, 'hkdfExtract' | 'hkdfExpand'>;

const BLOCK = 64;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
/** Of the block that is hashed, pad included; longer ones than this have an array of their own, shorter ones the provider's. */
const SCRATCH_LENGTH = 1_536;
const LONG_INFO = 512;

export function createHkdf(provider: CryptoProvider, sha256: NymCrypto['sha256']): Hkdf {
  const scratch = new Uint8Array(new ArrayBuffer(SCRATCH_LENGTH));
  const outer = new Uint8Array(new ArrayBuffer(BLOCK + HASH_LENGTH));
  const kept = new Uint8Array(new ArrayBuffer(BLOCK));

  /** HMAC over info ‖ 01 with a key of 32 bytes. */
  function expandLong(key: Uint8Array, info: Uint8Array): Uint8Array {
    const length = BLOCK + info.length + 1;
    const inner = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length);
    for (let i = 0; i < BLOCK; i++) {
      const byte = key[i] ?? 0;
      inner[i] = byte ^ INNER_PAD;
      outer[i] = byte ^ OUTER_PAD;
    }
    inner.set(info, BLOCK);
    inner[length - 1] = 1;
    outer.set(sha256(inner), BLOCK);
    inner.fill(0, 0, BLOCK);
    const block = sha256(outer);
    outer.fill(0);
    return block;
  }

  return {
    hkdfExtract: (salt, ikm) => provider.hmacSha256(salt, ikm),
    hkdfExpand(extracted, info, length) {
      if (length > HASH_LENGTH) throw new RangeError(`HKDF output has ${length} bytes`);
      if (info.length > LONG_INFO) return cut(expandLong(extracted, info), length);
      const short = info.length < BLOCK;
      const message = short ? kept.subarray(0, info.length + 1) : new Uint8Array(info.length + 1);
      message.set(info);
      message[info.length] = 1;
      const block = provider.hmacSha256(extracted, message);
      if (short) kept.fill(0);
      return cut(block, length);
    },
  };
}

/** The first bytes; nothing is left of the others. */
function cut(block: Uint8Array, length: number): Uint8Array {
  if (length === HASH_LENGTH) return block;
  const out = block.slice(0, length);
  block.fill(0);
  return out;
}
