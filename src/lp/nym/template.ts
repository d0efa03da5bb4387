/**
 * Input of a hash or key derivation whose layout is fixed (nym.md §5.2): constant bytes, and places that are filled for each
 * use. One array serves all uses, outside V8's heap, where native code takes it as it is; making it anew would cost more
 * than hashing it. A template that takes secrets is wiped after each use.
 */
export class Template {
  readonly bytes: Uint8Array;
  private readonly places: readonly Uint8Array[];

  /** Constant bytes, or the length of a place. */
  constructor(...parts: readonly (Uint8Array | readonly number[] | number)[]) {
    const lengths = parts.map((part) => (typeof part === 'number' ? part : part.length));
    this.bytes = new Uint8Array(new ArrayBuffer(lengths.reduce((sum, length) => sum + length, 0)));
    const places: Uint8Array[] = [];
    let at = 0;
    for (const [i, part] of parts.entries()) {
      const end = at + (lengths[i] ?? 0);
      if (typeof part === 'number') places.push(this.bytes.subarray(at, end));
      else this.bytes.set(part, at);
      at = end;
    }
    this.places = places;
  }

  /** One value for each place. The result is good until the next call. */
  fill(...values: readonly Uint8Array[]): Uint8Array {
    const { places } = this;
    if (values.length !== places.length) throw new Error('assertion: a value for each place');
    for (let i = 0; i < values.length; i++) {
      const [value, place] = [values[i], places[i]];
      if (value === undefined || place === undefined || value.length !== place.length) {
        throw new Error('assertion: a value has the length of its place');
      }
      place.set(value);
    }
    return this.bytes;
  }

  wipe(): void {
    for (const place of this.places) place.fill(0);
  }
}
