/**
 * Views of one scratch memory by their length. Making a view takes longer than copying a key, and the lengths that a
 * handshake needs are few, so short views are kept.
 */

/** Covers all that has a fixed length in a handshake but H1's ciphertext; bounds what is kept to some 13 KB each. */
const MAX_KEPT_LENGTH = 128;

export class ScratchViews {
  readonly #memory: Uint8Array;
  readonly #offset: number;
  readonly #kept: (Uint8Array | undefined)[];

  constructor(memory: Uint8Array, offset = 0) {
    this.#memory = memory;
    this.#offset = offset;
    this.#kept = new Array<Uint8Array | undefined>(MAX_KEPT_LENGTH + 1).fill(undefined);
  }

  /** The first so many bytes, which the memory must have. */
  of(length: number): Uint8Array {
    if (length > MAX_KEPT_LENGTH) return this.#make(length);
    const kept = this.#kept[length];
    if (kept !== undefined) return kept;
    const view = this.#make(length);
    this.#kept[length] = view;
    return view;
  }

  #make(length: number): Uint8Array {
    return this.#memory.subarray(this.#offset, this.#offset + length);
  }
}
