/**
 * Writes that are not in LMDB yet: those of one transaction, or of the group that the next commit writes. The newest
 * value of a key, `null` where it is gone, and what that does to the counts. Values hold preshared keys: a layer owns its
 * values and wipes what it replaces and, at its end, everything.
 */

export interface Pending {
  /** As the codec makes it. */
  readonly value: Buffer;
  /** The second under which the index by time has it. */
  readonly second: number;
}

/** A table's changes; keys as latin1 text, which sorts like the bytes. */
export class TableChanges {
  readonly #changes = new Map<string, Pending | null>();
  /** Entries more than before. */
  growth = 0;

  get size(): number {
    return this.#changes.size;
  }

  /** Of the values. */
  get bytes(): number {
    let bytes = 0;
    for (const change of this.#changes.values()) bytes += change?.value.length ?? 0;
    return bytes;
  }

  /** `null`: gone; `undefined`: not touched here. */
  get(key: Buffer): Pending | null | undefined {
    return this.#changes.get(key.toString('latin1'));
  }

  has(key: Buffer): boolean {
    return this.#changes.has(key.toString('latin1'));
  }

  /** Takes the value over. */
  set(key: Buffer, change: Pending | null, growth: number): void {
    const text = key.toString('latin1');
    this.#changes.get(text)?.value.fill(0);
    this.#changes.set(text, change);
    this.growth += growth;
  }

  *entries(): Iterable<readonly [Buffer, Pending | null]> {
    for (const [text, change] of this.#changes) yield [Buffer.from(text, 'latin1'), change];
  }

  /** Moves everything there is into `target`. */
  moveTo(target: TableChanges): void {
    for (const [key, change] of this.entries()) target.set(key, change, 0);
    target.growth += this.growth;
    this.#changes.clear();
    this.growth = 0;
  }

  wipe(): void {
    for (const change of this.#changes.values()) change?.value.fill(0);
    this.#changes.clear();
    this.growth = 0;
  }
}

export class Layer {
  readonly registrations = new TableChanges();
  readonly tokens = new TableChanges();

  get isEmpty(): boolean {
    return this.registrations.size === 0 && this.tokens.size === 0;
  }

  get bytes(): number {
    return this.registrations.bytes + this.tokens.bytes;
  }

  moveTo(target: Layer): void {
    this.registrations.moveTo(target.registrations);
    this.tokens.moveTo(target.tokens);
  }

  wipe(): void {
    this.registrations.wipe();
    this.tokens.wipe();
  }
}
