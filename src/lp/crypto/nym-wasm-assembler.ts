/**
 * As much of a WebAssembly assembler as one small module needs: instructions as arrays of bytes, and the sections around a
 * single exported function of two integers over one page of memory. A program stays readable, and nothing binary is kept.
 */
type Code = readonly number[];

const I32 = 0x7f;
const I64 = 0x7e;
const V128 = 0x7b;
export const TYPE = { i32: I32, i64: I64, v128: V128 } as const;
export type LocalType = (typeof TYPE)[keyof typeof TYPE];

function unsigned(value: number): Code {
  const out: number[] = [];
  let rest = value;
  do {
    const byte = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? byte : byte | 0x80);
  } while (rest !== 0);
  return out;
}

function signed(value: bigint): Code {
  const out: number[] = [];
  let rest = value;
  for (;;) {
    const byte = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0)) return [...out, byte];
    out.push(byte | 0x80);
  }
}

const simd = (code: number, ...immediate: number[]): Code => [0xfd, ...unsigned(code), ...immediate];

/** Operands go before their operator, as on the machine's stack. */
export const op = {
  get: (local: number): Code => [0x20, ...unsigned(local)],
  set: (local: number): Code => [0x21, ...unsigned(local)],
  i32: (value: number): Code => [0x41, ...signed(BigInt(value))],
  i64: (value: bigint): Code => [0x42, ...signed(BigInt.asIntN(64, value))],
  i32Add: [0x6a],
  i32GreaterOrEqual: [0x4f],
  i64And: [0x83],
  i64Or: [0x84],
  i64Xor: [0x85],
  i64Sub: [0x7d],
  i64ShiftLeft: [0x86],
  i64ShiftRight: [0x88],
  /** At a constant address. */
  load: (address: number): Code => [...op.i32(0), ...simd(0, 0, ...unsigned(address))],
  loadAt: simd(0, 0, 0),
  /** The byte at a constant address, sixteen times. */
  loadSplat: (address: number): Code => [...op.i32(0), ...simd(7, 0, ...unsigned(address))],
  store: (address: number, value: Code): Code => [...op.i32(0), ...value, ...simd(11, 0, ...unsigned(address))],
  constant: (bytes: Code): Code => simd(12, ...bytes),
  /** Byte k of the result is byte `lanes[k]` of the two operands, the second one's from 16 on. */
  shuffle: (lanes: Code): Code => simd(13, ...lanes),
  /** Byte k of the result is the first operand's byte that byte k of the second one names, which is below 16. */
  swizzle: simd(0x100),
  and: simd(78),
  xor: simd(81),
  bytesShiftLeft: simd(107),
  bytesShiftRight: simd(109),
  halfSplat: simd(18),
  half: (lane: 0 | 1): Code => simd(0x1d, lane),
  replaceHighHalf: simd(0x1e, 1),
  /** Repeats until `stop` leaves something other than zero. */
  until: (stop: Code, body: Code): Code => [0x02, 0x40, 0x03, 0x40, ...stop, 0x0d, 1, ...body, 0x0c, 0, 0x0b, 0x0b],
} as const satisfies Record<string, Code | ((...args: never[]) => Code)>;

function section(id: number, ...content: readonly Code[]): Code {
  const body = [...unsigned(content.length), ...content.flat()];
  return [id, ...unsigned(body.length), ...body];
}

function named(name: string, ...rest: number[]): Code {
  return [...unsigned(name.length), ...Array.from(name, (letter) => letter.charCodeAt(0)), ...rest];
}

/** The module: `memory`, and `run(i32, i32)`, whose further locals follow its two arguments. */
export function assemble(locals: readonly LocalType[], body: Code): Uint8Array<ArrayBuffer> {
  const declared = locals.flatMap((type) => [1, type]);
  const code = [...unsigned(locals.length), ...declared, ...body, 0x0b];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [0x60, 2, I32, I32, 0]),
    ...section(3, [0]),
    ...section(5, [0, 1]),
    ...section(7, named('memory', 2, 0), named('run', 0, 0)),
    ...section(10, [...unsigned(code.length), ...code]),
  ]);
}
