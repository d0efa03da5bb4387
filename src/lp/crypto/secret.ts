/**
 * Holders of secret bytes. A `Secret` owns its array: nobody else keeps a reference, `wipe` overwrites it, and every
 * way of printing it gives `<redacted>`. Anything else that holds a secret in a private field extends `Redacted`.
 */

/** The symbol which `util.inspect` and `console.log` ask for; global, so that no import is needed. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom');
const REDACTED = '<redacted>';

export abstract class Redacted {
  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [INSPECT](): string {
    return REDACTED;
  }
}

export class Secret extends Redacted {
  #bytes: Uint8Array | undefined;

  /** Takes the array over: the caller must neither keep nor wipe it. */
  constructor(bytes: Uint8Array) {
    super();
    this.#bytes = bytes;
  }

  /** The owned bytes themselves, not a copy; valid until `wipe`. Throws after it. */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw new Error('secret is used after it was wiped');
    return this.#bytes;
  }

  get wiped(): boolean {
    return this.#bytes === undefined;
  }

  /** For a secret's last use: hands the bytes to `consume`, and wipes them afterwards, also when it throws. */
  use<T>(consume: (bytes: Uint8Array) => T): T {
    try {
      return consume(this.bytes);
    } finally {
      this.wipe();
    }
  }

  /** Overwrites the bytes with zeros. May be called more than once. */
  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }
}

/** Overwrites each array with zeros; passes over what was never made, as an error path needs it. */
export function wipe(...arrays: readonly (Uint8Array | undefined)[]): void {
  for (const array of arrays) array?.fill(0);
}
