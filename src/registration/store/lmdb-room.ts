/**
 * Blocks on the disk for what LMDB is about to write. Where a write of LMDB's own fails, its binding puts the message into
 * memory that is too short for it, which corrupts the heap and ends the process; so the data file is made longer before a
 * commit, with zeros beyond its last page, and a commit for which the disk has no room is not begun.
 * Invariant: nothing but the end of the file is written, and only while no transaction is open.
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import type { Layer } from './lmdb-layer.ts';

/** Written at once. */
const ZEROS = new Uint8Array(65_536);
/** Of one change: a leaf of the table and one of its index, each with a branch. */
const PAGES_PER_CHANGE = 4;
/** Of any commit: roots, the tables' own entries, the list of free pages. */
const PAGES_PER_COMMIT = 16;
/** Keys, an entry of the index and their heads. */
const BYTES_PER_CHANGE = 160;
/** A page that is split leaves two that are half full. */
const SPLIT = 2;

export interface Used {
  readonly pageSize: number;
  /** Pages from the file's beginning to the last one in use. */
  readonly pages: number;
}

/** How long the file is at most after a commit of this layer, in bytes. A commit writes anew what it touches, and what it adds. */
export function lengthFor(layer: Layer | undefined, { pageSize, pages }: Used): number {
  const changes = layer === undefined ? 1 : layer.registrations.size + layer.tokens.size;
  const bytes = changes * BYTES_PER_CHANGE + (layer?.bytes ?? 0);
  const touched = Math.min(pages, PAGES_PER_COMMIT + changes * PAGES_PER_CHANGE);
  return (pages + touched + Math.ceil((SPLIT * bytes) / pageSize) + PAGES_PER_COMMIT) * pageSize;
}

export class DiskRoom {
  readonly #file: number;
  #length = 0;

  /** The data file, which is there. Throws the system's error, as `reserve` does. */
  constructor(path: string) {
    this.#file = openSync(path, 'r+');
  }

  /** Makes the file at least so many bytes long, with blocks behind them. */
  reserve(length: number): void {
    if (length <= this.#length) return;
    // LMDB may have made it longer itself: what it wrote is never touched.
    this.#length = fstatSync(this.#file).size;
    while (this.#length < length) {
      const size = Math.min(ZEROS.length, length - this.#length);
      const written = writeSync(this.#file, ZEROS, 0, size, this.#length);
      if (written === 0) throw new Error('the system takes no more bytes and gives no reason');
      this.#length += written;
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}
