/**
 * AES-128-GCM for a channel whose nonces only count (nym.md §6.3). OpenSSL's GCM takes a new context for every packet,
 * which costs more than the packet; here its AES makes the key stream of several coming nonces in one call, and GHASH is
 * ours (nym-ghash.ts). Both take the same time whatever the secrets are.
 *
 * The key stream ahead is as secret as the key beside it, and goes with it. How much is made ahead grows with use: a
 * channel that carries two packets never pays for sixteen, and only a busy one keeps OpenSSL's context.
 */
import nodeCrypto, { type Cipheriv } from 'node:crypto';
import { TAG_LENGTH } from './lengths.ts';
import type { Ghash } from './nym-ghash.ts';
import { Redacted } from './secret.ts';

const BLOCK = 16;
const WORDS = 4;
/** From here on OpenSSL's own GCM is faster. */
export const LONGEST_SHORT_MESSAGE = 2_048;
const FIRST_AHEAD = 2;
const MOST_AHEAD = 16;
const MAX_STREAM_BLOCKS = 384;
/** So that packets of slightly different lengths share a stream. */
const BLOCKS_STEP = 4;

/**
 * What is enciphered: a zero block, which gives H, and for each nonce its blocks, counted from 1. One array serves all
 * calls; the block numbers stay where they are as long as every nonce has as many.
 */
const COUNTERS = new DataView(new ArrayBuffer((1 + MAX_STREAM_BLOCKS) * BLOCK));
let numberedBlocks = 0;

function writeCounters(nonce: number, count: number, blocks: number): Uint8Array {
  const end = (1 + count * blocks) * BLOCK;
  if (numberedBlocks !== blocks) {
    const all = Math.floor(MAX_STREAM_BLOCKS / blocks) * blocks;
    for (let i = 0; i < all; i++) COUNTERS.setUint32((1 + i) * BLOCK + 12, 1 + (i % blocks));
    numberedBlocks = blocks;
  }
  let at = BLOCK;
  for (let i = nonce; i < nonce + count; i++) {
    const high = Math.floor(i / 0x1_0000_0000);
    for (const next = at + blocks * BLOCK; at < next; at += BLOCK) {
      COUNTERS.setUint32(at + 4, high);
      COUNTERS.setUint32(at + 8, i);
    }
  }
  return new Uint8Array(COUNTERS.buffer, 0, end);
}

export class ShortGcm extends Redacted {
  readonly #ghash: Ghash;
  readonly #key: Uint8Array;
  #busy: Cipheriv | undefined;
  /** H, and for each nonce from `first` on the block that masks the tag, then `blocks` − 1 for the message. */
  #stream = new Uint32Array(0);
  #first = 0;
  #count = 0;
  #blocks = 0;
  #ahead = FIRST_AHEAD;

  /** The key stays the caller's, and the same. */
  constructor(ghash: Ghash, key: Uint8Array) {
    super();
    this.#ghash = ghash;
    this.#key = key;
  }

  seal(nonce: number, bytes: Uint8Array, offset: number, length: number): void {
    const at = this.#streamOf(nonce, length);
    const { data } = this.#ghash;
    data.set(bytes.subarray(offset, offset + length));
    this.#cipher(at, length);
    this.#hash(at, length);
    data.set(this.#ghash.result, length);
    bytes.set(this.#ghash.first(length + TAG_LENGTH), offset);
    this.#ghash.clear(0);
  }

  open(nonce: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const at = this.#streamOf(nonce, length);
    const { data, result } = this.#ghash;
    const end = offset + length;
    data.set(bytes.subarray(offset, end));
    this.#hash(at, length);
    let difference = 0;
    for (let i = 0; i < TAG_LENGTH; i++) difference |= (result[i] ?? 0) ^ (bytes[end + i] ?? 0);
    const good = difference === 0;
    if (good) {
      this.#cipher(at, length);
      bytes.set(this.#ghash.first(length), offset);
    } else bytes.fill(0, offset, end);
    this.#ghash.clear(length);
    return good;
  }

  wipe(): void {
    this.#stream.fill(0);
    this.#count = 0;
    this.#busy = undefined;
  }

  /** Where the key stream of this nonce begins, in words. */
  #streamOf(nonce: number, length: number): number {
    const blocks = 1 + Math.ceil(length / BLOCK);
    const ahead = nonce - this.#first;
    if (ahead >= 0 && ahead < this.#count && blocks <= this.#blocks) return (1 + ahead * this.#blocks) * WORDS;
    this.#make(nonce, blocks);
    return WORDS;
  }

  #make(nonce: number, blocks: number): void {
    this.#first = nonce;
    this.#blocks = Math.ceil(blocks / BLOCKS_STEP) * BLOCKS_STEP;
    this.#count = Math.max(1, Math.min(this.#ahead, Math.floor(MAX_STREAM_BLOCKS / this.#blocks)));
    const cipher = this.#busy ?? nodeCrypto.createCipheriv('aes-128-ecb', this.#key, null);
    if (this.#ahead === MOST_AHEAD) this.#busy = cipher;
    else this.#ahead *= 2;
    this.#stream.fill(0);
    this.#stream = words(cipher.update(writeCounters(nonce, this.#count, this.#blocks)));
  }

  /** Enciphers or deciphers `data`. */
  #cipher(streamAt: number, length: number): void {
    const stream = this.#stream;
    const data = this.#ghash.words;
    const start = streamAt + WORDS;
    const count = Math.ceil(length / 4);
    for (let i = 0; i < count; i++) data[i] = (data[i] ?? 0) ^ (stream[start + i] ?? 0);
  }

  /** The tag of the ciphertext in `data`, with no associated data: zeros up to a whole block, then the length in bits. */
  #hash(streamAt: number, length: number): void {
    const { data, hWords, resultWords } = this.#ghash;
    const stream = this.#stream;
    const end = Math.ceil(length / BLOCK) * BLOCK;
    data.fill(0, length, end + BLOCK);
    const bits = length * 8;
    data[end + 13] = bits >>> 16;
    data[end + 14] = bits >>> 8;
    data[end + 15] = bits;
    for (let i = 0; i < WORDS; i++) hWords[i] = stream[i] ?? 0;
    this.#ghash.run(end / BLOCK + 1);
    for (let i = 0; i < WORDS; i++) resultWords[i] = (resultWords[i] ?? 0) ^ (stream[streamAt + i] ?? 0);
  }
}

/** A view where the bytes lie on a word's boundary. */
function words(bytes: Uint8Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  if (bytes.byteOffset % 4 === 0) return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const copy = Uint8Array.from(bytes);
  bytes.fill(0);
  return new Uint32Array(copy.buffer);
}
