/**
 * GHASH (NIST SP 800-38D §6.4) in WebAssembly: the time of every step depends on lengths alone, for the tables lie in
 * vector registers, where a lookup touches no memory that others could watch.
 *
 * A block times H is the sum of 32 nibbles times H. Of each of the 16 multiples of H (by a high and by a low nibble), row i
 * of a table has byte i; one swizzle of a row by all nibbles of a block gives byte i of 16 products, which belong at 16
 * successive places. So rows are added from the last to the first, shifting by one byte in between, and what leaves the
 * block on the right is reduced once at the end. Tables are made anew for each message: it takes less than to keep them.
 */
import { assemble, op, TYPE } from './nym-wasm-assembler.ts';

type Code = readonly number[];

const BLOCK = 16;
const ROWS = 16;
/** Memory: H, the result, H times x⁰ to x⁷, the rows for high and low nibbles, then the caller's data. */
const H_AT = 0;
const RESULT_AT = 16;
const POWERS_AT = 64;
const HIGH_ROWS_AT = 256;
const LOW_ROWS_AT = 512;
const DATA_AT = 1_024;
const MAX_KEPT_LENGTH = 2_048;

const ZERO = op.constant(new Array<number>(BLOCK).fill(0));
/** Two halves, each with its bytes the other way round. */
const SWAP_HALVES = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];
/** Bits of a byte go from x⁰ at the top to x⁷; x¹²⁸ is 1 + x + x² + x⁷, which is this byte. */
const REDUCTION = 0xe1n << 56n;

const [POINTER, END] = [0, 1];
const LOCALS = ['x', 'high', 'low', 'sum', 'carry', 'upperSum', 'upperCarry', 'shifted', 'zero'] as const;
const HALVES = ['a', 'b', 'lost'] as const;
const indexOf = (name: (typeof LOCALS)[number] | (typeof HALVES)[number]) => 2 + [...LOCALS, ...HALVES].indexOf(name);
const get = (name: Parameters<typeof indexOf>[0]) => op.get(indexOf(name));
const set = (name: Parameters<typeof indexOf>[0]) => op.set(indexOf(name));

/** H, xH … x⁷H: shifted right by one bit each, as two halves. */
function powers(): Code {
  const code = [
    ...[...op.load(H_AT), ...ZERO, ...op.shuffle(SWAP_HALVES), ...set('x')],
    ...[...get('x'), ...op.half(0), ...set('a'), ...get('x'), ...op.half(1), ...set('b')],
  ];
  for (let k = 0; k < 8; k++) {
    const block = [
      ...get('a'),
      ...op.halfSplat,
      ...get('b'),
      ...op.replaceHighHalf,
      ...ZERO,
      ...op.shuffle(SWAP_HALVES),
    ];
    code.push(...op.store(POWERS_AT + BLOCK * k, block));
    // All ones where a bit is lost, or all zeros.
    code.push(
      ...op.i64(0n),
      ...get('b'),
      ...op.i64(1n),
      ...op.i64And,
      ...op.i64Sub,
      ...op.i64(REDUCTION),
      ...op.i64And,
    );
    code.push(...set('lost'));
    code.push(...get('b'), ...op.i64(1n), ...op.i64ShiftRight, ...get('a'), ...op.i64(63n), ...op.i64ShiftLeft);
    code.push(...op.i64Or, ...set('b'));
    code.push(...get('a'), ...op.i64(1n), ...op.i64ShiftRight, ...get('lost'), ...op.i64Xor, ...set('a'));
  }
  return code;
}

/** Row i at n: byte i of n times H (or x⁴H), where the top bit of the nibble n is x⁰. */
function rows(at: number, firstPower: number): Code {
  const code: number[] = [];
  for (let i = 0; i < ROWS; i++) {
    const row = [8, 4, 2, 1].flatMap((bit, k) => {
      const mask = Array.from({ length: BLOCK }, (_, n) => ((n & bit) === 0 ? 0 : 0xff));
      const part = [...op.loadSplat(POWERS_AT + BLOCK * (firstPower + k) + i), ...op.constant(mask), ...op.and];
      return k === 0 ? part : [...part, ...op.xor];
    });
    code.push(...op.store(at + BLOCK * i, row));
  }
  return code;
}

/**
 * Bytes one place to the right: into the sum a zero comes, into the carry the sum's last byte. Lanes that follow one another
 * are a single instruction, so it is the last zero.
 */
const SHIFT_IN_ZERO = [31, ...Array.from({ length: 15 }, (_, k) => k)];
const SHIFT_IN_LAST = [15, ...Array.from({ length: 15 }, (_, k) => 16 + k)];
/** The same by eight bytes. */
const SHIFT_HALF = Array.from({ length: BLOCK }, (_, k) => (24 + k) % 32);
const SHIFT_IN_HALF = Array.from({ length: BLOCK }, (_, k) => 8 + k);

