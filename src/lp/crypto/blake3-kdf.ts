/**
 * BLAKE3 derive-key: `KDF(label, m)` of lp2.md, whose context is `"lewes-protocol v2 " + label`, and lp1.md's KDF with a
 * context of its own. Both providers share it. The key that a context stands for is computed once and kept by name. What
 * the protocols derive from fits one chunk (blake3-chunk.ts) or, in Nym's, two; noble's hasher takes what is longer.
 */

import { blake3 } from '@noble/hashes/blake3.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { CHUNK_LENGTH, contextKey, deriveKeyOfChunk, deriveKeyOfTwoChunks } from './blake3-chunk.ts';

const CONTEXT_PREFIX = 'lewes-protocol v2 ';
/** Labels and contexts are the specifications', about a dozen each: more means that something variable is used as one. */
const MAX_NAMES = 64;

class ContextKeys {
  readonly #prefix: string;
  readonly #keys = new Map<string, Int32Array>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  derive(name: string, material: Uint8Array): Uint8Array {
    const key = this.#keys.get(name) ?? this.#create(name);
    if (material.length <= CHUNK_LENGTH) return deriveKeyOfChunk(key, material);
    if (material.length <= 2 * CHUNK_LENGTH) return deriveKeyOfTwoChunks(key, material);
    return blake3(material, { context: this.#context(name) });
  }

  #create(name: string): Int32Array {
    if (this.#keys.size >= MAX_NAMES) throw new RangeError(`more than ${MAX_NAMES} KDF labels`);
    const key = contextKey(this.#context(name));
    this.#keys.set(name, key);
    return key;
  }

  #context(name: string): Uint8Array {
    return utf8ToBytes(this.#prefix + name);
  }
}

const labels = new ContextKeys(CONTEXT_PREFIX);
const contexts = new ContextKeys('');

export function kdf(label: string, material: Uint8Array): Uint8Array {
  return labels.derive(label, material);
}

export function deriveKey(context: string, material: Uint8Array): Uint8Array {
  return contexts.derive(context, material);
}
