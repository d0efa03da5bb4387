/**
 * Changes of inputs that know nothing of their structure: bits, bytes, lengths that lie, pieces cut out, doubled, exchanged
 * with another input's or with constants. Pure: the same generator gives the same change.
 */
import type { Prng } from '../../test/support/prng.ts';

export interface MutationContext {
  readonly prng: Prng;
  /** To take pieces from. */
  readonly pool: readonly Uint8Array[];
  readonly dictionary: readonly Uint8Array[];
  readonly maxLength: number;
}

type Mutation = (input: Uint8Array, context: MutationContext) => Uint8Array;

const MAX_STACKED = 6;
const INTERESTING = [0, 1, 2, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
const EDGES = [0, 1, 32, 128, 255, 256, 1_024, 65_535, 65_536, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER];
const WIDTHS = [1, 2, 4, 8] as const;

/** Half the time one change, else up to six, one upon the other; never longer than the bound. */
export function mutate(input: Uint8Array, context: MutationContext): Uint8Array {
  let output: Uint8Array = input.slice();
  const { prng } = context;
  for (let left = prng.chance(0.5) ? 1 : 1 + prng.below(MAX_STACKED); left > 0; left--) {
    output = prng.pick(MUTATIONS)(output, context);
  }
  return output.length > context.maxLength ? output.subarray(0, context.maxLength) : output;
}

const flipBit: Mutation = (input, { prng }) => {
  if (input.length === 0) return input;
  const at = prng.below(input.length);
  input[at] = (input[at] ?? 0) ^ (1 << prng.below(8));
  return input;
};

const setByte: Mutation = (input, { prng }) => {
  if (input.length > 0) input[prng.below(input.length)] = prng.chance(0.5) ? prng.pick(INTERESTING) : prng.below(256);
  return input;
};

const addSmall: Mutation = (input, { prng }) => {
  if (input.length === 0) return input;
  const at = prng.below(input.length);
  input[at] = (input[at] ?? 0) + (prng.chance(0.5) ? 1 : -1) * (1 + prng.below(16));
  return input;
};

const truncate: Mutation = (input, { prng }) => input.slice(0, prng.below(input.length + 1));

const insert: Mutation = (input, { prng }) => {
  const piece = prng.bytes(1 + prng.below(prng.chance(0.2) ? 64 : 8));
  return insertAt(input, prng.below(input.length + 1), prng.chance(0.3) ? piece.fill(prng.pick(INTERESTING)) : piece);
};

const remove: Mutation = (input, { prng }) => {
  const [from, to] = range(input, prng);
  return join(input.subarray(0, from), input.subarray(to));
};

const duplicate: Mutation = (input, { prng }) => {
  const [from, to] = range(input, prng);
  return insertAt(input, prng.chance(0.5) ? to : prng.below(input.length + 1), input.slice(from, to));
};

const exchange: Mutation = (input, { prng }) => {
  const [from, to] = range(input, prng);
  const at = prng.below(input.length + 1);
  input.copyWithin(at, from, to);
  return input;
};

/** The beginning of one input and the end of another, or a piece of the other one in the middle. */
const splice: Mutation = (input, { prng, pool }) => {
  if (pool.length === 0) return input;
  const other = prng.pick(pool);
  if (prng.chance(0.5)) {
    return join(input.subarray(0, prng.below(input.length + 1)), other.subarray(prng.below(other.length + 1)));
  }
  const [from, to] = range(other, prng);
  return insertAt(input, prng.below(input.length + 1), other.subarray(from, to));
};

const constant: Mutation = (input, { prng, dictionary }) => {
  if (dictionary.length === 0) return input;
  const word = prng.pick(dictionary);
  const at = prng.below(input.length + 1);
  if (prng.chance(0.5)) return insertAt(input, at, word);
  return join(input.subarray(0, at), word, input.subarray(at + word.length));
};

/** A field of some width and order says another length: one too much or too little, nothing, all there is, the greatest. */
const lie: Mutation = (input, { prng }) => {
  const width = prng.pick(WIDTHS);
  if (input.length < width) return input;
  const at = prng.below(input.length - width + 1);
  const left = input.length - at - width;
  const value = prng.pick([0, 1, left, left + 1, Math.max(0, left - 1), 2 ** 16, 2 ** 31, 2 ** 32 - 1, 2 ** 53]);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  const field = bytes.slice(0, width);
  if (value >= 2 ** (8 * width)) field.fill(0xff);
  input.set(prng.chance(0.5) ? field : field.reverse(), at);
  return input;
};

/** A number in a text becomes its neighbour, or one at an edge. */
const decimal: Mutation = (input, { prng }) => {
  const text = Buffer.from(input).toString('latin1');
  const numbers = [...text.matchAll(/\d{1,20}/g)];
  if (numbers.length === 0) return input;
  const { 0: digits, index } = prng.pick(numbers);
  const step = prng.chance(0.5) ? 1n : -1n;
  const value = prng.chance(0.5) ? BigInt(digits) + step : BigInt(prng.pick(EDGES)) + (prng.chance(0.5) ? step : 0n);
  return join(input.subarray(0, index), Buffer.from(String(value)), input.subarray(index + digits.length));
};

const MUTATIONS: readonly Mutation[] = [
  ...[flipBit, flipBit, setByte, setByte, addSmall, truncate, insert, remove],
  ...[duplicate, exchange, splice, splice, constant, constant, lie, lie, decimal],
];

/** A piece of an input: mostly a short one. */
function range(input: Uint8Array, prng: Prng): [number, number] {
  const from = prng.below(input.length + 1);
  const most = prng.chance(0.7) ? Math.min(16, input.length - from) : input.length - from;
  return [from, from + prng.below(most + 1)];
}

function insertAt(input: Uint8Array, at: number, piece: Uint8Array): Uint8Array {
  return join(input.subarray(0, at), piece, input.subarray(at));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
