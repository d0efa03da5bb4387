/**
 * BLAKE3 of an input of one chunk (at most 1,024 bytes) or two: section 2 of its specification with no more of the tree than
 * one parent. A key schedule
 * calls it with secrets, so words are locals and elements of an Int32Array and never numbers on the heap, whose allocation
 * takes time that depends on their values; no branch and no index depends on the input but for its length. Nothing of an
 * input is left behind.
 */

import { HASH_LENGTH } from './lengths.ts';

export const CHUNK_LENGTH = 1024;
const BLOCK_LENGTH = 64;
const WORDS = 16;
const KEY_WORDS = 8;

const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;
const DERIVE_KEY_CONTEXT = 32;
const DERIVE_KEY_MATERIAL = 64;

/** As signed words: V8 keeps larger numbers on its heap. */
const IV0 = 0x6a09e667;
const IV1 = 0xbb67ae85 | 0;
const IV2 = 0x3c6ef372;
const IV3 = 0xa54ff53a | 0;
const IV = Int32Array.of(IV0, IV1, IV2, IV3, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);

/** Which word of the message each G of each of the seven rounds takes. */
const SCHEDULE = makeSchedule();
const SCHEDULE_LENGTH = 7 * WORDS;

/** Of one call at a time: the chaining value, and a block as bytes and as words. */
const CHAIN = new Int32Array(KEY_WORDS);
/** Of the first chunk of two. */
const FIRST = new Int32Array(KEY_WORDS);
const BLOCK = new Uint8Array(BLOCK_LENGTH);
const BLOCK_VIEW = new DataView(BLOCK.buffer);
const MESSAGE = new Int32Array(WORDS);

function makeSchedule(): Uint8Array {
  const permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
  const rounds: number[][] = [permutation.map((_, word) => word)];
  while (rounds.length < 7) rounds.push(permutation.map((from) => rounds.at(-1)?.[from] ?? 0));
  return Uint8Array.from(rounds.flat());
}

function word(at: number): number {
  return MESSAGE[SCHEDULE[at] ?? 0] ?? 0;
}

function rotate(x: number, right: number): number {
  return (x >>> right) | (x << (32 - right));
}

/** MESSAGE into CHAIN. */
function compress(length: number, flags: number, chunk: number): void {
  let v0 = CHAIN[0] ?? 0;
  let v1 = CHAIN[1] ?? 0;
  let v2 = CHAIN[2] ?? 0;
  let v3 = CHAIN[3] ?? 0;
  let v4 = CHAIN[4] ?? 0;
  let v5 = CHAIN[5] ?? 0;
  let v6 = CHAIN[6] ?? 0;
  let v7 = CHAIN[7] ?? 0;
  let v8 = IV0;
  let v9 = IV1;
  let v10 = IV2;
  let v11 = IV3;
  let v12 = chunk;
  let v13 = 0;
  let v14 = length;
  let v15 = flags;
  // biome-ignore format: two lines are one G
  for (let at = 0; at < SCHEDULE_LENGTH; at += WORDS) {
    v0 = (v0 + v4 + word(at)) | 0; v12 = rotate(v12 ^ v0, 16); v8 = (v8 + v12) | 0; v4 = rotate(v4 ^ v8, 12);
    v0 = (v0 + v4 + word(at + 1)) | 0; v12 = rotate(v12 ^ v0, 8); v8 = (v8 + v12) | 0; v4 = rotate(v4 ^ v8, 7);
    v1 = (v1 + v5 + word(at + 2)) | 0; v13 = rotate(v13 ^ v1, 16); v9 = (v9 + v13) | 0; v5 = rotate(v5 ^ v9, 12);
    v1 = (v1 + v5 + word(at + 3)) | 0; v13 = rotate(v13 ^ v1, 8); v9 = (v9 + v13) | 0; v5 = rotate(v5 ^ v9, 7);
    v2 = (v2 + v6 + word(at + 4)) | 0; v14 = rotate(v14 ^ v2, 16); v10 = (v10 + v14) | 0; v6 = rotate(v6 ^ v10, 12);
    v2 = (v2 + v6 + word(at + 5)) | 0; v14 = rotate(v14 ^ v2, 8); v10 = (v10 + v14) | 0; v6 = rotate(v6 ^ v10, 7);
    v3 = (v3 + v7 + word(at + 6)) | 0; v15 = rotate(v15 ^ v3, 16); v11 = (v11 + v15) | 0; v7 = rotate(v7 ^ v11, 12);
    v3 = (v3 + v7 + word(at + 7)) | 0; v15 = rotate(v15 ^ v3, 8); v11 = (v11 + v15) | 0; v7 = rotate(v7 ^ v11, 7);
    v0 = (v0 + v5 + word(at + 8)) | 0; v15 = rotate(v15 ^ v0, 16); v10 = (v10 + v15) | 0; v5 = rotate(v5 ^ v10, 12);
    v0 = (v0 + v5 + word(at + 9)) | 0; v15 = rotate(v15 ^ v0, 8); v10 = (v10 + v15) | 0; v5 = rotate(v5 ^ v10, 7);
    v1 = (v1 + v6 + word(at + 10)) | 0; v12 = rotate(v12 ^ v1, 16); v11 = (v11 + v12) | 0; v6 = rotate(v6 ^ v11, 12);
    v1 = (v1 + v6 + word(at + 11)) | 0; v12 = rotate(v12 ^ v1, 8); v11 = (v11 + v12) | 0; v6 = rotate(v6 ^ v11, 7);
    v2 = (v2 + v7 + word(at + 12)) | 0; v13 = rotate(v13 ^ v2, 16); v8 = (v8 + v13) | 0; v7 = rotate(v7 ^ v8, 12);
    v2 = (v2 + v7 + word(at + 13)) | 0; v13 = rotate(v13 ^ v2, 8); v8 = (v8 + v13) | 0; v7 = rotate(v7 ^ v8, 7);
    v3 = (v3 + v4 + word(at + 14)) | 0; v14 = rotate(v14 ^ v3, 16); v9 = (v9 + v14) | 0; v4 = rotate(v4 ^ v9, 12);
    v3 = (v3 + v4 + word(at + 15)) | 0; v14 = rotate(v14 ^ v3, 8); v9 = (v9 + v14) | 0; v4 = rotate(v4 ^ v9, 7);
  }
  CHAIN[0] = v0 ^ v8;
  CHAIN[1] = v1 ^ v9;
  CHAIN[2] = v2 ^ v10;
  CHAIN[3] = v3 ^ v11;
  CHAIN[4] = v4 ^ v12;
  CHAIN[5] = v5 ^ v13;
  CHAIN[6] = v6 ^ v14;
  CHAIN[7] = v7 ^ v15;
}