/** The rows from `last` down to `first`, each a byte further to the right than the one before it. */
function sumOfRows(first: number, last: number, sum: 'sum' | 'upperSum', carry: 'carry' | 'upperCarry'): Code[] {
  const code: Code[] = [];
  for (let i = last; i >= first; i--) {
    const begins = i === last;
    const before = i === last - 1 ? get('zero') : get(carry);
    const shift = [
      ...[...get(sum), ...before, ...op.shuffle(SHIFT_IN_LAST), ...set(carry)],
      ...[...get(sum), ...get('zero'), ...op.shuffle(SHIFT_IN_ZERO)],
    ];
    const high = [...op.load(HIGH_ROWS_AT + BLOCK * i), ...get('high'), ...op.swizzle];
    const low = [...op.load(LOW_ROWS_AT + BLOCK * i), ...get('low'), ...op.swizzle];
    code.push([...(begins ? [] : shift), ...high, ...low, ...op.xor, ...(begins ? [] : op.xor), ...set(sum)]);
  }
  return code;
}

/** Two sums side by side, for each waits for its last step; then the upper one, half a block further to the right. */
function product(): Code {
  const lower = sumOfRows(0, ROWS / 2 - 1, 'sum', 'carry');
  const upper = sumOfRows(ROWS / 2, ROWS - 1, 'upperSum', 'upperCarry');
  const rows = lower.flatMap((row, i) => [...row, ...(upper[i] ?? [])]);
  return [
    ...rows,
    ...[...get('upperSum'), ...get('upperCarry'), ...op.shuffle(SHIFT_IN_HALF), ...get('carry'), ...op.xor],
    ...set('carry'),
    ...[...get('upperSum'), ...get('zero'), ...op.shuffle(SHIFT_HALF), ...get('sum'), ...op.xor, ...set('sum')],
  ];
}

/** The carry times 1 + x + x² + x⁷; it has 15 bytes, so nothing is carried again. */
function reduction(): Code {
  const times = [1, 2, 7].flatMap((bits) => [
    ...[...get('carry'), ...op.i32(bits), ...op.bytesShiftRight, ...op.xor],
    ...[...get('shifted'), ...op.i32(8 - bits), ...op.bytesShiftLeft, ...op.xor],
  ]);
  const shifted = [...get('carry'), ...get('zero'), ...op.shuffle(SHIFT_IN_ZERO), ...set('shifted')];
  return [...shifted, ...get('sum'), ...get('carry'), ...op.xor, ...times, ...set('x')];
}

function program(): Uint8Array<ArrayBuffer> {
  const nextBlock = [...get('x'), ...op.get(POINTER), ...op.loadAt, ...op.xor, ...set('x')];
  const high = [...get('x'), ...op.i32(4), ...op.bytesShiftRight, ...set('high')];
  const low = [...get('x'), ...op.constant(new Array<number>(BLOCK).fill(0x0f)), ...op.and, ...set('low')];
  const advance = [...op.get(POINTER), ...op.i32(BLOCK), ...op.i32Add, ...op.set(POINTER)];
  const end = [...op.get(POINTER), ...op.get(END), ...op.i32GreaterOrEqual];
  const block = [...nextBlock, ...high, ...low, ...product(), ...reduction(), ...advance];
  const body = [
    ...[...powers(), ...rows(HIGH_ROWS_AT, 0), ...rows(LOW_ROWS_AT, 4), ...ZERO, ...set('x')],
    ...[...op.until(end, block), ...op.store(RESULT_AT, get('x'))],
  ];
  return assemble([...LOCALS.map(() => TYPE.v128), ...HALVES.map(() => TYPE.i64)], body);
}

export interface Ghash {
  /** For data of whole blocks: what is left of a page of 64 KiB. */
  readonly data: Uint8Array;
  /** The first so many bytes of it. Making a view takes longer than to copy a packet, so those of short packets are kept. */
  first(length: number): Uint8Array;
  /** The same memory; words in the machine's order, as all of these. */
  readonly words: Uint32Array;
  readonly hWords: Uint32Array;
  /** After `run`. */
  readonly result: Uint8Array;
  readonly resultWords: Uint32Array;
  run(blocks: number): void;
  /** Nothing is left of the key, of what was made of it, and of so many bytes of data. */
  clear(length: number): void;
}

/** What is used of WebAssembly, which belongs to no library that the types know. */
interface WebAssemblyLike {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer };
      run(pointer: number, end: number): void;
    };
  };
}

export function createGhash(): Ghash {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyLike };
  const { memory, run } = new WebAssembly.Instance(new WebAssembly.Module(program())).exports;
  const all = new Uint8Array(memory.buffer);
  const data = all.subarray(DATA_AT);
  const kept = new Array<Uint8Array | undefined>(MAX_KEPT_LENGTH).fill(undefined);
  return {
    data,
    first(length) {
      const view = kept[length] ?? data.subarray(0, length);
      if (length < MAX_KEPT_LENGTH) kept[length] = view;
      return view;
    },
    words: new Uint32Array(memory.buffer, DATA_AT),
    hWords: new Uint32Array(memory.buffer, H_AT, BLOCK / 4),
    result: all.subarray(RESULT_AT, RESULT_AT + BLOCK),
    resultWords: new Uint32Array(memory.buffer, RESULT_AT, BLOCK / 4),
    run: (blocks) => run(DATA_AT, DATA_AT + BLOCK * blocks),
    clear: (length) => void all.fill(0, 0, DATA_AT + length),
  };
}
