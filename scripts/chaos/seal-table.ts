/**
 * All sealings of a run, of whatever process: a hash table of eight-byte hashes, and the files of `seal-record.ts` read into
 * it as they grow. A pair that comes again with another output is a nonce used twice.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { SEAL_RECORD_BYTES } from './seal-record.ts';

const FIRST_CAPACITY = 2 ** 14;
/** Two 64-bit hashes of so many are equal by chance once in some ten million runs; a run has far fewer. */
const MAX_ENTRIES = 2 ** 24;
const CHUNK_BYTES = 2 ** 18;

export type Sealing = 'new' | 'repeat' | 'clash';

export class SealTable {
  #pairs = new BigUint64Array(FIRST_CAPACITY);
  #outputs = new BigUint64Array(FIRST_CAPACITY);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `repeat`: the same bytes once more, as a stored reply may be. */
  add(pair: bigint, output: bigint): Sealing {
    if (this.#size * 2 >= this.#pairs.length) this.#grow();
    const at = this.#find(pair);
    if (this.#pairs[at] === 0n) {
      if (this.#size >= MAX_ENTRIES) throw new Error('assertion: more sealings than a run can have');
      this.#pairs[at] = keyOf(pair);
      this.#outputs[at] = output;
      this.#size++;
      return 'new';
    }
    return this.#outputs[at] === output ? 'repeat' : 'clash';
  }

  #find(pair: bigint): number {
    const key = keyOf(pair);
    const mask = this.#pairs.length - 1;
    let at = Number(key & BigInt(mask));
    while (this.#pairs[at] !== 0n && this.#pairs[at] !== key) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const [pairs, outputs] = [this.#pairs, this.#outputs];
    this.#pairs = new BigUint64Array(2 * pairs.length);
    this.#outputs = new BigUint64Array(2 * pairs.length);
    for (const [i, pair] of pairs.entries()) {
      if (pair === 0n) continue;
      const at = this.#find(pair);
      this.#pairs[at] = pair;
      this.#outputs[at] = outputs[i] ?? 0n;
    }
  }
}

/** Zero marks an empty place. */
function keyOf(pair: bigint): bigint {
  return pair === 0n ? 1n : pair;
}

export interface SealCounts {
  readonly sealed: number;
  readonly repeats: number;
}

export class SealWatch {
  readonly #directory: string;
  readonly #clashed: (where: string) => void;
  readonly #table = new SealTable();
  readonly #read = new Map<string, number>();
  #repeats = 0;

  /** `directory`: of the files; `clashed` is told where the second use of a pair was. */
  constructor(directory: string, clashed: (where: string) => void) {
    this.#directory = directory;
    this.#clashed = clashed;
  }

  get counts(): SealCounts {
    return { sealed: this.#table.size + this.#repeats, repeats: this.#repeats };
  }

  note(record: Uint8Array, where: string): void {
    const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    const sealing = this.#table.add(view.getBigUint64(0), view.getBigUint64(8));
    if (sealing === 'repeat') this.#repeats++;
    if (sealing === 'clash') this.#clashed(where);
  }

  /** What has been written since the last time. */
  look(): void {
    for (const name of readdirSync(this.#directory)) this.#lookInto(name);
  }

  #lookInto(name: string): void {
    const file = openSync(join(this.#directory, name), 'r');
    const chunk = new Uint8Array(CHUNK_BYTES);
    try {
      for (;;) {
        const from = this.#read.get(name) ?? 0;
        const whole = Math.floor(readSync(file, chunk, 0, chunk.length, from) / SEAL_RECORD_BYTES) * SEAL_RECORD_BYTES;
        if (whole === 0) return;
        for (let at = 0; at < whole; at += SEAL_RECORD_BYTES) {
          this.note(chunk.subarray(at, at + SEAL_RECORD_BYTES), name);
        }
        this.#read.set(name, from + whole);
      }
    } finally {
      closeSync(file);
    }
  }
}
