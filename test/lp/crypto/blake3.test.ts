/** BLAKE3's derive-key of one chunk and two against its published vectors and against noble, at every length; and what is longer. */
import { blake3 } from '@noble/hashes/blake3.js';
import test from 'ava';
import {
  CHUNK_LENGTH,
  contextKey,
  deriveKeyOfChunk,
  deriveKeyOfTwoChunks,
} from '../../../src/lp/crypto/blake3-chunk.ts';
import { deriveKey, kdf } from '../../../src/lp/crypto/blake3-kdf.ts';
import { ascii, toHex } from './providers.ts';

const VECTOR_CONTEXT = 'BLAKE3 2019-12-27 16:29:52 test vectors context';
/** The first 32 bytes of `derive_key` in BLAKE3's test_vectors.json, by length of the input. */
const VECTORS = [
  [0, '2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d'],
  [1, 'b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c'],
  [63, 'b6451e30b953c206e34644c6803724e9d2725e0893039cfc49584f991f451af3'],
  [64, 'a5c4a7053fa86b64746d4bb688d06ad1f02a18fce9afd3e818fefaa7126bf73e'],
  [65, '51fd05c3c1cfbc8ed67d139ad76f5cf8236cd2acd26627a30c104dfd9d3ff8a8'],
  [1_023, '74a16c1c3d44368a86e1ca6df64be6a2f64cce8f09220787450722d85725dea5'],
  [1_024, '7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706'],
  [1_025, 'effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb'],
] as const;

const inputOf = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);

for (const [length, expected] of VECTORS) {
  test(`derive-key of ${length} bytes is as in BLAKE3's vectors`, (t) => {
    t.is(toHex(deriveKey(VECTOR_CONTEXT, inputOf(length))), expected);
  });
}

test('one chunk derives what noble derives, at every length', (t) => {
  const context = ascii('lewes-protocol v2 psk');
  const key = contextKey(context);
  for (let length = 0; length <= CHUNK_LENGTH; length++) {
    const input = Uint8Array.from({ length }, (_, i) => (i * 197 + length) % 256);
    const expected = blake3(input, { context });
    if (!Buffer.from(deriveKeyOfChunk(key, input)).equals(expected)) t.fail(`${length} bytes`);
  }
  t.throws(() => deriveKeyOfChunk(key, new Uint8Array(CHUNK_LENGTH + 1)), { instanceOf: RangeError });
});

test('two chunks derive what noble derives, at every length', (t) => {
  const context = ascii('lewes-protocol v2 psk');
  const key = contextKey(context);
  for (let length = CHUNK_LENGTH + 1; length <= 2 * CHUNK_LENGTH; length++) {
    const input = Uint8Array.from({ length }, (_, i) => (i * 197 + length) % 256);
    const expected = blake3(input, { context });
    if (!Buffer.from(deriveKeyOfTwoChunks(key, input)).equals(expected)) t.fail(`${length} bytes`);
  }
  for (const length of [0, CHUNK_LENGTH, 2 * CHUNK_LENGTH + 1]) {
    t.throws(() => deriveKeyOfTwoChunks(key, new Uint8Array(length)), { instanceOf: RangeError });
  }
});

test('KDF takes inputs around the end of a chunk, and contexts of more than a block', (t) => {
  const context = 'a context of more than sixty-four bytes, which are two blocks of its chunk';
  for (const length of [CHUNK_LENGTH - 1, CHUNK_LENGTH, CHUNK_LENGTH + 1, 2 * CHUNK_LENGTH, 2 * CHUNK_LENGTH + 1]) {
    const input = inputOf(length);
    t.deepEqual(kdf('chain', input), blake3(input, { context: ascii('lewes-protocol v2 chain') }));
    t.deepEqual(deriveKey(context, input), blake3(input, { context: ascii(context) }));
  }
});

test('a derived key is an array of its own, whatever was derived since', (t) => {
  const first = kdf('key i2r', inputOf(32));
  const kept = first.slice();
  const other = kdf('key r2i', inputOf(32));
  t.deepEqual(first, kept);
  t.notDeepEqual(other, first);
  t.is(first.buffer.byteLength, 32);
});

test('more labels than the specifications have are an assertion', (t) => {
  t.throws(
    () => {
      for (let i = 0; i < 100; i++) deriveKey(`context ${i}`, new Uint8Array(1));
    },
    { instanceOf: RangeError },
  );
});
