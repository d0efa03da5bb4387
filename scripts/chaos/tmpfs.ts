/**
 * A small file system in memory, under a directory of its own, that can be filled. Invariant: it is unmounted by `remove`, or
 * when this process exits.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { atExit } from '../e2e/at-exit.ts';

/** Of Debian's util-linux: no packages of ours. */
const [MOUNT, UMOUNT] = ['mount', 'umount'];
const LARGE = Buffer.alloc(65_536);
const SMALL = Buffer.alloc(512);

export class SmallDisk {
  readonly path: string;
  readonly #filler: string;

  private constructor(path: string) {
    this.path = path;
    this.#filler = join(path, 'filler');
  }

  /** Throws when the system lets this user mount nothing. */
  static mount(path: string, bytes: number): SmallDisk {
    mkdirSync(path);
    execFileSync(MOUNT, ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'none', path], { stdio: 'pipe' });
    const disk = new SmallDisk(path);
    atExit(disk, [UMOUNT, '--lazy', path]);
    return disk;
  }

  /** Not a byte is left. Returns how many were taken. */
  fill(): number {
    const file = openSync(this.#filler, 'w');
    let taken = 0;
    try {
      for (const chunk of [LARGE, SMALL]) taken += fillWith(file, chunk);
    } finally {
      closeSync(file);
    }
    return taken;
  }

  clear(): void {
    rmSync(this.#filler, { force: true });
  }

  remove(): void {
    execFileSync(UMOUNT, ['--lazy', this.path], { stdio: 'pipe' });
    atExit(this, undefined);
  }
}

function fillWith(file: number, chunk: Uint8Array): number {
  for (let taken = 0; ; ) {
    try {
      taken += writeSync(file, chunk);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return taken;
      throw error;
    }
  }
}
