/**
 * A pair: two classes of inputs to the same code, and what it means if they take different times. Inputs are made
 * beforehand, several of each class; `prepare` puts one where `run` takes it from, outside the measured time.
 */

/**
 * control: both classes are the same, so nothing may be seen. planted: a known leak, which has to be seen. secret: what tells
 * the classes apart is a secret, so nothing should be seen. public: whoever sends the input knows what tells them apart, or
 * the specification lets it show. portable: of the provider that is not constant time, and says so.
 */
export type PairKind = 'control' | 'planted' | 'secret' | 'public' | 'portable';

export interface Pair {
  readonly name: string;
  readonly kind: PairKind;
  /** What the classes are. */
  readonly classes: readonly [string, string];
  /** What somebody who can measure the difference would learn. */
  readonly learns: string;
  /** Runs that are measured as one, where one is too short for the clock. */
  readonly repeat?: number;
  /** `of`: the class. Not measured. */
  prepare(of: 0 | 1): void;
  /** Measured. */
  run(): unknown;
  /** Measured up to its end, instead of `run`. */
  runAsync?(): Promise<unknown>;
  /** After the last measurement. */
  close?(): void;
}

/** Inputs of one length, which all are used at the same place in memory. */
export class Inputs {
  readonly scratch: Uint8Array;
  private readonly classes: readonly [readonly Uint8Array[], readonly Uint8Array[]];

  constructor(classes: readonly [readonly Uint8Array[], readonly Uint8Array[]]) {
    const lengths = new Set(classes.flat().map((input) => input.length));
    const [length] = lengths;
    if (length === undefined || lengths.size !== 1) throw new Error('the inputs of a pair have one length');
    if (classes[0].length !== classes[1].length) throw new Error('the classes of a pair have equally many inputs');
    this.classes = classes;
    this.scratch = new Uint8Array(new ArrayBuffer(length));
  }

  /** Puts one of the class into the scratch memory. */
  load(of: 0 | 1): void {
    const inputs = this.classes[of];
    const input = inputs[Math.floor(Math.random() * inputs.length)];
    if (input !== undefined) this.scratch.set(input);
  }
}

/** How many different inputs a class has, so that no single one decides. */
export const INPUTS = 16;

export function inputsOf(make: (n: number) => Uint8Array, count = INPUTS): Uint8Array[] {
  return Array.from({ length: count }, (_, n) => make(n));
}

export function withBit(bytes: Uint8Array, at: number, bits = 1): Uint8Array {
  const copy = bytes.slice();
  const place = at < 0 ? copy.length + at : at;
  copy[place] = (copy[place] ?? 0) ^ bits;
  return copy;
}

export function withPart(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(part, at < 0 ? copy.length + at : at);
  return copy;
}
