/**
 * `KDF(label, m)` of lp2.md: BLAKE3 derive-key with context `"lewes-protocol v2 " + label`. Both providers share it.
 * A hasher that has already compressed its context is kept per label; each call copies it into a scratch hasher, which
 * saves that compression and the allocation. A scratch hasher is wiped by its own digest().
 */

import { blake3 } from '@noble/hashes/blake3.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';

const CONTEXT_PREFIX = 'lewes-protocol v2 ';
/** Labels are the specification's, about a dozen: more means that something variable is used as a label. */
const MAX_LABELS = 64;

type Hasher = ReturnType<typeof blake3.create>;
interface KeyedHasher {
  readonly keyed: Hasher;
  readonly scratch: Hasher;
}

const hashers = new Map<string, KeyedHasher>();

function createHasher(label: string): KeyedHasher {
  if (hashers.size >= MAX_LABELS) throw new RangeError(`more than ${MAX_LABELS} KDF labels`);
  const keyed = blake3.create({ context: utf8ToBytes(CONTEXT_PREFIX + label) });
  const hasher = { keyed, scratch: keyed.clone() };
  hashers.set(label, hasher);
  return hasher;
}

export function kdf(label: string, material: Uint8Array): Uint8Array {
  const { keyed, scratch } = hashers.get(label) ?? createHasher(label);
  return keyed._cloneInto(scratch).update(material).digest();
}
