/**
 * What a fuzz target is. A new one is one file under `targets/` that exports `targets`: nothing else has to know of it.
 * Invariant: `run` depends on its input alone, so that a finding can be replayed and a batch bisected; whatever state it
 * needs it makes anew. It throws where the software, or an oracle, is wrong, and returns for every input that is only bad.
 */
import type { Arbitrary } from 'fast-check';
import type { Prng } from '../../test/support/prng.ts';

export interface FuzzTarget {
  /** Also its folder in the corpus: lower-case words with hyphens. */
  readonly name: string;
  /** Once per thread, before the first input. */
  setUp?(): void | Promise<void>;
  run(input: Uint8Array): void | Promise<void>;
  /** Inputs to begin with, the same ones each time: most of them valid. */
  seeds(): Iterable<Uint8Array>;
  /** New inputs from their structure, drawn now and then beside mutations. */
  readonly fresh?: Arbitrary<Uint8Array>;
  /** A change that knows the structure, so that it gets past lengths, checksums and tags. */
  mutate?(input: Uint8Array, prng: Prng): Uint8Array;
  /** Constants that random bytes would not hit. */
  readonly dictionary?: readonly Uint8Array[];
  /** Longest input; default 2 KiB, for what is longer costs executions and rarely reaches more. */
  readonly maxLength?: number;
  /** Share of the time, compared with others; default 1. */
  readonly weight?: number;
  /** Inputs between two looks at the coverage, which cost some 5 ms; default 1,024. Few where one takes milliseconds. */
  readonly batch?: number;
  /** Files whose coverage guides, as a path prefix in the repository; default `src/`. */
  readonly covers?: string;
}

/** What a file under `targets/` exports. */
export interface TargetModule {
  readonly targets: readonly FuzzTarget[];
}

/** Fails an oracle. */
export function oracle(holds: boolean, what: string | (() => string)): asserts holds {
  if (!holds) throw new Error(`oracle: ${typeof what === 'string' ? what : what()}`);
}

/** Byte strings of values as texts, so that views and copies compare alike, and an array with `undefined` differs. */
export function plain(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner instanceof Uint8Array) return `bytes ${Buffer.from(inner).toString('hex')}`;
    if (inner instanceof Map) return { map: [...inner] };
    return typeof inner === 'bigint' ? `${inner}n` : inner;
  });
}

export function sameValue(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [plain(actual), plain(expected)];
  oracle(a === b, () => `${what}: ${a} is not ${b}`.slice(0, 600));
}

export function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  oracle(Buffer.compare(actual, expected) === 0, () => {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex').slice(0, 200);
    return `${what}: ${hex(actual)} is not ${hex(expected)}`;
  });
}

/** Decoders only look: the input must stay as it is. */
export function untouched<T>(input: Uint8Array, decode: (bytes: Uint8Array) => T): T {
  const before = input.slice();
  const value = decode(input);
  sameBytes(input, before, 'a decoder changed its input');
  return value;
}

/** Both providers for every eighth input, by its bytes, for the portable one takes twenty times as long; else the native one. */
export function providersFor<P>(input: Uint8Array, [native, portable]: readonly [P, P]): readonly [P, P] {
  const sum = input.reduce((total, byte) => (total + byte) & 7, input.length);
  return [native, sum % 8 === 0 ? portable : native];
}
