/**
 * BLAKE3 derive-key: `KDF(label, m)` of lp2.md, whose context is `"lewes-protocol v2 " + label`, and lp1.md's KDF with a
 * context of its own. Both providers share it. A hasher that has already compressed its context is kept per name; each
 * call copies it into a scratch hasher, which saves that compression and the allocation. A scratch hasher is wiped by its
 * own digest().
 */

import { blake3 } from '@noble/hashes/blake3.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';

const CONTEXT_PREFIX = 'lewes-protocol v2 ';
/** Labels and contexts are the specifications', about a dozen each: more means that something variable is used as one. */
const MAX_NAMES = 64;

type Hasher = ReturnType<typeof blake3.create>;
interface KeyedHasher {
  readonly keyed: Hasher;
  readonly scratch: Hasher;
}

class ContextHashers {
  readonly #prefix: string;
  readonly #hashers = new Map<string, KeyedHasher>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  derive(name: string, material: Uint8Array): Uint8Array {
    const { keyed, scratch } = this.#hashers.get(name) ?? this.#create(name);
    return keyed._cloneInto(scratch).update(material).digest();
  }

  #create(name: string): KeyedHasher {
    if (this.#hashers.size >= MAX_NAMES) throw new RangeError(`more than ${MAX_NAMES} KDF labels`);
    const keyed = blake3.create({ context: utf8ToBytes(this.#prefix + name) });
    const hasher = { keyed, scratch: keyed.clone() };
    this.#hashers.set(name, hasher);
    return hasher;
  }
}

const labels = new ContextHashers(CONTEXT_PREFIX);
const contexts = new ContextHashers('');

export function kdf(label: string, material: Uint8Array): Uint8Array {
  return labels.derive(label, material);
}

export function deriveKey(context: string, material: Uint8Array): Uint8Array {
  return contexts.derive(context, material);
}