/** The bytes from `start` to `end` as the chunk of this number. Leaves its value in CHAIN: the hash itself, with ROOT in `last`. */
function absorb(
  key: Int32Array,
  mode: number,
  input: Uint8Array,
  start: number,
  end: number,
  chunk: number,
  last: number,
): void {
  CHAIN.set(key);
  let flags = mode | CHUNK_START;
  let at = start;
  for (; end - at > BLOCK_LENGTH; at += BLOCK_LENGTH) {
    setMessage(input, at, BLOCK_LENGTH);
    compress(BLOCK_LENGTH, flags, chunk);
    flags = mode;
  }
  setMessage(input, at, end - at);
  compress(end - at, flags | CHUNK_END | last, chunk);
}

function absorbOne(key: Int32Array, mode: number, input: Uint8Array): void {
  if (input.length > CHUNK_LENGTH) throw new RangeError(`${input.length} bytes are more than one chunk of BLAKE3`);
  absorb(key, mode, input, 0, input.length, 0, ROOT);
}

function absorbTwo(key: Int32Array, mode: number, input: Uint8Array): void {
  absorb(key, mode, input, 0, CHUNK_LENGTH, 0, 0);
  FIRST.set(CHAIN);
  absorb(key, mode, input, CHUNK_LENGTH, input.length, 1, 0);
  MESSAGE.set(FIRST);
  MESSAGE.set(CHAIN, KEY_WORDS);
  CHAIN.set(key);
  compress(BLOCK_LENGTH, mode | PARENT | ROOT, 0);
  FIRST.fill(0);
}

/** So many bytes of the input and zeros behind them, as words. */
function setMessage(input: Uint8Array, from: number, length: number): void {
  for (let i = 0; i < length; i++) BLOCK[i] = input[from + i] ?? 0;
  for (let i = length; i < BLOCK_LENGTH; i++) BLOCK[i] = 0;
  for (let i = 0; i < WORDS; i++) MESSAGE[i] = BLOCK_VIEW.getInt32(4 * i, true);
}

function wipeScratch(): void {
  for (let i = 0; i < KEY_WORDS; i++) CHAIN[i] = 0;
  for (let i = 0; i < WORDS; i++) MESSAGE[i] = 0;
  for (let i = 0; i < BLOCK_LENGTH; i++) BLOCK[i] = 0;
}

/** The key that a context stands for. Contexts are constants and public. */
export function contextKey(context: Uint8Array): Int32Array {
  absorbOne(IV, DERIVE_KEY_CONTEXT, context);
  return CHAIN.slice();
}

/** BLAKE3's derive-key mode, 32 bytes, of at most {@link CHUNK_LENGTH} bytes. */
export function deriveKeyOfChunk(key: Int32Array, material: Uint8Array): Uint8Array {
  absorbOne(key, DERIVE_KEY_MATERIAL, material);
  return takeHash();
}

/** The same of more than one chunk, and at most two. */
export function deriveKeyOfTwoChunks(key: Int32Array, material: Uint8Array): Uint8Array {
  if (material.length <= CHUNK_LENGTH || material.length > 2 * CHUNK_LENGTH) {
    throw new RangeError(`${material.length} bytes are not two chunks of BLAKE3`);
  }
  absorbTwo(key, DERIVE_KEY_MATERIAL, material);
  return takeHash();
}

/** Out of CHAIN, with nothing left in scratch memory. */
function takeHash(): Uint8Array {
  const derived = new Uint8Array(HASH_LENGTH);
  for (let i = 0; i < KEY_WORDS; i++) {
    const value = CHAIN[i] ?? 0;
    derived[4 * i] = value;
    derived[4 * i + 1] = value >>> 8;
    derived[4 * i + 2] = value >>> 16;
    derived[4 * i + 3] = value >>> 24;
  }
  wipeScratch();
  return derived;
}
